"""Refinement on a stick child whose truth is known: each defect is planted alone, and the repair is looked at."""

from __future__ import annotations

import numpy as np
import pytest

from childgait.domain.corrections import Correction
from childgait.domain.poses import Poses, Status, make_poses
from childgait.domain.skeleton import INDEX
from childgait.gait.body import body_height
from childgait.gait.filters import low_pass
from childgait.gait.refine import refine
from childgait.gait.refine.denoise import remove_joint_noise
from childgait.gait.refine.gaps import fill_gaps
from childgait.gait.refine.outliers import find_outliers
from childgait.gait.refine.sides import ARM, HIPS, LEG
from support.stick_child import walk
from support.walk_stream import REFINEMENT

PARAMS = REFINEMENT
KNEE, ANKLE, OTHER = INDEX["left_knee"], INDEX["left_ankle"], INDEX["right_ankle"]
VIEWS = ("left", "right", "forward", "backward")


def seen_of(view: str, noise: float = 1.5, seed: int = 0, **pattern: float) -> tuple[np.ndarray, Poses]:
    true = walk(view, **pattern)
    xy = true.xy + np.random.default_rng(seed).normal(0, noise, true.xy.shape)
    return true.xy, make_poses(true.seconds, xy, np.full(xy.shape[:2], 0.9))


def swap(poses: Poses, frames: slice, *pairs: np.ndarray) -> None:
    for pair in pairs:
        poses.xy[frames, pair.ravel()] = poses.xy[frames, pair[:, ::-1].ravel()]


def off(poses: Poses, true: np.ndarray) -> np.ndarray:
    return np.linalg.norm(poses.xy - true, axis=2)


def wrong_legs(poses: Poses, true: np.ndarray) -> np.ndarray:
    own = np.linalg.norm(poses.xy[:, LEG] - true[:, LEG], axis=3).sum(axis=(1, 2))
    other = np.linalg.norm(poses.xy[:, LEG] - true[:, LEG[:, ::-1]], axis=3).sum(axis=(1, 2))
    return np.asarray(other < own)


def crossings(true: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.diff(np.sign(true[:, ANKLE, 0] - true[:, OTHER, 0])))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("pattern", [{}, {"knee": 25, "hip": 15, "ankle": 15}, {"ankle": -20}])
def test_swapped_legs_are_given_back_and_no_others_taken(view: str, pattern: dict[str, float]) -> None:
    true, poses = seen_of(view, **pattern)
    planted = np.zeros(len(poses), bool)
    for start in crossings(true) if view in ("left", "right") else np.arange(20, 220, 40):
        planted[start - 2 : start + 6] = True
    for frame in np.flatnonzero(planted):
        swap(poses, slice(frame, frame + 1), LEG)
    refined, report = refine(poses, PARAMS, view, None, [])
    assert planted.sum() > 20
    assert not wrong_legs(refined, true).any()
    assert report.frames_swapped == planted.sum()
    assert (refined.status[planted][:, ANKLE] == Status.SWAPPED).all()
    assert (refined.status[~planted][:, ANKLE] == Status.MEASURED).all()


@pytest.mark.parametrize("view", VIEWS)
def test_a_video_swapped_from_end_to_end_is_turned_round(view: str) -> None:
    """Nothing is discontinuous here: only the view, or the nearer foot, can tell."""
    true, poses = seen_of(view)
    swap(poses, slice(None), LEG)
    refined, report = refine(poses, PARAMS, view, None, [])
    assert not wrong_legs(refined, true).any()
    assert report.sides in ("by view", "by the nearer foot")


@pytest.mark.parametrize("view", ["left", "right"])
@pytest.mark.parametrize("seconds", [0.25, 0.4, 0.5])
def test_legs_that_passed_each_other_behind_a_gap_keep_their_sides(view: str, seconds: float) -> None:
    """After half a stride that nobody saw they really have changed places, as a swap would look."""
    for start in (60, 70, 80, 90):
        true, poses = seen_of(view, noise=0.8)
        hidden = slice(start, start + round(60 * seconds))
        poses.xy[hidden], poses.score[hidden], poses.status[hidden] = np.nan, 0, Status.MISSING
        result, report = refine(poses, PARAMS, view, None, [])
        assert report.frames_swapped == 0
        known = result.seen[:, LEG].all(axis=(1, 2))
        assert not wrong_legs(result, true)[known].any()


def test_hips_and_arms_seen_from_the_front_keep_to_their_sides() -> None:
    true, poses = seen_of("forward")
    swap(poses, slice(40, 90), HIPS, ARM)
    refined, report = refine(poses, PARAMS, "forward", None, [])
    assert report.arm_frames_swapped == 50
    assert np.nanmean(off(refined, true)) < 1.5


def test_a_correction_says_which_leg_is_which() -> None:
    """From the side and without a view, a whole video with swapped legs looks like any other: one click mends it."""
    true, poses = seen_of("right")
    swap(poses, slice(None), LEG)
    frame = int(np.argmax(np.abs(true[:, ANKLE, 0] - true[:, OTHER, 0])))
    assert wrong_legs(refine(poses, PARAMS, None, None, [])[0], true).all()
    click = Correction(frame, ANKLE, *map(float, true[frame, ANKLE]))
    refined, report = refine(poses, PARAMS, None, None, [click])
    assert not wrong_legs(refined, true).any()
    assert report.sides == "by correction"


def test_a_correction_keeps_its_place_and_pulls_its_neighbours() -> None:
    true, poses = seen_of("right", noise=0.5)
    poses.xy[100:120, ANKLE] += [12, 5]  # a lasting error that no outlier test may call one
    click = Correction(110, ANKLE, *map(float, true[110, ANKLE]))
    plain, _ = refine(poses, PARAMS, "right", None, [])
    refined, _ = refine(poses, PARAMS, "right", None, [click])
    assert np.allclose(refined.xy[110, ANKLE], true[110, ANKLE], atol=0.01)
    assert refined.status[110, ANKLE] == Status.CORRECTED
    near = [107, 108, 109, 111, 112, 113]
    assert off(refined, true)[near, ANKLE].mean() < 0.5 * off(plain, true)[near, ANKLE].mean()
    assert np.allclose(refined.xy[200, ANKLE], plain.xy[200, ANKLE], atol=0.2)


def test_a_correction_overrules_gate_and_outlier_test() -> None:
    _, poses = seen_of("right")
    poses.score[50, KNEE] = 0.01
    refined, _ = refine(poses, PARAMS, "right", None, [Correction(50, KNEE, 3.0, 4.0)])
    assert np.allclose(refined.xy[50, KNEE], [3, 4], atol=0.01)


def test_the_given_poses_are_never_touched() -> None:
    _, poses = seen_of("right")
    swap(poses, slice(40, 60), LEG)
    kept = poses.copy()
    refine(poses, PARAMS, "right", None, [Correction(50, KNEE, 3.0, 4.0)])
    for name in ("xy", "score", "status", "seconds"):
        assert np.array_equal(getattr(poses, name), getattr(kept, name), equal_nan=True)


def test_outliers_are_found_and_fast_feet_are_not() -> None:
    _, poses = seen_of("right")
    draw = np.random.default_rng(3)
    planted = draw.random(poses.score.shape) < 0.01
    poses.xy[planted] += 40 * np.sign(draw.normal(size=(int(planted.sum()), 2))).astype(np.float32)
    result = find_outliers(poses, 5.0)
    assert (result & planted).sum() / planted.sum() > 0.95
    assert (result & planted).sum() / result.sum() > 0.9


def test_short_gaps_are_filled_and_long_ones_stay() -> None:
    true, poses = seen_of("right", noise=0)
    poses.score[50:57, ANKLE] = 0.1  # 7 frames and their neighbours: 0.13 s
    poses.score[100:112, ANKLE] = 0.1
    refined, report = refine(poses, PARAMS.model_copy(update={"joint_noise": 0.0}), "right", None, [])
    assert (refined.status[50:57, ANKLE] == Status.FILLED).all()
    assert off(refined, true)[50:57, ANKLE].max() < 6
    assert (refined.status[100:112, ANKLE] == Status.MISSING).all()
    assert np.isnan(refined.xy[100:112, ANKLE]).all()
    assert (report.filled, report.gated) == (7, 19)


def test_nothing_is_filled_before_the_first_or_after_the_last_point() -> None:
    _, poses = seen_of("right")
    poses.xy[:5, ANKLE] = poses.xy[-5:, ANKLE] = np.nan
    fill_gaps(poses, 1.0)
    assert np.isnan(poses.xy[:5, ANKLE]).all()
    assert np.isnan(poses.xy[-5:, ANKLE]).all()


def test_points_outside_the_childs_box_and_frames_of_others_are_dropped() -> None:
    true, poses = seen_of("right")
    low, high = np.nanmin(true, axis=1), np.nanmax(true, axis=1)
    boxes = np.concatenate([low, high], axis=1).astype(float)
    poses.xy[30, INDEX["left_wrist"]] += [0, 150]
    poses.xy[80:83] -= [250, 0]  # somebody else's skeleton
    boxes[120] = np.nan  # no box: no opinion
    refined, report = refine(poses, PARAMS, "right", boxes, [])
    assert report.frames_of_others == 3
    assert report.outside == 1
    assert refined.status[80, ANKLE] in (Status.MISSING, Status.FILLED)
    assert off(refined, true)[80:83].max() < 15 or np.isnan(refined.xy[80:83]).all()
    assert (refined.status[120] == Status.MEASURED).all()


def test_another_persons_frames_are_dropped_without_boxes_too() -> None:
    _, poses = seen_of("left")
    poses.xy[80:84] += [200, 0]
    _, report = refine(poses, PARAMS, "left", None, [])
    assert report.frames_of_others == 4


@pytest.mark.parametrize("view", VIEWS)
def test_a_clean_walk_is_nobody_elses_at_any_frame(view: str) -> None:
    _, poses = seen_of(view)
    _, report = refine(poses, PARAMS, view, None, [])
    assert (report.frames_of_others, report.frames_swapped, report.arm_frames_swapped) == (0, 0, 0)


def test_the_low_pass_halves_power_at_its_cutoff_and_does_not_lag() -> None:
    seconds = np.arange(600) / 60
    inside = slice(120, 480)
    for hertz, kept in ((2.0, (0.98, 1.01)), (8.0, (0.68, 0.74)), (20.0, (0.0, 0.03))):
        wave = np.sin(2 * np.pi * hertz * seconds)[:, None]
        out = low_pass(wave, seconds, 8.0)
        assert kept[0] <= np.std(out[inside]) / np.std(wave[inside]) <= kept[1]
    slow = np.sin(2 * np.pi * seconds)[:, None]
    out = low_pass(slow, seconds, 8.0)
    lag = np.argmax(np.correlate(out[inside, 0], slow[inside, 0], "full")) - (inside.stop - inside.start - 1)
    assert lag == 0


def test_the_low_pass_goes_by_time_stamps_not_by_frame_numbers() -> None:
    """The same movement at uneven times, and at another rate, comes out the same."""
    uneven = np.sort(np.arange(600) / 60 + np.random.default_rng(0).uniform(-0.004, 0.004, 600))
    for seconds in (uneven, np.arange(300) / 30):
        noise = 0.3 * np.sin(2 * np.pi * 13 * seconds)
        out = low_pass((np.sin(2 * np.pi * seconds) + noise)[:, None], seconds, 4.0)[:, 0]
        middle = (seconds > 1) & (seconds < 9)
        assert np.abs(out - np.sin(2 * np.pi * seconds))[middle].max() < 0.03


def test_short_runs_are_left_alone() -> None:
    values = np.random.default_rng(0).normal(size=(8, 2))
    assert np.array_equal(low_pass(values, np.arange(8) / 60, 6.0), values)


@pytest.mark.parametrize("view", VIEWS)
def test_refined_is_less_than_half_as_far_off(view: str) -> None:
    true, poses = seen_of(view, noise=2.0)
    refined, _ = refine(poses, PARAMS, view, None, [])
    inside = slice(6, -6)  # the ends are the worst of any smoother
    assert off(refined, true)[inside].mean() < 0.5 * off(poses, true)[inside].mean()


def test_calming_leaves_an_exact_walk_as_it_is_and_keeps_what_is_missing_missing() -> None:
    true, poses = seen_of("right", noise=0)
    poses.xy[60:90, KNEE] = np.nan
    remove_joint_noise(poses, 1.0)
    assert np.nanmax(off(poses, true)) < 1.0
    assert np.isnan(poses.xy[60:90, KNEE]).all()


def test_body_height_is_the_childs_and_grows_as_it_comes() -> None:
    true, poses = seen_of("forward", noise=0)
    height = body_height(poses.xy)
    extent = np.ptp(true[..., 1], axis=1)
    assert np.abs(height[30:-30] / extent[30:-30] - 1).max() < 0.25
    assert height[-1] > 1.5 * height[0]


@pytest.mark.parametrize("frames", [0, 1, 2, 5, 11])
def test_very_short_videos_pass_through(frames: int) -> None:
    _, poses = seen_of("right")
    short = Poses(poses.seconds[:frames], poses.xy[:frames], poses.score[:frames], poses.status[:frames])
    refined, _ = refine(short, PARAMS, "right", None, [])
    assert len(refined) == frames
    assert refined.seen.all()


def test_a_video_without_anybody_stays_empty() -> None:
    poses = make_poses(np.arange(50) / 60, np.full((50, 23, 2), np.nan), np.zeros((50, 23)))
    refined, report = refine(poses, PARAMS, "left", None, [])
    assert not refined.seen.any()
    assert report.frames_swapped == 0
