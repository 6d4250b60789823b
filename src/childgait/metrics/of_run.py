"""The metrics file of one run: everything that is said about a model on its test children.

    {"children": {...}, "temperature": t, "thresholds": {target: x},
     "natural": block, "balanced": block, "tuned": block, "calibration": {"before": …, "after": …},
     "confusion": {target: {"tp", "fp", "fn", "tn"}}, "subgroups": {"age.under 7": {...}}, "challenge": {...}}

A block is {"targets": {target: {metric: cell}}, "groups": {"overall": {metric: cell}, "limb.left": …}}; a cell is
{"value", "low", "high"} (95 % over draws of children), or {"value": null, "reason"}. Group cells say over how many
targets they are a mean ("over"). `natural` is the test children as they are, `balanced` reweighed to equal classes,
both at threshold 0.5; `tuned` is natural at thresholds fitted on validation.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGET_NAMES
from childgait.files.parts import children_of, labels_of_children
from childgait.metrics.aggregate import child_logits
from childgait.metrics.calibration import fit_temperature, overall_calibration, tune_thresholds
from childgait.metrics.intervals import draw_weights, interval, mean_of, measure_draws
from childgait.metrics.scores import METRICS, Array, challenge_score, confusion, groups, measure, reason, sigmoid

if TYPE_CHECKING:
    from childgait.files.parts import Part
    from childgait.metrics.aggregate import WindowLogits
    from childgait.params import Evaluate


def report(
    validation: Part, of_validation: WindowLogits, test: Part, of_test: WindowLogits, params: Evaluate
) -> dict[str, Any]:
    """Temperature and thresholds from validation; everything else on test, the child being the unit."""
    seen, seen_truth = child_logits(validation, of_validation), labels_of_children(validation.table)
    temperature = fit_temperature(seen, seen_truth)
    thresholds = tune_thresholds(sigmoid(seen), seen_truth)
    logits, truth = child_logits(test, of_test), labels_of_children(test.table)
    probability, half = sigmoid(logits), np.full(len(TARGET_NAMES), 0.5)
    draws = draw_weights(len(truth), params.bootstrap, params.seed) if params.bootstrap else None
    return {
        "unit": "child",
        "children": {"validation": len(seen), "test": len(truth)},
        "temperature": temperature,
        "thresholds": {name: float(x) for name, x in zip(TARGET_NAMES, thresholds, strict=True)},
        "natural": block(probability, truth, draws, half, params.bins, balanced=False),
        "balanced": block(probability, truth, draws, half, params.bins, balanced=True),
        "tuned": block(probability, truth, None, thresholds, params.bins, balanced=False),
        "calibration": {
            "before": overall_calibration(logits, truth, params.bins),
            "after": overall_calibration(logits / temperature, truth, params.bins),
        },
        "confusion": confusion(probability, truth),
        "subgroups": subgroups(test, of_test, params),
        "challenge": challenge_score(probability, truth),
    }


def block(
    probability: Array,
    truth: NDArray[np.floating],
    draws: Array | None,
    thresholds: Array,
    bins: int,
    *,
    balanced: bool,
) -> dict[str, Any]:
    """Every metric of every target and group, with intervals where there are draws."""
    options: dict[str, Any] = {"thresholds": thresholds, "bins": bins, "balanced": balanced}
    plain = measure(probability, truth, np.ones((1, len(truth))), **options)
    drawn = measure_draws(probability, truth, draws, **options) if draws is not None else None
    known = ~np.isnan(truth) & ~np.isnan(probability)
    positives, counts = np.sum(known & (truth == 1), axis=0), known.sum(axis=0)
    targets: dict[str, Any] = {}
    for number, name in enumerate(TARGET_NAMES):
        atypical, typical = int(positives[number]), int(counts[number] - positives[number])
        targets[name] = {
            metric: cell(
                plain[metric][0, number],
                None if drawn is None else drawn[metric][:, number],
                reason(metric, atypical, typical),
            )
            for metric in METRICS
        }
        targets[name] |= {"children": atypical + typical, "atypical": atypical}
    of_groups: dict[str, Any] = {}
    for name, members in groups().items():
        of_groups[name] = {}
        for metric in METRICS:
            mean = mean_of(plain[metric], members)[0]
            over = int(np.sum(~np.isnan(plain[metric][0, members])))
            means = None if drawn is None else mean_of(drawn[metric], members)
            of_groups[name][metric] = cell(mean, means, "defined for none of the targets") | {"over": over}
    return {"targets": targets, "groups": of_groups}


def cell(value: float, draws: Array | None, why: str) -> dict[str, Any]:
    """A number with its interval, or null with the reason."""
    if np.isnan(value):
        return {"value": None, "reason": why}
    bounds = None if draws is None else interval(draws)
    low, high = bounds or (None, None)
    return {"value": _short(value), "low": _short(low), "high": _short(high)}


def _short(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)


def subgroups(test: Part, judged: WindowLogits, params: Evaluate) -> dict[str, Any]:
    """Mean metrics over targets for some of the children, or from some of the views."""
    logits, truth = child_logits(test, judged), labels_of_children(test.table)
    people = test.table.unique("subject").sort("subject")
    age, names = people["age_years"].to_numpy().astype(float), list(people["sex"])
    edges = [-np.inf, *params.age_edges, np.inf]
    members: dict[str, NDArray[np.bool_]] = {}
    for low, high in pairwise(edges):
        members[f"age.{_years(low, high)}"] = (age >= low) & (age < high)
    members["age.unknown"] = np.isnan(age)
    members |= {f"sex.{sex}": np.array([name == sex for name in names]) for sex in sorted(set(names))}
    aids = list(people["aid"])
    members |= {f"aid.{aid}": np.array([name == aid for name in aids]) for aid in sorted(set(aids))}
    found = {name: _summary(logits[inside], truth[inside]) for name, inside in members.items() if inside.any()}
    for view in sorted(set(test.table["view"])):
        found[f"view.{view}"] = _summary(child_logits(test, judged, (view,)), truth)
    assert len(people) == len(children_of(test.table))
    return found


def _years(low: float, high: float) -> str:
    if np.isinf(low):
        return f"under {high:g}"
    return f"{low:g} and over" if np.isinf(high) else f"{low:g} to {high:g}"


def _summary(logits: Array, truth: NDArray[np.floating]) -> dict[str, Any]:
    half = np.full(truth.shape[1], 0.5)
    values = measure(sigmoid(logits), truth, np.ones((1, len(truth))), thresholds=half, bins=10, balanced=False)
    everything = list(range(truth.shape[1]))
    chosen = ("accuracy", "balanced_accuracy", "f1")
    known = ~np.isnan(logits) & ~np.isnan(truth)
    means = {metric: cell(mean_of(values[metric], everything)[0], None, "defined for no target") for metric in chosen}
    return {"children": int(known.any(axis=1).sum()), "cells": int(known.sum()), **means}
