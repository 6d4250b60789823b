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
    """Return the MD5 under which DVC stores a file; not for integrity checks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def sha256_and_md5(path: Path) -> tuple[str, str]:
    """Return both hashes from one read, for files larger than the page cache."""
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
    """Return one hash of a folder from (relative path, sha256) of its files; order and dates are ignored."""
    return sha256_of_text("".join(f"{digest}  {name}\n" for name, digest in sorted(files)))
