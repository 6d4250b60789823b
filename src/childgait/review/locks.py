"""A lock between threads, processes and machines for the manual files of one folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
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
