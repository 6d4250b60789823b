"""The child's height in the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import INDEX
from childgait.gait.filters import running_median

Floats = NDArray[np.float64]


def mean_known(values: NDArray[np.floating]) -> Floats:
    """The mean over axis 1 of what is there; NaN where nothing is."""
    there = np.isfinite(values)
    count = there.sum(axis=1)
    total = np.where(there, values, 0.0).sum(axis=1, dtype=np.float64)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def body_height(xy: NDArray[np.floating]) -> Floats:
    """The child's height in pixels in every frame (T,), even; NaN where no body was seen within a second or so.

    From the vertical extent of shoulders to ankles, which is about four fifths of a body (evgs.md 3.5: .82 at six).
    """
    with np.errstate(all="ignore"):
        tops = mean_known(xy[:, [INDEX["left_shoulder"], INDEX["right_shoulder"]], 1])
        lows = np.fmax(xy[:, INDEX["left_ankle"], 1], xy[:, INDEX["right_ankle"], 1]).astype(np.float64)
    height = (lows - tops) / 0.78
    height[~(height > 0)] = np.nan
    good = np.flatnonzero(np.isfinite(height))
    if not len(good):
        return height
    even = np.interp(np.arange(len(height)), good, running_median(height[good], 61))
    return running_median(even, 31)
