"""Covered shares: a child of known limbs under known boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import INDEX
from childgait.files.masks import Masks, write_masks
from childgait.vision.child_covers import boxes_by_frame, hold_boxes, measure_covers, ranges_of

FRAMES, SIZE = 20, (200, 300)
BOX = np.array([100.0, 40.0, 140.0, 180.0])
STANDING = {"ear": 50, "shoulder": 70, "elbow": 90, "wrist": 105, "hip": 110, "knee": 142, "ankle": 172, "heel": 176}


def standing(frames: int = FRAMES) -> Poses:
    """A child who stands at BOX; its left limbs at x 108, its right ones at 132."""
    xy = np.full((frames, len(INDEX), 2), np.nan, np.float32)
    for side, x in (("left", 108.0), ("right", 132.0)):
        for joint, y in STANDING.items():
            xy[:, INDEX[f"{side}_{joint}"]] = (x, y)
        xy[:, INDEX[f"{side}_big_toe"]] = (x + 6, 178)
    return make_poses(np.arange(frames) / 30, xy, np.full((frames, len(INDEX)), 0.9, np.float32))


@pytest.fixture
def masks(tmp_path: Path) -> Masks:
    child = np.zeros(SIZE, bool)
    child[40:180, 100:140] = True
    write_masks(tmp_path / "child.masks", [child] * FRAMES)
    return Masks(tmp_path / "child.masks")


def test_a_cover_over_the_own_head_hides_nothing(masks: Masks) -> None:
    shares = measure_covers(standing(), np.tile(BOX, (FRAMES, 1)), masks, {3: np.array([[95.0, 30, 145, 68]])})
    assert shares.largest.max() == 0
    assert shares.present.all()


def test_a_cover_over_one_leg_hides_that_leg_alone(masks: Masks) -> None:
    cover = np.array([[100.0, 108, 118, 185]])
    shares = measure_covers(standing(), np.tile(BOX, (FRAMES, 1)), masks, {3: cover})
    assert shares.legs[3, 0] > 0.95
    assert shares.legs[3, 1] == 0
    assert 0.15 < shares.body[3] < 0.6
    assert shares.largest[[0, 4]].tolist() == [0, 0]


def test_a_cover_elsewhere_hides_nothing(masks: Masks) -> None:
    shares = measure_covers(standing(), np.tile(BOX, (FRAMES, 1)), masks, {3: np.array([[200.0, 40, 280, 180]])})
    assert shares.largest.max() == 0


def test_a_child_that_vanishes_under_a_cover_is_covered(tmp_path: Path) -> None:
    """An embedded model finds neither mask nor keypoints below a cover that lies there to the last frame."""
    poses, corners = standing(), np.tile(BOX, (FRAMES, 1))
    xy = poses.xy.copy()
    xy[12:] = np.nan
    corners[12:] = np.nan
    child = np.zeros((FRAMES, *SIZE), bool)
    child[:12, 40:180, 100:140] = True
    write_masks(tmp_path / "child.masks", list(child))
    gone = make_poses(poses.seconds, xy, poses.score)
    cover = {frame: np.array([[80.0, 20, 160, 190]]) for frame in range(12, FRAMES)}
    shares = measure_covers(gone, corners, Masks(tmp_path / "child.masks"), cover)
    assert ranges_of(shares.largest > 0.3) == ["12-19"]


def test_a_box_is_held_only_inside_the_picture() -> None:
    corners = np.full((6, 4), np.nan)
    corners[1], corners[3] = BOX, BOX + [160, 0, 160, 0]
    held = hold_boxes(corners, SIZE)
    assert held[0].tolist() == BOX.tolist()
    assert held[2].tolist() == (BOX + [80, 0, 80, 0]).tolist()
    assert np.isnan(held[4:]).all()  # the last one touches the right edge


def test_covers_are_listed_by_frame() -> None:
    table = pl.DataFrame({"frame": [0, 0, 2], "x0": [1, 2, 3], "y0": [0, 0, 0], "x1": [9, 9, 9], "y1": [9, 9, 9]})
    boxes = boxes_by_frame(table)
    assert sorted(boxes) == [0, 2]
    assert boxes[0].shape == (2, 4)
    assert ranges_of(np.array([True, False, True, True])) == ["0", "2-3"]
