"""Rank-k and the equal error rate: what separates, what is random, and what ties."""

from __future__ import annotations

import numpy as np
import pytest

from childgait.metrics.reidentification import (
    equal_error_rate,
    measure_identification,
    rank_chance,
    rank_hits,
)

ONE = np.ones((1, 40))


def test_separable_scores_have_no_error_and_random_ones_half() -> None:
    assert equal_error_rate(np.eye(40), ONE)[0] == 0
    assert equal_error_rate(-np.eye(40), ONE)[0] == 1
    assert equal_error_rate(np.zeros((40, 40)), ONE)[0] == pytest.approx(0.5)
    random = np.random.default_rng(0)
    mean = np.mean([equal_error_rate(random.normal(size=(40, 40)), ONE)[0] for _ in range(50)])
    assert mean == pytest.approx(0.5, abs=0.03)


def test_the_equal_error_rate_is_that_of_a_roc_curve() -> None:
    from sklearn.metrics import roc_curve

    scores = np.random.default_rng(1).normal(size=(40, 40)) + 1.5 * np.eye(40)
    false_accepts, accepts, _ = roc_curve(np.eye(40).ravel(), scores.ravel(), drop_intermediate=False)
    gap = np.abs(1 - accepts - false_accepts)
    assert equal_error_rate(scores, ONE)[0] == pytest.approx(false_accepts[gap.argmin()], abs=0.02)


def test_a_child_who_is_drawn_twice_counts_twice() -> None:
    """As in the sample itself: its pairs occur twice, but no pair of the child with itself is one of two children."""
    scores = np.random.default_rng(2).normal(size=(16, 16)) + np.eye(16)
    weights = np.ones((1, 16))
    weights[0, :5] = 2, 2, 2, 0, 0
    drawn = np.repeat(np.arange(16), weights[0].astype(int))
    sample = scores[np.ix_(drawn, drawn)]
    sample[(drawn[:, None] == drawn) & ~np.eye(len(drawn), dtype=bool)] = np.nan
    rate = equal_error_rate(scores, weights)[0]
    assert rate == pytest.approx(equal_error_rate(sample, np.ones((1, len(drawn))))[0])
    assert rate != equal_error_rate(scores, np.ones((1, 16)))[0]


def test_equal_scores_give_chance_at_every_rank() -> None:
    scores = np.zeros((20, 20))
    for rank in (1, 5):
        assert rank_hits(scores, rank).mean() == pytest.approx(rank / 20) == rank_chance(scores, rank)


def test_a_pair_that_no_view_compares_does_not_count() -> None:
    scores = np.array([[1.0, 2.0, np.nan], [0, 1, 0], [np.nan, 0, 1]])
    assert rank_hits(scores, 1).tolist() == [0, 1, 1]
    assert rank_chance(scores, 1) == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3)
    assert 0 < equal_error_rate(scores, np.ones((1, 3)))[0] < 1


def test_the_cells_have_intervals_and_halves_of_their_own() -> None:
    scores = np.eye(10)
    scores[0] = 2  # the first child resembles all alike
    halves = ["another session"] * 4 + ["way back"] * 6
    result = measure_identification(scores, halves, draws=100, seed=0)
    assert result.children == 10
    assert result.rank_1.value == pytest.approx(0.91)
    assert result.rank_1_by_halves["way back"].value == 1
    assert result.rank_1_by_halves["another session"].value == pytest.approx(3.1 / 4)
    assert result.chance_1 == pytest.approx(0.1)
    for cell in (result.rank_1, result.rank_5, result.eer):
        assert cell.value is not None
        assert cell.low is not None
        assert cell.high is not None
        assert cell.low <= cell.value <= cell.high
