"""Calibration and thresholds learn from validation what they should."""

import json

import numpy as np
import pytest

from childgait.domain.evgs import TARGETS
from childgait.metrics.calibration import fit_calibration, overall_calibration, tune_thresholds
from childgait.metrics.scores import sigmoid
from childgait.report.published import PREVALENCE


def overconfident(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    honest = random.normal(0, 1.5, (400, 34))
    truth = (random.random((400, 34)) < sigmoid(honest)).astype(float)
    return 3 * honest, truth


def test_the_slope_of_logits_three_times_too_large_is_a_third() -> None:
    logits, truth = overconfident()
    fitted = fit_calibration(logits, truth)
    assert fitted.pooled[1] == pytest.approx(1 / 3, abs=0.02)
    assert fitted.slope == pytest.approx(1 / 3, abs=0.07)
    before = overall_calibration(logits, truth, 10)
    after = overall_calibration(fitted.apply(logits), truth, 10)
    assert after.ece < 0.03 < before.ece
    assert after.brier < before.brier
    assert before.slope.value == pytest.approx(1 / 3, abs=0.03)
    assert after.slope.low < 1 < after.slope.high
    assert sum(row.cells for row in after.reliability) == truth.size


def test_no_known_cell_leaves_the_logits_alone() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 34))
    assert np.array_equal(fit_calibration(logits, np.full((2, 34), np.nan)).apply(logits), logits)


def class_balanced(children: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of an ideal network under the loss's class weights, at the published prevalences; labels; weights."""
    rng = np.random.default_rng(seed)
    shares = np.array([getattr(PREVALENCE[target.code], target.limb) for target in TARGETS])
    truth = (rng.random((children, 34)) < shares).astype(float)
    evidence = rng.normal(2 * truth - 1, 1)
    ideal = 2 * evidence + np.log(shares / (1 - shares))  # the exact posterior
    weights = np.clip((1 - shares) / shares, 1 / 5, 5)
    return ideal + np.log(weights), truth, weights


def test_class_weights_are_undone_and_probabilities_hold() -> None:
    """Slope within .9 to 1.1 and intercept within .1, pooled, with 300 validation children (statistics D2)."""
    logits, truth, weights = class_balanced(300, 0)
    test_logits, test_truth, _ = class_balanced(900, 1)
    fitted = fit_calibration(logits, truth, weights)
    raw = overall_calibration(test_logits, test_truth, 10)
    after = overall_calibration(fitted.apply(test_logits), test_truth, 10)
    ideal = overall_calibration(test_logits - np.log(weights), test_truth, 10)
    assert after.brier < ideal.brier + 0.001 < raw.brier - 0.01
    assert abs(after.intercept.value) < 0.1
    assert 0.9 < after.slope.value < 1.1
    assert after.ece < 2 * after.ece_expected
    assert raw.ece > 4 * raw.ece_expected


def test_few_children_barely_move_an_item() -> None:
    logits, truth, weights = class_balanced(4, 2)
    fitted = fit_calibration(logits, truth, weights)
    assert np.abs(fitted.intercept - fitted.pooled[0]).max() < 0.4
    assert np.abs(np.log(fitted.slope) - np.log(fitted.pooled[1])).max() < 0.3


def test_the_intervals_of_the_calibration_line_cover_it() -> None:
    """Labels of one child depend on each other: children, not cells, are the clusters."""
    rng, covered = np.random.default_rng(3), 0
    for _ in range(60):
        severity = rng.normal(0, 1, (27, 1))
        logits = np.broadcast_to(severity, (27, 34)) + rng.normal(0, 0.5, (27, 34))
        truth = (rng.random((27, 34)) < sigmoid(logits)).astype(float)
        line = overall_calibration(logits, truth, 10)
        covered += line.slope.low <= 1 <= line.slope.high
    assert covered >= 53


def test_a_threshold_is_tuned_where_both_classes_are_there() -> None:
    truth = np.tile(np.array([[0.0], [0.0], [1.0], [1.0]]), (1, 34))
    truth[:, 1] = 1.0
    probability = np.tile(np.array([[0.1], [0.2], [0.3], [0.9]]), (1, 34))
    tuned = tune_thresholds(probability, truth)
    assert tuned[0] == pytest.approx(0.25)
    assert tuned[1] == 0.5


def test_without_a_known_answer_nothing_is_said() -> None:
    result = overall_calibration(np.ones((2, 34)), np.full((2, 34), np.nan), bins=10)
    assert (result.brier, result.ece) == (None, None)
    assert json.dumps(result.model_dump(), allow_nan=False)
    assert {row.cells for row in result.reliability} == {0}
