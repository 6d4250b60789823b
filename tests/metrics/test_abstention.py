"""Prediction sets hold at the stated error rate; too few children exclude nothing; answers are sets of one class."""

import numpy as np
import pytest

from childgait.domain.evgs import CODES, TARGETS
from childgait.metrics.abstention import (
    ATYPICAL,
    CANNOT_TELL,
    TYPICAL,
    ClassLimit,
    ItemLimits,
    answers_of_sets,
    fewest_cells,
    fit_limits,
    measure_abstention,
    prediction_sets,
)
from childgait.metrics.scores import sigmoid

CHILDREN = 4000


def children(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a model that is informative, but badly calibrated, with one class in three."""
    random = np.random.default_rng(seed)
    truth = (random.random((number, len(TARGETS))) < 0.3).astype(float)
    return sigmoid(3 * (truth - 0.5) + random.normal(size=truth.shape) * 1.5 - 1), truth


def test_sets_hold_per_class_at_the_stated_rate() -> None:
    limits = fit_limits(*children(CHILDREN, 1), 0.1)
    probability, truth = children(CHILDREN, 2)
    result = measure_abstention(probability, truth, limits, 0.1).overall
    for cell in (result.coverage, result.coverage_typical, result.coverage_atypical):
        assert cell.value is not None
        assert abs(cell.value - 0.9) < 0.01


def test_few_children_hold_too() -> None:
    """Over many draws of twelve calibration children the coverage stays at or above the stated one."""
    shares = []
    for seed in range(30):
        limits = fit_limits(*children(12, seed), 0.1)
        probability, truth = children(200, 1000 + seed)
        shares.append(measure_abstention(probability, truth, limits, 0.1).overall.coverage.value)
    assert 0.895 < np.mean(np.array(shares, dtype=float)) < 1


def test_too_few_cells_of_a_class_exclude_nothing() -> None:
    probability, truth = children(3, 1)
    limits = fit_limits(probability, truth, 0.1)
    assert limits["KEX"].typical == ClassLimit(cells=limits["KEX"].typical.cells, least_probability=None)
    assert prediction_sets(probability, limits).all()


@pytest.mark.parametrize(("error_rate", "fewest"), [(0.05, 19), (0.1, 9), (0.2, 4), (0.3, 3)])
def test_the_fewest_cells_are_those_that_give_a_limit(error_rate: float, fewest: int) -> None:
    assert fewest_cells(error_rate) == fewest
    for cells in (fewest - 1, fewest):
        probability = np.full((cells, len(TARGETS)), np.nan)
        probability[:, 0] = 0.5  # one limb alone
        limits = fit_limits(probability, np.ones_like(probability), error_rate)
        assert (limits[CODES[0]].atypical.least_probability is not None) == (cells == fewest)


def test_unknown_labels_and_predictions_are_left_out() -> None:
    probability, truth = children(50, 1)
    limits = fit_limits(probability, truth, 0.1)
    more = np.vstack([probability, np.full((1, 34), np.nan)]), np.vstack([truth, np.ones((1, 34))])
    assert fit_limits(*more, 0.1) == limits
    assert (answers_of_sets(prediction_sets(more[0], limits))[-1] == CANNOT_TELL).all()
    assert measure_abstention(*more, limits, 0.1).overall.cells == 50 * 34


def test_an_answer_is_a_set_of_one_class() -> None:
    limit = ItemLimits(
        typical=ClassLimit(cells=20, least_probability=0.4), atypical=ClassLimit(cells=20, least_probability=0.3)
    )
    probability = np.full((1, 34), 0.2)
    probability[0, 1], probability[0, 2] = 0.8, 0.5
    answers = answers_of_sets(prediction_sets(probability, dict.fromkeys(CODES, limit)))
    assert answers[0, :3].tolist() == [TYPICAL, ATYPICAL, CANNOT_TELL]
