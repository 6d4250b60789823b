"""Probabilities that mean what they say, and thresholds: both fitted on validation children only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from childgait.metrics.scores import Array, bin_of, measure, sigmoid


def fit_temperature(logits: Array, truth: NDArray[np.floating]) -> float:
    """The one number that logits are divided by so that validation's log loss is least; 1 where nothing is known."""
    from scipy.optimize import minimize_scalar

    known = ~np.isnan(logits) & ~np.isnan(truth)
    if not known.any():
        return 1.0
    signed = np.where(truth[known] == 1, -logits[known], logits[known])
    found = minimize_scalar(
        lambda log_t: np.logaddexp(0, signed / np.exp(log_t)).mean(), bounds=(-3, 3), method="bounded"
    )
    return round(float(np.exp(found.x)), 4)


def tune_thresholds(probability: Array, truth: NDArray[np.floating]) -> Array:
    """(T,) the threshold with the best balanced accuracy on validation, the one nearest 0.5 among equals.

    0.5 where validation lacks a class: there is nothing to tune on.
    """
    chosen = np.full(truth.shape[1], 0.5)
    for target in range(truth.shape[1]):
        known = ~np.isnan(truth[:, target]) & ~np.isnan(probability[:, target])
        p, y = probability[known, target], truth[known, target]
        if len(np.unique(y)) < 2:
            continue
        edges = np.unique(p)
        candidates = np.append((edges[1:] + edges[:-1]) / 2, 0.5)
        called = p[None] >= candidates[:, None]
        score = (called[:, y == 1].mean(axis=1) + (~called[:, y == 0]).mean(axis=1)) / 2
        best = candidates[score == score.max()]
        chosen[target] = best[np.argmin(np.abs(best - 0.5))]
    return chosen


def reliability(probability: Array, truth: NDArray[np.floating], bins: int) -> list[dict[str, Any]]:
    """The rows of a reliability diagram over all cells: what was said, and what was true."""
    known = ~np.isnan(truth) & ~np.isnan(probability)
    p, y = probability[known], truth[known]
    number = bin_of(p, bins)
    rows = []
    for b in range(bins):
        inside = number == b
        said = (
            {"mean_probability": float(p[inside].mean()), "share_atypical": float(y[inside].mean())}
            if inside.any()
            else {}
        )
        rows.append({"from": b / bins, "to": (b + 1) / bins, "cells": int(inside.sum()), **said})
    return rows


def overall_calibration(logits: Array, truth: NDArray[np.floating], bins: int) -> dict[str, Any]:
    """Brier score and calibration error over all cells together, with the diagram's rows; null where no answer is known."""
    probability = sigmoid(logits)
    if not (np.isfinite(truth) & np.isfinite(logits)).any():
        return {"brier": None, "ece": None, "reliability": reliability(probability, truth, bins)}
    flat, cells = probability.reshape(-1, 1), truth.reshape(-1, 1)
    values = measure(flat, cells, np.ones((1, len(flat))), thresholds=np.array([0.5]), bins=bins, balanced=False)
    return {
        "brier": float(values["brier"][0, 0]),
        "ece": float(values["ece"][0, 0]),
        "reliability": reliability(probability, truth, bins),
    }
