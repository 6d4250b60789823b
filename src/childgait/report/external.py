"""Rows of predictions from outside: read from a study's outputs, and as text for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.files.external_answers import ExternalAnswers
from childgait.metrics.external import ExternalRow, measure_external
from childgait.metrics.of_study import PredictionsByModel, read_predictions
from childgait.metrics.run_metrics import RunMetrics, read_run_metrics
from childgait.report.formats import number

if TYPE_CHECKING:
    from childgait.metrics.cells import Cell
    from childgait.params import Evaluate

EXPLAINED = (
    "Rows marked external are predictions that were made elsewhere, on the test children of this split; the same code "
    "measures them on the same labels. Training, inputs and what the source has seen of these children cannot be "
    "checked here. Refused and missing answers are left out of the metrics and counted; one column counts them as "
    "wrong."
)


@dataclass(frozen=True)
class StudyPredictions:
    """What a study's runs predict, with the split hash of every fold."""

    predictions: dict[str, PredictionsByModel]  # by scope
    split_hashes: dict[str, str]  # by fold


def read_study_predictions(evaluations: Path, model: str) -> StudyPredictions:
    """Read the predictions of one model of a finished study and the split hashes of its folds."""
    files = sorted((evaluations / model).glob("*/predictions.parquet"))
    runs = [read_run_metrics(path.with_name("metrics.json")) for path in files]
    return StudyPredictions(read_predictions(files), split_hashes_of(runs))


def split_hashes_of(runs: list[RunMetrics]) -> dict[str, str]:
    """Return the split hash of every fold."""
    return {run.fold: run.split_hash for run in runs}


def external_rows(
    sources: list[ExternalAnswers], study: StudyPredictions, model: str, evaluation: Evaluate
) -> list[ExternalRow]:
    """Measure every source in every scope that its split hashes belong to."""
    draws, seed, bins = evaluation.bootstrap, evaluation.seed, evaluation.bins
    return [
        row
        for answers in sources
        for row in measure_external(
            answers, study.split_hashes, study.predictions, model, draws=draws, seed=seed, bins=bins
        )
    ]


def external_text(row: ExternalRow, model: str) -> str:
    """Describe one row for a terminal: means over targets with their 95 % intervals."""
    overall = row.metrics.overall
    lines = [f"{row.mark}, {row.scope}: {row.metrics.children} children, {row.labelled} labelled cells"]
    lines.append(f"  refused or missing: {row.unanswered} ({row.unanswered / max(row.labelled, 1):.0%})")
    lines += [f"  {name}: {_interval(overall[name])}" for name in ("accuracy", "balanced_accuracy", "f1", "auroc")]
    lines.append(f"  accuracy, unanswered counted as wrong: {number(row.accuracy_unanswered_wrong.value)}")
    gap = row.difference
    if gap.difference is not None:
        bounds = "" if gap.low is None else f" ({gap.low:+.2f} to {gap.high:+.2f})"
        lines.append(f"  balanced accuracy minus that of {model}: {gap.difference:+.2f}{bounds}")
    return "\n".join(lines)


def _interval(cell: Cell) -> str:
    if cell.value is None:
        return f"not defined ({cell.reason})"
    return number(cell.value) + ("" if cell.low is None else f" ({number(cell.low)} to {number(cell.high)})")
