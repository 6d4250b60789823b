"""Total scores of a limb and of a child: expected totals from probabilities, and their agreement with rated ones.

The Edinburgh Visual Gait Score adds 17 items of 0, 1 or 2 per limb. Models predict atypical (1 or 2) or not, so that
the expected score of an item is its calibrated probability times the mean score of atypical training children. A rated
total differs from a second one of the same rater by up to the minimal detectable change (MDC95 4.78; Uysal et al. 2023,
https://doi.org/10.1186/s43054-023-00175-w); 2.4 points matter clinically (MCID; Robinson et al. 2017,
https://doi.org/10.1016/j.gaitpost.2016.12.030). Both are of the child's total.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGETS
from childgait.files.agreement import Coefficient
from childgait.metrics.agreement import icc

Array = NDArray[np.float64]
MDC = 4.78  # points of the child's total, one rater twice
MCID = 2.4  # points of the child's total
FALLBACK = 1.2  # mean score of atypical items where training has none: score 2 is the rarer one
MEMBERS: dict[str, list[int]] = {
    "left": [n for n, target in enumerate(TARGETS) if target.limb == "left"],
    "right": [n for n, target in enumerate(TARGETS) if target.limb == "right"],
    "child": list(range(len(TARGETS))),
}


@dataclass(frozen=True)
class LimitsOfAgreement:
    """Bland and Altman's mean difference (predicted minus rated) and 95 % limits of agreement."""

    bias: float
    low: float
    high: float
    cases: int


@dataclass(frozen=True)
class TotalAgreement:
    """How far predicted totals agree with rated ones, in points."""

    mean_error: float  # mean absolute difference
    root_mean_square: float
    icc: Coefficient
    limits: LimitsOfAgreement
    within_mdc: float  # share of cases that differ by less than a rater from itself
    within_mcid: float
    constant_error: float  # mean absolute difference of the mean rated total: a prediction without any input


def mean_atypical_score(scores: Array) -> Array:
    """Return (34,) the mean score of atypical limbs among (N, 34) training scores; both limbs of an item together."""
    both = np.concatenate([scores[:, MEMBERS["left"]], scores[:, MEMBERS["right"]]])
    atypical = np.where(both > 0, both, np.nan)
    known = np.isfinite(atypical).sum(axis=0)
    means = np.where(known > 0, np.nansum(atypical, axis=0) / np.maximum(known, 1), FALLBACK)
    return np.tile(means, 2)


def expected_totals(probability: Array, atypical_score: Array) -> dict[str, Array]:
    """Return by limb and child (N,) the expected totals; NaN where an item has no prediction."""
    expected = probability * atypical_score
    return {name: expected[:, members].sum(axis=1) for name, members in MEMBERS.items()}


def rated_totals(scores: Array) -> dict[str, Array]:
    """Return by limb and child (N,) the sums of (N, 34) scores; NaN where an item has none."""
    return {name: scores[:, members].sum(axis=1) for name, members in MEMBERS.items()}


def limits_of_agreement(predicted: Array, rated: Array) -> LimitsOfAgreement | None:
    """Return bias and 95 % limits of agreement (Bland and Altman 1986); None with fewer than three pairs."""
    difference = (predicted - rated)[np.isfinite(predicted - rated)]
    if len(difference) < 3:
        return None
    bias, half = float(difference.mean()), 1.96 * float(difference.std(ddof=1))
    return LimitsOfAgreement(bias, bias - half, bias + half, len(difference))


def compare_totals(predicted: Array, rated: Array) -> TotalAgreement | None:
    """Compare predicted with rated totals; None with fewer than three children that have both."""
    limits = limits_of_agreement(predicted, rated)
    if limits is None:
        return None
    known = np.isfinite(predicted) & np.isfinite(rated)
    difference = np.abs(predicted - rated)[known]
    return TotalAgreement(
        mean_error=float(difference.mean()),
        root_mean_square=float(np.sqrt(np.mean(difference**2))),
        icc=icc(predicted, rated),
        limits=limits,
        within_mdc=float(np.mean(difference <= MDC)),
        within_mcid=float(np.mean(difference <= MCID)),
        constant_error=float(np.abs(rated[known] - rated[known].mean()).mean()),
    )
