"""Finds points to drop before any repair: outside the child's box, or of another person. Drops points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses, Status
from childgait.domain.skeleton import INDEX
from childgait.gait.body import body_height, mean_known
from childgait.gait.filters import running_median

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_BODY = [INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("shoulder", "hip", "knee", "ankle")]
PATH_FRAMES = 31  # of the running median that a body's path is compared with; half a second at 60 frames per second
LARGEST_STEP = 0.4  # body heights off that path, from which a frame shows another person
SMALLEST_STEP = 5  # pixels, below which a distance from the path is noise
MOST_OUTSIDE = 0.5  # share of a frame's points outside the child's box, above which the frame shows another person


def drop_points(poses: Poses, which: Bools) -> int:
    """Mark points (T, 23) as missing; returns how many."""
    poses.xy[which] = np.nan
    poses.score[which] = 0
    poses.status[which] = Status.MISSING
    return int(which.sum())


def find_points_outside(poses: Poses, boxes: Floats | None, margin: float) -> Bools:
    """Return which points (T, 23) are outside the child's box grown by `margin` of its height; none without a box."""
    if boxes is None:
        return np.zeros(poses.score.shape, bool)
    grown = boxes + np.array([-1, -1, 1, 1]) * margin * (boxes[:, 3] - boxes[:, 1])[:, None]
    x, y = poses.xy[..., 0], poses.xy[..., 1]
    return np.asarray(
        (x < grown[:, None, 0]) | (x > grown[:, None, 2]) | (y < grown[:, None, 1]) | (y > grown[:, None, 3])
    )


def find_other_people(poses: Poses, outside: Bools) -> Bools:
    """Return which frames (T,) show another person: off the body's path, or mostly outside the child's box."""
    height = body_height(poses.xy)
    middle = np.stack([mean_known(poses.xy[:, _BODY, axis]) for axis in (0, 1)], axis=1)
    known = np.flatnonzero(np.isfinite(middle).all(axis=1))
    others = np.zeros(len(poses), bool)
    if len(known) > 5:
        path = running_median(middle[known], PATH_FRAMES)
        distance = np.linalg.norm(middle[known] - _line_at_ends(path, middle[known]), axis=1)
        others[known] = distance > np.maximum(LARGEST_STEP * height[known], SMALLEST_STEP)
    seen = poses.seen.sum(axis=1)
    return np.asarray(others | ((outside.sum(axis=1) > MOST_OUTSIDE * seen) & (seen > 0)))


def _line_at_ends(path: Floats, raw: Floats) -> Floats:
    """Replace the first and last half window of a median path by a robust line (Theil's slope, of half the pairs).

    A running median with held ends lags behind there, even on a straight path.
    """
    half = min(PATH_FRAMES // 2, len(path) // 2)
    result = path.copy()
    for part in (slice(0, 2 * half), slice(len(path) - 2 * half, len(path))):
        piece = raw[part]
        n = np.arange(len(piece))
        slope = np.median((piece[half:] - piece[: len(piece) - half]) / half, axis=0)
        base = np.median(piece - slope * n[:, None], axis=0)
        line = base + slope * n[:, None]
        where = slice(0, half) if part.start == 0 else slice(half, None)
        result[part][where] = line[where]
    return result
