"""Net benefit of acting on a prediction, and the sample size that a stated precision needs.

Net benefit: Vickers and Elkin 2006, https://doi.org/10.1177/0272989X06295361. At a threshold probability p, a false
positive costs p / (1 - p) of what a true positive is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
THRESHOLDS = tuple(round(0.05 * n, 2) for n in range(1, 19))


@dataclass(frozen=True)
class NetBenefit:
    """Net benefit per prediction at one threshold probability; `none` is 0 by definition."""

    threshold: float
    model: float
    everyone: float  # everything is called atypical


def decision_curve(probability: Array, truth: NDArray[np.floating]) -> list[NetBenefit]:
    """Compute the decision curve over all known cells of calibrated probabilities; empty without one."""
    valid = np.isfinite(probability) & np.isfinite(truth)
    p, y = probability[valid], truth[valid]
    if not len(p):
        return []
    rows = []
    for threshold in THRESHOLDS:
        odds, called = threshold / (1 - threshold), p >= threshold
        model = np.mean(called & (y == 1)) - odds * np.mean(called & (y == 0))
        rows.append(NetBenefit(threshold, float(model), float(y.mean() - odds * (1 - y.mean()))))
    return rows


def children_for_precision(share: float, half_width: float, prevalence: float) -> int:
    """Return the children needed so that a sensitivity of `share` has a 95 % interval of ± `half_width`.

    Normal approximation over the atypical children, whose share is `prevalence`.
    """
    atypical = 1.96**2 * share * (1 - share) / half_width**2
    return int(np.ceil(atypical / prevalence))
