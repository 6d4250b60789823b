"""Metrics of one run: calibration and thresholds from validation children, everything else on test children.

The child is the unit: its logits are means over windows and videos. run_metrics.py documents the form of the result.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGET_NAMES
from childgait.files.parts import children_of, labels_of_children
from childgait.metrics.abstention import fit_limits, measure_abstention
from childgait.metrics.aggregate import child_logits
from childgait.metrics.calibration import (
    FEWEST_TO_TUNE,
    CalibrationMap,
    fit_calibration,
    overall_calibration,
    tune_thresholds,
)
from childgait.metrics.challenge import challenge_score
from childgait.metrics.run_metrics import Calibration, Evaluation, MetricsBlock, SubgroupMetrics, TargetMetrics
from childgait.metrics.scores import Array, confusion, sigmoid
from childgait.metrics.target_cells import Predictions, cells_of_groups, measure_values, targets_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from childgait.files.parts import Part
    from childgait.metrics.aggregate import WindowLogits
    from childgait.params import Evaluate

Truth = NDArray[np.floating]


def evaluate_run(
    validation: Part,
    validation_logits: WindowLogits,
    test: Part,
    test_logits: WindowLogits,
    params: Evaluate,
    positive_weights: Sequence[float] | None = None,
) -> tuple[Evaluation, CalibrationMap]:
    """Compute all metrics of a run from the window logits of its parts; return them and the calibration.

    `positive_weights` (34,) are the loss's weights of atypical scores; None: all 1.
    """
    fit_logits, fit_truth = child_logits(validation, validation_logits), labels_of_children(validation.table)
    weights = None if positive_weights is None else np.asarray(positive_weights)
    calibration = fit_calibration(fit_logits, fit_truth, weights)
    half = np.full(len(TARGET_NAMES), 0.5)
    tuned = len(fit_logits) >= FEWEST_TO_TUNE
    thresholds = tune_thresholds(sigmoid(fit_logits), fit_truth) if tuned else half
    logits, truth = child_logits(test, test_logits), labels_of_children(test.table)
    probability, calibrated = sigmoid(logits), sigmoid(calibration.apply(logits))
    natural, intervals = Predictions(truth, [probability], [calibrated]), params.bootstrap > 0
    plain = Predictions(truth, [probability])
    evaluation = Evaluation(
        unit="child",
        children={"validation": len(fit_logits), "test": len(truth)},
        temperature=round(1 / calibration.pooled[1], 4),
        thresholds={name: float(x) for name, x in zip(TARGET_NAMES, thresholds, strict=True)},
        natural=metrics_block(natural, half, params.bins, balanced=False, intervals=intervals),
        balanced=metrics_block(plain, half, params.bins, balanced=True),
        tuned=metrics_block(plain, thresholds, params.bins, balanced=False),
        calibration=Calibration(
            before=overall_calibration(logits, truth, params.bins),
            after=overall_calibration(calibration.apply(logits), truth, params.bins),
            recalibration=calibration.record(),
        ),
        confusion=confusion(probability, truth),
        subgroups=subgroup_metrics(test, test_logits, calibration, params),
        challenge=challenge_score(calibrated, truth),
        abstention=measure_abstention(
            calibrated,
            truth,
            fit_limits(sigmoid(calibration.apply(fit_logits)), fit_truth, params.error_rate),
            params.error_rate,
        ),
    )
    return evaluation, calibration


def metrics_block(
    predictions: Predictions, thresholds: Array, bins: int, *, balanced: bool, intervals: bool = False
) -> MetricsBlock:
    """Compute every metric of every target and group."""
    values = measure_values(predictions, thresholds, bins, balanced=balanced, intervals=intervals)
    cells = targets_of(values, intervals=intervals)
    counts = values.atypical + values.typical
    targets = {
        name: TargetMetrics(**cells[name], children=int(counts[t]), atypical=int(values.atypical[t]))
        for t, name in enumerate(TARGET_NAMES)
    }
    return MetricsBlock(targets=targets, groups=cells_of_groups(values))


def subgroup_metrics(
    test: Part, test_logits: WindowLogits, calibration: CalibrationMap, params: Evaluate
) -> dict[str, SubgroupMetrics]:
    """Compute mean metrics over targets by age group, sex, walking aid and camera view."""
    logits, truth = child_logits(test, test_logits), labels_of_children(test.table)
    people = test.table.unique("subject").sort("subject")
    assert len(people) == len(children_of(test.table))
    age = people["age_years"].to_numpy().astype(float)
    members: dict[str, NDArray[np.bool_]] = {}
    for low, high in pairwise([-np.inf, *params.age_edges, np.inf]):
        members[f"age.{age_range(low, high)}"] = (age >= low) & (age < high)
    members["age.unknown"] = np.isnan(age)
    for column in ("sex", "aid"):
        values = list(people[column])
        members |= {f"{column}.{value}": np.array([v == value for v in values]) for value in sorted(set(values))}
    rows = {
        name: _subgroup(logits[inside], truth[inside], calibration) for name, inside in members.items() if inside.any()
    }
    for view in sorted(set(test.table["view"])):
        rows[f"view.{view}"] = _subgroup(child_logits(test, test_logits, (view,)), truth, calibration)
    return rows


def age_range(low: float, high: float) -> str:
    """Name an age group in years; an infinite edge is open."""
    if np.isinf(low):
        return f"under {high:g}"
    return f"{low:g} and over" if np.isinf(high) else f"{low:g} to {high:g}"


def _subgroup(logits: Array, truth: Truth, calibration: CalibrationMap) -> SubgroupMetrics:
    predictions = Predictions(truth, [sigmoid(logits)], [sigmoid(calibration.apply(logits))])
    values = measure_values(predictions, np.full(truth.shape[1], 0.5), 10, balanced=False, intervals=True)
    overall = cells_of_groups(values)["overall"]
    valid = ~np.isnan(logits) & ~np.isnan(truth)
    return SubgroupMetrics(
        children=int(valid.any(axis=1).sum()),
        cells=int(valid.sum()),
        accuracy=overall["accuracy"],
        balanced_accuracy=overall["balanced_accuracy"],
        f1=overall["f1"],
        auroc=overall["auroc"],
    )
