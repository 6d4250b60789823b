"""Reads the points of a C3D file (www.c3d.org): labels, rate, and the first coordinate of every point and frame.

A file's own sizes are compared with its length before anything is read, so that a damaged file costs neither time nor
memory. Intel and MIPS byte order are read; integers and 32-bit floats.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.user_files import read_bytes

LARGEST_C3D = 512 << 20  # bytes
BLOCK = 512  # bytes
MAGIC = 0x50  # second byte of the header and of the parameters
BYTE_ORDERS = {84: "<", 86: ">"}  # by processor: Intel, MIPS; 85 (DEC) has floats of another form
CHARACTERS, BYTES, INTEGERS, FLOATS = -1, 1, 2, 4  # types of parameters
MOST_POINTS, LOWEST_RATE, HIGHEST_RATE = 10_000, 1.0, 10_000.0
AGAIN = "export it again, in Intel byte order"


@dataclass(frozen=True)
class C3dPoints:
    """Labels of the points, frames per second, and the first coordinate (frames, points); NaN where it is invalid."""

    labels: list[str]
    rate: float
    first: NDArray[np.float64]


@dataclass(frozen=True)
class _Parameter:
    kind: int
    sizes: tuple[int, ...]
    data: bytes


def read_points(path: Path) -> C3dPoints:
    """Read the points of a C3D file; fail unless it is whole."""
    content = read_bytes(path, LARGEST_C3D)
    try:
        return _read(content)
    except (ValueError, struct.error, IndexError) as error:
        reason = str(error) or type(error).__name__
        raise StepError(f"{path} is no whole C3D file ({reason})", hint=AGAIN) from None


def _read(content: bytes) -> C3dPoints:
    if len(content) < 2 * BLOCK or content[1] != MAGIC:
        raise ValueError("it has no header of C3D")
    start = (content[0] - 1) * BLOCK
    order = BYTE_ORDERS.get(content[start + 3])
    if start < BLOCK or order is None:
        raise ValueError("its parameters are missing or of an unknown byte order")
    parameters = dict(_parameters(content[start : start + BLOCK * content[start + 2]], order))
    points, analog, first, last, _, scale, data_block = struct.unpack_from(f"{order}5HfH", content, 2)
    if ("POINT", "RATE") not in parameters:
        raise ValueError("it lacks the parameter POINT:RATE")
    rate = _number(parameters["POINT", "RATE"], order)
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or not 0 < points <= MOST_POINTS:
        raise ValueError(f"it states {points} points at {rate:g} Hz")
    if not scale or not math.isfinite(scale):
        raise ValueError(f"it states the scale {scale}")
    labels = _labels(parameters, points)
    size = 4 if scale < 0 else 2  # bytes of a value: floats are marked by a negative scale
    frames = _frames(parameters, last - first + 1, order)
    words, offset = 4 * points + analog, (data_block - 1) * BLOCK
    if offset < BLOCK or frames < 1 or offset + frames * words * size > len(content):
        raise ValueError(f"it states {frames} frames and is too short for them")
    values = np.frombuffer(content, f"{order}{'f' if size == 4 else 'i'}{size}", frames * words, offset)
    by_point = values.reshape(frames, words)[:, : 4 * points].reshape(frames, points, 4)
    x = by_point[..., 0].astype(np.float64) * (1.0 if size == 4 else float(scale))
    valid = (by_point[..., 3] >= 0) & np.isfinite(x)
    return C3dPoints(labels, rate, np.where(valid, x, np.nan))


def _frames(parameters: dict[tuple[str, str], _Parameter], stated: int, order: str) -> int:
    """Return the number of frames: the header counts to 65,535, POINT:LONG_FRAMES further."""
    longer = parameters.get(("POINT", "LONG_FRAMES"))
    frames = stated if longer is None else _number(longer, order)
    if not math.isfinite(frames) or frames > 10_000_000:
        raise ValueError(f"it states {frames:g} frames")
    return int(frames)


def _number(parameter: _Parameter, order: str) -> float:
    """Return the first value of a parameter."""
    form = {BYTES: "B", INTEGERS: "H", FLOATS: "f"}.get(parameter.kind)
    if form is None:
        raise ValueError("a parameter is text where a number is expected")
    return float(struct.unpack_from(f"{order}{form}", parameter.data)[0])


def _labels(parameters: dict[tuple[str, str], _Parameter], points: int) -> list[str]:
    """Return the labels of the points; more than 255 continue in LABELS2, LABELS3, ..."""
    labels: list[str] = []
    number = 1
    while (part := parameters.get(("POINT", f"LABELS{number if number > 1 else ''}"))) is not None:
        if part.kind != CHARACTERS or not part.sizes or not part.sizes[0]:
            raise ValueError("its labels are no text")
        width = part.sizes[0]
        cells = [part.data[at : at + width] for at in range(0, len(part.data), width)]
        labels += [cell.decode("latin-1").rstrip(" \0") for cell in cells]
        number += 1
    return labels[:points]


def _parameters(section: bytes, order: str) -> Iterator[tuple[tuple[str, str], _Parameter]]:
    """Yield every parameter by the names of its group and of itself.

    A record is the length of the name, the number of the group (negative: it defines the group), the name, and the
    distance to the next record.
    """
    groups: dict[int, str] = {}
    later: list[tuple[int, str, _Parameter]] = []
    at = 4
    while at + 4 <= len(section):
        length, group = struct.unpack_from("bb", section, at)
        length = abs(length)  # negative: locked
        if not length or not group:
            break
        name = section[at + 2 : at + 2 + length].decode("latin-1").upper()
        body = at + 2 + length
        distance = struct.unpack_from(f"{order}H", section, body)[0]
        if group < 0:
            groups[-group] = name
        else:
            later.append((group, name, _parameter(section, body + 2)))
        if not distance:
            break
        at = body + distance
    yield from (((groups.get(group, ""), name), value) for group, name, value in later)


def _parameter(section: bytes, at: int) -> _Parameter:
    kind, count = struct.unpack_from("bB", section, at)
    sizes = tuple(section[at + 2 : at + 2 + count])
    length = math.prod(sizes) * abs(kind)
    data = section[at + 2 + count : at + 2 + count + length]
    if kind not in (CHARACTERS, BYTES, INTEGERS, FLOATS) or len(data) < length or count > 7:
        raise ValueError("a parameter is cut off")
    return _Parameter(kind, sizes, data)
