"""Reads and writes the child's mask and box in every frame of a video.

Masks are one small file with random access by frame. A frame is run-length encoded in column-major order, as COCO's
RLE is (a walking figure is tall and narrow, so columns change least often), in little-endian 16-bit numbers; a longer
run is split by a run of length zero. No compressor is involved, so the bytes depend on the masks alone. A checksum
guards each frame, and the index at the end of the file.

    magic | runs of frame 0 | runs of frame 1 | ... | index: end offset and checksum per frame | trailer

A mask is a bool array (height, width), true where the child is. Boxes and quality are a table with one row per frame.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.tables import Column, Table, read_table

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


class MaskQuality(TypedDict):
    """The columns of FRAMES that one mask fills."""

    x0: float | None
    y0: float | None
    x1: float | None
    y1: float | None
    area: int
    area_jump: float | None
    border: bool
    joints_inside: float | None
    pieces: int
    ok: bool


class FrameRow(MaskQuality):
    """One row of FRAMES."""

    frame: int
    seconds: float


def read_frame_rows(path: Path) -> list[FrameRow]:
    """Read the rows of a video's table FRAMES."""
    return cast(list[FrameRow], read_table(path, FRAMES).rows(named=True))


@dataclass(frozen=True)
class Boxes:
    """The child's box in every frame of a video, from the table FRAMES."""

    seconds: NDArray[np.float64]  # (T,) from the video's first frame
    corners: NDArray[np.float64]  # (T, 4) x0, y0, x1, y1 in pixels, ends exclusive; NaN without a child
    ok: NDArray[np.bool_]  # (T,) passes segment's quality gate

    def trusted(self) -> NDArray[np.float64]:
        """Return the corners (T, 4) of frames that pass the gate; NaN in the others."""
        return np.where(self.ok[:, None], self.corners, np.nan)


def read_boxes(path: Path, frames: int | None = None) -> Boxes:
    """Read the boxes of a video; `frames` is the number of frames that its keypoints have."""
    table = read_table(path, FRAMES).sort("frame")
    if frames is not None and table.height != frames:
        raise StepError(
            f"{path} has boxes for {table.height} frames, but the keypoints have {frames}",
            hint="run segment and estimate_pose again for this video: boxes and keypoints are of different versions",
        )
    corners = np.column_stack([table[name].fill_null(np.nan).to_numpy() for name in ("x0", "y0", "x1", "y1")])
    return Boxes(table["seconds"].to_numpy(), corners, table["ok"].to_numpy())


def encode(mask: Mask) -> bytes:
    """Encode a mask as run lengths in column-major order, the first of false (it may be zero)."""
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
    """Decode run lengths to a mask of this shape. The runs must fill it exactly."""
    runs = np.frombuffer(data, "<u2")
    flat = np.repeat(np.arange(runs.size) % 2 == 1, runs)
    if flat.size != shape[0] * shape[1]:
        raise ValueError(f"runs of {flat.size} pixels for a picture of {shape[0] * shape[1]}")
    return flat.reshape(shape, order="F")


def write_masks(path: Path, masks: Iterable[Mask]) -> int:
    """Write masks frame by frame, without holding them in memory; returns the number of frames."""
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
            raise StepError(f"{path.name} would contain no frames", hint="look at the video: it decodes to nothing")
        table = np.array(index, INDEX).tobytes()
        stream.write(table)
        stream.write(TRAILER.pack(shape[0], shape[1], len(index), zlib.crc32(table), MAGIC))
    return len(index)


class Masks:
    """A sequence of a video's masks, decoded on access: `len(masks)`, `masks[i]`, `masks.shape`.

    The file is opened for every frame, so that the object can be sent to worker processes.
    """

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
