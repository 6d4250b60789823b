"""Metrics of predictions from outside, on the test children, labels and folds of the study's own runs.

A refused or missing answer of a labelled cell is no prediction: it is left out of the metrics and counted, and one
further accuracy counts it as wrong, so that a source cannot gain by declining difficult children.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from childgait.domain.evgs import TARGET_NAMES
from childgait.errors import StepError
from childgait.files.split import HOLDOUT
from childgait.metrics.cells import Cell, make_cell
from childgait.metrics.of_study import (
    Array,
    PredictionsByModel,
    ScopeMetrics,
    ScopePredictions,
    compare_models,
    measure_model,
)

if TYPE_CHECKING:
    from childgait.files.external_answers import ExternalAnswers
    from childgait.metrics.intervals import Comparison


@dataclass(frozen=True)
class ExternalRow:
    """One source in one scope: its metrics, what it did not answer, and its difference from the study's model."""

    source: str
    scope: str
    metrics: ScopeMetrics
    labelled: int  # cells (child and target) with a label
    unanswered: int  # of these, refused or missing
    accuracy_unanswered_wrong: Cell
    difference: Comparison  # of balanced accuracy, from the headline's model on the same children

    @property
    def mark(self) -> str:
        return f"{self.source} (external)"


def measure_external(
    answers: ExternalAnswers,
    split_hashes: dict[str, str],
    predictions: dict[str, PredictionsByModel],
    model: str,
    *,
    draws: int,
    seed: int,
    bins: int = 10,
) -> list[ExternalRow]:
    """Measure a source in every scope that its split hashes belong to.

    `split_hashes` are those of the study by fold; `model` is the study's row that the source is compared with.
    """
    fold_of = {split: fold for fold, split in split_hashes.items()}
    if unknown := sorted(answers.split_hashes - set(fold_of)):
        listed = "; ".join(f"{fold}: {split}" for fold, split in sorted(split_hashes.items()))
        raise StepError(
            f"{answers.source}: no fold of this study has the split hash {unknown[0]}",
            hint=f"predict the test children of this study's split ({listed})",
        )
    rows = []
    for scope, models in sorted(predictions.items()):
        folds = sorted(
            fold for split in answers.split_hashes if ((fold := fold_of[split]) == HOLDOUT) == (scope == HOLDOUT)
        )
        if folds:
            rows.append(_measure_scope(answers, scope, folds, split_hashes, models[model], draws, seed, bins))
    return rows


def _measure_scope(
    answers: ExternalAnswers,
    scope: str,
    folds: list[str],
    split_hashes: dict[str, str],
    reference: ScopePredictions,
    draws: int,
    seed: int,
    bins: int,
) -> ExternalRow:
    predictions, own = _arrange(answers, scope, folds, split_hashes, reference)
    probability, truth = predictions.probability[0], predictions.truth
    labelled = ~np.isnan(truth)
    unanswered = int((labelled & np.isnan(probability)).sum())
    right = labelled & ((probability >= 0.5) == (truth == 1)) & ~np.isnan(probability)
    share = float(right.sum() / labelled.sum()) if labelled.any() else float("nan")
    return ExternalRow(
        answers.source,
        scope,
        measure_model(predictions, draws, seed, bins),
        int(labelled.sum()),
        unanswered,
        make_cell(share, None, "no child with a known score"),
        compare_models(predictions, own, draws, seed),
    )


def _arrange(
    answers: ExternalAnswers, scope: str, folds: list[str], split_hashes: dict[str, str], reference: ScopePredictions
) -> tuple[ScopePredictions, ScopePredictions]:
    """Arrange the answers as the study's own predictions are, over the test children of `folds`; both of them."""
    # Folds are numbered in the order of all names of the scope, as metrics/of_study.py does.
    names = sorted(fold for fold in split_hashes if (fold == HOLDOUT) == (scope == HOLDOUT))
    number = np.zeros(len(reference.children), np.int64) if reference.folds is None else reference.folds
    kept = np.flatnonzero(np.isin(number, [names.index(fold) for fold in folds]))
    children = [reference.children[row] for row in kept]
    hash_of = {child: split_hashes[names[number[row]]] for child, row in zip(children, kept, strict=True)}
    for split, child, _ in answers.probability:
        if split in {split_hashes[fold] for fold in folds} and hash_of.get(child) != split:
            raise StepError(
                f"{answers.source}: child {child} is no test child of the split {split[:12]}…",
                hint="predict the test children of data/split_subjects/subjects.csv, each with its fold's hash",
            )
    grid: Array = np.full((len(children), len(TARGET_NAMES)), np.nan)
    for row, child in enumerate(children):
        for column, target in enumerate(TARGET_NAMES):
            value = answers.probability.get((hash_of[child], child, target))
            grid[row, column] = np.nan if value is None else value
    truth, of_fold = reference.truth[kept], None if reference.folds is None else reference.folds[kept]
    own = ScopePredictions(
        reference.model,
        tuple(children),
        truth,
        tuple(probability[kept] for probability in reference.probability),
        reference.videos,
        None if reference.calibrated is None else tuple(calibrated[kept] for calibrated in reference.calibrated),
        of_fold,
    )
    return ScopePredictions(answers.source, tuple(children), truth, (grid,), 0, None, of_fold), own
