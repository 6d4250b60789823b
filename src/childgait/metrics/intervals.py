"""Paired comparisons of two models on the same children, by draws of children with replacement.

A child comes with all its targets. Intervals of a difference are percentiles; those of a metric are in
small_samples.py. Two models are compared by McNemar's exact test per target, with Holm's correction over the targets,
and for the mean over targets by a paired bootstrap of the difference. With several seeds per model, the difference is
that of the seeds' averages, and McNemar's test takes the mean of the seeds' probabilities.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGET_NAMES
from childgait.metrics.scores import Array, measure, members_of_folds

CHUNK = 250  # draws per call of `measure`; bounds memory


def draw_weights(children: int, draws: int, seed: int) -> Array:
    """Draw children with replacement: (draws, children) counts."""
    random = np.random.default_rng(seed)
    return random.multinomial(children, np.full(children, 1 / children), size=draws).astype(np.float64)


def measure_draws(
    probability: Array,
    truth: NDArray[np.floating],
    weights: Array,
    *,
    thresholds: Array,
    bins: int,
    balanced: bool,
    calibrated: Array | None = None,
    folds: NDArray[np.int64] | None = None,
) -> dict[str, Array]:
    """Compute the metrics of `measure` for many draws, chunk by chunk."""
    parts = [
        measure(
            probability,
            truth,
            weights[i : i + CHUNK],
            thresholds=thresholds,
            bins=bins,
            balanced=balanced,
            calibrated=calibrated,
            folds=folds,
        )
        for i in range(0, len(weights), CHUNK)
    ]
    return {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}


def mean_of(values: Array, targets: list[int]) -> Array:
    """Average (D, T) values over the targets for which the metric is defined; NaN where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an empty mean is NaN, as intended
        return np.nanmean(values[:, targets], axis=1)


def mean_balanced_accuracy(
    probability: Array, truth: NDArray[np.floating], weights: Array, folds: NDArray[np.int64] | None = None
) -> Array:
    """Compute (D,) mean balanced accuracy over targets at threshold 0.5, for D weightings (D, N) of N children.

    The same number as from `measure`, without the other metrics: a paired bootstrap compares many models.
    """
    valid, predicted = ~np.isnan(truth) & ~np.isnan(probability), probability >= 0.5
    won, pairs = np.zeros((len(weights), truth.shape[1])), np.zeros((len(weights), truth.shape[1]))
    for fold in members_of_folds(len(truth), folds):
        right, total = [], []
        for label, correct in ((1, predicted), (0, ~predicted)):
            members = valid & (truth == label) & fold[:, None]
            total.append(weights @ members)
            right.append(weights @ (members & correct))
        won += (right[0] * total[1] + right[1] * total[0]) / 2
        pairs += total[0] * total[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = np.where(pairs > 0, won / pairs, np.nan)
    return mean_of(accuracy, list(range(truth.shape[1])))


def interval(draws: Array, level: float = 0.95) -> tuple[float, float] | None:
    """Take the middle 95 % of the draws; None where the metric is defined in fewer than half of them."""
    defined = draws[~np.isnan(draws)]
    if len(draws) == 0 or len(defined) < len(draws) / 2:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def holm(p_values: list[float | None]) -> list[float | None]:
    """Correct p-values by Holm's step-down method; a missing p stays missing and does not count."""
    ordered = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, index) in enumerate(ordered):
        running = max(running, min(1.0, p * (len(ordered) - rank)))
        adjusted[index] = running
    return adjusted


@dataclass(frozen=True)
class TargetTest:
    """McNemar's test of one target: the children on whom exactly one of two models is right."""

    target: str
    children: int
    only_first_right: int
    only_second_right: int
    p: float | None  # exact, two-sided; None where the two never differ
    p_holm: float | None  # corrected over all targets


@dataclass(frozen=True)
class Comparison:
    """The first model minus the second, over the same children."""

    children: int
    difference: float | None  # of the mean balanced accuracy over targets
    low: float | None
    high: float | None
    p: float | None  # two-sided, from the bootstrap of the difference
    targets: list[TargetTest]
    smallest_p: float = 0.0  # that so many draws can give: a p of this size is an upper bound


def compare(
    first: Sequence[Array],
    second: Sequence[Array],
    truth: NDArray[np.floating],
    *,
    draws: int,
    seed: int,
    folds: NDArray[np.int64] | None = None,
) -> Comparison:
    """Compare two models by their (N, 34) probabilities of the same N children, one array per seed.

    Balanced accuracy compares children of the same one of `folds` only.
    """
    means = [np.mean(model, axis=0) for model in (first, second)]
    valid = ~np.isnan(truth) & ~np.isnan(means[0]) & ~np.isnan(means[1])
    shared = np.where(valid, truth, np.nan)

    def difference(weights: Array) -> Array:
        one, two = (
            np.mean([mean_balanced_accuracy(p, shared, weights, folds) for p in model], axis=0)
            for model in (first, second)
        )
        return np.asarray(one - two)

    plain = float(difference(np.ones((1, len(truth))))[0])
    drawn = difference(draw_weights(len(truth), draws, seed)) if draws else np.zeros(0)
    low, high = interval(drawn) or (None, None)
    targets = mcnemar_tests(means[0], means[1], shared)
    known = None if np.isnan(plain) else plain
    return Comparison(len(truth), known, low, high, _two_sided_p(drawn), targets, smallest_p(draws))


def mcnemar_tests(first: Array, second: Array, truth: NDArray[np.floating]) -> list[TargetTest]:
    """Test per target whether two models err on different children; a NaN in `truth` leaves the child out."""
    from scipy.stats import binomtest

    valid = ~np.isnan(truth)
    right = [valid & ((model >= 0.5) == (truth == 1)) for model in (first, second)]
    rows = []
    for target, name in enumerate(TARGET_NAMES):
        one = int(np.sum(right[0][:, target] & ~right[1][:, target]))
        two = int(np.sum(right[1][:, target] & ~right[0][:, target]))
        p = float(binomtest(one, one + two).pvalue) if one + two else None
        rows.append((name, int(valid[:, target].sum()), one, two, p))
    corrected = holm([p for *_, p in rows])
    return [TargetTest(*row, p_holm) for row, p_holm in zip(rows, corrected, strict=True)]


def smallest_p(draws: int) -> float:
    """Return the smallest two-sided p-value that so many bootstrap draws can give."""
    return min(1.0, 2 / (draws + 1))


def _two_sided_p(drawn: Array) -> float | None:
    """Compute the p-value of a difference from its bootstrap draws; None without any."""
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return None
    tail = min(float(np.mean(defined <= 0)), float(np.mean(defined >= 0)))
    return float(min(1.0, 2 * (tail * len(defined) + 1) / (len(defined) + 1)))
