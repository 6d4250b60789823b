"""C3D files of both byte orders and both kinds of numbers; sizes that a file states are compared with its length."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from childgait.errors import StepError
from childgait.files.c3d_points import C3dPoints, read_points

LABELS = ("LKneeAngles", "RKneeAngles", "sacrum")


def parameter(order: str, group: int, name: str, kind: int, sizes: tuple[int, ...], data: bytes) -> bytes:
    body = struct.pack("bB", kind, len(sizes)) + bytes(sizes) + data + b"\0"
    head = struct.pack("bb", len(name), group) + name.encode()
    return head + struct.pack(f"{order}H", 2 + len(body)) + body


def make(order: str = "<", scale: float = -1.0, frames: int = 5, rate: float = 100.0) -> bytes:
    """Return a file of three points and one analog value per frame; the first coordinate is frame + 10 * point."""
    values = np.zeros((frames, 13), f"{order}f4" if scale < 0 else f"{order}i2")
    for point in range(3):
        values[:, 4 * point] = (np.arange(frames) + 10 * point) / (1 if scale < 0 else scale)
    values[2, 7] = -1  # the second point is invalid in the third frame
    group = struct.pack("bb", 5, -1) + b"POINT" + struct.pack(f"{order}H", 3) + b"\0"
    names = "".join(label.ljust(12) for label in LABELS).encode()
    section = b"\1\x50\1" + bytes([84 if order == "<" else 86]) + group
    section += parameter(order, 1, "RATE", 4, (), struct.pack(f"{order}f", rate))
    section += parameter(order, 1, "LABELS", -1, (12, 3), names)
    header = struct.pack(f"{order}5HfH", 3, 1, 1, frames, 0, scale, 3)
    return (b"\2\x50" + header).ljust(512, b"\0") + section.ljust(512, b"\0") + values.tobytes()


def read(folder: Path, content: bytes) -> C3dPoints:
    path = folder / "walk.c3d"
    path.write_bytes(content)
    return read_points(path)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("scale", [-1.0, 0.5])
def test_both_byte_orders_and_kinds_of_numbers(tmp_path: Path, order: str, scale: float) -> None:
    points = read(tmp_path, make(order, scale))
    assert points.labels == list(LABELS)
    assert points.rate == 100
    wanted = np.arange(5)[:, None] + 10.0 * np.arange(3)
    wanted[2, 1] = np.nan
    np.testing.assert_array_equal(points.first, wanted)


def test_more_frames_than_the_file_has(tmp_path: Path) -> None:
    content = make()
    with pytest.raises(StepError, match="states 5 frames and is too short"):
        read(tmp_path, content[:-1])
    with pytest.raises(StepError, match="states 65535 frames and is too short"):
        read(tmp_path, content[:8] + b"\xff\xff" + content[10:])


def test_a_missing_or_textual_rate(tmp_path: Path) -> None:
    content = make()
    with pytest.raises(StepError, match="it lacks the parameter POINT:RATE"):
        read(tmp_path, content.replace(b"RATE", b"RATA"))
    place = content.index(b"RATE") + 6
    with pytest.raises(StepError, match="text where a number is expected"):
        read(tmp_path, content[:place] + b"\xff" + content[place + 1 :])


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e30, float("nan")])
def test_an_impossible_rate(tmp_path: Path, rate: float) -> None:
    with pytest.raises(StepError, match="Hz"):
        read(tmp_path, make(rate=rate))


def test_a_record_that_names_itself_as_the_next(tmp_path: Path) -> None:
    content = bytearray(make())
    place = 512 + 4 + 2 + 5
    assert content[place : place + 2] == b"\3\0"
    for distance in (0, 1, 2, 255):
        content[place] = distance
        with pytest.raises(StepError, match="no whole C3D file"):
            read(tmp_path, bytes(content))
