"""A lock between threads, processes and machines for the manual files of one folder."""

from __future__ import annotations

import contextlib
import fcntl
import threading
from collections.abc import Iterator
from pathlib import Path

LOCK = ".review.lock"
_THREADS = threading.RLock()  # a POSIX lock belongs to the process, so that its threads need one of their own


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: one writer at a time, also over NFS. The file stays; its content is empty."""
    with _THREADS, (folder / LOCK).open("a") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX)
        yield  # closing the file releases the lock
