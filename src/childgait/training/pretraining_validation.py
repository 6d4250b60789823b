"""What pre-training is measured by: held-out children of the stream, in windows that nothing was changed in.

R² of knee, ankle, phase, points and measures over all windows; and, without any fitting, the balanced accuracy of the
children's mean predicted measures put to the guide's bands against their true measures put to the same bands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from childgait.domain.evgs import CODES, TARGETS
from childgait.gait.scoring import bands_of
from childgait.metrics.scores import balanced_accuracy
from childgait.models.batch import Batch
from childgait.training.precision import Precision, autocast_context
from childgait.training.pretraining import LOSSES, DenseScale, dense_losses, standardised

KNEE, ANKLE = (1, 15), (2, 16)  # of the 28 curves: each limb's hip, knee, ankle, … (synthetic/motion.py CURVES)

Array = NDArray[np.float64]


def make_validator(
    batches: Iterable[tuple[Batch, Any]], scale: DenseScale, *, device: str, precision: Precision
) -> Callable[[nn.Module], dict[str, float]]:
    """Make a function from the model to its validation figures; `batches` yields the same windows each time.

    `batch.rows` numbers the child of each window.
    """
    tensors = scale.tensors(device)

    def validate(model: nn.Module) -> dict[str, float]:
        model.eval()
        predicted: dict[str, list[Array]] = {name: [] for name in LOSSES}
        truth: dict[str, list[Array]] = {name: [] for name in LOSSES}
        visible, children, losses, windows = [], [], [], []
        for clips, targets in batches:
            clips, targets = clips.to(device), targets.to(device)
            with torch.inference_mode(), autocast_context(precision, device):
                prediction = model(clips)
            truths = standardised(targets, tensors)
            parts = dense_losses(prediction, truths, targets.visible)
            losses.append(float(torch.stack(list(parts.values())).sum()))
            windows.append(clips.size)
            for name in LOSSES:
                if (values := getattr(prediction, name)) is not None:
                    predicted[name].append(values.double().cpu().numpy())
                    truth[name].append(truths[name].double().cpu().numpy())
            visible.append(targets.visible.cpu().numpy())
            assert clips.rows is not None
            children.append(clips.rows.cpu().numpy())
        figures = {"validation_loss": float(np.average(losses, weights=windows))}
        pairs = {
            name: (np.concatenate(truth[name]), np.concatenate(predicted[name])) for name in LOSSES if predicted[name]
        }
        figures |= r_squared_figures(pairs, np.concatenate(visible))
        figures["validation_bands"] = bands_accuracy(
            *pairs["measures"], np.concatenate(visible), np.concatenate(children), scale
        )
        return figures

    return validate


def r_squared(truth: Array, predicted: Array, known: NDArray[np.bool_] | None = None) -> Array:
    """Explained share of variance per column of (N, D); NaN where nothing varies."""
    known = np.ones(truth.shape, bool) if known is None else known
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, truth, 0).sum(axis=0) / count
    variance = np.where(known, (truth - mean) ** 2, 0).sum(axis=0) / count
    error = np.where(known, (truth - predicted) ** 2, 0).sum(axis=0) / count
    return np.where(variance > 0, 1 - error / np.where(variance > 0, variance, 1), np.nan)


def r_squared_figures(pairs: dict[str, tuple[Array, Array]], visible: NDArray[np.bool_]) -> dict[str, float]:
    """Return the mean R² by kind of target; NaN for kinds that a network without a time axis does not predict."""
    nan = float("nan")
    figures = dict.fromkeys(
        (f"validation_r2_{name}" for name in ("knee", "ankle", "curves", "phases", "points", "measures")), nan
    )
    for name in ("curves", "phases", "points"):
        if name in pairs:
            true, predicted = (values.reshape(-1, int(np.prod(values.shape[2:]))) for values in pairs[name])
            each = r_squared(true, predicted)
            figures[f"validation_r2_{name}"] = float(np.nanmean(each))
            if name == "curves":
                figures["validation_r2_knee"] = float(np.nanmean(each[list(KNEE)]))
                figures["validation_r2_ankle"] = float(np.nanmean(each[list(ANKLE)]))
    figures["validation_r2_measures"] = float(np.nanmean(r_squared(*pairs["measures"], visible)))
    return figures


def bands_accuracy(
    truth: Array, predicted: Array, visible: NDArray[np.bool_], children: NDArray[np.int64], scale: DenseScale
) -> float:
    """Return mean balanced accuracy over the targets that have typical and atypical children; NaN where none has."""
    moments = (scale.measure_mean, scale.measure_deviation)
    true = outside_bands(truth * moments[1] + moments[0], visible, children)
    logits = outside_bands(predicted * moments[1] + moments[0], visible, children)
    each = balanced_accuracy(logits, _atypical(true))
    return float(np.nanmean(each)) if np.isfinite(each).any() else float("nan")


def outside_bands(values: Array, visible: NDArray[np.bool_], children: NDArray[np.int64]) -> Array:
    """Return (children, 34): by how much the mean over a child's windows leaves the typical band; NaN where unseen."""
    bands = [bands_of(code) for code in CODES] * (len(TARGETS) // len(CODES))
    low, high = (np.array([getattr(band, edge) for band in bands]) for edge in ("zero_low", "zero_high"))
    names = np.unique(children)
    means = np.full((len(names), values.shape[1]), np.nan)
    for row, child in enumerate(names):
        shown = visible & (children == child)[:, None]
        count = shown.sum(axis=0)
        means[row] = np.where(count, np.where(shown, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
    return np.asarray(np.clip(np.maximum(low - means, means - high), -50, 50))


def _atypical(outside: Array) -> Array:
    return np.where(np.isnan(outside), np.nan, (outside > 0).astype(float))


def predictions_by_child(
    model: nn.Module, batches: Iterable[tuple[Batch, Any]], mean: NDArray[np.float32], deviation: NDArray[np.float32]
) -> tuple[Array, Array]:
    """Per child and target, by how much the predicted measure leaves its band, and whether the true one does."""
    model.eval()
    predicted, true, visible, children = [], [], [], []
    for clips, targets in batches:
        with torch.inference_mode():
            predicted.append(model(clips).measures.double().numpy() * deviation + mean)
        assert clips.rows is not None
        true.append(targets.measures.double().numpy())
        visible.append(targets.visible.numpy())
        children.append(clips.rows.numpy())
    shown, child = np.concatenate(visible), np.concatenate(children)
    logits, truth = (outside_bands(np.concatenate(values), shown, child) for values in (predicted, true))
    return logits, _atypical(truth)
