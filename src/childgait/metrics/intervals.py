"""How sure a number is, and whether two models differ: both by drawing the same children again.

Intervals are percentiles over draws of children with replacement (a child comes with all targets). Two models are
compared on the same children: McNemar's exact test a target, with Holm's correction over the targets, and for the mean
over targets a paired bootstrap of the difference. Where a model was trained with several seeds, the difference is that
of the seeds' averages, and McNemar's test asks the mean of the seeds' probabilities.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGET_NAMES
from childgait.metrics.scores import Array, measure

CHUNK = 250  # draws computed at once; bounds memory


def draw_weights(children: int, draws: int, seed: int) -> Array:
    """(draws, children): how often each child is drawn."""
    random = np.random.default_rng(seed)
    return random.multinomial(children, np.full(children, 1 / children), size=draws).astype(np.float64)


def measure_draws(probability: Array, truth: NDArray[np.floating], weights: Array, **options: Any) -> dict[str, Array]:
    """`measure` for many draws, a chunk at a time."""
    parts = [measure(probability, truth, weights[i : i + CHUNK], **options) for i in range(0, len(weights), CHUNK)]
    return {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}


def mean_of(values: Array, targets: list[int]) -> Array:
    """(D,) mean over those of the targets for which the metric is defined; NaN where it is for none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a mean over nothing is NaN, which is what is meant
        return np.nanmean(values[:, targets], axis=1)


def mean_balanced_accuracy(probability: Array, truth: NDArray[np.floating], weights: Array) -> Array:
    """(D,) for D weightings (D, N) of N children, at threshold 0.5: the mean over the targets that have both classes.

    The same number as `measure` gives, without all the others: a bench compares many models.
    """
    known, called = ~np.isnan(truth) & ~np.isnan(probability), probability >= 0.5
    shares = []
    for side, right in ((1, called), (0, ~called)):
        own = known & (truth == side)
        there = weights @ own
        with np.errstate(invalid="ignore", divide="ignore"):
            shares.append(np.where(there > 0, weights @ (own & right) / there, np.nan))
    return mean_of((shares[0] + shares[1]) / 2, list(range(truth.shape[1])))


def interval(draws: Array, level: float = 0.95) -> tuple[float, float] | None:
    """The middle 95 % of the draws; None where fewer than half of them define the metric."""
    defined = draws[~np.isnan(draws)]
    if len(draws) == 0 or len(defined) < len(draws) / 2:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def holm(p_values: list[float | None]) -> list[float | None]:
    """Holm's step-down correction; a missing p stays missing and does not count."""
    given = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, index) in enumerate(given):
        running = max(running, min(1.0, p * (len(given) - rank)))
        adjusted[index] = running
    return adjusted


@dataclass(frozen=True)
class TargetTest:
    """One target: who was right where the other was wrong."""

    target: str
    children: int
    only_first_right: int
    only_second_right: int
    p: float | None  # McNemar, exact, two-sided; None where the two never differ
    p_holm: float | None  # corrected over all targets


@dataclass(frozen=True)
class Comparison:
    """First minus second, over the same children. `as_json` gives plain values for a file."""

    children: int
    difference: float | None  # of the mean balanced accuracy over targets
    low: float | None
    high: float | None
    p: float | None  # two-sided, from the bootstrap of the difference
    targets: list[TargetTest]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    first: Sequence[Array], second: Sequence[Array], truth: NDArray[np.floating], *, draws: int, seed: int
) -> Comparison:
    """Two models' (N, 34) probabilities of the same N children, one array a seed."""
    from scipy.stats import binomtest

    means = [np.mean(model, axis=0) for model in (first, second)]
    known = ~np.isnan(truth) & ~np.isnan(means[0]) & ~np.isnan(means[1])
    shared = np.where(known, truth, np.nan)
    right = [known & ((model >= 0.5) == (truth == 1)) for model in means]
    rows = []
    for target, name in enumerate(TARGET_NAMES):
        one = int(np.sum(right[0][:, target] & ~right[1][:, target]))
        two = int(np.sum(right[1][:, target] & ~right[0][:, target]))
        p = float(binomtest(one, one + two).pvalue) if one + two else None
        rows.append((name, int(known[:, target].sum()), one, two, p))
    corrected = holm([row[4] for row in rows])
    targets = [TargetTest(*row, p_holm) for row, p_holm in zip(rows, corrected, strict=True)]

    def difference(weights: Array) -> Array:
        one, two = (
            np.mean([mean_balanced_accuracy(p, shared, weights) for p in model], axis=0) for model in (first, second)
        )
        return np.asarray(one - two)

    plain = float(difference(np.ones((1, len(truth))))[0])
    drawn = difference(draw_weights(len(truth), draws, seed)) if draws else np.zeros(0)
    bounds, defined = interval(drawn), drawn[~np.isnan(drawn)]
    p = None
    if len(defined):
        tail = min(float(np.mean(defined <= 0)), float(np.mean(defined >= 0)))
        p = float(min(1.0, 2 * (tail * len(defined) + 1) / (len(defined) + 1)))
    low, high = bounds or (None, None)
    return Comparison(len(truth), None if np.isnan(plain) else plain, low, high, p, targets)
