"""Cells of every metric, per target and per group of targets, each with the interval that suits it.

Reads probabilities of the same children by every seed; a value is the mean over seeds. The intervals are those of
small_samples.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGET_NAMES
from childgait.metrics.cells import Cell, make_cell
from childgait.metrics.intervals import mean_of, measure_draws
from childgait.metrics.scores import METRICS, Array, groups, measure, undefined_reason
from childgait.metrics.small_samples import (
    Bounds,
    auroc_interval,
    auroc_variance,
    jackknife_t,
    leave_one_out,
    mean_of_proportions,
    wilson,
)

FEWEST_FOR_ECE = 200  # children: a perfectly calibrated model has .085 with 110 children and 10 bins, .03 with 1,000
# Metrics whose jackknife covers less than .93 at 27 children (bench/intervals.py): of single targets AUPRC, which is
# biased upwards over few children, .85 and F1 of both classes .92; of means over targets AUPRC .77.
TARGETS_WITHOUT_INTERVAL, MEANS_WITHOUT_INTERVAL = ("auprc", "f1_both"), ("auprc",)
TOO_FEW_FOR_ECE = f"over fewer than {FEWEST_FOR_ECE} children it is mostly noise; see the calibration slope"


@dataclass(frozen=True)
class Predictions:
    """What a model predicts for some children: arrays (N, 34), one per seed."""

    truth: NDArray[np.floating]  # NaN where unknown
    probability: Sequence[Array]  # of the loss, which gives both classes the same weight
    calibrated: Sequence[Array] | None = None  # at the classes' shares as observed; None: not used
    folds: NDArray[np.int64] | None = None  # (N,) of the model that predicts the child; None: of one


@dataclass(frozen=True)
class Values:
    """Every metric per target: (1 + B, 34), the plain value, then one row per jackknife block."""

    of_metric: dict[str, Array]
    predictions: Predictions
    thresholds: Array

    @property
    def atypical(self) -> NDArray[np.int64]:
        return self._count(1)

    @property
    def typical(self) -> NDArray[np.int64]:
        return self._count(0)

    def _count(self, label: int) -> NDArray[np.int64]:
        known = ~np.isnan(self.predictions.probability[0])
        return np.asarray(np.sum(known & (self.predictions.truth == label), axis=0))


def measure_values(
    predictions: Predictions, thresholds: Array, bins: int, *, balanced: bool, intervals: bool
) -> Values:
    """Compute every metric, averaged over seeds, of all children and with each jackknife block left out."""
    count = len(predictions.truth)
    by_seed = []
    for seed, probability in enumerate(predictions.probability):
        calibrated = None if predictions.calibrated is None else predictions.calibrated[seed]
        values = measure(
            probability,
            predictions.truth,
            np.ones((1, count)),
            thresholds=thresholds,
            bins=bins,
            balanced=balanced,
            calibrated=calibrated,
            folds=predictions.folds,
        )
        if intervals and count > 2:
            left = measure_draws(
                probability,
                predictions.truth,
                leave_one_out(count),
                thresholds=thresholds,
                bins=bins,
                balanced=balanced,
                calibrated=calibrated,
                folds=predictions.folds,
            )
            values = {metric: np.concatenate([values[metric], left[metric]]) for metric in METRICS}
        by_seed.append(values)
    averaged = {metric: np.mean([values[metric] for values in by_seed], axis=0) for metric in METRICS}
    return Values(averaged, predictions, thresholds)


def cells_of_target(values: Values, target: int, *, intervals: bool) -> dict[str, Cell]:
    """Make the cells of one target; without `intervals` its values alone."""
    atypical, typical = int(values.atypical[target]), int(values.typical[target])
    plain = {metric: float(values.of_metric[metric][0, target]) for metric in METRICS}
    bounds = _bounds_of_target(values, target, plain) if intervals else {}
    cells = {
        metric: make_cell(plain[metric], bounds.get(metric), undefined_reason(metric, atypical, typical))
        for metric in METRICS
    }
    if atypical + typical < FEWEST_FOR_ECE:
        cells["ece"] = Cell(value=None, reason=TOO_FEW_FOR_ECE)
    return cells


def _bounds_of_target(values: Values, target: int, plain: dict[str, float]) -> dict[str, Bounds | None]:
    """Compute the interval of every metric of one target, averaged over seeds."""
    atypical, typical = float(values.atypical[target]), float(values.typical[target])
    predictions = values.predictions
    truth, known = predictions.truth[:, target], ~np.isnan(predictions.probability[0][:, target])
    inside = known & ~np.isnan(truth)
    called = float(np.mean([np.sum(p[inside, target] >= values.thresholds[target]) for p in predictions.probability]))
    folds = np.zeros(len(truth), np.int64) if predictions.folds is None else predictions.folds
    areas = [auroc_variance(p[inside, target], truth[inside] == 1, folds[inside]) for p in predictions.probability]
    variance = float(np.mean([variance for _, variance in areas]))
    recalls = [(plain["sensitivity"], atypical), (plain["specificity"], typical)]
    bounds = {
        metric: jackknife_t(plain[metric], rows[1:, target])
        for metric, rows in values.of_metric.items()
        if metric not in TARGETS_WITHOUT_INTERVAL
    }
    return bounds | {
        "accuracy": wilson(plain["accuracy"], atypical + typical),
        "sensitivity": wilson(*recalls[0]),
        "specificity": wilson(*recalls[1]),
        "ppv": wilson(plain["ppv"], called),
        "npv": wilson(plain["npv"], atypical + typical - called),
        "balanced_accuracy": mean_of_proportions(plain["balanced_accuracy"], recalls),
        "auroc": auroc_interval(plain["auroc"], variance, atypical, typical),
    }


def cells_of_groups(values: Values) -> dict[str, dict[str, Cell]]:
    """Make the cells of every group of targets: means over the targets for which the metric is defined."""
    return {
        name: {metric: _mean_cell(metric, values, members) for metric in METRICS} for name, members in groups().items()
    }


def _mean_cell(metric: str, values: Values, members: list[int]) -> Cell:
    rows = values.of_metric[metric][:, members]
    means = mean_of(rows, list(range(len(members))))
    if metric == "ece" and np.max(values.atypical + values.typical) < FEWEST_FOR_ECE:
        return Cell(value=None, reason=TOO_FEW_FOR_ECE, over=0)
    over = int(np.sum(~np.isnan(rows[0])))
    bounds = None if metric in MEANS_WITHOUT_INTERVAL else jackknife_t(float(means[0]), means[1:])
    return make_cell(means[0], bounds, "defined for none of the targets", over)


def targets_of(values: Values, *, intervals: bool = True) -> dict[str, dict[str, Cell]]:
    """Make the cells of all targets, by name."""
    return {name: cells_of_target(values, t, intervals=intervals) for t, name in enumerate(TARGET_NAMES)}
