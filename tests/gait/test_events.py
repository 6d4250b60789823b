"""Events, travel and strides on a stick child that never strikes with the heel unless its ankle lets it."""

from __future__ import annotations

import numpy as np
import pytest

from childgait.domain.evgs import LIMBS
from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import INDEX
from childgait.files.tables import write_table
from childgait.gait.events import EVENTS, as_table, find_events, find_speed, find_travel
from support.stick_child import Walk, walk

PATTERNS = {
    "normal": {},
    "equinus": {"ankle": -22.0},
    "crouch": {"knee": 28.0, "hip": 18.0, "ankle": 14.0},
    "slow": {"stride": 1.6, "foot_off": 0.66},
    "small": {"stride": 0.75},
}


def seen(true: Walk, noise: float = 0.8, seed: int = 0) -> Poses:
    xy = true.xy + np.random.default_rng(seed).normal(0, noise, true.xy.shape)
    return make_poses(true.seconds, xy, np.ones(xy.shape[:2]))


def facing(view: str) -> int:
    return -1 if view == "left" else 1


def late(true: np.ndarray, result: list[float], seconds: np.ndarray) -> np.ndarray:
    """Frames at 60 a second from each true event well inside the video to the nearest found one."""
    inside = true[(true > 0.3) & (true < seconds[-1] - 0.3)]
    assert result
    return np.array([60 * min((f - t for f in result), key=abs) for t in inside])


@pytest.mark.parametrize("view", ["left", "right", "forward", "backward"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_contact_is_found_once_and_near_its_moment(view: str, pattern: str) -> None:
    true = walk(view, seconds=5.0, **PATTERNS[pattern])
    gait = find_events(seen(true), view, facing(view))
    assert not gait.reason
    limit = 4 if view in ("left", "right") else 8  # frames; bench/pose.py measures how well on average
    for limb in LIMBS:
        contacts = [e.seconds for e in gait.events if e.limb == limb and e.kind == "contact"]
        assert np.abs(late(true.contacts[limb], contacts, true.seconds)).max() <= limit
        assert len(contacts) <= len(true.contacts[limb]) + 1
        assert np.diff(contacts).min() > 0.7 * PATTERNS[pattern].get("stride", 0.95)


@pytest.mark.parametrize("view", ["left", "right"])
@pytest.mark.parametrize("pattern", ["normal", "equinus", "crouch"])
def test_feet_leave_when_they_leave(view: str, pattern: str) -> None:
    true = walk(view, seconds=5.0, **PATTERNS[pattern])
    gait = find_events(seen(true), view, facing(view))
    for limb in LIMBS:
        offs = [e.seconds for e in gait.events if e.limb == limb and e.kind == "foot_off"]
        assert np.abs(late(true.foot_offs[limb], offs, true.seconds)).max() <= 6


def test_strides_tell_both_limbs_events_in_order() -> None:
    true = walk("right", seconds=5.0)
    strides = find_events(seen(true), "right", 1).strides
    for limb in LIMBS:
        assert len(strides[limb]) >= 3
        for stride in strides[limb]:
            assert stride.next_contact - stride.contact == pytest.approx(0.95, abs=0.05)
            assert stride.contact < stride.opposite_off < stride.passing < stride.opposite_contact < stride.foot_off


def test_time_stamps_count_and_not_frames() -> None:
    """Half the rate, the same moments."""
    true = walk("right", seconds=5.0, rate=30.0)
    gait = find_events(seen(true), "right", 1)
    contacts = [e.seconds for e in gait.events if e.limb == "left" and e.kind == "contact"]
    assert np.abs(late(true.contacts["left"], contacts, true.seconds)).max() <= 4


def test_a_camera_that_follows_the_child_leaves_zenis_rule() -> None:
    true = walk("right", seconds=5.0)
    hips = true.xy[:, [INDEX["left_hip"], INDEX["right_hip"]], 0].mean(axis=1)
    true.xy[..., 0] -= (hips - 320)[:, None]
    gait = find_events(seen(true), "right", 1)
    assert {event.method for event in gait.events} == {"zeni"}
    contacts = [e.seconds for e in gait.events if e.limb == "left" and e.kind == "contact"]
    assert np.abs(late(true.contacts["left"], contacts, true.seconds)).max() <= 5


@pytest.mark.parametrize("pattern", ["normal", "equinus", "slow"])
def test_the_speed_is_the_same_for_a_camera_that_follows_the_child(pattern: str) -> None:
    true = walk("right", seconds=5.0, **PATTERNS[pattern])
    speeds = []
    for _ in range(2):
        poses = seen(true)
        gait = find_events(poses, "right", 1)
        speeds.append(find_speed(poses, "right", find_travel(poses, "right"), gait.strides))
        hips = true.xy[:, [INDEX["left_hip"], INDEX["right_hip"]], 0].mean(axis=1)
        true.xy[..., 0] -= (hips - 320)[:, None]
    assert speeds[0] > 0.3
    assert speeds[1] == pytest.approx(speeds[0], rel=0.12)
    assert np.isnan(find_speed(poses, "forward", find_travel(poses, "forward"), gait.strides))


def test_a_few_lost_foot_points_do_not_lose_the_event() -> None:
    true = walk("right", seconds=5.0)
    poses = seen(true)
    contact = int(60 * true.contacts["left"][2])
    poses.xy[contact - 8 : contact + 8, INDEX["left_big_toe"]] = np.nan
    contacts = [e.seconds for e in find_events(poses, "right", 1).events if e.limb == "left" and e.kind == "contact"]
    assert min(abs(c - true.contacts["left"][2]) for c in contacts) < 4 / 60


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda xy: xy.__setitem__((slice(None), [INDEX["left_ankle"]]), np.nan), "never seen together"),
        (lambda xy: xy.__setitem__((slice(25, None),), np.nan), "less than a stride"),
        (lambda xy: xy.__setitem__((slice(None),), xy[:1]), "do not alternate"),
    ],
)
def test_no_events_is_a_result_with_a_reason(spoil, says: str) -> None:
    true = walk("right")
    spoil(true.xy)
    gait = find_events(seen(true, noise=0.3), "right", 1)
    assert gait.events == []
    assert says in gait.reason


def test_a_child_that_sways_on_the_spot_has_no_strides() -> None:
    true = walk("right")
    true.xy[:] = true.xy[:1] + 0.2 * (true.xy - true.xy.mean(axis=1, keepdims=True) - true.xy[:1] + true.xy[:1].mean())
    assert find_travel(seen(true), "right").view is None


@pytest.mark.parametrize("view", ["left", "right", "forward", "backward"])
@pytest.mark.parametrize("named", ["left", "right", "forward", "backward"])
def test_the_way_is_seen_and_a_wrong_name_is_noticed(view: str, named: str) -> None:
    travel = find_travel(seen(walk(view)), named)
    assert travel.view == view
    assert travel.fits_name == (view == named)
    assert bool(travel.note) == (view != named)
    assert travel.name_reversed == ({view, named} in ({"left", "right"}, {"forward", "backward"}) and view != named)
    if view in ("left", "right"):
        assert travel.facing == facing(view)
        assert np.sign(travel.across) == facing(view)
    else:
        assert np.sign(travel.growth) == (1 if view == "forward" else -1)


@pytest.mark.parametrize("view", ["left", "right"])
def test_without_toes_a_drift_of_the_picture_says_nothing_of_where_the_child_looks(view: str) -> None:
    """A camera that follows leaves a drift, to whichever side."""
    poses = seen(walk(view))
    feet = [INDEX[f"{limb}_{name}"] for limb in LIMBS for name in ("heel", "big_toe", "small_toe")]
    poses.xy[:, feet] = np.nan
    middle = poses.xy[:, [INDEX["left_hip"], INDEX["right_hip"]], :1].mean(axis=1, keepdims=True)
    drift = np.linspace(0, -20 * facing(view), len(poses))[:, None, None]
    poses.xy[..., :1] += drift - middle
    travel = find_travel(poses, view)
    assert travel.facing == facing(view)
    assert not travel.name_reversed


def test_events_make_a_table_even_when_there_are_none(tmp_path) -> None:
    write_table(tmp_path / "none.parquet", as_table([]), EVENTS)
    events = find_events(seen(walk("right")), "right", 1).events
    table = as_table(events)
    write_table(tmp_path / "some.parquet", table, EVENTS)
    assert table.height == len(events) > 8
    assert table["seconds"].is_sorted()


def test_a_hidden_ankle_or_heel_does_not_lose_a_foot_off() -> None:
    """From the side the foot's other points stand in; from the front the moment is taken from the other steps."""
    for view, method in (("right", "standing"), ("forward", "typical")):
        true = walk(view, seconds=5.0)
        poses = seen(true)
        off = true.foot_offs["left"][2]
        names = ("ankle",) if view == "right" else ("heel",)
        for name in names:
            poses.xy[np.abs(true.seconds - off - 0.1) < 0.2, INDEX[f"left_{name}"]] = np.nan
        result = [e for e in find_events(poses, view, 1).events if e.limb == "left" and e.kind == "foot_off"]
        near = min(result, key=lambda event: abs(event.seconds - off))
        assert abs(near.seconds - off) < 5 / 60
        assert near.method == method
