"""How far two judges of the same children agree: weighted kappa an item, intraclass correlation of the totals.

Used between raters (build_labels) and between a model and a rater. Cohen's kappa with quadratic weights, and ICC(2,1),
two-way random, absolute agreement, single rater (Shrout and Fleiss 1979). A value that is not defined is None, with a
reason, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Agreement:
    """A coefficient with the number of cases it rests on; `value` None where undefined, and why."""

    value: float | None
    cases: int
    reason: str | None = None


def weighted_kappa(first: ArrayLike, second: ArrayLike, *, highest: int = 2) -> Agreement:
    """Quadratically weighted kappa of scores 0…highest; pairs with a NaN are left out."""
    pairs = _pairs(first, second)
    if len(pairs) < 2:
        return Agreement(None, len(pairs), "fewer than two cases scored by both")
    from sklearn.metrics import cohen_kappa_score

    whole = pairs.astype(int)
    if len(np.unique(whole)) == 1:
        return Agreement(None, len(pairs), "both gave one and the same score throughout, so chance explains everything")
    value = cohen_kappa_score(whole[:, 0], whole[:, 1], labels=list(range(highest + 1)), weights="quadratic")
    return Agreement(float(value), len(pairs))


def exact_agreement(first: ArrayLike, second: ArrayLike) -> Agreement:
    """The share of cases with the same score."""
    pairs = _pairs(first, second)
    if not len(pairs):
        return Agreement(None, 0, "no case scored by both")
    return Agreement(float(np.mean(pairs[:, 0] == pairs[:, 1])), len(pairs))


def icc(first: ArrayLike, second: ArrayLike) -> Agreement:
    """ICC(2,1): do two raters give the same number, not merely the same order?"""
    pairs = _pairs(first, second)
    cases, raters = len(pairs), 2
    if cases < 3:
        return Agreement(None, cases, "fewer than three cases scored by both")
    mean = pairs.mean()
    between_cases = raters * np.sum((pairs.mean(axis=1) - mean) ** 2) / (cases - 1)
    between_raters = cases * np.sum((pairs.mean(axis=0) - mean) ** 2) / (raters - 1)
    total = np.sum((pairs - mean) ** 2)
    residual = (total - between_cases * (cases - 1) - between_raters * (raters - 1)) / ((cases - 1) * (raters - 1))
    below = between_cases + (raters - 1) * residual + raters * (between_raters - residual) / cases
    if below <= 0:
        return Agreement(None, cases, "the totals do not vary")
    return Agreement(float((between_cases - residual) / below), cases)


def _pairs(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    pairs = np.stack([np.asarray(first, dtype=float), np.asarray(second, dtype=float)], axis=1)
    return pairs[~np.isnan(pairs).any(axis=1)]
