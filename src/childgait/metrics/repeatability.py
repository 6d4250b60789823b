"""Repeatability of a measurement over repeated walks of the same child: SEM, MDC95 and ICC(1,1).

One-way random effects, because walks have no order that children share (Shrout and Fleiss 1979,
https://doi.org/10.1037/0033-2909.86.2.420; Weir 2005, https://doi.org/10.1519/15184.1). Children may differ in their
number of walks; a child with one walk carries no information.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from childgait.metrics.cells import Record

DIGITS = 6  # of a value in a file
CURVE_SHARE = 0.95  # of pairs of repeated walks whose curves differ by less than the limit


@dataclass(frozen=True)
class Repeatability:
    """How far repeated walks of a child differ, in the unit of the measurement; None where undefined."""

    children: int  # with at least two walks
    walks: int
    sem: float | None  # standard error of measurement: standard deviation within a child
    mdc95: float | None  # minimal detectable change: 1.96 sqrt(2) SEM
    icc: float | None
    reason: str | None = None


def repeatability(children: Sequence[Hashable], values: ArrayLike) -> Repeatability:
    """Compute SEM, MDC95 and ICC(1,1) of one value per walk; a NaN is left out."""
    numbers = np.asarray(values, dtype=float)
    groups: dict[Hashable, list[float]] = {}
    for child, value in zip(children, numbers, strict=True):
        if np.isfinite(value):
            groups.setdefault(child, []).append(float(value))
    repeated = [np.array(group) for group in groups.values() if len(group) > 1]
    count, walks = len(repeated), sum(map(len, repeated))
    if count < 2:
        return Repeatability(count, walks, None, None, None, "fewer than two children with repeated walks")
    within = sum(float(np.sum((group - group.mean()) ** 2)) for group in repeated) / (walks - count)
    grand = np.concatenate(repeated).mean()
    between = sum(len(group) * float((group.mean() - grand) ** 2) for group in repeated) / (count - 1)
    size = (walks - sum(len(group) ** 2 for group in repeated) / walks) / (count - 1)  # mean number of walks
    sem = float(np.sqrt(within))
    total = between + (size - 1) * within
    icc = (between - within) / total if total > 0 else None
    return Repeatability(count, walks, sem, 1.96 * float(np.sqrt(2)) * sem, icc)


class RepeatedValue(Record):
    """Repeatability of one value over walks, as a file holds it; None where undefined."""

    groups: int  # limbs or children with two walks or more
    walks: int
    sem: float | None
    mdc95: float | None
    reason: str | None = None


class RepeatedCurve(Record):
    """How far the curves of two walks of a limb differ: the RMS difference over the cycle that 95 % of pairs keep."""

    pairs: int  # of walks of the same limb
    rms_limit: float | None  # degrees
    reason: str | None = None


class StudyRepeatability(Record):
    """Repeatability of everything that two visits of a child are compared in, each of a single walk."""

    probability: dict[str, RepeatedValue]  # by item code
    rules: dict[str, RepeatedValue]  # by item code, in the item's unit
    expected_atypical: dict[str, RepeatedValue]  # `limb`, `both`
    rule_score: dict[str, RepeatedValue]  # `limb`, `both`
    strides: dict[str, RepeatedValue]  # by name of a value of STRIDE_VALUES
    curves: dict[str, RepeatedCurve]  # by curve, degrees


def repeated_value(groups: Sequence[Hashable], values: ArrayLike) -> RepeatedValue:
    """Compute SEM and MDC95 of one value per walk, for a file."""
    measured = repeatability(groups, values)
    sem, mdc95 = (None if one is None else round(one, DIGITS) for one in (measured.sem, measured.mdc95))
    return RepeatedValue(groups=measured.children, walks=measured.walks, sem=sem, mdc95=mdc95, reason=measured.reason)


def repeated_curve(differences: Sequence[float]) -> RepeatedCurve:
    """Return the limit that `CURVE_SHARE` of the RMS differences stay below (a conformal rank, free of a distribution).

    Points of a curve depend on each other, so one number per curve is compared, not 51 with a limit each.
    """
    rank = int(np.ceil(CURVE_SHARE * (len(differences) + 1)))
    if rank > len(differences):
        needed = int(np.ceil(CURVE_SHARE / (1 - CURVE_SHARE)))
        return RepeatedCurve(pairs=len(differences), rms_limit=None, reason=f"fewer than {needed} pairs of walks")
    return RepeatedCurve(pairs=len(differences), rms_limit=round(float(np.sort(differences)[rank - 1]), DIGITS))
