"""Angles from keypoints: postures whose angles are known by construction, and what a view does not show."""

from __future__ import annotations

import numpy as np
import pytest

from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import INDEX
from childgait.files.tables import write_table
from childgait.gait.kinematics import ANGLES, CURVES, END_CURVES, PELVIC_TILT, SIDE_CURVES, as_table, measure_angles
from support.stick_child import walk


def posture(facing: int, thigh: float, knee: float, ankle: float, lean: float = 0.0) -> Poses:
    """A child in one posture from the side, facing the picture's right (1) or left (-1); clinical degrees."""
    xy = np.zeros((30, 23, 2))

    def hang(degrees: float) -> np.ndarray:
        return 50 * np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])  # y is down

    for limb in ("left", "right"):
        at = {
            name: INDEX[f"{limb}_{name}"]
            for name in ("shoulder", "hip", "knee", "ankle", "heel", "big_toe", "small_toe")
        }
        xy[:, at["shoulder"]] = -2 * hang(-lean)
        xy[:, at["knee"]] = hang(thigh)
        xy[:, at["ankle"]] = xy[:, at["knee"]] + hang(thigh - knee)
        pitch = np.radians(thigh - knee + ankle)
        toward = np.array([np.cos(pitch), -np.sin(pitch)])
        xy[:, at["heel"]] = xy[:, at["ankle"]] - 5 * toward
        xy[:, at["big_toe"]] = xy[:, at["small_toe"]] = xy[:, at["ankle"]] + 20 * toward
    xy[..., 0] *= facing
    xy += 200
    return make_poses(np.arange(30) / 60, xy, np.ones((30, 23)))


@pytest.mark.parametrize("facing", [1, -1])
@pytest.mark.parametrize(
    ("thigh", "knee", "ankle", "lean"),
    [(0, 0, 0, 0), (30, 60, -10, 5), (-15, 10, 15, -8), (20, -8, 0, 0), (60, 120, -30, 20)],
)
def test_a_posture_reads_as_it_was_built(facing: int, thigh: float, knee: float, ankle: float, lean: float) -> None:
    curves = measure_angles(posture(facing, thigh, knee, ankle, lean), "right" if facing > 0 else "left", facing).curves
    for limb in ("left", "right"):
        assert curves[limb]["hip"][0] == pytest.approx(thigh + PELVIC_TILT, abs=0.01)
        assert curves[limb]["knee"][0] == pytest.approx(knee, abs=0.01)
        assert curves[limb]["ankle"][0] == pytest.approx(ankle, abs=0.01)
        assert curves[limb]["foot_pitch"][0] == pytest.approx(thigh - knee + ankle, abs=0.01)
        assert curves[limb]["trunk_lean"][0] == pytest.approx(lean, abs=0.01)


@pytest.mark.parametrize("view", ["left", "right"])
def test_a_walks_knees_read_as_they_bent(view: str) -> None:
    true = walk(view, knee=10)
    poses = make_poses(true.seconds, true.xy, np.ones(true.xy.shape[:2]))
    angles = measure_angles(poses, view, 1 if view == "right" else -1)
    for limb in ("left", "right"):
        assert np.abs(angles.curves[limb]["knee"] - true.knee[limb]).max() < 2.5
        assert np.abs(angles.curves[limb]["hip"] - PELVIC_TILT - true.hip[limb]).max() < 2.5
        clearance = angles.curves[limb]["clearance"]
        assert np.abs(np.quantile(clearance, 0.3)) < 0.02
        assert clearance.max() > 0.04


def test_a_view_says_nothing_of_what_it_does_not_show() -> None:
    for view, there in (
        ("left", SIDE_CURVES),
        ("right", SIDE_CURVES),
        ("forward", END_CURVES),
        ("backward", END_CURVES),
    ):
        true = walk(view)
        angles = measure_angles(make_poses(true.seconds, true.xy, np.ones(true.xy.shape[:2])), view, 1)
        for limb in ("left", "right"):
            assert set(angles.curves[limb]) == set(CURVES)
            for name, curve in angles.curves[limb].items():
                assert np.isfinite(curve).all() == (name in there), (view, name)


@pytest.mark.parametrize(("view", "own_side"), [("forward", 1), ("backward", -1)])
def test_own_side_up_and_shifts_are_positive_on_both_views(view: str, own_side: int) -> None:
    """The left hip is lifted and the shoulders lean over to the left."""
    true = walk(view)
    xy = true.xy.copy()
    xy[:, INDEX["left_hip"], 1] -= 3
    xy[:, [INDEX["left_shoulder"], INDEX["right_shoulder"]], 0] += 6 * own_side
    angles = measure_angles(make_poses(true.seconds, xy, np.ones(xy.shape[:2])), view, 1)
    assert angles.curves["left"]["obliquity"].min() > 3
    assert angles.curves["right"]["obliquity"].max() < -3
    assert np.median(angles.curves["left"]["trunk_shift"]) > 0.1
    assert np.median(angles.curves["right"]["trunk_shift"]) < -0.1


def test_a_missing_point_is_a_missing_angle_and_no_other(tmp_path) -> None:
    true = walk("right")
    poses = make_poses(true.seconds, true.xy, np.ones(true.xy.shape[:2]))
    poses.xy[10, INDEX["left_ankle"]] = np.nan
    angles = measure_angles(poses, "right", 1)
    assert np.isnan(angles.curves["left"]["knee"][10])
    assert np.isnan(angles.curves["left"]["ankle"][10])
    assert np.isfinite(angles.curves["left"]["hip"][10])
    assert np.isfinite(angles.curves["right"]["knee"][10])
    table = as_table(angles)
    write_table(tmp_path / "angles.parquet", table, ANGLES)  # checks types and key
    assert table.height == 2 * len(poses)
    assert table["knee"].null_count() == 1
