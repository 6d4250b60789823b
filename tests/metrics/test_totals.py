"""Totals are expected scores, and their agreement is that of textbook formulas."""

import numpy as np
import pytest

from childgait.metrics.agreement import weighted_kappa, weighted_kappa_interval
from childgait.metrics.totals import compare_totals, expected_totals, mean_atypical_score, rated_totals


def test_expected_totals_add_probabilities_times_the_mean_atypical_score() -> None:
    scores = np.zeros((4, 34))
    scores[0, 0], scores[1, 17], scores[2, 1] = 2, 1, 1  # IC of both limbs, HL of the left
    weight = mean_atypical_score(scores)
    assert weight[0] == weight[17] == 1.5
    assert weight[1] == weight[18] == 1.0
    assert weight[2] == 1.2  # no atypical child
    totals = expected_totals(np.full((2, 34), 0.5), np.full(34, 1.5))
    assert totals["left"] == pytest.approx(17 * 0.75)
    assert totals["child"] == pytest.approx(34 * 0.75)
    assert rated_totals(scores)["child"].tolist() == [2, 1, 1, 0]
    assert np.isnan(rated_totals(np.where(np.arange(34) == 3, np.nan, scores))["left"]).all()


def test_expected_totals_err_less_than_sums_of_hard_calls() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(1.2, 2.5, (400, 34))
    truth = (rng.random(p.shape) < p).astype(float)
    expected = compare_totals(expected_totals(p, np.ones(34))["child"], truth.sum(axis=1))
    hard = compare_totals((p >= 0.5).sum(axis=1).astype(float), truth.sum(axis=1))
    assert expected.root_mean_square < 0.75 * hard.root_mean_square
    assert abs(expected.limits.bias) < 0.4 < abs(hard.limits.bias)


def test_limits_of_agreement_by_hand() -> None:
    rated = np.array([4.0, 8, 12, 16, np.nan])
    result = compare_totals(rated + np.array([1.0, -1, 3, -3, 0]), rated)
    assert result.limits.bias == 0
    assert result.limits.high == pytest.approx(1.96 * np.std([1, -1, 3, -3], ddof=1))
    assert (result.mean_error, result.within_mcid, result.within_mdc) == (2.0, 0.5, 1.0)
    assert result.constant_error == 4.0
    assert result.limits.cases == 4
    assert compare_totals(rated[:2], rated[:2]) is None


def test_kappa_has_an_interval_over_children() -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 3, 60)
    second = np.where(rng.random(60) < 0.7, first, rng.integers(0, 3, 60))
    result = weighted_kappa_interval(first, second, np.repeat(np.arange(30), 2))
    assert result.value == weighted_kappa(first, second).value
    assert result.low < result.value < result.high <= 1
    assert result.high - result.low < 0.6
    assert weighted_kappa_interval([0, 0, 0], [0, 0, 0], [1, 2, 3]).value is None
