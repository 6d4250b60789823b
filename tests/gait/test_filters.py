"""Our filters against scipy's, which are slow to import but known to be right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import median_filter
from scipy.signal import butter, savgol_filter, sosfiltfilt

from childgait.gait.filters import band_pass, local_cubic, low_pass, pchip, running_median

WALK = np.cumsum(np.random.default_rng(0).normal(size=(200, 3)), axis=0)
SECONDS = np.arange(200) / 60


@pytest.mark.parametrize("size", [3, 5, 61])
def test_the_running_median_is_scipys(size: int) -> None:
    assert np.array_equal(running_median(WALK, size), median_filter(WALK, size=(size, 1), mode="nearest"))


def test_a_median_wider_than_the_video_is_no_error() -> None:
    assert running_median(WALK[:4], 31).shape == (4, 3)


def test_the_local_cubic_is_savitzky_and_golays() -> None:
    assert np.allclose(local_cubic(WALK), savgol_filter(WALK, 11, 3, axis=0))


def test_the_low_pass_is_butterworths_there_and_back() -> None:
    sections = butter(2, 8.0 / (2**0.5 - 1) ** 0.25, fs=60, output="sos")
    expected = sosfiltfilt(sections, WALK, axis=0, padtype="odd", padlen=len(WALK) - 1)
    assert np.allclose(low_pass(WALK, SECONDS, 8.0), expected, atol=1e-9)


def test_the_band_pass_is_butterworths_there_and_back() -> None:
    wave = np.sin(2 * np.pi * 0.9 * SECONDS) + 0.4 * np.sin(2 * np.pi * 7 * SECONDS) + 0.2
    expected = sosfiltfilt(
        butter(2, [0.45, 1.6], "bandpass", fs=60, output="sos"), wave, padtype="even", padlen=len(wave) - 1
    )
    assert np.abs(band_pass(wave, 60.0, 0.45, 1.6) - expected).max() < 0.02


def test_a_gap_is_bridged_as_pchip_does() -> None:
    seconds, values = np.array([0, 0.02, 0.15, 0.17]), np.array([[0.0, 3], [1, 2], [5, 2.5], [5.2, 1]])
    at = np.linspace(0.02, 0.15, 9)
    assert np.allclose(pchip(seconds, values, at), PchipInterpolator(seconds, values)(at))
