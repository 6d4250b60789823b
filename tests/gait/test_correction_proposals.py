"""The proposed frames are those whose correction brings the items nearer to the truth."""

from __future__ import annotations

import warnings

import numpy as np

from childgait.domain.corrections import Correction
from childgait.domain.evgs import LIMBS
from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import INDEX, POINTS
from childgait.gait.correction_proposals import propose_frames
from childgait.gait.refined_walk import RefinedWalk, refine_walk
from childgait.gait.scoring import score_limb
from support.stick_child import walk
from support.walk_stream import REFINEMENT

LEGS = [index for name, index in INDEX.items() if name.split("_")[-1] in ("hip", "knee", "ankle", "heel", "toe")]


def doubtful_walk(seed: int) -> tuple[np.ndarray, Poses]:
    """A walk whose keypoints err for 0.1 to 0.2 s at a time, with low scores there."""
    true, random = walk("right"), np.random.default_rng(seed)
    xy = true.xy + random.normal(0, 0.5, true.xy.shape)
    score = np.full(xy.shape[:2], 0.9)
    for _ in range(40):
        point, start, length = random.choice(LEGS), random.integers(0, 225), random.integers(6, 12)
        xy[start : start + length, point] += random.normal(0, 6, 2)
        score[start : start + length, point] = 0.4
    return true.xy, make_poses(true.seconds, xy, score)


def refined(poses: Poses, corrections: list[Correction]) -> RefinedWalk:
    return refine_walk(poses, REFINEMENT, "right", None, corrections, True, ())


def values_of(one: RefinedWalk) -> dict[tuple[str, str], float]:
    values = {}
    for limb in LIMBS:
        curves = {name: curve for name, curve in one.angles.curves[limb].items() if np.isfinite(curve).all()}
        for code, item in score_limb(one.poses.seconds, curves, one.gait.strides[limb]).items():
            values[limb, code] = item.value
    return values


def error(one: RefinedWalk, truth: dict[tuple[str, str], float]) -> float:
    values = values_of(one)
    return float(np.mean([abs(values[key] - value) for key, value in truth.items() if key in values]))


def corrected(frames: list[int], true: np.ndarray) -> list[Correction]:
    return [Correction(frame, point, *map(float, true[frame, point])) for frame in frames for point in LEGS]


def test_proposed_frames_help_more_than_random_ones() -> None:
    gains = []
    for seed in range(4):
        true, poses = doubtful_walk(seed)
        exact = refined(make_poses(poses.seconds, true, np.full(poses.score.shape, 0.9)), [])
        truth, plain = values_of(exact), refined(poses, [])
        proposals = [one.frame for one in propose_frames(poses, plain, "right")]
        assert len(set(proposals)) == 20
        frames, others = proposals[:6], np.random.default_rng(seed).permutation(len(poses))[:6].tolist()
        before = error(plain, truth)
        gains.append([before - error(refined(poses, corrected(chosen, true)), truth) for chosen in (frames, others)])
    proposed, random = np.mean(gains, axis=0)
    assert proposed > 1.3 * max(random, 0.0), gains
    assert proposed > 0, gains


def test_a_doubtful_knee_in_swing_comes_first() -> None:
    true = walk("right")
    score = np.full(true.xy.shape[:2], 1.0)
    knee = INDEX["right_knee"]
    frame = int(true.knee["right"][60:].argmax()) + 60
    score[frame, knee] = 0.3
    poses = make_poses(true.seconds, true.xy, score)
    first = propose_frames(poses, refined(poses, []), "right", 1)[0]
    assert (first.frame, first.joint) == (frame, POINTS[knee])


def test_nothing_is_proposed_where_nothing_is_visible() -> None:
    poses = make_poses(np.arange(30) / 30, np.full((30, 23, 2), np.nan, np.float32), np.zeros((30, 23), np.float32))
    empty = refined(poses, [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as numpy's on an empty mean
        assert propose_frames(poses, empty, "right") == []
