"""Tombstones of erased children: their identity is not kept, only a keyed hash that refuses their return.

`erased.jsonl` (in git) has a line per child: the keyed hash of the child's number, the date, how much was removed
where. A number of four digits could be guessed from a plain hash, so the key is stored apart, in `erased.key`, which
neither git nor DVC versions; people who work with the raw data receive it the same way as the data.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import TypedDict

from childgait.errors import StepError
from childgait.files.atomic import write_text
from childgait.user_files import parse_json, read_lines, read_text

TOMBSTONES = Path("erased.jsonl")
KEY = Path("erased.key")


class Tombstone(TypedDict):
    """One line of the file."""

    subject: str  # keyed hash of the child's number
    date: str
    removed: dict[str, int]  # how much was removed, by place


def refuse_erased(subject: str, root: Path = Path()) -> None:
    """Fail if the data of this child was erased."""
    if is_erased(subject, root):
        raise StepError(
            "a recording belongs to a child whose data was erased at its guardian's wish (its number is not printed)",
            hint="remove that child's files from the cohort; `childgait erase` with its number removes them",
        )


def is_erased(subject: str, root: Path = Path()) -> bool:
    """Whether the data of this child was erased."""
    stones = tombstones(root)
    if not stones:
        return False
    mark = keyed_hash(subject, _key(root))
    return any(hmac.compare_digest(mark, stone["subject"]) for stone in stones)


def tombstones(root: Path = Path()) -> list[Tombstone]:
    """Read the tombstones of all erased children."""
    path = root / TOMBSTONES
    if not path.exists():
        return []
    stones = [parse_json(line.encode(), f"{path}, line {number}") for number, line in read_lines(path)]
    for stone in stones:
        subject = stone.get("subject") if isinstance(stone, dict) else None
        if not (isinstance(subject, str) and subject.isascii() and subject):
            raise StepError(
                f"{path} has a line without subject", hint="restore it from git: it refuses erased children"
            )
    return stones


def keyed_hash(subject: str, key: bytes) -> str:
    return hmac.new(key, subject.encode(), hashlib.sha256).hexdigest()


def add_tombstone(subject: str, date: str, removed: dict[str, int], root: Path = Path()) -> None:
    """Append a tombstone; a child that is erased a second time gets a second line."""
    stone: Tombstone = {"subject": keyed_hash(subject, _key(root, make=True)), "date": date, "removed": removed}
    path = root / TOMBSTONES
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    write_text(path, before + json.dumps(stone, sort_keys=True) + "\n")


def _key(root: Path, *, make: bool = False) -> bytes:
    path = root / KEY
    if path.exists():
        try:
            return bytes.fromhex(read_text(path).strip())
        except ValueError:
            raise StepError(f"{path} is no key in hexadecimal digits", hint="get the original again") from None
    if not make or tombstones(root):
        raise StepError(
            f"there is a {TOMBSTONES}, but not its key {path}, so erased children cannot be recognised",
            hint=f"get {KEY} from the person who erased the data, the same way as the raw data",
        )
    key = secrets.token_bytes(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(key.hex() + "\n")
    return key
