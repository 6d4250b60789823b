"""Fills short gaps of single points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses, Status
from childgait.gait.filters import pchip, runs_of_true

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def fill_gaps(poses: Poses, longest_seconds: float) -> int:
    """Fill gaps up to `longest_seconds` by a curve without overshoot (PCHIP); returns the number of points filled.

    A filled point has half the lower score of the gap's two neighbours.
    """
    filled, seen = 0, poses.seen
    for point in range(poses.xy.shape[1]):
        known = np.flatnonzero(seen[:, point])
        gaps = [(a, b) for a, b in runs_of_true(~seen[:, point]) if a > 0 and b < len(poses)]
        gaps = [(a, b) for a, b in gaps if poses.seconds[b] - poses.seconds[a - 1] <= longest_seconds + 1e-9]
        if len(known) < 4 or not gaps:
            continue
        times, places = _extended(poses.seconds[known], poses.xy[known, point].astype(np.float64))
        for a, b in gaps:
            first = int(np.searchsorted(known, b)) - 1  # in `times`, of the last but one point before the gap
            four = slice(first, first + 4)
            poses.xy[a:b, point] = pchip(times[four], places[four], poses.seconds[a:b])
            poses.score[a:b, point] = min(poses.score[a - 1, point], poses.score[b, point]) / 2
            poses.status[a:b, point] = Status.FILLED
            filled += b - a
    return filled


def _extended(times: Floats, places: Floats) -> tuple[Floats, Floats]:
    """Add one point in a straight line at either end, so that a gap beside the first or last point has four."""
    times = np.concatenate([[2 * times[0] - times[1]], times, [2 * times[-1] - times[-2]]])
    places = np.concatenate([[2 * places[0] - places[1]], places, [2 * places[-1] - places[-2]]])
    return times, places


def interpolate_linearly(xy: NDArray[np.floating], usable: Bools) -> Floats:
    """Return (T, 23, 2) without gaps, for filters that need every frame: linear inside, constant at the ends."""
    result = np.zeros(xy.shape)
    index = np.arange(len(xy))
    for point in range(xy.shape[1]):
        good = np.flatnonzero(usable[:, point])
        if len(good):
            for axis in (0, 1):
                result[:, point, axis] = np.interp(index, good, xy[good, point, axis])
    return result
