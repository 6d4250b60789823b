"""Temperature and thresholds learn from validation what they should."""

import json

import numpy as np
import pytest

from childgait.metrics.calibration import fit_temperature, overall_calibration, tune_thresholds
from childgait.metrics.scores import sigmoid


def overconfident(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    honest = random.normal(0, 1.5, (400, 34))
    truth = (random.random((400, 34)) < sigmoid(honest)).astype(float)
    return 3 * honest, truth


def test_the_temperature_of_logits_three_times_too_large_is_three() -> None:
    logits, truth = overconfident()
    assert fit_temperature(logits, truth) == pytest.approx(3, abs=0.15)
    before, after = overall_calibration(logits, truth, 10), overall_calibration(logits / 3, truth, 10)
    assert after.ece < 0.03 < before.ece
    assert after.brier < before.brier
    assert sum(row.cells for row in after.reliability) == truth.size


def test_no_known_cell_leaves_the_logits_alone() -> None:
    assert fit_temperature(np.zeros((2, 34)), np.full((2, 34), np.nan)) == 1.0


def test_a_threshold_is_tuned_where_both_classes_are_there() -> None:
    truth = np.tile(np.array([[0.0], [0.0], [1.0], [1.0]]), (1, 34))
    truth[:, 1] = 1.0
    probability = np.tile(np.array([[0.1], [0.2], [0.3], [0.9]]), (1, 34))
    tuned = tune_thresholds(probability, truth)
    assert tuned[0] == pytest.approx(0.25)
    assert tuned[1] == 0.5


def test_without_a_known_answer_nothing_is_said() -> None:
    found = overall_calibration(np.ones((2, 34)), np.full((2, 34), np.nan), bins=10)
    assert (found.brier, found.ece) == (None, None)
    assert json.dumps(found.model_dump(), allow_nan=False)
    assert {row.cells for row in found.reliability} == {0}
