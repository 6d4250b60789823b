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
