"""Looks for what should no longer be there: a child's number, its files' hashes, its pixels.

Names and bytes of every file are searched, whatever the file is called (DVC's objects have no ending); tables with a
column `subject` are asked for the child. Pixels are compared by perceptual hash, which survives scaling and encoding.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.files.hashes import sha256_and_md5
from childgait.lineage.graph import ID_COLUMNS, is_subject, names_subject

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOT_OURS = (".git", ".venv", "node_modules", "__pycache__")
_TEXT = (".json", ".csv", ".tsv")
_SIDE = 16  # a perceptual hash has 16 x 16 bits


def files_under(folder: Path) -> Iterator[Path]:
    for base, below, names in os.walk(folder):
        below[:] = [name for name in below if name not in NOT_OURS]
        yield from (Path(base) / name for name in names if not (Path(base) / name).is_symlink())


def mentions(subject: str) -> re.Pattern[bytes]:
    """A child's number as paths and records write it."""
    number = re.escape(subject).encode()
    return re.compile(rb"(?<!\d)" + number + rb"-\d{4,}_(?:forward|backward|left|right)_|/" + number + rb"(?:/|\.\w)")


def find_traces(subject: str, hashes: set[str], folders: Iterable[Path]) -> dict[Path, str]:
    """Every file that still names the child, or is one of its files (`hashes`: sha256 and md5), or names such a hash."""
    pattern = mentions(subject)
    digests = re.compile(b"|".join(re.escape(digest.encode()) for digest in sorted(hashes))) if hashes else None
    found: dict[Path, str] = {}
    for folder in folders:
        for path in files_under(folder):
            if why := _trace(path, subject, pattern, digests, hashes):
                found[path] = why
    return found


def _trace(
    path: Path, subject: str, pattern: re.Pattern[bytes], digests: re.Pattern[bytes] | None, hashes: set[str]
) -> str | None:
    if pattern.search(b"/" + str(path).encode()):
        return "its name"
    if set(sha256_and_md5(path)) & hashes:
        return "it is the child's file"
    content = path.read_bytes()
    if pattern.search(content):
        return "it names the child"
    if digests is not None and digests.search(content):
        return "it names a hash of the child's file"
    if path.suffix in _TEXT and names_subject(content.decode("utf-8", errors="replace"), subject, path.suffix):
        return "a row of the child"
    return "a table with the child" if content[:4] == b"PAR1" and _in_parquet(path, subject) else None


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


def perceptual_hash(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """256 bits of a picture (height, width) or (height, width, 3): is a cell of a 16 x 17 grid brighter than the next?"""
    import cv2
    import numpy as np

    grey = picture if picture.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.asarray(small[:, 1:] > small[:, :-1])


def pictures_in(path: Path, every: int = 10) -> Iterator[NDArray[np.uint8]]:
    """Every tenth picture of a video or of an array of pictures, or the one of an image; none of any other file."""
    import cv2
    import numpy as np

    with path.open("rb") as stream:
        head = stream.read(16)
    if head.startswith(b"\x93NUMPY"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.dtype == np.uint8 and array.ndim >= 3 and min(array.shape[1:3]) >= _SIDE:
            yield from (np.asarray(array[index]) for index in range(0, len(array), every))
    elif head.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is not None:
            yield np.asarray(image[:, :, ::-1], dtype=np.uint8)
    elif head[4:8] == b"ftyp" or head.startswith((b"\x1aE\xdf\xa3", b"RIFF")):
        yield from _frames(path, every)


def _frames(path: Path, every: int) -> Iterator[NDArray[np.uint8]]:
    import av
    import numpy as np

    try:
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number % every == 0:
                    yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    except (av.error.FFmpegError, IndexError):
        return  # not a video after all


def hashes_of(paths: Iterable[Path]) -> list[NDArray[np.bool_]]:
    return [perceptual_hash(picture) for path in paths for picture in pictures_in(path)]


def find_pixels(known: list[NDArray[np.bool_]], folders: Iterable[Path], within: int = 24) -> dict[Path, int]:
    """Files with a picture within so many of 256 bits of a known one, and the smallest distance."""
    import numpy as np

    if not known:
        return {}
    bank = np.stack(known).reshape(len(known), -1)
    found: dict[Path, int] = {}
    for folder in folders:
        for path in files_under(folder):
            distances = [int((bank != perceptual_hash(p).reshape(1, -1)).sum(axis=1).min()) for p in pictures_in(path)]
            if distances and min(distances) <= within:
                found[path] = min(distances)
    return found
