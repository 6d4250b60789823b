"""Content hashes of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

_BLOCK = 1 << 20


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def md5(path: Path) -> str:
    """The name under which DVC keeps a file; never a proof of anything."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def sha256_and_md5(path: Path) -> tuple[str, str]:
    """Both in one reading, for files too large for the page cache."""
    strong, named = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    buffer = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as stream:
        while size := stream.readinto(buffer):
            strong.update(buffer[:size])
            named.update(buffer[:size])
    return strong.hexdigest(), named.hexdigest()


def sha256_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of_tree(files: Iterable[tuple[str, str]]) -> str:
    """One hash for a folder, from (relative path, sha256) of each file: order, dates and empty folders do not count."""
    return sha256_of_text("".join(f"{digest}  {name}\n" for name, digest in sorted(files)))
