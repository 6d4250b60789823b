"""The view of a walk that no name states: found where path, size and toes agree, and doubtful otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from childgait.domain.evgs import VIEWS
from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import INDEX
from childgait.gait.events.travel import find_view
from support.stick_child import walk


def straight(view: str) -> Poses:
    made = walk(view)
    return make_poses(made.seconds, made.xy.astype(np.float32), np.ones(made.xy.shape[:2], np.float32))


@pytest.mark.parametrize("view", VIEWS)
def test_the_view_of_a_straight_walk_is_found(view: str) -> None:
    assert find_view(straight(view)) == view


@pytest.mark.parametrize("view", ["left", "right"])
def test_a_camera_that_follows_leaves_the_toes(view: str) -> None:
    poses = straight(view)
    xy = poses.xy.copy()
    xy[..., 0] -= xy[:, [INDEX["left_hip"], INDEX["right_hip"]], 0].mean(axis=1)[:, None]
    assert find_view(make_poses(poses.seconds, xy, poses.score)) == view


def test_toes_against_the_path_are_doubtful() -> None:
    poses = straight("left")
    xy = poses.xy[::-1].copy()  # backwards in time: the child walks heels first
    assert find_view(make_poses(poses.seconds, xy, poses.score)) is None


def test_too_few_frames_are_doubtful() -> None:
    poses = straight("left")
    assert find_view(make_poses(poses.seconds[:5], poses.xy[:5], poses.score[:5])) is None
