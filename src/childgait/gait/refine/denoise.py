"""Removes noise: from all points together by their shared movement, then from each point by a low-pass filter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses
from childgait.domain.skeleton import INDEX
from childgait.gait.body import body_height
from childgait.gait.filters import low_pass, runs_of_true
from childgait.gait.refine.gaps import interpolate_linearly

Floats = NDArray[np.float64]

_DISTAL_NAMES = ("ankle", "heel", "big_toe", "small_toe", "wrist")
DISTAL = [INDEX[f"{side}_{name}"] for side in ("left", "right") for name in _DISTAL_NAMES]
SHORTEST_FRAMES = 40  # of a video, below which shared movement cannot be distinguished from noise
FEWEST_POINTS = 8  # that are seen in more than half of the frames
LAGS = 6  # frames of one window of the shared movement, a thirtieth of a second apart
PATH_HZ = 2.0  # low-pass of the body's path, which is taken off before
SMALLEST_NOISE = 1e-4  # body heights
_DEVIATION_OF_MEDIAN = 0.6745 * 6**0.5  # median of |second difference| of white noise, over its standard deviation


def remove_joint_noise(poses: Poses, noise_factor: float) -> None:
    """Keep the movement that points share over time; errors of single points are shared neither in space nor in time.

    The body's shape over a fifth of a second (six frames; the low-passed path taken off, divided by body height, each
    coordinate divided by its noise) is a sum of a few patterns. Those above what noise alone would produce are kept,
    with the optimal shrinkage of singular values (Gavish and Donoho 2017, IEEE Trans Inf Theory 63:2137,
    doi 10.1109/TIT.2017.2653801). The relative noise of coordinates comes from second differences, the common level
    from the median singular value, because an estimator's errors last longer than one frame, which hides them from
    differences. `noise_factor` multiplies that level: a higher one removes more noise and more of the movement's peaks.
    On single frames instead of windows, the same noise left over costs three times as much of the peaks.
    """
    if len(poses) < SHORTEST_FRAMES:
        return
    seen = poses.seen
    used = seen.mean(axis=0) > 0.5
    height = body_height(poses.xy)
    if used.sum() < FEWEST_POINTS or not np.isfinite(height).any():
        return
    track = interpolate_linearly(poses.xy, seen)[:, used]
    path = low_pass(track.mean(axis=1), poses.seconds, PATH_HZ)
    shape = ((track - path[:, None]) / height[:, None, None]).reshape(len(poses), -1)
    mean = shape.mean(axis=0)
    noise = np.maximum(np.median(np.abs(np.diff(shape, n=2, axis=0)), axis=0) / _DEVIATION_OF_MEDIAN, SMALLEST_NOISE)
    rate = (len(poses) - 1) / (poses.seconds[-1] - poses.seconds[0])
    lags = max(1, round(rate / 30)) * np.arange(LAGS)
    shared = _shrink_patterns((shape - mean) / noise, lags, noise_factor) * noise + mean
    result = poses.xy.copy()
    result[:, used] = shared.reshape(track.shape) * height[:, None, None] + path[:, None]
    poses.xy[seen] = result[seen]


def _shrink_patterns(values: Floats, lags: NDArray[np.int64], noise_factor: float) -> Floats:
    """Return a table (T, n) without noise: singular values of its lagged windows shrunk; each frame is averaged over
    the windows that contain it."""
    count = len(values) - int(lags[-1])
    windows = np.concatenate([values[lag : lag + count] for lag in lags], 1)
    left, sizes, right = np.linalg.svd(windows, full_matrices=False)
    narrow, wide = sorted((count, right.shape[1]))
    ratio, scale = narrow / wide, float(np.sqrt(wide))
    level = noise_factor * float(np.median(sizes)) / scale / _median_of_noise(ratio)
    size = sizes / scale / max(level, 1e-9)
    kept = np.where(size > 1 + np.sqrt(ratio), np.sqrt(np.maximum((size**2 - ratio - 1) ** 2 - 4 * ratio, 0)) / size, 0)
    some = kept > 0
    shrunk = (left[:, some] * (kept * scale * level)[some]) @ right[some]
    total, times = np.zeros(values.shape), np.zeros((len(values), 1))
    for lag, part in zip(lags.tolist(), np.split(shrunk, len(lags), axis=1), strict=True):
        total[lag : lag + count] += part
        times[lag : lag + count] += 1
    return total / times


def _median_of_noise(ratio: float) -> float:
    """Return the median singular value of unit white noise of this aspect ratio (Marchenko-Pastur distribution)."""
    edges = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2
    grid = np.linspace(*edges, 2001)
    density = np.sqrt(np.maximum((edges[1] - grid) * (grid - edges[0]), 0)) / np.maximum(grid, 1e-9)
    share = np.cumsum(density)
    return float(np.sqrt(grid[np.searchsorted(share, share[-1] / 2)]))


def low_pass_points(poses: Poses, distal_hz: float, proximal_hz: float) -> None:
    """Low-pass each point within every run of frames without a gap."""
    seen = poses.seen
    for point in range(poses.xy.shape[1]):
        cutoff = distal_hz if point in DISTAL else proximal_hz
        for a, b in runs_of_true(seen[:, point]):
            poses.xy[a:b, point] = low_pass(poses.xy[a:b, point].astype(np.float64), poses.seconds[a:b], cutoff)
