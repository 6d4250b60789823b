"""Filters over time in numpy: running median, local cubic, Butterworth low-pass and band-pass, PCHIP, runs of true.

Importing scipy took two thirds of a `refine_pose` job; tests/gait/test_filters.py compares these with scipy's results.
Time is the first axis. No filter has a lag.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Real = TypeVar("Real", np.float32, np.float64)


def running_median(values: NDArray[Real], size: int) -> NDArray[Real]:
    """Return the median of the `size` values (odd) around each; the first and last values are repeated."""
    assert size % 2, size
    edges = [(size // 2, size // 2)] + [(0, 0)] * (values.ndim - 1)
    windows = sliding_window_view(np.pad(values, edges, mode="edge"), size, axis=0)
    return np.asarray(np.partition(windows, size // 2, axis=-1)[..., size // 2])


def local_cubic(values: Floats, size: int = 11) -> Floats:
    """Return values of a cubic fitted to the `size` values around each (Savitzky and Golay 1964).

    At both ends the cubic of the first or last window is used.
    """
    fit = _cubic(size)
    out = np.empty(values.shape)
    half = size // 2
    out[half : len(values) - half] = sliding_window_view(values, size, axis=0) @ fit[half]
    out[:half] = np.tensordot(fit[:half], values[:size], 1)
    out[len(values) - half :] = np.tensordot(fit[half + 1 :], values[-size:], 1)
    return out


@lru_cache(maxsize=4)
def _cubic(size: int) -> Floats:
    """Return the matrix (size, size) from a window's values to those of its cubic."""
    powers = np.vander(np.linspace(-1, 1, size), 4)
    return np.asarray(powers @ np.linalg.pinv(powers))


def low_pass(values: Floats, seconds: Floats, cutoff_hz: float) -> Floats:
    """Filter by a second-order Butterworth low-pass forwards and backwards; -3 dB at `cutoff_hz` after both passes.

    Uneven time stamps are resampled to an even grid and back. Values are returned unchanged if the run is shorter than
    ten frames or the cut-off too high for the frame rate.
    """
    if len(values) < 10:
        return values
    rate = (len(seconds) - 1) / (seconds[-1] - seconds[0])
    corrected = cutoff_hz / (2**0.5 - 1) ** 0.25  # two passes narrow the band
    if corrected >= 0.45 * rate:
        return values
    grid = seconds[0] + np.arange(len(seconds)) / rate
    uneven = np.abs(grid - seconds).max() > 0.02 / rate
    even = np.stack([np.interp(grid, seconds, column) for column in values.T], 1) if uneven else values
    edge = np.tan(np.pi * corrected / rate)
    out = _filter_detrended(even, lambda tan: 1 / (1 + (tan / edge) ** 4))
    return np.stack([np.interp(seconds, grid, column) for column in out.T], 1) if uneven else out


def band_pass(wave: Floats, rate: float, low_hz: float, high_hz: float) -> Floats:
    """Filter by a Butterworth band-pass without lag, on even times; the wave is mirrored beyond its ends."""
    low, high = (np.tan(np.pi * edge / rate) for edge in (low_hz, high_hz))

    def gain(tan: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            return np.asarray(1 / (1 + ((tan**2 - low * high) / (tan * (high - low))) ** 4))

    return _filter_periodic(np.concatenate([wave, wave[-2:0:-1]]), gain)[: len(wave)]


def _filter_detrended(values: Floats, gain: Callable[[Floats], Floats]) -> Floats:
    """Filter a run without its linear trend, extended by its point reflection: periodic without a jump."""
    line = np.linspace(values[0], values[-1], len(values))
    rest = values - line
    return line + _filter_periodic(np.concatenate([rest, -rest[-2:0:-1]]), gain)[: len(values)]


def _filter_periodic(whole: Floats, gain: Callable[[Floats], Floats]) -> Floats:
    """Multiply the spectrum of a periodic run by `gain` of the bilinear transform's frequencies (0 to infinity)."""
    tan = np.tan(np.pi * np.arange(len(whole) // 2 + 1) / len(whole))
    tan[-1] = 1e12
    weights = gain(tan).reshape(-1, *[1] * (whole.ndim - 1))
    return np.asarray(np.fft.irfft(np.fft.rfft(whole, axis=0) * weights, len(whole), axis=0))


def pchip(seconds: Floats, values: Floats, at: Floats) -> Floats:
    """Interpolate (n, k) values without overshoot, at moments inside the inner points (Fritsch and Butland 1984).

    The slopes at the first and last point are not needed and not computed: give one point more on either side.
    """
    steps = np.diff(seconds)[:, None]
    slopes = np.diff(values, axis=0) / steps
    before, after = slopes[:-1], slopes[1:]
    w1, w2 = 2 * steps[1:] + steps[:-1], steps[1:] + 2 * steps[:-1]
    same = before * after > 0
    tangents = np.where(same, (w1 + w2) / (w1 / np.where(same, before, 1) + w2 / np.where(same, after, 1)), 0.0)
    seconds, values, steps = seconds[1:-1], values[1:-1], steps[1:-1]
    piece = np.clip(np.searchsorted(seconds, at, side="right") - 1, 0, len(steps) - 1)
    h = steps[piece]
    t = (at - seconds[piece])[:, None] / h
    return np.asarray(
        values[piece] * (1 + 2 * t) * (1 - t) ** 2
        + values[piece + 1] * t**2 * (3 - 2 * t)
        + h * t * (1 - t) * (tangents[piece] * (1 - t) - tangents[piece + 1] * t)
    )


def runs_of_true(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return start and end (exclusive) of every unbroken run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
