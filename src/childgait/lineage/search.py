"""Search for remains of an erased child: its number and its files' hashes (for its pictures see pixels.py).

Names and bytes of every file are searched, whatever the file is called (DVC's objects have no ending); in tables the
id columns are compared with the child's number.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import re
import time
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from childgait.files.hashes import sha256_and_md5
from childgait.lineage.subjects import ID_COLUMNS, is_subject, names_subject

NOT_OURS = (".git", ".venv", "node_modules", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache")
_LARGEST_TEXT = 32 << 20  # bytes; a larger file is no table of children
_LARGEST_ZIP = 256 << 20  # bytes unpacked
log = logging.getLogger(__name__)
PROGRESS_SECONDS = 5.0  # between two lines about a long search
_HEX = re.compile(rb"[0-9a-f]{32,}")


def files_under(folder: Path) -> Iterator[Path]:
    """Yield every regular file below a folder, and every link: DVC may link its objects, and a link has a name."""
    for base, below, names in os.walk(folder):
        below[:] = [name for name in below if name not in NOT_OURS]
        for path in (Path(base) / name for name in (*names, *below)):
            if path.is_symlink() or path.is_file():
                yield path


def content_of(path: Path) -> bytes:
    """Read a file; empty for a link that leads to none."""
    return path.read_bytes() if path.is_file() else b""


def mentions(subject: str) -> re.Pattern[bytes]:
    """Build the pattern of a child's number as paths and records write it."""
    number = re.escape(subject).encode()
    return re.compile(rb"(?<!\d)" + number + rb"-\d{4,}_(?:forward|backward|left|right)_|/" + number + rb"(?:/|\.\w)")


def names_of(path: Path) -> bytes:
    """Encode a file's name as paths write it. Snakemake names its notes by the file they describe, in base64."""
    names = b"/" + str(path).encode()
    if ".snakemake" in path.parts:
        with contextlib.suppress(ValueError):
            names += b"\n/" + base64.urlsafe_b64decode(path.name)
    return names


def with_progress(paths: Collection[Path], what: str) -> Iterator[Path]:
    """Yield the paths; log every PROGRESS_SECONDS how many are done."""
    began = last = time.monotonic()
    for number, path in enumerate(paths):
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS:
            log.info("%s: %d of %d files, %.0f s", what, number, len(paths), now - began)
            last = now
        yield path


def find_traces(subject: str, hashes: set[str], paths: Iterable[Path]) -> dict[Path, str]:
    """List files that name the child, are one of its files (`hashes`: sha256 and md5), or name such a hash."""
    pattern = mentions(subject)
    digests = {digest.encode() for digest in hashes}
    traces: dict[Path, str] = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # in a temporary folder: removed meanwhile
            if why := _trace(path, subject, pattern, digests):
                traces[path] = why
    return traces


def _trace(path: Path, subject: str, pattern: re.Pattern[bytes], digests: set[bytes]) -> str | None:
    """Give the reason why a file is a trace of the child; None if it is not."""
    if pattern.search(names_of(path)):
        return "its name"
    if not path.is_file():  # a link to nothing, or to a folder
        return None
    if digests and {digest.encode() for digest in sha256_and_md5(path)} & digests:
        return "it is the child's file"
    content = path.read_bytes()
    if subject.encode() in content and pattern.search(content):  # the plain search first: it is much faster
        return "it names the child"
    if digests and any(_holds(run, digests) for run in _HEX.findall(content)):
        return "it names a hash of the child's file"
    if _is_text(content) and _text_names(content.decode("utf-8", errors="replace"), subject, path.suffix):
        return "a row of the child"
    if content[:4] == b"PK\x03\x04" and _in_zip(path, subject, pattern):
        return "an archive with the child"
    return "a table with the child" if content[:4] == b"PAR1" and _in_parquet(path, subject) else None


def _is_text(content: bytes) -> bool:
    return len(content) <= _LARGEST_TEXT and b"\0" not in content[:4096]


def _text_names(text: str, subject: str, ending: str) -> bool:
    """Whether a text names the child as a table or as JSON: the ending may be lost, as in DVC's cache and in copies."""
    if (subject.lstrip("0") or "0") not in text:
        return False
    kinds = (ending,) if ending in (".json", ".csv", ".tsv") else (".json", ".csv")
    return any(names_subject(text, subject, kind) for kind in kinds)


def _in_zip(path: Path, subject: str, pattern: re.Pattern[bytes]) -> bool:
    """Whether an archive, such as a spreadsheet or packed keypoints, names the child in a name or a text."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if any(pattern.search(b"/" + entry.filename.encode(errors="replace")) for entry in entries):
                return True
            if sum(entry.file_size for entry in entries) > _LARGEST_ZIP:
                return False
            texts = (archive.read(entry) for entry in entries)
            return any(subject.encode() in text and pattern.search(text) for text in texts)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError):
        return False


def _holds(run: bytes, digests: set[bytes]) -> bool:
    return run in digests or (len(run) not in (32, 64) and any(digest in run for digest in digests))


def _in_parquet(path: Path, subject: str) -> bool:
    import polars as pl

    try:
        table = pl.scan_parquet(path)
        columns = [name for name, kind in table.collect_schema().items() if kind == pl.String and name in ID_COLUMNS]
        values = {
            str(value) for name in columns for value in table.select(name).collect().to_series().drop_nulls().unique()
        }
    except (pl.exceptions.PolarsError, OSError):
        return False
    return any(is_subject(value, subject) for value in values)
