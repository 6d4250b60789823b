"""Calibrated probabilities and decision thresholds, both fitted on validation children only; how well they hold.

A loss that gives both classes the same weight shifts the log-odds of a target by the log of its weight, which no
temperature can undo. The shift is subtracted, then an intercept and a slope per item (Platt scaling; of both limbs) are
fitted, shrunk towards the ones of all items together. How well probabilities hold is measured by the same two numbers
on the test children: intercept 0 and slope 1 are perfect (Van Calster et al. 2019,
https://doi.org/10.1186/s12916-019-1466-7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import CODES, TARGET_NAMES, TARGETS
from childgait.metrics.cells import Cell, make_cell
from childgait.metrics.run_metrics import CalibrationSummary, Recalibration, ReliabilityBin
from childgait.metrics.scores import Array, bin_of, sigmoid

SPREADS = (1.0, 0.7, 0.3, 0.15)  # prior deviations: pooled intercept, log slope; an item's differences from them
DIGITS = 9  # of the map in metrics.json: enough to compute a probability again to 1e-6
FEWEST_TO_TUNE = 200  # validation children: with 17, tuned thresholds cost .025 of balanced accuracy, with 66 .011


@dataclass(frozen=True)
class CalibrationMap:
    """Turns logits (N, 34) into those of calibrated probabilities."""

    shift: Array  # (34,) log of the class weights, which is subtracted first
    intercept: Array  # (34,)
    slope: Array  # (34,)
    pooled: tuple[float, float] = (0.0, 1.0)  # intercept and slope that the items' are shrunk to

    def apply(self, logits: Array) -> Array:
        """Return calibrated logits."""
        return np.asarray(self.intercept + self.slope * (logits - self.shift))

    def record(self) -> Recalibration:
        """Return the map for metrics.json."""
        shift, by_item = self.shift.tolist(), range(len(CODES))
        return Recalibration(
            log_weight={name: round(x, DIGITS) for name, x in zip(TARGET_NAMES, shift, strict=True)},
            intercept={CODES[n]: round(float(self.intercept[n]), DIGITS) for n in by_item},
            slope={CODES[n]: round(float(self.slope[n]), DIGITS) for n in by_item},
            pooled_intercept=round(self.pooled[0], DIGITS),
            pooled_slope=round(self.pooled[1], DIGITS),
        )

    @classmethod
    def from_record(cls, record: Recalibration) -> CalibrationMap:
        """Return the map that metrics.json states."""
        return cls(
            np.array([record.log_weight[name] for name in TARGET_NAMES]),
            np.array([record.intercept[target.code] for target in TARGETS]),
            np.array([record.slope[target.code] for target in TARGETS]),
            (record.pooled_intercept, record.pooled_slope),
        )


def fit_calibration(
    logits: Array, truth: NDArray[np.floating], positive_weights: NDArray[np.floating] | None = None
) -> CalibrationMap:
    """Fit intercept and slope per item to validation's labels by penalised maximum likelihood.

    `positive_weights` (34,) are those of atypical scores in the loss; None: all 1. Without a label, only they are
    undone.
    """
    from scipy.optimize import minimize

    targets, items = logits.shape[1], len(CODES)
    shift = np.zeros(targets) if positive_weights is None else np.log(np.asarray(positive_weights, dtype=float))
    valid = ~np.isnan(logits) & ~np.isnan(truth)
    if not valid.any():
        return CalibrationMap(shift, np.zeros(targets), np.ones(targets))
    x, y = (logits - shift)[valid], truth[valid].astype(float)
    item = np.broadcast_to(np.arange(targets) % items, logits.shape)[valid]
    spreads = np.concatenate([SPREADS[:2], np.full(items, SPREADS[2]), np.full(items, SPREADS[3])])

    def loss(values: Array) -> tuple[float, Array]:
        intercept, slope = _lines(values, items)
        z = intercept[item] + slope[item] * x
        residual = sigmoid(z) - y
        of_intercept = np.bincount(item, residual, items)
        of_slope = np.bincount(item, residual * x, items) * slope  # of the log slope
        gradient = np.concatenate([[of_intercept.sum(), of_slope.sum()], of_intercept, of_slope])
        value = np.sum(np.logaddexp(0, np.where(y == 1, -z, z))) + np.sum((values / spreads) ** 2) / 2
        return float(value), gradient + values / spreads**2

    fitted = minimize(loss, np.zeros(2 + 2 * items), jac=True, method="L-BFGS-B")
    intercept, slope = _lines(fitted.x, items)
    column = np.arange(targets) % items
    return CalibrationMap(shift, intercept[column], slope[column], (float(fitted.x[0]), float(np.exp(fitted.x[1]))))


def _lines(values: Array, items: int) -> tuple[Array, Array]:
    """Return (items,) intercepts and slopes from the fitted values: the pooled two, then the items' differences."""
    return values[0] + values[2 : 2 + items], np.exp(np.clip(values[1] + values[2 + items :], -10, 5))


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
    """Compute Brier score, calibration error, slope and intercept over all cells; null without labels.

    The calibration error has beside it what a perfectly calibrated model would have with as many cells.
    """
    probability = sigmoid(logits)
    rows = reliability(probability, truth, bins)
    valid = np.isfinite(truth) & np.isfinite(logits)
    if not valid.any():
        return CalibrationSummary(brier=None, ece=None, reliability=rows)
    p, y = probability[valid], truth[valid].astype(float)
    intercept, slope = calibration_line(logits, truth)
    return CalibrationSummary(
        brier=float(np.mean((p - y) ** 2)),
        ece=calibration_error(p, y, bins),
        ece_expected=_expected_error(probability, valid, bins),
        intercept=intercept,
        slope=slope,
        reliability=rows,
    )


def calibration_error(p: Array, y: Array, bins: int) -> float:
    """Compute the expected calibration error of N predictions."""
    gaps = np.bincount(bin_of(p, bins), p - y, bins)
    return float(np.abs(gaps).sum() / len(p))


def _expected_error(probability: Array, valid: NDArray[np.bool_], bins: int, draws: int = 100) -> float:
    """Compute the mean calibration error of labels that are drawn from the probabilities themselves."""
    rng, p = np.random.default_rng(0), probability[valid]
    return float(np.mean([calibration_error(p, (rng.random(len(p)) < p).astype(float), bins) for _ in range(draws)]))


def calibration_line(logits: Array, truth: NDArray[np.floating]) -> tuple[Cell, Cell]:
    """Fit observed labels on predicted logits, all targets pooled; return intercept (at slope 1) and slope.

    Children are the clusters of the sandwich variance; the interval has Student's t, of one child less.
    """
    valid = np.isfinite(truth) & np.isfinite(logits)
    child = np.broadcast_to(np.arange(len(truth))[:, None], truth.shape)[valid]
    x, y = logits[valid], truth[valid].astype(float)
    if len(np.unique(y)) < 2 or np.ptp(x) == 0:
        nothing = Cell(value=None, reason="one class only, or one and the same prediction")
        return nothing, nothing
    offset = _cluster_fit(np.ones((len(x), 1)), y, x, child)[0]
    return offset, _cluster_fit(np.stack([np.ones_like(x), x], axis=1), y, np.zeros_like(x), child)[1]


def _cluster_fit(design: Array, y: Array, offset: Array, child: NDArray[np.int64]) -> list[Cell]:
    """Fit a logistic regression by Newton's method; return a cell per coefficient."""
    from scipy.stats import t

    beta = np.zeros(design.shape[1])
    for _ in range(30):
        p = sigmoid(design @ beta + offset)
        information = design.T @ (design * (p * (1 - p))[:, None]) + 1e-9 * np.eye(len(beta))
        step = np.linalg.solve(information, design.T @ (y - p))
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    scores = design * (y - sigmoid(design @ beta + offset))[:, None]
    by_child = np.stack([np.bincount(child, column) for column in scores.T], axis=1)
    count = len(np.unique(child))
    if count < 3:
        return [make_cell(float(value), None, "") for value in beta]
    inverse = np.linalg.inv(information)
    variance = np.diag(inverse @ (by_child.T @ by_child) @ inverse) * count / (count - 1)
    half = t.ppf(0.975, count - 1) * np.sqrt(variance)
    return [make_cell(float(b), (float(b - h), float(b + h)), "") for b, h in zip(beta, half, strict=True)]
