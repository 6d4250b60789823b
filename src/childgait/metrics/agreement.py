"""Agreement of two raters of the same children: weighted kappa per item, intraclass correlation of the totals.

Used between raters (build_labels) and between a model and a rater. Cohen's kappa with quadratic weights, and ICC(2,1):
two-way random effects, absolute agreement, single rater (Shrout and Fleiss 1979, https://doi.org/10.1037/0033-2909.86.2.420).
A value that is not defined is None with a reason, never 0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from childgait.files.agreement import Coefficient
from childgait.metrics.small_samples import jackknife_t


def weighted_kappa(first: ArrayLike, second: ArrayLike, *, highest: int = 2) -> Coefficient:
    """Compute quadratically weighted kappa of scores 0…highest; pairs with a NaN are left out."""
    pairs = _pairs(first, second)
    if len(pairs) < 2:
        return Coefficient(None, len(pairs), "fewer than two cases scored by both")
    from sklearn.metrics import cohen_kappa_score

    scores = pairs.astype(int)
    if len(np.unique(scores)) == 1:
        return Coefficient(
            None, len(pairs), "both gave one and the same score throughout, so chance explains everything"
        )
    value = cohen_kappa_score(scores[:, 0], scores[:, 1], labels=list(range(highest + 1)), weights="quadratic")
    return Coefficient(float(value), len(pairs))


def weighted_kappa_interval(
    first: ArrayLike, second: ArrayLike, children: ArrayLike, *, highest: int = 2
) -> Coefficient:
    """Compute weighted kappa with its 95 % interval: jackknife over children, whose limbs belong together."""
    plain = weighted_kappa(first, second, highest=highest)
    one, two, child = (np.asarray(values) for values in (first, second, children))
    names = np.unique(child)
    if plain.value is None or len(names) < 3:
        return plain
    left_out = [weighted_kappa(one[child != name], two[child != name], highest=highest).value for name in names]
    values = np.array([np.nan if value is None else value for value in left_out])
    bounds = jackknife_t(plain.value, values, bounds=(-1.0, 1.0))
    return plain if bounds is None else replace(plain, low=bounds[0], high=bounds[1])


def exact_agreement(first: ArrayLike, second: ArrayLike) -> Coefficient:
    """Compute the share of cases with the same score."""
    pairs = _pairs(first, second)
    if not len(pairs):
        return Coefficient(None, 0, "no case scored by both")
    return Coefficient(float(np.mean(pairs[:, 0] == pairs[:, 1])), len(pairs))


def icc(first: ArrayLike, second: ArrayLike) -> Coefficient:
    """Compute ICC(2,1): whether two raters give the same number, not merely the same order."""
    pairs = _pairs(first, second)
    cases, raters = len(pairs), 2
    if cases < 3:
        return Coefficient(None, cases, "fewer than three cases scored by both")
    mean = pairs.mean()
    between_cases = raters * np.sum((pairs.mean(axis=1) - mean) ** 2) / (cases - 1)
    between_raters = cases * np.sum((pairs.mean(axis=0) - mean) ** 2) / (raters - 1)
    total = np.sum((pairs - mean) ** 2)
    residual = (total - between_cases * (cases - 1) - between_raters * (raters - 1)) / ((cases - 1) * (raters - 1))
    variance = between_cases + (raters - 1) * residual + raters * (between_raters - residual) / cases
    if variance <= 0:
        return Coefficient(None, cases, "the totals do not vary")
    return Coefficient(float((between_cases - residual) / variance), cases)


def _pairs(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    pairs = np.stack([np.asarray(first, dtype=float), np.asarray(second, dtype=float)], axis=1)
    return pairs[~np.isnan(pairs).any(axis=1)]
