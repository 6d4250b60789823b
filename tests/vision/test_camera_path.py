"""The path of a camera that pans over a textured room, and boxes in the room's coordinates."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from childgait.vision.camera_path import CameraPath, estimate_path, static_path

WIDTH, HEIGHT, FRAMES, STEP = 320, 180, 30, 6


@pytest.fixture(scope="module")
def path() -> CameraPath:
    """A pan of 6 pixels per frame, with a dark figure that stays in the middle of the picture."""
    noise = np.random.default_rng(0).uniform(0, 255, (HEIGHT // 6, 800 // 6)).astype(np.float32)
    room = cv2.resize(noise, (800, HEIGHT), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    pictures = [room[:, STEP * n : STEP * n + WIDTH].copy() for n in range(FRAMES)]
    for picture in pictures:
        picture[40:160, 140:180] = 10
    return estimate_path(pictures, 2.0, (2 * WIDTH, 2 * HEIGHT))


def test_a_pan_is_measured_in_pixels_of_the_video(path: CameraPath) -> None:
    assert path.to_room[:, 0, 2] == pytest.approx(2 * STEP * np.arange(FRAMES), abs=2)
    assert np.abs(path.to_room[:, 1, 2]).max() < 1
    assert path.largest_shift() == pytest.approx(2 * STEP * (FRAMES - 1), abs=2)
    assert not path.is_static


def test_boxes_there_and_back_are_the_same(path: CameraPath) -> None:
    boxes = np.tile([300.0, 100, 340, 180], (FRAMES, 1))
    boxes[4] = np.nan
    room = path.boxes_to_room(boxes)
    assert room[-1, 0] - room[0, 0] == pytest.approx(2 * STEP * (FRAMES - 1), abs=2)
    assert path.boxes_to_picture(room) == pytest.approx(boxes, abs=1e-6, nan_ok=True)
    assert path.boxes_to_picture(room[10:12], 10) == pytest.approx(boxes[10:12], abs=1e-6)


def test_a_static_camera_changes_no_box() -> None:
    path = static_path(3, 640, 360)
    boxes = np.array([[1.0, 2, 3, 4]] * 3)
    assert path.is_static
    assert path.boxes_to_room(boxes) is boxes


def test_a_blank_wall_is_no_movement() -> None:
    blank = [np.full((HEIGHT, WIDTH), 128, np.uint8)] * 5
    assert estimate_path(blank, 1.0, (WIDTH, HEIGHT)).is_static
