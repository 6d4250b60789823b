"""Conformal prediction sets per item: typical, atypical, or "cannot tell" at a stated error rate.

Class-conditional ("Mondrian") split conformal prediction (Vovk 2012, https://arxiv.org/abs/1209.2673): a class is in
the set of a cell (one item of one limb) if the model's probability of it is at least as large as the limit of that item
and class. Limits are fitted on children that the model was not trained on, with both limbs of an item pooled. A child
of either class then has its own class in the set with probability 1 - error rate. A set of one class is an answer.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import CODES, TARGETS
from childgait.metrics.cells import Cell, Record, make_cell
from childgait.metrics.scores import Array
from childgait.metrics.small_samples import jackknife_t, leave_one_out

TYPICAL, ATYPICAL, CANNOT_TELL = 0, 1, -1


class ClassLimit(Record):
    """The smallest probability of a class that keeps it in the set; None: too few cells, so it is always in."""

    cells: int  # calibration cells of this class
    least_probability: float | None


class ItemLimits(Record):
    """The limits of one item, for both limbs."""

    typical: ClassLimit
    atypical: ClassLimit


class AbstentionMetrics(Record):
    """What sets of one item, or of all items, achieve on test children."""

    cells: int
    coverage: Cell  # share of cells whose own class is in the set
    coverage_typical: Cell
    coverage_atypical: Cell
    share_answered: Cell  # share of cells with a set of one class
    accuracy_answered: Cell  # share of correct answers among them


class Abstention(Record):
    """Abstention of one run: limits of the validation children, metrics on the test children."""

    error_rate: float
    limits: dict[str, ItemLimits]  # by item code
    items: dict[str, AbstentionMetrics]
    overall: AbstentionMetrics


def fit_limits(probability: Array, truth: NDArray[np.floating], error_rate: float) -> dict[str, ItemLimits]:
    """Fit the limits of every item to probabilities and labels (N, 34) of children unseen in training."""
    limits = {}
    for code in CODES:
        columns = [number for number, target in enumerate(TARGETS) if target.code == code]
        p, y = probability[:, columns].ravel(), truth[:, columns].ravel()
        valid = ~np.isnan(p) & ~np.isnan(y)
        p, y = p[valid], y[valid]
        limits[code] = ItemLimits(
            typical=_fit_class(1 - p[y == 0], error_rate), atypical=_fit_class(p[y == 1], error_rate)
        )
    return limits


def _fit_class(own_probability: Array, error_rate: float) -> ClassLimit:
    """Return the limit of a class from the probabilities of it in cells of that class."""
    cells = len(own_probability)
    rank = math.floor(error_rate * (cells + 1))  # the lowest `rank` - 1 cells are the share that may be missed
    if rank < 1:
        return ClassLimit(cells=cells, least_probability=None)
    return ClassLimit(cells=cells, least_probability=float(np.sort(own_probability)[rank - 1]))


def fewest_cells(error_rate: float) -> int:
    """Return how many calibration cells of a class give it a limit at this error rate."""
    return math.ceil(round(1 / error_rate, 9)) - 1


def prediction_sets(probability: Array, limits: dict[str, ItemLimits]) -> NDArray[np.bool_]:
    """Return which of typical and atypical are in the set: (N, 34, 2). A cell without a probability has both."""
    sets = np.ones((*probability.shape, 2), dtype=bool)
    for number, target in enumerate(TARGETS):
        item, p = limits[target.code], probability[:, number]
        for place, limit, own in ((TYPICAL, item.typical, 1 - p), (ATYPICAL, item.atypical, p)):
            if limit.least_probability is not None:
                sets[:, number, place] = np.isnan(p) | (own >= limit.least_probability)
    return sets


def answers_of_sets(sets: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return TYPICAL, ATYPICAL or CANNOT_TELL per set: an answer is a set of one class."""
    single = sets.sum(axis=-1) == 1
    return np.where(single, np.where(sets[..., ATYPICAL], ATYPICAL, TYPICAL), CANNOT_TELL)


def measure_abstention(
    probability: Array,
    truth: NDArray[np.floating],
    limits: dict[str, ItemLimits],
    error_rate: float,
) -> Abstention:
    """Measure sets on test children; the intervals are the jackknife's over children."""
    sets = prediction_sets(probability, limits)
    answers = answers_of_sets(sets)
    columns = {code: [n for n, target in enumerate(TARGETS) if target.code == code] for code in CODES}
    everything = list(range(len(TARGETS)))
    return Abstention(
        error_rate=error_rate,
        limits=limits,
        items={code: _measure(sets, answers, probability, truth, columns[code]) for code in CODES},
        overall=_measure(sets, answers, probability, truth, everything),
    )


def _measure(
    sets: NDArray[np.bool_],
    answers: NDArray[np.int64],
    probability: Array,
    truth: NDArray[np.floating],
    columns: list[int],
) -> AbstentionMetrics:
    y = truth[:, columns]
    valid = ~np.isnan(y) & ~np.isnan(probability[:, columns])
    own = np.where(y == 1, sets[:, columns, ATYPICAL], sets[:, columns, TYPICAL])
    answered = answers[:, columns] != CANNOT_TELL
    correct = answers[:, columns] == y

    def share(hits: NDArray[np.bool_], among: NDArray[np.bool_], reason: str) -> Cell:
        part, whole = (hits & among).sum(axis=1).astype(float), among.sum(axis=1).astype(float)
        value = float(np.sum(part) / np.sum(whole)) if whole.any() else float("nan")
        if len(part) < 3 or np.isnan(value):
            return make_cell(value, None, reason)
        left = leave_one_out(len(part))
        with np.errstate(invalid="ignore", divide="ignore"):
            return make_cell(value, jackknife_t(value, (left @ part) / (left @ whole)), reason)

    return AbstentionMetrics(
        cells=int(valid.sum()),
        coverage=share(own, valid, "no label"),
        coverage_typical=share(own, valid & (y == 0), "no typical cell"),
        coverage_atypical=share(own, valid & (y == 1), "no atypical cell"),
        share_answered=share(answered, valid, "no label"),
        accuracy_answered=share(correct, valid & answered, "no answer"),
    )
