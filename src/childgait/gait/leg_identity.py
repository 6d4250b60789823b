"""Decide which leg is left and which is right over a whole walk, for estimators that exchange legs from frame to frame.

A pose network works on single pictures. In a side view it exchanges the legs in 5 to 30 % of the frames, in runs of up
to half a second; seen from behind it may mirror the whole body. Which side is near the camera it gets right in nearly
all frames. So three decisions are taken in this order:

1. From the front or behind, the sides of shoulders and hips follow from the view, frame by frame (`mirror_bodies`).
2. Legs are followed over time. Each leg point moves at a steady velocity relative to the hips; a path through two
   states per frame (as estimated, exchanged) minimises the distance to what that predicts (`follow_legs`). Exchanging
   costs a little per frame, because most frames are right.
3. In a side view the path as a whole is checked: the leg nearer to the camera in depth is the camera's side.

The path is searched forward and backward in time. Where the two disagree, the one that exchanges clearly fewer frames
wins; if neither does and the legs are apart, the frame is doubtful: the caller lowers its scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import View
from childgait.domain.poses import Poses, Status
from childgait.domain.skeleton import INDEX, MIRRORED
from childgait.gait.body import body_height, mean_known
from childgait.gait.filters import running_median

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_NAMES = ("knee", "ankle", "heel", "big_toe")
PAIRS = np.array([[INDEX[f"left_{name}"], INDEX[f"right_{name}"]] for name in _NAMES])
LEGS = np.array([[INDEX[f"left_{name}"], INDEX[f"right_{name}"]] for name in (*_NAMES, "small_toe")])
TRUNK = np.array([[INDEX[f"left_{name}"], INDEX[f"right_{name}"]] for name in ("shoulder", "hip")])

MEMORY = 8  # frames whose states a hypothesis remembers; legs overlap for about a tenth of a second
NOISE = 0.02  # body heights, of an estimated leg point (measured on synthetic walks)
ACCELERATION = 8.0  # body heights per square second: a foot swings 0.2 heights to either side once per second
OUTLIER = 3.0  # noise levels beyond which a distance costs no more and moves the prediction no further
WEIGHT = 0.15  # of a squared distance: a leg's points err together, and so do neighbouring frames
EXCHANGE = 0.25  # cost per exchanged frame in a side view
CHANGE = 0.3  # cost of a change of state
ORDER_COST = 10.0  # per body height by which knees and ankles stand against a frontal view, at most 1 per frame
APART = 0.06  # body heights between the legs below which an exchange does no harm
DOUBTFUL_SCORE = 0.1  # of leg points in doubtful frames, below refine_pose.min_score
CLEAR = 3.0  # difference of exchange costs by which one of two paths is clearly the better
NEARBY = 10  # frames between two disagreements that are decided together
LONG_GAP = 0.15  # seconds without legs after which a prediction is worthless


@dataclass(frozen=True)
class LegIdentity:
    """What was decided per frame."""

    mirrored: Bools  # (T,) the whole body was mirrored
    exchanged: Bools  # (T,) the legs were exchanged (after that)
    doubtful: Bools  # (T,) forward and backward in time disagree
    decided_by: str


def settle_legs(poses: Poses, depth: NDArray[np.floating] | None, view: View | None) -> tuple[Poses, LegIdentity]:
    """Poses with consistent sides, and what was done. `depth` (T, 23) grows away from the camera; None if unknown."""
    poses = poses.copy()
    height = body_height(poses.xy)
    frames = len(poses)
    nothing = np.zeros(frames, bool)
    mirrored = mirror_bodies(poses, height, view)
    legs = _relative_legs(poses, height)
    if np.isfinite(legs).reshape(frames, -1).any(axis=1).sum() < 3:
        return poses, LegIdentity(mirrored, nothing, nothing, "too few frames")
    bias = _bias(poses, height, view)
    forward, cost = follow_legs(legs, poses.seconds, bias)
    backward, cost_backward = follow_legs(legs[::-1], -poses.seconds[::-1], bias[::-1])
    backward = backward[::-1]
    exchanged, doubtful = _reconcile(forward, backward, bias, cost <= cost_backward)
    apart = np.nan_to_num(mean_known(np.linalg.norm(legs[:, 0] - legs[:, 1], axis=2)))
    doubtful &= apart > APART
    decided_by = "view" if view in ("forward", "backward") else "majority"
    if view in ("left", "right") and depth is not None:
        lead = _near_lead(depth, height, view)
        if lead is not None:
            decided_by = "depth and view"
            exchanged = exchanged if lead >= 0 else ~exchanged
    _swap(poses, LEGS, exchanged)
    return poses, LegIdentity(mirrored, exchanged, doubtful, decided_by)


def lower_doubtful_scores(poses: Poses, legs: LegIdentity) -> None:
    """Lower the scores of leg points in doubtful frames, in place, so that refinement drops them."""
    rows = np.flatnonzero(legs.doubtful)[:, None]
    poses.score[rows, LEGS.ravel()] = np.minimum(poses.score[rows, LEGS.ravel()], DOUBTFUL_SCORE)


def _reconcile(forward: Bools, backward: Bools, bias: Floats, forward_first: bool) -> tuple[Bools, Bools]:
    """Return one path out of two, and where they disagree without a clear winner."""
    first, second = (forward, backward) if forward_first else (backward, forward)
    path, doubtful = first.copy(), np.zeros(len(first), bool)
    differ = np.flatnonzero(first != second)
    for part in np.split(differ, np.flatnonzero(np.diff(differ) > NEARBY) + 1):
        lead = float((second[part].astype(float) - first[part]) @ bias[part])  # > 0: the first exchanges less
        if lead < -CLEAR:
            path[part] = second[part]
        elif lead < CLEAR:
            doubtful[part] = True
    return path, doubtful


def mirror_bodies(poses: Poses, height: Floats, view: View | None) -> Bools:
    """Mirror bodies whose shoulders and hips stand against the view; only seen from the front or from behind.

    Seen from the front a child's left is on the right of the picture. The order is decided over a tenth of a second.
    """
    if view not in ("forward", "backward") or not len(poses):
        return np.zeros(len(poses), bool)
    across = mean_known(poses.xy[:, TRUNK[:, 0], 0] - poses.xy[:, TRUNK[:, 1], 0]) / height
    order = across if view == "forward" else -across
    mirrored = np.asarray(np.nan_to_num(order) < 0)
    rows = np.flatnonzero(mirrored)
    for values in (poses.xy, poses.score, poses.status):
        values[rows] = values[rows][:, list(MIRRORED)]
    _mark(poses, rows, np.arange(poses.score.shape[1]))
    return mirrored


def _relative_legs(poses: Poses, height: Floats) -> Floats:
    """Return (T, 2, points, 2): left and right leg relative to the middle of the hips, in body heights."""
    hips = poses.xy[:, [INDEX["left_hip"], INDEX["right_hip"]]].astype(np.float64).mean(axis=1)
    known = np.isfinite(hips).all(axis=1)
    if known.sum() > 5:
        hips[known] = np.stack([running_median(hips[known, axis], 5) for axis in (0, 1)], axis=1)
    legs = poses.xy[:, PAIRS.T].astype(np.float64)
    return np.asarray((legs - hips[:, None, None]) / height[:, None, None, None])


def _bias(poses: Poses, height: Floats, view: View | None) -> Floats:
    """(T,) cost of exchanging a frame's legs, from the frame alone; negative where exchanging is more likely right."""
    if view in ("forward", "backward"):
        pairs = PAIRS[:2]
        across = mean_known(poses.xy[:, pairs[:, 0], 0] - poses.xy[:, pairs[:, 1], 0]) / height
        order = np.nan_to_num(across if view == "forward" else -across)
        return np.asarray(np.clip(ORDER_COST * order, -1, 1))
    return np.full(len(poses), EXCHANGE)


def follow_legs(legs: Floats, seconds: Floats, bias: Floats) -> tuple[Bools, float]:
    """Return for each frame whether its legs are to be exchanged, so that both move steadily, and the path's cost.

    A Viterbi search whose states are the decisions of the last MEMORY frames; each carries the positions and velocities
    that its decisions led to (an alpha-beta filter), so that the prediction rests on more than two frames.
    """
    frames = np.flatnonzero(np.isfinite(legs).reshape(len(legs), -1).any(axis=1))
    result = np.zeros(len(legs), bool)
    if len(frames) < 3:
        return result, 0.0
    step = float(np.median(np.diff(seconds[frames])))
    alpha, beta = _gains(step)
    count = 2**MEMORY
    states = np.arange(count)
    options = _options(legs[frames])  # (n, 2 states, 2 legs, points, 2)
    place = np.repeat(options[0][:1], count, axis=0)
    speed = np.zeros_like(place)
    cost = np.full(count, np.inf)
    for state in (0, 1):
        place[state] = options[0][state]
        cost[state] = state * bias[frames[0]]
    before = np.stack([states >> 1, (states >> 1) | (count >> 1)])  # the two predecessors of every state
    back = np.zeros((len(frames), count), np.int64)
    for n in range(1, len(frames)):
        gap = float(seconds[frames[n]] - seconds[frames[n - 1]])
        now = states & 1
        ahead = place[before] + speed[before] * gap  # (2, count, 2, points, 2)
        off = options[n][now][None] - ahead
        if gap > LONG_GAP:
            off = np.zeros_like(off)
        off = np.where(np.isfinite(off), off, 0.0)
        size = np.linalg.norm(off, axis=-1) / NOISE
        total = cost[before] + WEIGHT * (np.minimum(size, OUTLIER) ** 2).sum(axis=(2, 3)) + now * bias[frames[n]]
        total = total + CHANGE * ((before & 1) != now)
        choice = total.argmin(axis=0)
        cost = total[choice, states]
        back[n] = before[choice, states]
        off = off[choice, states] * np.minimum(1, OUTLIER / np.maximum(size[choice, states], 1e-9))[..., None]
        place = ahead[choice, states] + alpha * off
        speed = speed[back[n]] + beta / step * off
        if gap > LONG_GAP:
            place, speed = options[n][now].copy(), np.zeros_like(speed)
        place = np.where(np.isfinite(place), place, options[n][now])
        speed = np.where(np.isfinite(speed), speed, 0.0)
    state = int(cost.argmin())
    for n in range(len(frames) - 1, -1, -1):
        result[frames[n]] = bool(state & 1)
        state = int(back[n, state])
    return result, float(cost.min())


def _options(legs: Floats) -> Floats:
    """Return (n, 2, 2, points, 2): the legs as estimated and exchanged."""
    return np.stack([legs, legs[:, ::-1]], axis=1)


def _gains(step: float) -> tuple[float, float]:
    """Return the steady gains of a constant-velocity Kalman filter (Kalata, 1984, doi:10.1109/TAES.1984.310438)."""
    index = ACCELERATION * step**2 / NOISE
    root = (4 + index - np.sqrt(8 * index + index**2)) / 4
    alpha = 1 - root**2
    return float(alpha), float(2 * (2 - alpha) - 4 * np.sqrt(1 - alpha))


def _near_lead(depth: NDArray[np.floating], height: Floats, view: View) -> float | None:
    """Return by how much the camera's side is nearer, in body heights; None where depth is too uncertain.

    Depth belongs to the labels as estimated: it holds which side the network takes for the near one, in every frame.
    """
    sides = depth[:, PAIRS.T].astype(np.float64)  # (T, 2, points)
    near, far = (0, 1) if view == "left" else (1, 0)
    lead = mean_known(sides[:, far] - sides[:, near]) / height
    lead = lead[np.isfinite(lead)]
    if len(lead) < 10:
        return None
    middle = float(np.median(lead))
    return middle if abs(middle) > 0.02 and (np.sign(lead) == np.sign(middle)).mean() > 0.8 else None


def _swap(poses: Poses, pairs: NDArray[np.int64], frames: Bools) -> None:
    """Exchange left and right of these pairs in these frames; measured points are marked as swapped."""
    rows = np.flatnonzero(frames)
    for values in (poses.xy, poses.score, poses.status):
        values[rows[:, None], pairs.ravel()] = values[rows[:, None], pairs[:, ::-1].ravel()]
    _mark(poses, rows, pairs.ravel())


def _mark(poses: Poses, rows: NDArray[np.int64], points: NDArray[np.int64]) -> None:
    part = poses.status[rows[:, None], points]
    poses.status[rows[:, None], points] = np.where(part == Status.MEASURED, Status.SWAPPED, part)
