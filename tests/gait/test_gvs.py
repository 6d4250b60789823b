"""Deviation scores are 0 for the norm itself, and the RMS distance in degrees otherwise."""

import numpy as np
import pytest

from childgait.gait.gvs import (
    NINE,
    SAGITTAL,
    norm_of,
    profile_score,
    resample_stride,
    rms,
    sagittal_deviation,
    variable_scores,
)
from childgait.gait.normative import CYCLE, free_curves
from childgait.gait.scoring import Stride

SECONDS = np.arange(0, 2.4, 0.005)
STRIDES = [Stride(0.1, 0.2, 0.4, 0.6, 0.7, 1.1), Stride(1.1, 1.2, 1.4, 1.6, 1.7, 2.1)]


def curves(offset: float = 0.0) -> dict[str, np.ndarray]:
    phase = (SECONDS - 0.1) % 1.0
    made = {name: np.interp(phase, CYCLE, curve, period=1) + offset for name, curve in free_curves().items()}
    for name in ("foot_progression", "trunk_lean"):
        made[name] = np.full(len(SECONDS), norm_of(name)[0] + offset)
    return made


def test_the_norm_has_no_deviation() -> None:
    scores = variable_scores(SECONDS, curves(), STRIDES)
    assert set(scores) == {*NINE, *SAGITTAL}
    assert max(scores.values()) < 0.3  # of the sampling
    assert profile_score(scores) < 0.2
    assert sagittal_deviation(scores) < 0.2


def test_a_constant_offset_is_the_score() -> None:
    scores = variable_scores(SECONDS, curves(6.0), STRIDES)
    assert scores["knee"] == pytest.approx(6, abs=0.1)
    assert profile_score(scores) == pytest.approx(6, abs=0.1)
    assert rms(np.array([3.0, -4.0])) == pytest.approx(np.sqrt(12.5))


def test_fewer_curves_are_no_profile_score() -> None:
    side = {name: curve for name, curve in curves(3.0).items() if name in SAGITTAL}
    scores = variable_scores(SECONDS, side, STRIDES)
    assert profile_score(scores) is None
    assert sagittal_deviation(scores) == pytest.approx(3, abs=0.1)
    assert sagittal_deviation({"hip": 1.0}) is None


def test_a_stride_with_gaps_is_left_out() -> None:
    knee = curves()["knee"]
    knee[(SECONDS > 0.3) & (SECONDS < 0.6)] = np.nan
    assert resample_stride(SECONDS, knee, STRIDES[0]) is None
    assert resample_stride(SECONDS, knee, STRIDES[1]) is not None
    assert variable_scores(SECONDS, {"knee": knee}, STRIDES)["knee"] < 0.3
