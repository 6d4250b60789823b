"""Intervals at the size of a real cohort, against exact ones and against simulated truth."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from childgait.metrics.intervals import mean_balanced_accuracy
from childgait.metrics.small_samples import (
    auroc_interval,
    auroc_variance,
    jackknife_t,
    leave_one_out,
    mean_of_proportions,
    wilson,
)


@pytest.mark.parametrize(("right", "cases"), [(27, 27), (10, 10), (3, 3), (0, 3), (20, 27)])
def test_wilson_is_scipys_and_never_without_width(right: int, cases: int) -> None:
    theirs = binomtest(right, cases).proportion_ci(method="wilson")
    low, high = wilson(right / cases, cases)
    assert (low, high) == pytest.approx((theirs.low, theirs.high))
    assert high - low > 0.1
    assert wilson(float("nan"), 0) is None


def test_all_right_is_not_certain() -> None:
    assert wilson(1.0, 27)[0] == pytest.approx(0.875, abs=0.001)
    low, high = mean_of_proportions(1.0, [(1.0, 10), (1.0, 17)])
    assert (0.8 < low < 0.9, high) == (True, 1.0)
    low, high = auroc_interval(1.0, 0.0, 10, 17)
    assert (0.6 < low < 0.98, high) == (True, 1.0)


def test_delong_by_hand_and_within_folds() -> None:
    rng = np.random.default_rng(0)
    positive, folds = rng.random(40) < 0.5, np.arange(40) % 4
    scores = rng.normal(size=40) + positive
    area, variance = auroc_variance(scores, positive, np.zeros(40, int))
    assert area == pytest.approx(roc_auc_score(positive, scores))
    above, below = scores[positive], scores[~positive]
    rows = [np.mean(one > below) for one in above]
    columns = [np.mean(above > one) for one in below]
    assert variance == pytest.approx(np.var(rows, ddof=1) / len(rows) + np.var(columns, ddof=1) / len(columns))
    constant = np.array([0.2, 0.4, 0.3, 0.5])[folds]  # of four models
    assert auroc_variance(constant, positive, folds) == (0.5, 0.0)
    assert auroc_interval(0.5, 0.0, 20, 20) is None  # it ranks nobody
    assert np.isnan(auroc_variance(scores[:1], positive[:1], folds[:1])[0])


def test_the_jackknife_of_a_mean_is_students_interval() -> None:
    from scipy.stats import t

    values = np.random.default_rng(1).random(12)
    left = leave_one_out(12) @ values / 11
    half = t.ppf(0.975, 11) * values.std(ddof=1) / np.sqrt(12)
    assert jackknife_t(values.mean(), left) == pytest.approx((values.mean() - half, values.mean() + half))
    assert jackknife_t(0.5, np.full(12, 0.5)) is None  # no information
    assert leave_one_out(1000).shape == (400, 1000)
    assert leave_one_out(1000).sum(axis=1).max() == 998


def test_intervals_cover_at_27_children() -> None:
    """Correlated items: balanced accuracy and sensitivity of a target, and the mean over targets (statistics D6)."""
    rng, mean, single, recall = np.random.default_rng(2), [], [], []
    for _ in range(600):
        severity = rng.normal(size=(27, 1))
        truth = (0.6 * severity + 0.8 * rng.normal(size=(27, 12)) > 0.4).astype(float)
        right = rng.random((27, 12)) < 1 / (1 + np.exp(-0.85 - severity * (2 * truth - 1)))
        probability = np.where(right, truth, 1 - truth)
        value = mean_balanced_accuracy(probability, truth, np.ones((1, 27)))[0]
        mean.append(jackknife_t(value, mean_balanced_accuracy(probability, truth, leave_one_out(27))))
        members = [truth[:, 0] == label for label in (1, 0)]
        if all(inside.any() for inside in members):
            parts = [(float(right[inside, 0].mean()), float(inside.sum())) for inside in members]
            single.append(mean_of_proportions((parts[0][0] + parts[1][0]) / 2, parts))
            recall.append(wilson(*parts[0]))
    large = np.random.default_rng(3)
    severity = large.normal(size=200_000)
    atypical = 0.6 * severity + 0.8 * large.normal(size=200_000) > 0.4
    chance = 1 / (1 + np.exp(-0.85 - severity * np.where(atypical, 1, -1)))
    sensitivity, specificity = chance[atypical].mean(), chance[~atypical].mean()
    for bounds, true in ((mean, (sensitivity + specificity) / 2), (single, (sensitivity + specificity) / 2)):
        assert np.mean([low <= true <= high for low, high in bounds]) >= 0.93
    assert np.mean([low <= sensitivity <= high for low, high in recall]) >= 0.93
