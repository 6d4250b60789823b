"""Limb lengths moved to a mean child's: equal between children at strength 1, with every angle kept."""

from __future__ import annotations

import numpy as np
import pytest

from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import INDEX
from childgait.gait.kinematics import measure_angles
from childgait.gait.proportions import (
    SEGMENTS,
    mean_proportions,
    measure_proportions,
    move_limb_lengths,
)
from support.stick_child import walk


def child(thigh: float, arm: float) -> Poses:
    """A walking child whose left and right thighs and forearms are longer by these factors."""
    true = walk("right", seconds=2.0)
    xy = true.xy.copy()
    for side in ("left", "right"):
        hip, knee = xy[:, INDEX[f"{side}_hip"]], xy[:, INDEX[f"{side}_knee"]]
        below = [INDEX[f"{side}_{name}"] for name in ("knee", "ankle", "heel", "big_toe", "small_toe")]
        xy[:, below] += ((thigh - 1) * (knee - hip))[:, None]
        elbow, wrist = xy[:, INDEX[f"{side}_elbow"]], xy[:, INDEX[f"{side}_wrist"]]
        xy[:, INDEX[f"{side}_wrist"]] += (arm - 1) * (wrist - elbow)
    return make_poses(true.seconds, xy, np.ones(xy.shape[:2]))


CHILDREN = [child(0.9, 1.1), child(1.0, 1.0), child(1.15, 0.8)]
MEAN = mean_proportions(np.array([measure_proportions(poses.xy) for poses in CHILDREN]))


def test_a_longer_thigh_is_measured() -> None:
    thigh = [measure_proportions(poses.xy)[SEGMENTS.index("thigh")] for poses in CHILDREN]
    assert thigh[0] < thigh[1] < thigh[2]


def test_at_strength_1_all_children_have_the_mean_childs_limbs() -> None:
    moved = [measure_proportions(move_limb_lengths(poses, MEAN, 1.0).xy) for poses in CHILDREN]
    for proportions in moved:
        assert proportions == pytest.approx(MEAN, abs=1e-4)


def test_half_the_strength_moves_half_the_way() -> None:
    own = measure_proportions(CHILDREN[2].xy)
    halved = measure_proportions(move_limb_lengths(CHILDREN[2], MEAN, 0.5).xy)
    assert halved == pytest.approx((own + MEAN) / 2, abs=1e-4)
    assert np.allclose(move_limb_lengths(CHILDREN[2], MEAN, 0.0).xy, CHILDREN[2].xy, atol=1e-4)


@pytest.mark.parametrize("poses", CHILDREN)
def test_joint_angles_and_the_height_are_kept(poses: Poses) -> None:
    moved = move_limb_lengths(poses, MEAN, 1.0)
    before, after = (measure_angles(each, "right", 1).curves for each in (poses, moved))
    for limb in before:
        for name in ("hip", "knee", "ankle", "trunk_lean", "foot_pitch"):
            assert np.allclose(before[limb][name], after[limb][name], atol=0.05, equal_nan=True), name
    assert np.array_equal(poses.score, moved.score)


def test_a_missing_point_stays_missing_and_moves_no_other_by_nan() -> None:
    poses = CHILDREN[0].copy()
    poses.xy[:, INDEX["left_knee"]] = np.nan
    moved = move_limb_lengths(poses, MEAN, 1.0)
    assert np.array_equal(np.isnan(moved.xy), np.isnan(poses.xy))
