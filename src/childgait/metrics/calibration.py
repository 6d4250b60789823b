"""Temperature scaling and decision thresholds, both fitted on validation children only; reliability diagrams.

Temperature scaling: Guo et al. 2017, https://arxiv.org/abs/1706.04599.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.metrics.run_metrics import CalibrationSummary, ReliabilityBin
from childgait.metrics.scores import Array, bin_of, measure, sigmoid


def fit_temperature(logits: Array, truth: NDArray[np.floating]) -> float:
    """Fit the divisor of the logits that minimizes validation's log loss; 1 where no label is known."""
    from scipy.optimize import minimize_scalar

    valid = ~np.isnan(logits) & ~np.isnan(truth)
    if not valid.any():
        return 1.0
    signed = np.where(truth[valid] == 1, -logits[valid], logits[valid])
    minimum = minimize_scalar(
        lambda log_t: np.logaddexp(0, signed / np.exp(log_t)).mean(), bounds=(-3, 3), method="bounded"
    )
    return round(float(np.exp(minimum.x)), 4)


def tune_thresholds(probability: Array, truth: NDArray[np.floating]) -> Array:
    """Choose (T,) thresholds by the best balanced accuracy on validation; of equal ones, the nearest to 0.5.

    0.5 where validation lacks a class: there is nothing to tune on.
    """
    thresholds = np.full(truth.shape[1], 0.5)
    for target in range(truth.shape[1]):
        valid = ~np.isnan(truth[:, target]) & ~np.isnan(probability[:, target])
        p, y = probability[valid, target], truth[valid, target]
        if len(np.unique(y)) < 2:
            continue
        edges = np.unique(p)
        candidates = np.append((edges[1:] + edges[:-1]) / 2, 0.5)
        positive = p[None] >= candidates[:, None]
        score = (positive[:, y == 1].mean(axis=1) + (~positive[:, y == 0]).mean(axis=1)) / 2
        best = candidates[score == score.max()]
        thresholds[target] = best[np.argmin(np.abs(best - 0.5))]
    return thresholds


def reliability(probability: Array, truth: NDArray[np.floating], bins: int) -> list[ReliabilityBin]:
    """Compute the bins of a reliability diagram over all cells: predicted probability against observed frequency."""
    valid = ~np.isnan(truth) & ~np.isnan(probability)
    p, y = probability[valid], truth[valid]
    number = bin_of(p, bins)
    rows = []
    for b in range(bins):
        inside = number == b
        edges = {"start": b / bins, "end": (b + 1) / bins}
        if inside.any():
            mean, share = float(p[inside].mean()), float(y[inside].mean())
            rows.append(ReliabilityBin(**edges, cells=int(inside.sum()), mean_probability=mean, share_atypical=share))
        else:
            rows.append(ReliabilityBin(**edges, cells=0))
    return rows


def overall_calibration(logits: Array, truth: NDArray[np.floating], bins: int) -> CalibrationSummary:
    """Compute Brier score, expected calibration error and reliability bins over all cells; null without labels."""
    probability = sigmoid(logits)
    rows = reliability(probability, truth, bins)
    if not (np.isfinite(truth) & np.isfinite(logits)).any():
        return CalibrationSummary(brier=None, ece=None, reliability=rows)
    flat, cells = probability.reshape(-1, 1), truth.reshape(-1, 1)
    values = measure(flat, cells, np.ones((1, len(flat))), thresholds=np.array([0.5]), bins=bins, balanced=False)
    return CalibrationSummary(brier=float(values["brier"][0, 0]), ece=float(values["ece"][0, 0]), reliability=rows)
