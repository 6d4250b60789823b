"""Confidence intervals that hold over few children: Wilson, MOVER, DeLong, and the jackknife with Student's t.

A percentile bootstrap has no width where every child is right, and covers too seldom below about 60 children. A
proportion has Wilson's interval (1927, https://doi.org/10.1080/01621459.1927.10502953), a mean of two proportions the
square-and-add of theirs (Newcombe 1998, https://pubmed.ncbi.nlm.nih.gov/9595617/), an AUROC DeLong's variance on the
logit scale (1988, https://doi.org/10.2307/2531595). Any other metric and every mean over targets has the jackknife over
children with Student's t, which covers better than BCa at 10 to 27 children (bench/intervals.py). Metrics of which it
covers too little have no interval (target_cells.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bounds = tuple[float, float]
LEVEL = 0.95
MOST_BLOCKS = 400  # of the jackknife: above, blocks of children are left out


def wilson(share: float, cases: float, level: float = LEVEL) -> Bounds | None:
    """Return Wilson's interval of a proportion of `cases`; None without a case."""
    if not cases > 0 or np.isnan(share):
        return None
    z = _normal_quantile((1 + level) / 2)
    middle = (share + z**2 / (2 * cases)) / (1 + z**2 / cases)
    half = z / (1 + z**2 / cases) * np.sqrt(share * (1 - share) / cases + z**2 / (4 * cases**2))
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def mean_of_proportions(value: float, parts: Sequence[tuple[float, float]], level: float = LEVEL) -> Bounds | None:
    """Return the MOVER interval of a mean of independent proportions, given as (share, cases), about `value`."""
    below, above = 0.0, 0.0
    for share, cases in parts:
        bounds = wilson(share, cases, level)
        if bounds is None:
            return None
        below += (share - bounds[0]) ** 2
        above += (bounds[1] - share) ** 2
    low, high = value - np.sqrt(below) / len(parts), value + np.sqrt(above) / len(parts)
    return float(max(low, 0.0)), float(min(high, 1.0))


def auroc_variance(scores: Array, positive: NDArray[np.bool_], folds: NDArray[np.int64]) -> tuple[float, float]:
    """Return an AUROC over pairs within folds and DeLong's variance; (NaN, NaN) without a pair."""
    total, area, variance = 0.0, 0.0, 0.0
    for fold in np.unique(folds):
        above, below = scores[(folds == fold) & positive], scores[(folds == fold) & ~positive]
        pairs = len(above) * len(below)
        if not pairs:
            continue
        wins = (above[:, None] > below[None]) + 0.5 * (above[:, None] == below[None])
        of_rows, of_columns = wins.mean(axis=1), wins.mean(axis=0)
        own = sum(np.var(part, ddof=1) / len(part) for part in (of_rows, of_columns) if len(part) > 1)
        total, area, variance = total + pairs, area + pairs * wins.mean(), variance + pairs**2 * float(own)
    return (area / total, variance / total**2) if total else (float("nan"), float("nan"))


def auroc_interval(
    area: float, variance: float, atypical: float, typical: float, level: float = LEVEL
) -> Bounds | None:
    """Return DeLong's interval on the logit scale; None for equal scores throughout.

    With one child of a class, or a perfect ranking, the variance is 0: Hanley and McNeil's (1982) of the shrunk area is
    its lower bound, so that the interval keeps a width.
    """
    if np.isnan(area) or not (atypical and typical) or (variance == 0 and area == 0.5):
        return None
    edge = 0.5 / (atypical + typical)
    inside = float(np.clip(area, edge, 1 - edge))
    q1, q2 = inside / (2 - inside), 2 * inside**2 / (1 + inside)
    hanley = inside * (1 - inside) + (atypical - 1) * (q1 - inside**2) + (typical - 1) * (q2 - inside**2)
    variance = max(variance, hanley / (atypical * typical))
    z = _normal_quantile((1 + level) / 2)
    middle, half = np.log(inside / (1 - inside)), z * np.sqrt(variance) / (inside * (1 - inside))
    low, high = 1 / (1 + np.exp(-(middle - half))), 1 / (1 + np.exp(-(middle + half)))
    return float(min(low, area)), float(max(high, area))


def leave_one_out(children: int) -> Array:
    """Return weights (B, children): per row all children but one, or but one of the blocks that bound their number."""
    blocks = np.arange(children) % min(children, MOST_BLOCKS)
    return (np.arange(blocks.max() + 1)[:, None] != blocks[None]).astype(np.float64)


def jackknife_t(value: float, left_out: Array, bounds: Bounds = (0.0, 1.0), level: float = LEVEL) -> Bounds | None:
    """Return value ± t times the jackknife's standard error, cut at `bounds`.

    None with fewer than three values, or where they do not vary: such an interval carries no information.
    """
    from scipy.stats import t

    defined = left_out[~np.isnan(left_out)]
    n = len(defined)
    if n < 3 or np.isnan(value):
        return None
    error = np.sqrt((n - 1) / n * np.sum((defined - defined.mean()) ** 2))
    if error < 1e-12:
        return None
    half = float(t.ppf((1 + level) / 2, n - 1)) * error
    return float(max(value - half, bounds[0])), float(min(value + half, bounds[1]))


def _normal_quantile(share: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(share))
