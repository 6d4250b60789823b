"""From keypoints as an estimator gives them to keypoints worth trusting, in this order:

gate, person, left and right, outliers, short gaps, smoothing (all points together, then each by itself). A person's
corrections overrule all of it and pull their neighbours along. Nothing is invented: what cannot be known stays missing,
and every point says what it is.

Swaps of the legs are the largest error of all, so they are undone first, over the whole leg and over time. Smoothing
is a zero-lag Butterworth low-pass (filters.py) whose cut-offs suit children: they step faster than adults, and below
about 6 Hz their ankles get worse than unfiltered ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from childgait.domain.corrections import Correction
from childgait.domain.evgs import View
from childgait.domain.poses import Poses, Status
from childgait.domain.skeleton import INDEX, POINTS
from childgait.gait.body import body_height, mean_known
from childgait.gait.filters import between, local_cubic, low_pass, running_median

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def _pairs(*names: str) -> NDArray[np.int64]:
    return np.array([[INDEX[f"left_{name}"], INDEX[f"right_{name}"]] for name in names])


LEG = _pairs("knee", "ankle", "heel", "big_toe", "small_toe")
HIPS = _pairs("hip")
ARM = _pairs("shoulder", "elbow", "wrist")
_FAST_NAMES = ("ankle", "heel", "big_toe", "small_toe", "wrist")
FAST = [INDEX[f"{side}_{name}"] for side in ("left", "right") for name in _FAST_NAMES]
_BODY = [INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("shoulder", "hip", "knee", "ankle")]


UNSEEN_SECONDS = 0.1  # a step between frames that is longer tells nothing of left and right


@dataclass(frozen=True)
class Settings:
    """The numbers of a refinement, as params.yaml gives them."""

    min_score: float
    box_margin: float
    swap_penalty: float
    outlier_sigmas: float
    longest_gap_seconds: float
    joint_noise: float
    distal_hz: float
    proximal_hz: float


@dataclass
class Report:
    """What was done, for the summary."""

    gated: int = 0
    outside: int = 0
    frames_of_others: int = 0
    frames_swapped: int = 0
    arm_frames_swapped: int = 0
    sides: str = "as delivered"
    outliers: int = 0
    filled: int = 0


def refine(
    poses: Poses, settings: Settings, view: View | None, boxes: Floats | None, corrections: list[Correction]
) -> tuple[Poses, Report]:
    """The whole way. The given poses are not touched. `boxes` (T, 4) has NaN where there is none."""
    report = Report()
    poses = poses.copy()
    fixed = _fixed(poses, corrections)
    report.gated = _drop(poses, (poses.score < settings.min_score) & poses.seen)
    person_gate(poses, boxes, settings.box_margin, report)
    undo_swaps(poses, settings.swap_penalty, view, corrections, report)
    for correction in corrections:
        poses.xy[correction.frame, correction.point] = correction.x, correction.y
        poses.score[correction.frame, correction.point] = 1.0
        poses.status[correction.frame, correction.point] = Status.CORRECTED
    report.outliers = _drop(poses, find_outliers(poses, settings.outlier_sigmas) & ~fixed)
    report.filled = fill_gaps(poses, settings.longest_gap_seconds)
    before = poses.xy.copy()
    if settings.joint_noise:
        calm(poses, settings.joint_noise)
    smooth(poses, settings.distal_hz, settings.proximal_hz)
    _anchor(poses, before, fixed)
    return poses, report


def _fixed(poses: Poses, corrections: list[Correction]) -> Bools:
    fixed = np.zeros(poses.score.shape, bool)
    for correction in corrections:
        fixed[correction.frame, correction.point] = True
    return fixed


def _drop(poses: Poses, which: Bools) -> int:
    poses.xy[which] = np.nan
    poses.score[which] = 0
    poses.status[which] = Status.MISSING
    return int(which.sum())


# --- person ---------------------------------------------------------------------------------------------------------


def person_gate(poses: Poses, boxes: Floats | None, margin: float, report: Report) -> None:
    """Drop frames that show somebody else, and points that lie off the child's box.

    A body a third of its height away from where the seconds around have it is another's.
    """
    height = body_height(poses.xy)
    middle = np.stack([mean_known(poses.xy[:, _BODY, axis]) for axis in (0, 1)], axis=1)
    there = np.flatnonzero(np.isfinite(middle).all(axis=1))
    other = np.zeros(len(poses), bool)
    if len(there) > 5:
        path = running_median(middle[there], 31)
        # a median lags at the ends of a straight way: there the line through the neighbours is the measure
        off = np.linalg.norm(middle[there] - _line_at_ends(path, middle[there]), axis=1)
        other[there] = off > np.maximum(0.4 * height[there], 5)
    if boxes is not None:
        grown = boxes + np.array([-1, -1, 1, 1]) * margin * (boxes[:, 3] - boxes[:, 1])[:, None]
        x, y = poses.xy[..., 0], poses.xy[..., 1]
        outside = (x < grown[:, None, 0]) | (x > grown[:, None, 2]) | (y < grown[:, None, 1]) | (y > grown[:, None, 3])
        seen = poses.seen.sum(axis=1)
        other |= (outside.sum(axis=1) > 0.5 * seen) & (seen > 0)
        report.outside = _drop(poses, outside & ~other[:, None])
    report.frames_of_others = int(other.sum())
    _drop(poses, np.repeat(other[:, None], len(POINTS), axis=1) & poses.seen)


def _line_at_ends(path: Floats, raw: Floats) -> Floats:
    """The median path with its first and last half window replaced by a robust line (Theil's, thinned)."""
    half = min(15, len(path) // 2)
    out = path.copy()
    for part in (slice(0, 2 * half), slice(len(path) - 2 * half, len(path))):
        piece = raw[part]
        n = np.arange(len(piece))
        slope = np.median((piece[half:] - piece[: len(piece) - half]) / half, axis=0)
        base = np.median(piece - slope * n[:, None], axis=0)
        line = base + slope * n[:, None]
        where = slice(0, half) if part.start == 0 else slice(half, None)
        out[part][where] = line[where]
    return out


# --- left and right -------------------------------------------------------------------------------------------------


def undo_swaps(poses: Poses, penalty: float, view: View | None, corrections: list[Correction], report: Report) -> None:
    """Give legs and arms back to their sides: first what is continuous in time, then which way round all of it is."""
    height = body_height(poses.xy)
    if not np.isfinite(height).any() or len(poses) < 3:
        return
    known = _known_sides(poses, corrections)
    legs = _continuous(poses, LEG, height, penalty, known)
    legs, report.sides = _whole_way(poses, legs, view, known)
    _swap(poses, LEG, legs)
    # From the side the hips lie over each other: no telling them apart, and little lost.
    if view in ("forward", "backward"):
        _swap(poses, HIPS, _side_by_view(poses, HIPS, view) & poses.seen[:, HIPS].all(axis=(1, 2)))
    if view in ("forward", "backward"):  # shoulders never cross: which is which is to be seen in every frame
        shoulders = np.nan_to_num(_order(poses, ARM[:1], view) / height)
        arms = _continuous(poses, ARM, height, 2 * penalty, 0.01 * np.tanh(shoulders / 0.05))
    else:
        arms = _minority(_continuous(poses, ARM, height, 2 * penalty, np.zeros(len(poses))))  # arms overlap: be slow
    _swap(poses, ARM, arms)
    report.frames_swapped = int(legs.sum())
    report.arm_frames_swapped = int(arms.sum())


def _swap(poses: Poses, pairs: NDArray[np.int64], frames: Bools) -> None:
    rows = np.flatnonzero(frames)[:, None]
    for values in (poses.xy, poses.score, poses.status):
        values[rows, pairs.ravel()] = values[rows, pairs[:, ::-1].ravel()]
    changed = poses.status[rows, pairs.ravel()]
    poses.status[rows, pairs.ravel()] = np.where(changed == Status.MEASURED, Status.SWAPPED, changed)


def _difference(poses: Poses, pairs: NDArray[np.int64]) -> Floats:
    """Left minus right, (T, pairs, 2): all that a swap changes is the sign of this."""
    return (poses.xy[:, pairs[:, 0]] - poses.xy[:, pairs[:, 1]]).astype(np.float64)


def _continuous(poses: Poses, pairs: NDArray[np.int64], height: Floats, penalty: float, known: Floats) -> Bools:
    """For each frame, whether swapping its sides makes the way of the limbs smooth.

    A path through two states a frame (as it is, swapped), each judged by where the two frames before it would lead at
    steady speed; so the search runs over pairs of states. Costs are distances in body heights, cut off where an
    outlier would speak too loud. `known` (T,) is positive where a person says "as it is", negative where "swapped".
    """
    whole = np.isfinite(_difference(poses, pairs)).all(axis=2)
    frames = np.flatnonzero(np.any(whole, axis=1))
    swapped = np.zeros(len(poses), bool)
    if len(frames) < 3:
        return swapped
    d = _difference(poses, pairs)[frames] / height[frames, None, None]
    costs = _step_costs(d, poses.seconds[frames], penalty)
    said = known[frames]
    best = np.zeros((2, 2))  # by the states of the last two frames
    for state in (0, 1):
        best[:, state] += _against(said[1], state)
        best[state, :] += _against(said[0], state)
    back = np.zeros((len(frames), 2, 2), np.int64)
    for n in range(2, len(frames)):
        total = best[:, :, None] + costs[n]  # (before last, last, now)
        back[n] = total.argmin(axis=0)
        best = total.min(axis=0)
        best[:, 0] += _against(said[n], 0)
        best[:, 1] += _against(said[n], 1)
    last, now = np.unravel_index(int(best.argmin()), (2, 2))
    states = np.zeros(len(frames), np.int64)
    states[-1], states[-2] = now, last
    for n in range(len(frames) - 1, 1, -1):
        states[n - 2] = back[n, states[n - 1], states[n]]
    swapped[frames] = states == 1
    return swapped


def _against(said: float, state: int) -> float:
    return 10.0 * abs(said) if (said > 0) == (state == 1) and said != 0 else 0.0


def _step_costs(d: Floats, seconds: Floats, penalty: float) -> Floats:
    """(n, 2, 2, 2): what it costs that frame n has a state after the states of the two before."""
    sign = np.array([1.0, -1.0])
    step = np.diff(seconds)
    blind = np.zeros(len(d), bool)  # over a gap legs may pass each other unseen: no way leads on
    blind[1:] = step > max(UNSEEN_SECONDS, 2.5 * float(np.median(step)))
    blind[2:] |= blind[1:-1]
    ahead = np.ones(len(d))
    ahead[2:] = np.clip(step[1:] / step[:-1], 0, 1)  # after a gap, not further than a step
    costs = np.zeros((len(d), 2, 2, 2))
    for before in (0, 1):
        for last in (0, 1):
            speed = sign[last] * d[1:-1] - sign[before] * d[:-2]
            expected = sign[last] * d[1:-1] + speed * ahead[2:, None, None]
            for now in (0, 1):
                off = np.linalg.norm(sign[now] * d[2:] - expected, axis=2)
                costs[2:, before, last, now] = np.where(
                    np.isfinite(off) & ~blind[2:, None], np.minimum(off, 0.12), 0
                ).sum(axis=1)
                costs[2:, before, last, now] += penalty * (now != last)
    return costs


def _known_sides(poses: Poses, corrections: list[Correction]) -> Floats:
    """What corrections say of a frame's sides: a corrected left ankle near the right one's place says "swapped"."""
    known = np.zeros(len(poses))
    partner = {int(a): int(b) for pair in LEG for a, b in (pair, pair[::-1])}
    for correction in corrections:
        if correction.point in partner:
            at = np.array([correction.x, correction.y])
            own = np.linalg.norm(poses.xy[correction.frame, correction.point] - at)
            other = np.linalg.norm(poses.xy[correction.frame, partner[correction.point]] - at)
            if np.isfinite(own) and np.isfinite(other):
                known[correction.frame] += np.sign(other - own) if abs(other - own) > 0.5 * (own + other) else 0
    return known


def _minority(swapped: Bools) -> Bools:
    """Most frames are delivered as they should be: turn the answer round if it swaps more than half."""
    return ~swapped if swapped.mean() > 0.5 else swapped


def _whole_way(poses: Poses, swapped: Bools, view: View | None, known: Floats) -> tuple[Bools, str]:
    """Which of the two consistent answers is right: by a person's word, the view, the near foot, else the majority."""
    said = float((known * np.where(swapped, -1, 1)).sum())
    if said:
        return (swapped if said > 0 else ~swapped), "by correction"
    if view in ("forward", "backward"):
        order = _order(poses, np.concatenate([LEG[:2], HIPS]), view) * np.where(swapped, -1, 1)
        order = order[np.isfinite(order)]
        if len(order) and abs(np.median(order)) > 0:
            wrong = np.count_nonzero(order > 0) < 0.5 * len(order)
            return (~swapped if wrong else swapped), "by view"
        return _minority(swapped), "by majority"
    majority = _minority(swapped)
    near = _near_side(poses, majority, view)
    if near < 0:
        return ~majority, "by the nearer foot"
    return majority, "by majority" if near == 0 else "by the nearer foot"


def _order(poses: Poses, pairs: NDArray[np.int64], view: View) -> Floats:
    """(T,): positive where left and right stand as the view has them: seen from the front, left has the larger x."""
    across = mean_known(poses.xy[:, pairs[:, 0], 0] - poses.xy[:, pairs[:, 1], 0])
    return across if view == "forward" else -across


def _side_by_view(poses: Poses, pairs: NDArray[np.int64], view: View) -> Bools:
    """Where a pair that silhouette_only turns stands the wrong way round for a fifth of a second's median."""
    order = np.nan_to_num(_order(poses, pairs, view))
    return np.asarray(running_median(order, 3) < 0)


def _near_side(poses: Poses, swapped: Bools, view: View | None) -> int:
    """In a side view: 1 if the limb that the view has nearer looks nearer, -1 if the other does, 0 if neither clearly.

    A foot on the ground nearer to the camera stands lower in the picture; half a dozen frames that agree by a
    hundredth of the body's height decide.
    """
    if view not in ("left", "right"):
        return 0
    height = body_height(poses.xy)
    lowest = {side: np.full(len(poses), np.nan) for side in ("left", "right")}
    for column, side in ((0, "left"), (1, "right")):
        own = poses.xy[:, LEG[1:, column], 1]
        other = poses.xy[:, LEG[1:, 1 - column], 1]
        values = np.where(swapped[:, None], other, own)
        with np.errstate(all="ignore"):
            lowest[side] = np.where(np.isfinite(values).all(axis=1), values.max(axis=1), np.nan)
    ground = {}
    for side, values in lowest.items():
        values = values[np.isfinite(values)]
        if len(values) < 20:
            return 0
        ground[side] = float(np.quantile(values, 0.7))  # a foot stands for six tenths of the time
    far = "left" if view == "right" else "right"
    lead = (ground[view] - ground[far]) / float(np.nanmedian(height))
    return 0 if abs(lead) < 0.01 else (1 if lead > 0 else -1)


# --- outliers and gaps ----------------------------------------------------------------------------------------------


def find_outliers(poses: Poses, sigmas: float, rounds: int = 4) -> Bools:
    """Points that jump out of their own way: iterated residual against a median and a local cubic."""
    seen = poses.seen
    found = np.zeros_like(seen)
    if len(poses) < 12:
        return found
    floor = 0.004 * np.nan_to_num(body_height(poses.xy), nan=100.0)[:, None]
    for _ in range(rounds):
        track = _bridged(poses.xy, seen & ~found)
        even = local_cubic(running_median(track, 5))
        off = np.linalg.norm(poses.xy - even, axis=2)
        kept = np.where(seen & ~found, off, np.nan)
        with np.errstate(all="ignore"):
            spread = np.nan_to_num(_nanmedian(kept)) * 1.2  # of a plane's distance: its median is 1.18 sigma
        fresh = seen & ~found & (off > sigmas * np.maximum(spread / 1.18, floor))
        if not fresh.any():
            break
        found |= fresh
    return found


def _nanmedian(values: Floats) -> Floats:
    """Over time, without a warning for a point never seen."""
    return np.array([np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else 0.0 for c in values.T])


def _bridged(xy: NDArray[np.floating], usable: Bools) -> Floats:
    """A track without holes (straight across, level at the ends), for filters that cannot take any."""
    out = np.zeros(xy.shape)
    index = np.arange(len(xy))
    for point in range(xy.shape[1]):
        good = np.flatnonzero(usable[:, point])
        if len(good):
            for axis in (0, 1):
                out[:, point, axis] = np.interp(index, good, xy[good, point, axis])
    return out


def _runs(which: Bools) -> Iterator[tuple[int, int]]:
    """Start and end (exclusive) of every unbroken run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], which.astype(np.int8), [0]])))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def fill_gaps(poses: Poses, longest_seconds: float) -> int:
    """Fill short gaps by a curve that never overshoots; longer ones stay missing."""
    filled, everywhere = 0, poses.seen
    for point in range(poses.xy.shape[1]):
        seen = everywhere[:, point]
        good = np.flatnonzero(seen)
        gaps = [(a, b) for a, b in _runs(~seen) if a > 0 and b < len(poses)]
        gaps = [(a, b) for a, b in gaps if poses.seconds[b] - poses.seconds[a - 1] <= longest_seconds + 1e-9]
        if len(good) < 4 or not gaps:
            continue
        # beyond the first and the last point the way goes on as through the gap
        times, places = poses.seconds[good], poses.xy[good, point].astype(np.float64)
        times = np.concatenate([[2 * times[0] - times[1]], times, [2 * times[-1] - times[-2]]])
        places = np.concatenate([[2 * places[0] - places[1]], places, [2 * places[-1] - places[-2]]])
        for a, b in gaps:
            at = int(np.searchsorted(good, b))  # of the point before the one before the gap, in `times`
            four = slice(at - 1, at + 3)
            poses.xy[a:b, point] = between(times[four], places[four], poses.seconds[a:b])
            poses.score[a:b, point] = min(poses.score[a - 1, point], poses.score[b, point]) / 2
            poses.status[a:b, point] = Status.FILLED
            filled += b - a
    return filled


# --- smoothing ------------------------------------------------------------------------------------------------------


def calm(poses: Poses, noise_factor: float) -> None:
    """Take out what no body does: points move together and smoothly, errors do neither.

    The body's shape over a fifth of a second (six frames at once; less its slow way, over its height, each coordinate
    over its own noise) is a sum of a few patterns of movement; those that stand above what noise alone would make are
    kept, weakened as much as noise has strengthened them (the optimal shrinkage of Gavish and Donoho, 2017). How noisy
    coordinates are to each other is read from second differences; how noisy all of them are, from the middle of the
    spectrum, because an estimator's errors last longer than a frame and hide from differences. `noise_factor` raises
    that level: the higher, the more of a movement's peaks is lost with the noise. Looking at single frames, the
    shape alone, must lose three times as much of them for the same rest of noise.
    """
    if len(poses) < 40:
        return
    seen = poses.seen
    used = seen.mean(axis=0) > 0.5
    height = body_height(poses.xy)
    if used.sum() < 8 or not np.isfinite(height).any():
        return
    track = _bridged(poses.xy, seen)[:, used]
    path = low_pass(track.mean(axis=1), poses.seconds, 2.0)
    shape = ((track - path[:, None]) / height[:, None, None]).reshape(len(poses), -1)
    mean = shape.mean(axis=0)
    jitter = np.median(np.abs(np.diff(shape, n=2, axis=0)), axis=0) / (0.6745 * 6**0.5)
    noise = np.maximum(jitter, 1e-4)
    rate = (len(poses) - 1) / (poses.seconds[-1] - poses.seconds[0])
    lags = max(1, round(rate / 30)) * np.arange(6)
    calmed = _without_noise((shape - mean) / noise, lags, noise_factor) * noise + mean
    whole = poses.xy.copy()
    whole[:, used] = calmed.reshape(track.shape) * height[:, None, None] + path[:, None]
    poses.xy[seen] = whole[seen]


def _without_noise(values: Floats, lags: NDArray[np.int64], noise_factor: float) -> Floats:
    """The patterns of a table (T, n) over so many frames that noise does not explain; each frame the mean of its windows."""
    count = len(values) - int(lags[-1])
    left, sizes, right = np.linalg.svd(
        np.concatenate([values[lag : lag + count] for lag in lags], 1), full_matrices=False
    )
    narrow, wide = sorted((count, right.shape[1]))
    ratio, scale = narrow / wide, float(np.sqrt(wide))
    level = noise_factor * float(np.median(sizes)) / scale / _middle_of_noise(ratio)
    size = sizes / scale / max(level, 1e-9)
    kept = np.where(size > 1 + np.sqrt(ratio), np.sqrt(np.maximum((size**2 - ratio - 1) ** 2 - 4 * ratio, 0)) / size, 0)
    some = kept > 0
    windows = (left[:, some] * (kept * scale * level)[some]) @ right[some]
    total, times = np.zeros(values.shape), np.zeros((len(values), 1))
    for lag, part in zip(lags.tolist(), np.split(windows, len(lags), axis=1), strict=True):
        total[lag : lag + count] += part
        times[lag : lag + count] += 1
    return total / times


def _middle_of_noise(ratio: float) -> float:
    """The median singular value of pure noise of unit level, for a matrix of these proportions (Marchenko-Pastur)."""
    edges = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2
    grid = np.linspace(*edges, 2001)
    density = np.sqrt(np.maximum((edges[1] - grid) * (grid - edges[0]), 0)) / np.maximum(grid, 1e-9)
    share = np.cumsum(density)
    return float(np.sqrt(grid[np.searchsorted(share, share[-1] / 2)]))


def smooth(poses: Poses, distal_hz: float, proximal_hz: float) -> None:
    """A low-pass within every unbroken run."""
    seen = poses.seen
    for point in range(poses.xy.shape[1]):
        cutoff = distal_hz if point in FAST else proximal_hz
        for a, b in _runs(seen[:, point]):
            poses.xy[a:b, point] = low_pass(poses.xy[a:b, point].astype(np.float64), poses.seconds[a:b], cutoff)


def _anchor(poses: Poses, before: NDArray[np.float32], fixed: Bools, reach: float = 0.1) -> None:
    """Corrected points keep their place and pull their neighbours along: by as much as they were moved, falling to
    nothing over a tenth of a second, straight between near anchors."""
    for point in np.flatnonzero(fixed.any(axis=0)):
        at = np.flatnonzero(fixed[:, point])
        offsets = before[at, point] - poses.xy[at, point]
        times: list[float] = []
        values: list[NDArray[np.floating]] = []
        for n, frame in enumerate(at):
            t = poses.seconds[frame]
            if n == 0 or t - poses.seconds[at[n - 1]] > reach:
                times.append(max(t - reach, times[-1] + 1e-6) if times else t - reach)
                values.append(np.zeros(2))
            times.append(t)
            values.append(offsets[n])
            if n == len(at) - 1 or poses.seconds[at[n + 1]] - t > reach:
                times.append(t + reach)
                values.append(np.zeros(2))
        curve = np.array(values)
        shift = np.stack([np.interp(poses.seconds, times, curve[:, axis], 0, 0) for axis in (0, 1)], axis=1)
        poses.xy[:, point] += shift.astype(np.float32)
