"""Labels come from curves, are about as frequent as published, and a rater's noise stays near the bands' edges.

Of the population whose rater reads the bands themselves; tests/synthetic/test_population.py covers the clinic's.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from childgait.domain.evgs import CODES, LIMBS
from childgait.engine.source_files import ROOT
from childgait.gait.scoring import Measurement, bands_of
from childgait.params import Synthesize, read_params
from childgait.report.published import PREVALENCE
from childgait.synthetic.cohort import child_of, label_row
from childgait.synthetic.motion import measure
from childgait.synthetic.rating import rate, stream
from support.mirror import mirrored

CHILDREN = 250
TOLERANCE = {"HL": 0.06, "FCL": 0.0015, "TLT": 0.003}  # of the sampling; degrees: 0.2


@pytest.fixture(scope="module")
def params() -> Synthesize:
    section = read_params(ROOT / "params.yaml")["synthesize"] | {"population": "independent"}
    return Synthesize.model_validate(section)


@pytest.fixture(scope="module")
def drawn(params: Synthesize) -> list:
    return [child_of(index, params) for index in range(CHILDREN)]


def test_items_are_about_as_often_atypical_as_published(drawn: list) -> None:
    rated = np.array([[[scores[limb][code]["rated"] for code in CODES] for limb in LIMBS] for _, scores in drawn])
    shares = (rated > 0).mean(axis=(0, 1))
    near = [abs(share - PREVALENCE[code].atypical) <= 0.10 for code, share in zip(CODES, shares, strict=True)]
    assert sum(near) >= 15
    assert 0.66 <= np.maximum(shares, 1 - shares).mean() <= 0.76
    totals = (rated > 0).sum(axis=2)
    assert 0.42 <= np.corrcoef(totals.T)[0, 1] <= 0.75
    assert set(np.unique(rated)) == {0, 1, 2}


def test_scores_follow_from_the_measured_values_alone(drawn: list) -> None:
    for _, scores in drawn[:60]:
        for limb in LIMBS:
            for code in CODES:
                result = scores[limb][code]
                assert result["score"] == bands_of(code).score(result["value"])


def test_a_mirrored_child_has_mirrored_labels(drawn: list) -> None:
    for child, _ in drawn[:40]:
        measured, other = measure(child), measure(mirrored(child))
        for limb, mirror in (("left", "right"), ("right", "left")):
            for code in CODES:
                own, exchanged = measured[limb][code], other[mirror][code]
                assert exchanged.value == pytest.approx(own.value, abs=TOLERANCE.get(code, 0.2)), code
                bands = bands_of(code)
                edges = (bands.two_low, bands.zero_low, bands.zero_high, bands.two_high)
                if min(abs(own.value - edge) for edge in edges) > TOLERANCE.get(code, 0.2):
                    assert exchanged.score == own.score, code


def test_no_item_prefers_a_side(drawn: list) -> None:
    atypical = np.array(
        [[[scores[limb][code]["rated"] > 0 for code in CODES] for limb in LIMBS] for _, scores in drawn]
    )
    for number, code in enumerate(CODES):
        left_only = int(np.sum(atypical[:, 0, number] & ~atypical[:, 1, number]))
        right_only = int(np.sum(atypical[:, 1, number] & ~atypical[:, 0, number]))
        if left_only + right_only:
            assert binomtest(left_only, left_only + right_only).pvalue > 0.01 / len(CODES), code


def test_an_item_can_be_read_from_its_own_curve(drawn: list) -> None:
    """The planted signal: the measured value tells the rated label but for the rater's noise."""
    for code in CODES:
        pairs = [
            (bands_of(code).score(s[limb][code]["value"]), s[limb][code]["rated"]) for _, s in drawn for limb in LIMBS
        ]
        right = np.mean([(a > 0) == (b > 0) for a, b in pairs])
        assert right > 0.80, code
        assert code in ("FCL", "KFX", "HFX") or right < 1.0, f"{code} has no rater noise"


def test_rater_noise_lives_in_the_margin_only() -> None:
    rng = np.random.default_rng(0)

    def flips(value: float) -> float:
        result = Measurement(value, 0.0, bands_of("KFX").score(value))
        return float(np.mean([rate("KFX", result, 2.0, rng) != result.score for _ in range(2000)]))

    assert flips(60.0) == 0
    assert flips(52.0) == 0  # 2.5 degrees from the edge at 49.5
    assert 0.40 < flips(49.51) < 0.60
    assert 0.15 < flips(48.5) < 0.35
    assert rate("KFX", Measurement(49.51, 0.0, 0), 0.0, rng) == 0  # no margin, no noise


def test_the_label_row_is_the_release_s(drawn: list) -> None:
    child, scores = drawn[0]
    row = label_row(child, scores)
    assert row["patient_id"] == "0001"
    for limb in LIMBS:
        assert list(row[limb]) == [*(str(n) for n in range(1, 18)), "Total"]
        assert row[limb]["Total"] == sum(row[limb][str(n)] for n in range(1, 18))
        assert row[limb]["7"] == scores[limb]["WAD"]["rated"]  # the official number, not a table's column


def test_children_do_not_depend_on_their_number_or_on_each_other(params: Synthesize) -> None:
    few = child_of(3, params.model_copy(update={"subjects": 4}))
    many = child_of(3, params.model_copy(update={"subjects": 400}))
    assert few == many
    assert child_of(4, params)[0] != few[0]
    assert stream(1, 2, 3).random() != stream(1, 2, 4).random()
