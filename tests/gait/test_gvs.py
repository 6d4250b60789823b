"""Deviation scores are 0 for the norm itself, and the RMS distance in degrees otherwise."""

from dataclasses import replace

import numpy as np
import pytest

from childgait.domain.evgs import LIMBS
from childgait.engine.source_files import ROOT
from childgait.gait.gvs import (
    NINE,
    SAGITTAL,
    nine_curves,
    norm_of,
    profile_score,
    resample_stride,
    rms,
    sagittal_deviation,
    variable_scores,
)
from childgait.gait.normative import CYCLE, free_curves
from childgait.gait.scoring import Stride
from childgait.params import Synthesize, read_params
from childgait.synthetic.child import Child, LimbPlan
from childgait.synthetic.cohort import child_of
from childgait.synthetic.motion import strides_of, typical_walk

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


def limb_scores(child: Child) -> list[dict[str, float]]:
    """The nine scores of both limbs in the child's typical stride."""
    motion = typical_walk(child)
    return [
        variable_scores(motion.seconds, nine_curves(motion.curves[limb]), strides_of(motion, limb)[:1])
        for limb in LIMBS
    ]


def test_true_3d_curves_of_synthetic_children_have_nine_scores_and_a_profile_score() -> None:
    """A typical child is near the norm; the Gait Profile Score rises with the rated total."""
    section = read_params(ROOT / "params.yaml")["synthesize"] | {"population": "clinic"}
    params = Synthesize.model_validate(section)
    drawn = [child_of(index, params) for index in range(40)]
    normal = LimbPlan("normal", 0.0)
    plain = replace(drawn[0][0], left=normal, right=normal, speed=0.43, phase_lag=0.5, tilt=0, obliquity=0, rotation=0)
    for scores in limb_scores(plain):
        assert set(scores) == set(NINE)
        assert profile_score(scores) < 3
    profile = [np.mean([profile_score(scores) for scores in limb_scores(child)]) for child, _ in drawn]
    total = [sum(item["rated"] for limb in scores.values() for item in limb.values()) for _, scores in drawn]
    assert np.corrcoef(profile, total)[0, 1] > 0.35
    assert 6 < np.mean(profile) < 14
