"""Masks come back as they went in, are small, and a damaged file says so."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from childgait.errors import StepError
from childgait.files.masks import Masks, decode, encode, write_masks


def figure(shift: int = 0, shape: tuple[int, int] = (360, 640)) -> np.ndarray:
    """A walking figure: head, trunk, two arms, two legs."""
    canvas = np.zeros(shape, np.uint8)
    x = 300 + shift
    cv2.circle(canvas, (x, 60), 24, 1, -1)
    for a, b, thick in [
        ((x, 90), (x, 190), 50),
        ((x, 190), (x - 50, 330), 22),
        ((x, 190), (x + 45, 325), 22),
        ((x, 100), (x - 60, 180), 14),
        ((x, 100), (x + 55, 185), 14),
    ]:
        cv2.line(canvas, a, b, 1, thick)
    return canvas.astype(bool)


def test_frames_come_back_in_any_order(tmp_path: Path) -> None:
    frames = [figure(shift) for shift in range(-40, 40, 5)]
    path = tmp_path / "a.masks"
    assert write_masks(path, iter(frames)) == len(frames)
    masks = Masks(path)
    assert len(masks) == len(frames)
    assert masks.shape == (360, 640)
    for index in (7, 0, len(frames) - 1, 3):
        np.testing.assert_array_equal(masks[index], frames[index])
    np.testing.assert_array_equal(masks[-1], frames[-1])
    with pytest.raises(IndexError):
        masks[len(frames)]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_every_mask_survives(height: int, width: int, data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    mask = np.array(bits, bool).reshape(height, width)
    np.testing.assert_array_equal(decode(encode(mask), mask.shape), mask)


@pytest.mark.parametrize("value", [False, True])
def test_runs_longer_than_sixteen_bits(value: bool) -> None:
    mask = np.full((700, 400), value)
    mask[300, 200] = not value
    np.testing.assert_array_equal(decode(encode(mask), mask.shape), mask)


def test_at_most_three_kilobytes_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.masks"
    write_masks(path, [figure(shift) for shift in range(20)])
    assert path.stat().st_size / 20 <= 3000


def test_the_same_masks_give_the_same_bytes(tmp_path: Path) -> None:
    write_masks(tmp_path / "a", [figure(1), figure(2)])
    write_masks(tmp_path / "b", (figure(shift) for shift in (1, 2)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.masks"
    write_masks(path, [figure()])
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(StepError, match=r"a\.masks"):
            Masks(path)


def test_a_flipped_byte_is_named_with_its_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.masks"
    write_masks(path, [figure(0), figure(5)])
    data = bytearray(path.read_bytes())
    data[len(encode(figure(0))) + 20] ^= 1  # within frame 1
    path.write_bytes(data)
    np.testing.assert_array_equal(Masks(path)[0], figure(0))
    with pytest.raises(StepError, match="damaged at frame 1"):
        Masks(path)[1]


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.masks"
    path.write_bytes(b"\x00" * 500)
    with pytest.raises(StepError, match="not a file of masks"):
        Masks(path)


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no frame"):
        write_masks(tmp_path / "a.masks", iter([]))
