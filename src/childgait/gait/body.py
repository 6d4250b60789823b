"""The child's height and the middle of its hips in the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses
from childgait.domain.skeleton import INDEX
from childgait.gait.filters import running_median

Floats = NDArray[np.float64]
# Shoulders to ankles over body height: trunk, thigh and shank of gait/normative.py are 0.73 at 3, 0.78 at 17 years.
EXTENT = 0.78


def mean_known(values: NDArray[np.floating]) -> Floats:
    """Return the mean over axis 1 without NaN; NaN where there is nothing else."""
    there = np.isfinite(values)
    count = there.sum(axis=1)
    total = np.where(there, values, 0.0).sum(axis=1, dtype=np.float64)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def hip_middle(poses: Poses) -> Floats:
    """Return the midpoint of the hips (T, 2) in pixels; NaN where one is missing."""
    return np.asarray(poses.xy[:, [INDEX["left_hip"], INDEX["right_hip"]]].astype(np.float64).mean(axis=1))


def body_height(xy: NDArray[np.floating]) -> Floats:
    """Return the child's height (T,) in pixels, smoothed over about a second; NaN if it is never visible.

    From the vertical extent from shoulders to ankles over EXTENT.
    """
    with np.errstate(all="ignore"):
        tops = mean_known(xy[:, [INDEX["left_shoulder"], INDEX["right_shoulder"]], 1])
        lows = np.fmax(xy[:, INDEX["left_ankle"], 1], xy[:, INDEX["right_ankle"], 1]).astype(np.float64)
    height = (lows - tops) / EXTENT
    height[~(height > 0)] = np.nan
    good = np.flatnonzero(np.isfinite(height))
    if not len(good):
        return height
    smooth = np.interp(np.arange(len(height)), good, running_median(height[good], 61))
    return running_median(smooth, 31)
