"""Metrics of one run: temperature and thresholds from validation children, everything else on test children.

The child is the unit: its logits are means over windows and videos. run_metrics.py documents the form of the result.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGET_NAMES
from childgait.files.parts import children_of, labels_of_children
from childgait.metrics.aggregate import child_logits
from childgait.metrics.calibration import fit_temperature, overall_calibration, tune_thresholds
from childgait.metrics.cells import Cell, make_cell
from childgait.metrics.challenge import challenge_score
from childgait.metrics.intervals import draw_weights, mean_of, measure_draws
from childgait.metrics.run_metrics import (
    Calibration,
    Evaluation,
    MetricsBlock,
    SubgroupMetrics,
    TargetMetrics,
)
from childgait.metrics.scores import METRICS, Array, confusion, groups, measure, sigmoid, undefined_reason

if TYPE_CHECKING:
    from childgait.files.parts import Part
    from childgait.metrics.aggregate import WindowLogits
    from childgait.params import Evaluate

Truth = NDArray[np.floating]


def evaluate_run(
    validation: Part, validation_logits: WindowLogits, test: Part, test_logits: WindowLogits, params: Evaluate
) -> Evaluation:
    """Compute all metrics of a run from the window logits of its validation and test parts."""
    fit_logits, fit_truth = child_logits(validation, validation_logits), labels_of_children(validation.table)
    temperature = fit_temperature(fit_logits, fit_truth)
    thresholds = tune_thresholds(sigmoid(fit_logits), fit_truth)
    logits, truth = child_logits(test, test_logits), labels_of_children(test.table)
    probability, half = sigmoid(logits), np.full(len(TARGET_NAMES), 0.5)
    draws = draw_weights(len(truth), params.bootstrap, params.seed) if params.bootstrap else None
    return Evaluation(
        unit="child",
        children={"validation": len(fit_logits), "test": len(truth)},
        temperature=temperature,
        thresholds={name: float(x) for name, x in zip(TARGET_NAMES, thresholds, strict=True)},
        natural=metrics_block(probability, truth, draws, half, params.bins, balanced=False),
        balanced=metrics_block(probability, truth, draws, half, params.bins, balanced=True),
        tuned=metrics_block(probability, truth, None, thresholds, params.bins, balanced=False),
        calibration=Calibration(
            before=overall_calibration(logits, truth, params.bins),
            after=overall_calibration(logits / temperature, truth, params.bins),
        ),
        confusion=confusion(probability, truth),
        subgroups=subgroup_metrics(test, test_logits, params),
        challenge=challenge_score(probability, truth),
    )


def metrics_block(
    probability: Array, truth: Truth, draws: Array | None, thresholds: Array, bins: int, *, balanced: bool
) -> MetricsBlock:
    """Compute every metric of every target and group, with intervals where there are bootstrap `draws`."""
    ones = np.ones((1, len(truth)))
    plain = measure(probability, truth, ones, thresholds=thresholds, bins=bins, balanced=balanced)
    drawn = None
    if draws is not None:
        drawn = measure_draws(probability, truth, draws, thresholds=thresholds, bins=bins, balanced=balanced)
    valid = ~np.isnan(truth) & ~np.isnan(probability)
    positives, counts = np.sum(valid & (truth == 1), axis=0), valid.sum(axis=0)
    targets = {
        name: _target_metrics(plain, drawn, number, int(positives[number]), int(counts[number]))
        for number, name in enumerate(TARGET_NAMES)
    }
    return MetricsBlock(targets=targets, groups=_group_metrics(plain, drawn))


def _target_metrics(
    plain: dict[str, Array], drawn: dict[str, Array] | None, number: int, atypical: int, children: int
) -> TargetMetrics:
    cells = {
        metric: make_cell(
            plain[metric][0, number],
            None if drawn is None else drawn[metric][:, number],
            undefined_reason(metric, atypical, children - atypical),
        )
        for metric in METRICS
    }
    return TargetMetrics(**cells, children=children, atypical=atypical)


def _group_metrics(plain: dict[str, Array], drawn: dict[str, Array] | None) -> dict[str, dict[str, Cell]]:
    return {
        name: {
            metric: _mean_cell(plain[metric], None if drawn is None else drawn[metric], members) for metric in METRICS
        }
        for name, members in groups().items()
    }


def _mean_cell(plain: Array, drawn: Array | None, members: list[int]) -> Cell:
    """Average one metric over a group's targets, of the plain values and of every draw."""
    over = int(np.sum(~np.isnan(plain[0, members])))
    means = None if drawn is None else mean_of(drawn, members)
    return make_cell(mean_of(plain, members)[0], means, "defined for none of the targets", over)


def subgroup_metrics(test: Part, test_logits: WindowLogits, params: Evaluate) -> dict[str, SubgroupMetrics]:
    """Compute mean metrics over targets by age group, sex, walking aid and camera view."""
    logits, truth = child_logits(test, test_logits), labels_of_children(test.table)
    people = test.table.unique("subject").sort("subject")
    assert len(people) == len(children_of(test.table))
    age = people["age_years"].to_numpy().astype(float)
    members: dict[str, NDArray[np.bool_]] = {}
    for low, high in pairwise([-np.inf, *params.age_edges, np.inf]):
        members[f"age.{_age_range(low, high)}"] = (age >= low) & (age < high)
    members["age.unknown"] = np.isnan(age)
    for column in ("sex", "aid"):
        values = list(people[column])
        members |= {f"{column}.{value}": np.array([v == value for v in values]) for value in sorted(set(values))}
    rows = {name: _subgroup(logits[inside], truth[inside]) for name, inside in members.items() if inside.any()}
    for view in sorted(set(test.table["view"])):
        rows[f"view.{view}"] = _subgroup(child_logits(test, test_logits, (view,)), truth)
    return rows


def _age_range(low: float, high: float) -> str:
    if np.isinf(low):
        return f"under {high:g}"
    return f"{low:g} and over" if np.isinf(high) else f"{low:g} to {high:g}"


def _subgroup(logits: Array, truth: Truth) -> SubgroupMetrics:
    half = np.full(truth.shape[1], 0.5)
    values = measure(sigmoid(logits), truth, np.ones((1, len(truth))), thresholds=half, bins=10, balanced=False)
    targets = list(range(truth.shape[1]))
    valid = ~np.isnan(logits) & ~np.isnan(truth)

    def mean(metric: str) -> Cell:
        return make_cell(mean_of(values[metric], targets)[0], None, "defined for no target")

    return SubgroupMetrics(
        children=int(valid.any(axis=1).sum()),
        cells=int(valid.sum()),
        accuracy=mean("accuracy"),
        balanced_accuracy=mean("balanced_accuracy"),
        f1=mean("f1"),
    )
