"""Finds single points that lie off their own path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses
from childgait.gait.body import body_height
from childgait.gait.filters import local_cubic, running_median
from childgait.gait.refine.gaps import interpolate_linearly

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ROUNDS = 4  # of the iteration: without the outliers of one round, the path of the next is truer
FLOOR = 0.004  # body heights, the smallest standard deviation assumed for a point
MEDIAN_OF_RAYLEIGH = 1.18  # median distance in a plane, over the standard deviation of either coordinate
_MARGIN = 1.2  # factor on the median distance


def find_outliers(poses: Poses, sigmas: float) -> Bools:
    """Return which points (T, 23) are over `sigmas` robust standard deviations off a local cubic through medians."""
    seen = poses.seen
    outliers = np.zeros_like(seen)
    if len(poses) < 12:  # shorter than the window of the cubic
        return outliers
    floor = FLOOR * np.nan_to_num(body_height(poses.xy), nan=100.0)[:, None]
    for _ in range(ROUNDS):
        track = interpolate_linearly(poses.xy, seen & ~outliers)
        path = local_cubic(running_median(track, 5))
        distance = np.linalg.norm(poses.xy - path, axis=2)
        spread = np.nan_to_num(_median_over_time(np.where(seen & ~outliers, distance, np.nan))) * _MARGIN
        fresh = seen & ~outliers & (distance > sigmas * np.maximum(spread / MEDIAN_OF_RAYLEIGH, floor))
        if not fresh.any():
            break
        outliers |= fresh
    return outliers


def _median_over_time(values: Floats) -> Floats:
    """Return the median of each column without its NaN; 0 for a column of NaN (np.nanmedian would warn)."""
    return np.array([np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else 0.0 for c in values.T])
