"""The child's mask in every frame of a video: one small file, any frame read by itself.

A frame is kept as the lengths of its runs, column by column (a walking figure is tall and narrow, so columns change
least often), as little-endian 16-bit numbers; a longer run is split by a run of length zero. No compressor is
involved, so the bytes depend on the masks alone. A checksum guards each frame and the index, which stands at the end.

    magic | runs of frame 0 | runs of frame 1 | ... | index: an end offset and a checksum a frame | trailer

Reads and yields bool arrays (height, width), true where the child is.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.tables import Column, Table

FRAMES = Table(
    "frames",
    ("frame",),
    (
        Column("frame", "Int32", "index of the frame in the video, from 0"),
        Column("seconds", "Float64", "time since the video's first frame"),
        Column("x0", "Float64", "box around the mask, ends exclusive; null where there is no child"),
        Column("y0", "Float64", "top of the box"),
        Column("x1", "Float64", "right end of the box"),
        Column("y1", "Float64", "bottom of the box"),
        Column("area", "Int64", "pixels of the mask"),
        Column("area_jump", "Float64", "how far the area is off the frame before, as |ln(ratio)|; null without one"),
        Column("border", "Boolean", "the mask touches the picture's edge"),
        Column("joints_inside", "Float64", "share of confident keypoints in the mask; null where there are none"),
        Column("pieces", "Int32", "connected pieces of the mask"),
        Column("ok", "Boolean", "passes the gate of params.yaml's section segment; a frame without a child does"),
    ),
)

MAGIC = b"CGMASKS1"
TRAILER = struct.Struct("<IIQI8s")  # height, width, frames, checksum of the index, magic
INDEX = np.dtype([("end", "<u8"), ("checksum", "<u4")])
LONGEST = 65535

Mask = NDArray[np.bool_]


def encode(mask: Mask) -> bytes:
    """Run lengths down the columns, beginning with a run of false (which may be empty)."""
    flat = np.asarray(mask, bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]]))
    if flat.size and flat[0]:
        runs = np.concatenate([[0], runs])
    if (runs > LONGEST).any():
        split: list[int] = []
        for run in runs.tolist():
            whole, rest = divmod(run, LONGEST)
            split += [LONGEST, 0] * whole + [rest]
        runs = np.asarray(split)
    return runs.astype("<u2").tobytes()


def decode(data: bytes, shape: tuple[int, int]) -> Mask:
    """The inverse of `encode`. The runs must fill the picture exactly."""
    runs = np.frombuffer(data, "<u2")
    flat = np.repeat(np.arange(runs.size) % 2 == 1, runs)
    if flat.size != shape[0] * shape[1]:
        raise ValueError(f"runs of {flat.size} pixels for a picture of {shape[0] * shape[1]}")
    return flat.reshape(shape, order="F")


def write_masks(path: Path, masks: Iterable[Mask]) -> int:
    """Write the frames in order as they come, nothing held in memory; returns how many there were."""
    index: list[tuple[int, int]] = []
    shape: tuple[int, ...] | None = None
    with path.open("wb") as stream:
        stream.write(MAGIC)
        for mask in masks:
            if shape is None:
                shape = mask.shape
            assert mask.dtype == bool, mask.dtype
            assert mask.shape == shape, (mask.shape, shape)
            data = encode(mask)
            stream.write(data)
            index.append((stream.tell(), zlib.crc32(data)))
        if shape is None:
            raise StepError(f"{path.name} would hold no frame at all", hint="look at the video: it decodes to nothing")
        table = np.array(index, INDEX).tobytes()
        stream.write(table)
        stream.write(TRAILER.pack(shape[0], shape[1], len(index), zlib.crc32(table), MAGIC))
    return len(index)


class Masks:
    """The masks of a video: `len(masks)`, `masks.shape`, `masks[i]`. The file is opened for each frame read, so the
    object travels to worker processes as it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        size = path.stat().st_size
        if size < len(MAGIC) + TRAILER.size:
            raise self._broken("is too short to be a file of masks")
        with path.open("rb") as stream:
            opening = stream.read(len(MAGIC))
            stream.seek(size - TRAILER.size)
            height, width, count, checksum, closing = TRAILER.unpack(stream.read(TRAILER.size))
            if opening != MAGIC:
                raise self._broken("is not a file of masks")
            start = size - TRAILER.size - count * INDEX.itemsize
            if closing != MAGIC or start < len(MAGIC):
                raise self._broken("ends too early")
            stream.seek(start)
            table = stream.read(count * INDEX.itemsize)
        if zlib.crc32(table) != checksum:
            raise self._broken("has a damaged index")
        self.shape: tuple[int, int] = (height, width)
        self._index = np.frombuffer(table, INDEX)
        if count == 0 or int(self._index["end"][-1]) != start:
            raise self._broken("has an index that does not fit its frames")

    def _broken(self, what: str) -> StepError:
        return StepError(f"{self.path} {what}", hint="remove it and run segment again for this video")

    def __len__(self) -> int:
        return int(self._index.size)

    def __getitem__(self, frame: int) -> Mask:
        count = len(self)
        if not -count <= frame < count:
            raise IndexError(f"frame {frame} of {count}")
        frame %= count
        begin = int(self._index["end"][frame - 1]) if frame else len(MAGIC)
        with self.path.open("rb") as stream:
            stream.seek(begin)
            data = stream.read(int(self._index["end"][frame]) - begin)
        if zlib.crc32(data) != int(self._index["checksum"][frame]):
            raise self._broken(f"is damaged at frame {frame}")
        try:
            return decode(data, self.shape)
        except ValueError as error:
            raise self._broken(f"is damaged at frame {frame} ({error})") from error

    def __iter__(self) -> Iterator[Mask]:
        return (self[frame] for frame in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.stack(list(self)).astype(dtype or bool)
