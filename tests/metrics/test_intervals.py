"""Intervals that hold what they promise, and paired tests against known answers."""

import numpy as np
import pytest
from scipy.stats import binomtest

from childgait.metrics.intervals import (
    compare,
    draw_weights,
    holm,
    interval,
    mean_balanced_accuracy,
    mean_of,
    measure_draws,
)
from childgait.metrics.scores import measure


def test_draws_hold_every_child_as_often_as_drawn_and_repeat_with_the_seed() -> None:
    drawn = draw_weights(11, 100, seed=3)
    assert (drawn.sum(axis=1) == 11).all()
    assert np.array_equal(drawn, draw_weights(11, 100, seed=3))
    assert not np.array_equal(drawn, draw_weights(11, 100, seed=4))


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for repeat in range(100):
        truth = (random.random((80, 1)) < 0.5).astype(float)
        probability = np.where(random.random((80, 1)) < 0.7, truth, 1 - truth)  # right 70 % of the time
        options = {"thresholds": np.array([0.5]), "bins": 2, "balanced": False}
        draws = measure_draws(probability, truth, draw_weights(80, 300, repeat), **options)["accuracy"][:, 0]
        low, high = interval(draws)
        covered += low <= 0.7 <= high
    assert 88 <= covered <= 100


def test_an_interval_needs_draws_that_define_the_metric() -> None:
    assert interval(np.array([np.nan, np.nan, 0.5])) is None
    assert interval(np.array([])) is None
    assert interval(np.full(10, 0.5)) == (0.5, 0.5)


def test_holm_by_hand_and_missing_values_do_not_count() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_mean_over_targets_leaves_out_what_is_not_defined() -> None:
    values = np.array([[0.5, np.nan, 1.0], [np.nan, np.nan, np.nan]])
    assert mean_of(values, [0, 1, 2])[0] == 0.75
    assert np.isnan(mean_of(values, [0, 1])[1])


def test_two_models_are_compared_child_by_child() -> None:
    random = np.random.default_rng(1)
    truth = (random.random((60, 34)) < 0.5).astype(float)
    good = np.where(random.random((60, 34)) < 0.9, truth, 1 - truth)
    poor = np.where(random.random((60, 34)) < 0.6, truth, 1 - truth)
    result = compare([good], [poor], truth, draws=300, seed=0)
    assert 0.2 < result.difference < 0.4
    assert 0 < result.low < result.difference < result.high
    assert result.p < 0.02
    first = result.targets[0]
    one, two = first.only_first_right, first.only_second_right
    assert first.p == pytest.approx(binomtest(one, one + two).pvalue)
    assert all(test.p_holm >= test.p for test in result.targets if test.p is not None)
    same = compare([good], [good], truth, draws=50, seed=0)
    assert (same.difference, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    assert same.targets[0].p is None
    assert result.targets[0].target == "L.IC"


def test_the_short_way_to_mean_balanced_accuracy_is_the_long_one() -> None:
    random = np.random.default_rng(3)
    truth = (random.random((20, 34)) < 0.3).astype(float)
    truth[random.random(truth.shape) < 0.1] = np.nan
    p = random.random((20, 34))
    p[2] = np.nan
    weights = draw_weights(20, 40, 1)
    long = measure(p, truth, weights, thresholds=np.full(34, 0.5), bins=2, balanced=False)["balanced_accuracy"]
    assert mean_balanced_accuracy(p, truth, weights) == pytest.approx(mean_of(long, list(range(34))))


def test_a_p_at_the_resolution_of_the_draws_is_a_bound() -> None:
    rng = np.random.default_rng(5)
    truth = (rng.random((60, 34)) < 0.5).astype(float)
    good, poor = (np.where(rng.random((60, 34)) < share, truth, 1 - truth) for share in (0.95, 0.5))
    result = compare([good], [poor], truth, draws=99, seed=0)
    assert result.p == result.smallest_p == pytest.approx(2 / 100)
    assert compare([good], [good], truth, draws=99, seed=0).p > result.smallest_p


def test_two_models_are_compared_within_folds() -> None:
    rng = np.random.default_rng(6)
    truth = (rng.random((40, 34)) < 0.4).astype(float)
    folds = np.arange(40) % 4
    constant = (rng.random((4, 34)) > 0.5).astype(float)[folds]
    other = 1 - constant
    assert compare([constant], [other], truth, draws=0, seed=0, folds=folds).difference == pytest.approx(0)


def test_seeds_are_averaged_before_models_are_compared() -> None:
    random = np.random.default_rng(4)
    truth = (random.random((40, 34)) < 0.5).astype(float)
    good, poor = (np.where(random.random((40, 34)) < share, truth, 1 - truth) for share in (0.9, 0.6))
    one, two = (compare([model], [truth], truth, draws=0, seed=0).difference for model in (good, poor))
    both = compare([good, poor], [truth], truth, draws=100, seed=0)
    assert both.difference == pytest.approx((one + two) / 2)
    assert both.low < both.difference < both.high
