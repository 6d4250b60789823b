"""Locks between threads, processes and machines: for the manual files of one folder, and for one labels file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from childgait.errors import StepError

LOCK = ".review.lock"
_THREADS = threading.RLock()  # a POSIX lock belongs to the process, so that its threads need one of their own


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: one writer at a time, also over NFS. The file stays; its content is empty."""
    with _THREADS, (folder / LOCK).open("a") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX)
        yield  # closing the file releases the lock


@contextlib.contextmanager
def lock_labels(path: Path) -> Iterator[None]:
    """Hold the lock of a labels file itself, which several studies with other annotation folders may share.

    Replacing the file makes a new one, so that a lock counts only if its file still has the name. flock, since a POSIX
    lock would end when the same process closes the file after reading it.
    """
    with _THREADS:
        stream = _locked(path)
        is_new = os.fstat(stream).st_size == 0
        try:
            yield
        finally:
            if is_new and _has_name(stream, path):  # nothing was written
                path.unlink()
            os.close(stream)


def _locked(path: Path) -> int:
    """Open a file, which is made empty if there is none, and lock it; returns its descriptor."""
    while True:
        try:
            stream = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:  # a file that DVC protects can still be replaced
            stream = os.open(path, os.O_RDONLY)
        fcntl.flock(stream, fcntl.LOCK_EX)
        if _has_name(stream, path):
            return stream
        os.close(stream)


def _has_name(stream: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def lock_for_writing(folder: Path, written: Path) -> Iterator[None]:
    """Hold the folder's lock; turn a full disk and missing rights of the folder `written` into a StepError."""
    try:
        with lock_folder(folder):
            yield
    except OSError as error:
        raise describe_write_error(error, written) from None


def describe_write_error(error: OSError, folder: Path) -> StepError:
    """Return the error of a full disk or of missing rights as a StepError."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StepError(f"the disk of {folder} is full; nothing was written", hint="free some space and decide again")
    return StepError(
        f"{folder} cannot be written ({error.strerror or error}); nothing was written",
        hint="check the rights of the folder and decide again",
    )
