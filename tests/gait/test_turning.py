"""A child who walks across or along the axis, and one who turns round."""

from __future__ import annotations

import numpy as np
import pytest

from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import INDEX
from childgait.gait.events.travel import find_travel
from childgait.gait.events.turning import find_turn
from support.stick_child import walk


def straight(view: str) -> Poses:
    made = walk(view)
    return make_poses(made.seconds, made.xy.astype(np.float32), np.ones(made.xy.shape[:2], np.float32))


def test_a_straight_walk_has_no_turn() -> None:
    for view in ("left", "right", "forward", "backward"):
        assert find_turn(straight(view), view) is None


def test_the_moment_of_a_turn_is_found() -> None:
    out, back = straight("right"), straight("left")
    half = len(out) // 2
    xy = np.concatenate([out.xy[:half], back.xy[:half]])
    seconds = np.arange(len(xy)) / 60
    turned = make_poses(seconds, xy, np.ones(xy.shape[:2], np.float32))
    assert find_turn(turned, "right") == pytest.approx(seconds[half], abs=0.15)


def scaled(sizes: np.ndarray) -> Poses:
    """A standing body that changes its size."""
    rows = {"ear": 0.1, "shoulder": 0.2, "hip": 0.5, "knee": 0.75, "ankle": 0.95, "heel": 0.98, "big_toe": 1.0}
    xy = np.full((len(sizes), 23, 2), np.nan, np.float32)
    for side, x in (("left", 0.05), ("right", -0.05)):
        for joint, y in rows.items():
            xy[:, INDEX[f"{side}_{joint}"]] = np.stack([300 + x * sizes, 50 + y * sizes], axis=1)
    return make_poses(np.arange(len(sizes)) / 30, xy, np.ones(xy.shape[:2], np.float32))


def test_a_body_that_grows_and_shrinks_turns() -> None:
    sizes = np.concatenate([np.linspace(100, 200, 60), np.linspace(200, 120, 60)])
    assert find_turn(scaled(sizes), "forward") == pytest.approx(2.0, abs=0.2)
    assert find_turn(scaled(np.linspace(100, 200, 120)), "forward") is None


def test_left_and_right_that_change_places_show_a_turn() -> None:
    still = scaled(np.linspace(100, 103, 120))
    xy = still.xy.copy()
    xy[60:, :, 0] = 600 - xy[60:, :, 0]
    turned = make_poses(still.seconds, xy, still.score)
    assert find_turn(turned, "forward") == pytest.approx(2.0, abs=0.1)
    assert find_turn(still, "forward") is None


def test_a_camera_that_follows_the_child_does_not_hide_a_side_view() -> None:
    poses = straight("left")
    middle = poses.xy[:, [INDEX["left_hip"], INDEX["right_hip"]], 0].mean(axis=1)
    growth = np.linspace(0.93, 1.07, len(poses))
    xy = poses.xy.copy()
    xy[..., 0] += 320 - middle[:, None]
    xy = (xy - [320, 180]) * growth[:, None, None] + [320, 180]
    followed = make_poses(poses.seconds, xy.astype(np.float32), poses.score)
    assert find_travel(followed, "left").fits_name
    assert not find_travel(followed, "left").name_reversed
