"""The drawn skeleton: golden pictures, pixel for pixel, and what must never be drawn."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from childgait.domain.skeleton import INDEX, MIRRORED
from childgait.params import Drawing
from childgait.vision.drawing import draw_skeletons

LEFT, RIGHT, MIDDLE = (0, 114, 255), (255, 120, 0), (255, 255, 255)
STYLE = Drawing(line_pixels=2, dot_pixels=2, min_score=0.3, left=LEFT, right=RIGHT, middle=MIDDLE)
GOLDEN = Path(__file__).parent / "golden"

CHILD = {
    "nose": (56, 14),
    "left_eye": (57, 12),
    "right_eye": (55, 12),
    "left_ear": (59, 13),
    "right_ear": (53, 13),
    "left_shoulder": (63, 28),
    "right_shoulder": (49, 28),
    "left_elbow": (68, 40.5),
    "right_elbow": (44, 40),
    "left_wrist": (66, 52),
    "right_wrist": (42.25, 51),
    "left_hip": (60, 54),
    "right_hip": (52, 54),
    "left_knee": (66, 72),
    "right_knee": (48, 73),
    "left_ankle": (70, 92),
    "right_ankle": (40, 90),
    "left_big_toe": (78, 95),
    "left_small_toe": (76, 97),
    "left_heel": (67, 96),
    "right_big_toe": (47, 96),
    "right_small_toe": (45, 97),
    "right_heel": (37, 93),
}


def child(frames=1, score=0.9):
    points = np.zeros((frames, 23, 3), np.float32)
    for name, (x, y) in CHILD.items():
        points[:, INDEX[name]] = (x, y, score)
    return points


def black(frames=1, size=112):
    return np.zeros((frames, size, size, 3), np.uint8)


def golden(name, picture):
    """Compare with the picture on disk; `--update` is deliberately not a flag: write it by hand and look at it."""
    import cv2

    expected = cv2.imread(str(GOLDEN / f"{name}.png"))[:, :, ::-1]
    different = np.argwhere((expected != picture).any(axis=2))
    assert different.size == 0, f"{len(different)} pixels differ from {name}.png, first at {different[0]}"


def test_a_whole_child_is_drawn_as_on_disk():
    golden("child", draw_skeletons(black(), child(), STYLE, "left")[0])


def test_what_is_not_trusted_is_not_drawn_as_on_disk():
    points = child()
    points[:, INDEX["left_knee"], 2] = 0.29  # its thigh and shank go with it
    points[:, INDEX["right_ankle"], :2] = np.nan
    points[:, INDEX["left_wrist"], :2] = (500, 40)  # outside the crop: the arm runs off the picture
    points[:, INDEX["right_wrist"], :2] = (1e12, -1e12)  # nonsense is left out
    golden(
        "partial",
        draw_skeletons(
            black(), points, Drawing(line_pixels=3, dot_pixels=0, min_score=0.3, left=LEFT, right=RIGHT, middle=MIDDLE)
        )[0],
    )


def test_input_stays_as_it_was_and_pixels_beside_the_lines_too():
    frames = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    kept = frames.copy()
    drawn = draw_skeletons(frames, child(2), STYLE)
    assert (frames == kept).all()
    touched = draw_skeletons(black(2), child(2), STYLE).any(axis=3)
    assert (drawn[~touched] == frames[~touched]).all()
    assert 0.02 < touched.mean() < 0.2


def test_nothing_known_draws_nothing():
    assert not draw_skeletons(black(), child(score=0.2), STYLE).any()
    assert not draw_skeletons(black(), np.full((1, 23, 3), np.nan, np.float32), STYLE).any()


def test_eyes_and_ears_are_never_drawn():
    points = child()
    kept = points.copy()
    kept[:, [INDEX[name] for name in ("left_eye", "right_eye", "left_ear", "right_ear")], 2] = 0
    assert (draw_skeletons(black(), points, STYLE) == draw_skeletons(black(), kept, STYLE)).all()


def test_left_right_and_middle_have_their_colours():
    picture = draw_skeletons(black(), child(), STYLE)[0]
    at = {name: tuple(picture[round(y), round(x)]) for name, (x, y) in CHILD.items()}
    assert at["left_knee"] == LEFT
    assert at["right_ankle"] == RIGHT
    assert at["nose"] == MIDDLE
    assert tuple(picture[54, 56]) == MIDDLE  # between the hips


def test_the_near_limb_lies_on_top():
    points = child()
    for name in ("knee", "ankle"):
        points[:, INDEX[f"right_{name}"]] = points[:, INDEX[f"left_{name}"]]
    x, y = CHILD["left_ankle"]
    assert tuple(draw_skeletons(black(), points, STYLE, "left")[0, y, x]) == LEFT
    assert tuple(draw_skeletons(black(), points, STYLE, "right")[0, y, x]) == RIGHT


def test_drawing_a_mirrored_child_is_mirroring_the_drawing():
    """Colours follow the limb: after a flip the left leg is on the other side, and still in the left's colour."""
    mirrored = child()[:, MIRRORED]
    mirrored[..., 0] = 111 - mirrored[..., 0]
    swapped = Drawing(line_pixels=2, dot_pixels=2, min_score=0.3, left=RIGHT, right=LEFT, middle=MIDDLE)
    flipped = draw_skeletons(black(), child(), swapped, "left")[:, :, ::-1].astype(int)
    direct = draw_skeletons(black(), mirrored, STYLE, "right").astype(int)
    unlike = np.abs(flipped - direct).max(axis=3) > 128  # anti-aliasing rounds differently on the two sides
    assert unlike.mean() < 0.01


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5])
def test_lines_lie_between_pixels_where_points_do(shift):
    points = np.zeros((1, 23, 3), np.float32)
    points[0, INDEX["left_hip"]] = (20 + shift, 10, 1)
    points[0, INDEX["left_knee"]] = (20 + shift, 50, 1)
    picture = draw_skeletons(
        black(size=64),
        points,
        Drawing(line_pixels=1, dot_pixels=0, min_score=0.3, left=(255, 255, 255), right=RIGHT, middle=MIDDLE),
    )[0]
    row = picture[30, :, 0].astype(float)
    assert (row * np.arange(64)).sum() / row.sum() == pytest.approx(20 + shift, abs=0.13)


def test_it_is_a_pure_function():
    hashes = {hashlib.sha256(draw_skeletons(black(3), child(3), STYLE).tobytes()).hexdigest() for _ in range(3)}
    assert len(hashes) == 1
