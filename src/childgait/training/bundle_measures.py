"""Measures a study's models for its bundle: limits of prediction sets, performance, reference of the gait features."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from childgait.domain.evgs import CODES, TARGET_NAMES
from childgait.errors import StepError
from childgait.files.clips import open_clip
from childgait.files.split import HOLDOUT
from childgait.gait.feature_distance import fit_reference
from childgait.gait.features import kinematics
from childgait.metrics.abstention import fit_limits, measure_abstention
from childgait.metrics.of_run import metrics_block
from childgait.metrics.scores import sigmoid
from childgait.metrics.target_cells import Predictions
from childgait.training.bundle import TargetPerformance

if TYPE_CHECKING:
    from childgait.files.clips import Clip
    from childgait.files.model_description import ModelDescription
    from childgait.gait.feature_distance import Reference
    from childgait.params import Evaluate
    from childgait.training.bundle import BundledRun


def fit_feature_reference(description: ModelDescription, clips: list[Path]) -> tuple[Reference, int]:
    """Fit the reference of the gait features to the training children of a run; returns it and their number."""
    training = set(description.children["train"])
    opened: dict[str, Clip] = {clip.video: clip for clip in map(open_clip, clips) if clip.subject in training}
    if not opened:
        raise StepError(
            "no clip of a training child was given", hint="give --clips, or run from the folder of a finished study"
        )
    table = pl.DataFrame({"video": list(opened), "subject": [clip.subject for clip in opened.values()]})
    return fit_reference(kinematics(table, opened)), table["subject"].n_unique()


def measure_main_model(runs: list[BundledRun], predictions: list[Path], params: Evaluate) -> dict[str, Any]:
    """Fit the limits on children unseen in training, and measure the main model on the test children.

    With a hold-out its test children are the test, and those of the folds belong to the calibration; without one the
    folds' test children are both, as there are no others.
    """
    own = [
        (run, path)
        for run, path in zip(runs, predictions, strict=True)
        if run.description.model == runs[0].description.model
    ]
    folds = {run.description.fold for run, _ in own}
    tested = {HOLDOUT} if HOLDOUT in folds else folds
    calibration = [(run, path, "validation") for run, path in own]
    calibration += [(run, path, "test") for run, path in own if run.description.fold != HOLDOUT]
    test = [(run, path, "test") for run, path in own if run.description.fold in tested]
    fit_p, fit_y = pooled_predictions(calibration)
    p, y = pooled_predictions(test)
    limits = fit_limits(fit_p, fit_y, params.error_rate)
    abstention = measure_abstention(p, y, limits, params.error_rate)
    half, predicted = np.full(len(TARGET_NAMES), 0.5), Predictions(y, [p], [p])
    targets = metrics_block(predicted, half, params.bins, balanced=False, intervals=True).targets
    metrics = ("children", "atypical", "accuracy", "sensitivity", "specificity")
    return {
        "limits": limits,
        "total_error": total_errors(fit_p, fit_y, params.error_rate),
        "calibration_children": len(fit_y),
        "abstention": {**abstention.items, "overall": abstention.overall},
        "performance": {
            name: TargetPerformance(**{key: getattr(row, key) for key in metrics}) for name, row in targets.items()
        },
        "test_children": len(y),
    }


def total_errors(
    probability: NDArray[np.float64], truth: NDArray[np.float64], error_rate: float
) -> dict[str, float | None]:
    """Return the error of the expected number of atypical items that all but `error_rate` of the totals stay below.

    Of limbs and of whole children with all labels; None where there are too few of them.
    """
    limbs = [slice(0, len(CODES)), slice(len(CODES), None)]
    sums = {
        "limb": np.concatenate([_total_error(probability[:, limb], truth[:, limb]) for limb in limbs]),
        "both": _total_error(probability, truth),
    }
    errors: dict[str, float | None] = {}
    for name, values in sums.items():
        known = np.sort(values[~np.isnan(values)])
        rank = math.ceil((1 - error_rate) * (len(known) + 1))
        errors[name] = float(known[rank - 1]) if 0 < rank <= len(known) else None
    return errors


def _total_error(probability: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:

    return np.asarray(np.abs((probability - truth).sum(axis=1)))


def pooled_predictions(
    parts: list[tuple[BundledRun, Path, str]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (N, 34) probabilities and labels of children: of the mean calibrated logit over their runs."""
    logits: dict[str, list[NDArray[np.float64]]] = {}
    labels: dict[str, NDArray[np.float64]] = {}
    for run, path, part in parts:
        table = pl.read_parquet(path).filter((pl.col("level") == "child") & (pl.col("part") == part))
        wide = {
            column: table.pivot("target", index="subject", values=column).sort("subject")
            for column in ("logit", "atypical")
        }
        arrays = {name: rows.select(TARGET_NAMES).to_numpy().astype(np.float64) for name, rows in wide.items()}
        for row, child in enumerate(wide["logit"]["subject"]):
            logits.setdefault(child, []).append(run.calibrate(arrays["logit"][row]))
            labels[child] = arrays["atypical"][row]
    children = sorted(logits)
    mean = np.stack([np.mean(logits[child], axis=0) for child in children])
    return sigmoid(mean), np.stack([labels[child] for child in children])
