"""Undoes swaps of left and right: first what makes the limbs' paths continuous, then which way round the whole is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import View
from childgait.domain.poses import Poses, Status
from childgait.domain.skeleton import INDEX
from childgait.gait.body import body_height, mean_known
from childgait.gait.filters import running_median

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Pairs = NDArray[np.int64]


def _pairs(*names: str) -> Pairs:
    return np.array([[INDEX[f"left_{name}"], INDEX[f"right_{name}"]] for name in names])


LEG = _pairs("knee", "ankle", "heel", "big_toe", "small_toe")
HIPS = _pairs("hip")
ARM = _pairs("shoulder", "elbow", "wrist")

UNSEEN_SECONDS = 0.1  # between two frames, above which continuity is no evidence of left and right
LARGEST_COST = 0.12  # body heights per point and frame, so that one outlier does not outweigh the rest
CORRECTION_COST = 10.0  # of a state that contradicts a manual correction
NEARER_BY = 0.01  # body heights by which the nearer foot's ground must be lower in the picture
STANDING_SHARE = 0.7  # quantile of a foot's height in the picture: a foot stands for about 60 % of the stride
FEWEST_FRAMES = 20  # with a whole foot, to compare the two feet's ground


@dataclass(frozen=True)
class Swaps:
    """Which frames (T,) were swapped back, and what decided which way round the legs are; empty: nothing."""

    legs: Bools
    arms: Bools
    decided_by: str


def undo_swaps(poses: Poses, penalty: float, view: View | None, corrected: Floats, legs_settled: bool = False) -> Swaps:
    """Swap legs, hips and arms back in place. `penalty` is the cost of a change of sides, in body heights.

    `corrected` (T,) is the evidence of manual corrections (manual.sides_by_correction). `legs_settled`: the legs were
    settled when they were estimated (leg_identity.py) and stay, unless a manual correction contradicts.
    """
    height = body_height(poses.xy)
    if not np.isfinite(height).any() or len(poses) < 3:
        return Swaps(np.zeros(len(poses), bool), np.zeros(len(poses), bool), "")
    settled = legs_settled and not (corrected < 0).any()
    legs, decided_by = np.zeros(len(poses), bool), "when estimated"
    if not settled:
        legs = _continuous(poses, LEG, height, penalty, corrected)
        legs, decided_by = _orient(poses, legs, view, corrected)
    swap_sides(poses, LEG, legs)
    if view in ("forward", "backward"):  # from the side the hips overlap: their sides cannot be seen, and matter little
        swap_sides(poses, HIPS, _wrong_by_view(poses, HIPS, view) & poses.seen[:, HIPS].all(axis=(1, 2)))
        shoulders = np.nan_to_num(_order(poses, ARM[:1], view) / height)  # never cross: evidence in every frame
        arms = _continuous(poses, ARM, height, 2 * penalty, 0.01 * np.tanh(shoulders / 0.05))
    else:  # arms overlap: change sides reluctantly
        arms = _minority(_continuous(poses, ARM, height, 2 * penalty, np.zeros(len(poses))))
    swap_sides(poses, ARM, arms)
    return Swaps(legs, arms, decided_by)


def swap_sides(poses: Poses, pairs: Pairs, frames: Bools) -> None:
    """Exchange left and right of these pairs in these frames; measured points get the status SWAPPED."""
    rows = np.flatnonzero(frames)[:, None]
    for values in (poses.xy, poses.score, poses.status):
        values[rows, pairs.ravel()] = values[rows, pairs[:, ::-1].ravel()]
    status = poses.status[rows, pairs.ravel()]
    poses.status[rows, pairs.ravel()] = np.where(status == Status.MEASURED, Status.SWAPPED, status)


def _difference(poses: Poses, pairs: Pairs) -> Floats:
    """Return left minus right (T, pairs, 2), whose sign is all that a swap changes."""
    return (poses.xy[:, pairs[:, 0]] - poses.xy[:, pairs[:, 1]]).astype(np.float64)


def _continuous(poses: Poses, pairs: Pairs, height: Floats, penalty: float, evidence: Floats) -> Bools:
    """Return which frames (T,) to swap for the smoothest paths of the limbs (Viterbi search).

    A frame has two states, 0 as it is and 1 swapped. Each costs the distance in body heights from where the two frames
    before would lead at constant velocity, so the search runs over pairs of states. `evidence` (T,) is positive for
    state 0 and negative for state 1.
    """
    whole = np.isfinite(_difference(poses, pairs)).all(axis=2)
    frames = np.flatnonzero(np.any(whole, axis=1))
    swapped = np.zeros(len(poses), bool)
    if len(frames) < 3:
        return swapped
    difference = _difference(poses, pairs)[frames] / height[frames, None, None]
    costs = _transition_costs(difference, poses.seconds[frames], penalty)
    swapped[frames] = _cheapest_path(costs, evidence[frames]) == 1
    return swapped


def _cheapest_path(costs: Floats, evidence: Floats) -> NDArray[np.int64]:
    """Return the states (n,) of the least total cost; `costs` (n, 2, 2, 2) as of _transition_costs."""
    best = np.zeros((2, 2))  # by the states of the last two frames
    for state in (0, 1):
        best[:, state] += _cost_of_evidence(evidence[1], state)
        best[state, :] += _cost_of_evidence(evidence[0], state)
    back = np.zeros((len(costs), 2, 2), np.int64)
    for n in range(2, len(costs)):
        total = best[:, :, None] + costs[n]  # (before last, last, now)
        back[n] = total.argmin(axis=0)
        best = total.min(axis=0)
        best[:, 0] += _cost_of_evidence(evidence[n], 0)
        best[:, 1] += _cost_of_evidence(evidence[n], 1)
    last, now = np.unravel_index(int(best.argmin()), (2, 2))
    states = np.zeros(len(costs), np.int64)
    states[-1], states[-2] = now, last
    for n in range(len(costs) - 1, 1, -1):
        states[n - 2] = back[n, states[n - 1], states[n]]
    return states


def _cost_of_evidence(evidence: float, state: int) -> float:
    return CORRECTION_COST * abs(evidence) if (evidence > 0) == (state == 1) and evidence != 0 else 0.0


def _transition_costs(difference: Floats, seconds: Floats, penalty: float) -> Floats:
    """Return (n, 2, 2, 2): the cost of frame n's state after the states of the two frames before."""
    sign = np.array([1.0, -1.0])
    step = np.diff(seconds)
    unseen = np.zeros(len(difference), bool)  # legs may pass each other in a gap: continuity ends there
    unseen[1:] = step > max(UNSEEN_SECONDS, 2.5 * float(np.median(step)))
    unseen[2:] |= unseen[1:-1]
    ahead = np.ones(len(difference))
    ahead[2:] = np.clip(step[1:] / step[:-1], 0, 1)  # after a gap, extrapolate no further than one step
    costs = np.zeros((len(difference), 2, 2, 2))
    for before in (0, 1):
        for last in (0, 1):
            velocity = sign[last] * difference[1:-1] - sign[before] * difference[:-2]
            expected = sign[last] * difference[1:-1] + velocity * ahead[2:, None, None]
            for now in (0, 1):
                distance = np.linalg.norm(sign[now] * difference[2:] - expected, axis=2)
                usable = np.isfinite(distance) & ~unseen[2:, None]
                costs[2:, before, last, now] = np.where(usable, np.minimum(distance, LARGEST_COST), 0).sum(axis=1)
                costs[2:, before, last, now] += penalty * (now != last)
    return costs


def _minority(swapped: Bools) -> Bools:
    """Invert a solution that swaps more than half: most frames are delivered with the right sides."""
    return ~swapped if swapped.mean() > 0.5 else swapped


def _orient(poses: Poses, swapped: Bools, view: View | None, corrected: Floats) -> tuple[Bools, str]:
    """Choose between a continuous solution and its inverse: by manual corrections, the view, the nearer foot, else the
    majority. Returns the solution and which of these decided."""
    evidence = float((corrected * np.where(swapped, -1, 1)).sum())
    if evidence:
        return (swapped if evidence > 0 else ~swapped), "by correction"
    if view in ("forward", "backward"):
        order = _order(poses, np.concatenate([LEG[:2], HIPS]), view) * np.where(swapped, -1, 1)
        order = order[np.isfinite(order)]
        if len(order) and abs(np.median(order)) > 0:
            wrong = np.count_nonzero(order > 0) < 0.5 * len(order)
            return (~swapped if wrong else swapped), "by view"
        return _minority(swapped), "by majority"
    majority = _minority(swapped)
    near = _nearer_side(poses, majority, view)
    if near < 0:
        return ~majority, "by the nearer foot"
    return majority, "by majority" if near == 0 else "by the nearer foot"


def _order(poses: Poses, pairs: Pairs, view: View) -> Floats:
    """Return (T,) pixels, positive where the sides fit the view: from the front, left has the larger x."""
    across = mean_known(poses.xy[:, pairs[:, 0], 0] - poses.xy[:, pairs[:, 1], 0])
    return across if view == "forward" else -across


def _wrong_by_view(poses: Poses, pairs: Pairs, view: View) -> Bools:
    """Return the frames (T,) in which the median of three contradicts the view."""
    order = np.nan_to_num(_order(poses, pairs, view))
    return np.asarray(running_median(order, 3) < 0)


def _nearer_side(poses: Poses, swapped: Bools, view: View | None) -> int:
    """Return, in a side view, 1 if the limb nearer to the camera by name appears nearer, -1 if the other does, else 0.

    The foot nearer to the camera stands lower in the picture.
    """
    if view not in ("left", "right"):
        return 0
    height = body_height(poses.xy)
    ground = {}
    for column, side in ((0, "left"), (1, "right")):
        own = poses.xy[:, LEG[1:, column], 1]
        other = poses.xy[:, LEG[1:, 1 - column], 1]
        foot = np.where(swapped[:, None], other, own)
        lowest = foot[np.isfinite(foot).all(axis=1)].max(axis=1)
        if len(lowest) < FEWEST_FRAMES:
            return 0
        ground[side] = float(np.quantile(lowest, STANDING_SHARE))
    far = "left" if view == "right" else "right"
    lead = (ground[view] - ground[far]) / float(np.nanmedian(height))
    return 0 if abs(lead) < NEARER_BY else (1 if lead > 0 else -1)
