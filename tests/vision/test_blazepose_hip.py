"""BlazePose's near hip is moved backward across the thigh, in side views, by a share of the body height."""

from __future__ import annotations

import numpy as np
import pytest

from childgait.domain.evgs import View
from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import INDEX, POINTS
from childgait.gait.body import EXTENT
from childgait.vision.blazepose_hip import BACKWARD, move_near_hip

HEIGHT = 100.0  # pixels
JOINTS = {"shoulder": (50, 20), "hip": (50, 50), "knee": (50, 75), "ankle": (50, 98), "heel": (48, 99)}


def standing(facing: int, knee: float = 50) -> Poses:
    """A child who stands, in three frames, with both knees at this place across the picture."""
    xy = np.full((3, len(POINTS), 2), np.nan, np.float32)
    for limb in ("left", "right"):
        for name, (x, y) in (JOINTS | {"big_toe": (62, 99), "knee": (knee, 75)}).items():
            xy[:, INDEX[f"{limb}_{name}"]] = (50 + facing * (x - 50), 20 + (y - 20) * EXTENT * HEIGHT / 78)
    return make_poses(np.arange(3) / 30, xy, np.ones(xy.shape[:2], np.float32))


@pytest.mark.parametrize(("facing", "view"), [(1, "right"), (-1, "left")])
@pytest.mark.parametrize("knee", [50.0, 62.0])  # 62: the thigh points forward
def test_the_near_hip_moves_backward_and_nothing_else_moves(facing: int, view: View, knee: float) -> None:
    poses = standing(facing, knee)
    before = poses.xy.copy()
    move_near_hip(poses, view)
    way = (poses.xy - before)[1, INDEX[f"{view}_hip"]] * [facing, 1]
    thigh = (before[1, INDEX[f"{view}_knee"]] - before[1, INDEX[f"{view}_hip"]]) * [facing, 1]
    assert np.linalg.norm(way) == pytest.approx(BACKWARD * HEIGHT, rel=1e-3)
    assert way @ thigh == pytest.approx(0, abs=1e-3)
    assert way[0] < 0
    rest = np.delete(poses.xy - before, INDEX[f"{view}_hip"], axis=1)
    assert (np.nan_to_num(rest) == 0).all()


@pytest.mark.parametrize("view", ["forward", "backward", None])
def test_other_views_stay_as_they_are(view: View | None) -> None:
    poses = standing(1)
    before = poses.xy.copy()
    move_near_hip(poses, view)
    assert np.array_equal(poses.xy, before, equal_nan=True)


def test_without_a_knee_or_a_foot_the_hip_stays() -> None:
    poses = standing(1)
    poses.xy[1, INDEX["right_knee"]] = np.nan
    before = poses.xy.copy()
    move_near_hip(poses, "right")
    moved = (poses.xy != before)[:, INDEX["right_hip"], 0]
    assert moved.tolist() == [True, False, True]
    no_feet = standing(1)
    no_feet.xy[:, [INDEX[f"{limb}_big_toe"] for limb in ("left", "right")]] = np.nan
    before = no_feet.xy.copy()
    move_near_hip(no_feet, "right")
    assert np.array_equal(no_feet.xy, before, equal_nan=True)
