"""Legs keep their sides over a whole walk: exact synthetic walks with exchanged legs, views, depth and doubt."""

import numpy as np
import pytest

from childgait.domain.poses import Poses, Status, make_poses
from childgait.domain.skeleton import INDEX, MIRRORED, POINTS
from childgait.gait.leg_identity import LEGS, settle_legs

RATE = 60.0


def walk(frames: int = 240, view: str = "left", noise: float = 0.0) -> Poses:
    """A child of 200 pixels with a stride of one second; in a side view it walks to the side that the view names."""
    rng = np.random.default_rng(3)
    seconds = np.arange(frames) / RATE
    xy = np.zeros((frames, len(POINTS), 2))
    frontal = view in ("forward", "backward")
    facing = {"left": -1, "right": 1, "forward": 0, "backward": 0}[view]
    centre = 300 + facing * 120 * seconds
    order = {"forward": 1, "backward": -1}.get(view, 0)

    def put(name: str, x: np.ndarray, up: float | np.ndarray) -> None:
        xy[:, INDEX[name], 0], xy[:, INDEX[name], 1] = x, 300 - 200 * np.asarray(up)

    for name in POINTS[:5]:
        put(name, centre, 0.92)
    for side, sign in (("left", 1), ("right", -1)):
        apart = 14 * sign * order
        swing = sign * np.sin(2 * np.pi * seconds)
        lift = 0.05 * np.clip(sign * np.cos(2 * np.pi * seconds), 0, None)
        across = 0 if frontal else facing
        put(f"{side}_shoulder", centre + 1.4 * apart, 0.8)
        put(f"{side}_elbow", centre + 1.5 * apart, 0.65)
        put(f"{side}_wrist", centre + 1.5 * apart, 0.5)
        put(f"{side}_hip", centre + apart, 0.52)
        put(f"{side}_knee", centre + apart + 18 * across * swing, 0.28 + lift)
        put(f"{side}_ankle", centre + apart + 38 * across * swing, 0.05 + lift)
        put(f"{side}_heel", centre + apart + 38 * across * swing - 8 * across, 0.02 + lift)
        put(f"{side}_big_toe", centre + apart + 38 * across * swing + 22 * across, 0.02 + lift)
        xy[:, INDEX[f"{side}_small_toe"]] = np.nan
    xy += noise * 200 * rng.standard_normal(xy.shape)
    return make_poses(seconds, xy.astype(np.float32), np.full(xy.shape[:2], 0.9, np.float32))


def exchange(poses: Poses, runs: list[tuple[int, int]]) -> Poses:
    changed = poses.copy()
    for a, b in runs:
        for values, source in ((changed.xy, poses.xy), (changed.score, poses.score)):
            values[a:b, LEGS.ravel()] = source[a:b, LEGS[:, ::-1].ravel()]
    return changed


def same_legs(a: Poses, b: Poses) -> np.ndarray:
    """Per frame: the ankles are where they should be."""
    ankles = [INDEX["left_ankle"], INDEX["right_ankle"]]
    return np.asarray(np.abs(a.xy[:, ankles] - b.xy[:, ankles]).max(axis=(1, 2)) < 1e-3)


RUNS = [(10, 14), (37, 44), (45, 50), (80, 103), (140, 141), (150, 172), (200, 206)]


@pytest.mark.parametrize("view", ["left", "right"])
@pytest.mark.parametrize("noise", [0.0, 0.012])
def test_exchanged_legs_are_given_back_in_a_side_view(view: str, noise: float) -> None:
    true = walk(view=view, noise=noise)
    settled, report = settle_legs(exchange(true, RUNS), None, view)  # type: ignore[arg-type]
    assert same_legs(settled, true)[~report.doubtful].mean() > 0.97
    assert report.doubtful.mean() < 0.05
    assert report.exchanged.sum() == pytest.approx(sum(b - a for a, b in RUNS), abs=6)


def test_a_walk_without_exchanges_stays_as_it_is() -> None:
    for view in ("left", "right", "forward", "backward"):
        true = walk(view=view, noise=0.01)
        settled, report = settle_legs(true, None, view)  # type: ignore[arg-type]
        assert same_legs(settled, true).mean() > 0.99, view
        assert not report.mirrored.any()


@pytest.mark.parametrize("view", ["forward", "backward"])
def test_bodies_seen_the_wrong_way_round_are_mirrored(view: str) -> None:
    true = walk(view=view)
    wrong = true.copy()
    for a, b in RUNS:
        wrong.xy[a:b] = true.xy[a:b][:, list(MIRRORED)]
    settled, report = settle_legs(wrong, None, view)  # type: ignore[arg-type]
    assert report.mirrored.sum() == sum(b - a for a, b in RUNS)
    assert same_legs(settled, true).all()
    assert report.decided_by == "view"
    assert (settled.status[RUNS[0][0], INDEX["left_knee"]]) == Status.SWAPPED


def test_depth_that_contradicts_the_view_turns_the_whole_walk_round() -> None:
    true = walk(view="left")
    everything = exchange(true, [(0, len(true))])
    depth = np.zeros((len(true), len(POINTS)))
    depth[:, LEGS[:, 0]], depth[:, LEGS[:, 1]] = 20.0, -20.0  # the network takes the right leg for the near one
    settled, report = settle_legs(everything, depth, "left")
    assert report.decided_by == "depth and view"
    assert same_legs(settled, true).all()
    kept, _ = settle_legs(true, -depth, "left")
    assert same_legs(kept, true).all()


def test_the_same_input_gives_the_same_result_and_is_not_altered() -> None:
    given = exchange(walk(noise=0.01), RUNS)
    before = given.xy.copy()
    first, second = settle_legs(given, None, "left")[0], settle_legs(given, None, "left")[0]
    assert np.array_equal(first.xy, second.xy, equal_nan=True)
    assert np.array_equal(given.xy, before, equal_nan=True)


def test_a_walk_without_legs_is_left_alone() -> None:
    nothing = walk(20)
    nothing.xy[:] = np.nan
    settled, report = settle_legs(nothing, None, "left")
    assert report.decided_by == "too few frames"
    assert np.isnan(settled.xy).all()
