"""The inputs of the report, read once: predictions and metrics of all runs, gates, checks, labels, settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from childgait.errors import StepError
from childgait.files.agreement import RaterAgreement
from childgait.files.external_answers import read_kept_answers
from childgait.files.gate_results import GateResult, read_gate_result
from childgait.files.split import HOLDOUT
from childgait.files.vault import VaultRow, read_openings
from childgait.metrics.external import ExternalRow
from childgait.metrics.of_study import (
    GapToBest,
    MetricsByModel,
    PredictionsByModel,
    ScopeMetrics,
    ScopePredictions,
    gap_to_best,
    measure_model,
    read_predictions,
    run_key,
)
from childgait.metrics.run_metrics import RunMetrics, read_run_metrics
from childgait.params import Cohort, Evaluate, Finetune, JsonSection, load_section, read_params
from childgait.report.external import StudyPredictions, external_rows, split_hashes_of
from childgait.report.headline import TOO_FEW, choose_headline
from childgait.report.pretraining import PretrainedStart, pretrained_starts
from childgait.report.promises import PromiseResult, read_promises
from childgait.report.walk_values import measure_walks


@dataclass(frozen=True)
class Study:
    """Everything that the report is written from."""

    settings: JsonSection  # params.yaml as it stands
    cohort: Cohort
    evaluation: Evaluate
    predictions: dict[str, PredictionsByModel]  # by scope
    metrics: dict[str, MetricsByModel]  # by scope
    runs: list[RunMetrics]  # by model, fold and seed
    histories: dict[str, pl.DataFrame]  # learning curve of each model's first run
    labels: pl.DataFrame
    subjects: pl.DataFrame
    agreement: RaterAgreement
    gates: list[GateResult]
    pooled: dict[str, pl.DataFrame]  # the gates' tables by step
    promises: list[PromiseResult]
    pretraining: list[PretrainedStart]
    scope: str  # of the headline
    model: str  # of the headline
    external: list[ExternalRow]  # predictions that were made elsewhere
    openings: list[VaultRow]  # evaluations on the sealed children
    walks: pl.DataFrame  # the headline model's test predictions per video that shows the item, first seed
    walk_values: pl.DataFrame  # what the rules measure in each video; empty without clips

    @property
    def headline(self) -> ScopeMetrics:
        return self.metrics[self.scope][self.model]

    @property
    def headline_predictions(self) -> ScopePredictions:
        return self.predictions[self.scope][self.model]

    @property
    def majority(self) -> ScopeMetrics | None:
        return self.metrics[self.scope].get("majority")

    @property
    def first_fold(self) -> str:
        """The hold-out, or the first of the folds."""
        return HOLDOUT if self.scope == HOLDOUT else min(run.fold for run in self.runs)

    @property
    def headline_run(self) -> RunMetrics:
        """The first run of the headline's model."""
        return next(run for run in self.runs if (run.model, run.fold) == (self.model, self.first_fold))

    @cached_property
    def gaps(self) -> dict[str, dict[str, GapToBest]]:
        """How far each model is behind the best one, by scope and model."""
        draws, seed = self.evaluation.bootstrap, self.evaluation.seed
        return {
            scope: gap_to_best(self.predictions[scope], metrics, draws, seed, TOO_FEW)
            for scope, metrics in self.metrics.items()
        }

    def first_runs(self) -> dict[str, RunMetrics]:
        """The first run of each model."""
        first: dict[str, RunMetrics] = {}
        for run in self.runs:
            first.setdefault(run.model, run)
        return first


@dataclass(frozen=True)
class StudyFiles:
    """The paths of a study's outputs that the report reads."""

    predictions: list[Path]
    histories: list[Path]
    metrics: list[Path]
    labels: Path
    subjects: Path
    agreement: Path
    gates: list[Path]
    pooled: list[Path]
    checks: Path
    settings: Path
    pretraining: list[Path]  # outputs of the stage pretrain; none where it did not run
    external: Path | None = None  # annotations/external.csv
    clips: Sequence[Path] = ()
    vault: Path | None = None  # annotations/vault.csv


def read_study(files: StudyFiles) -> Study:
    """Read all inputs, check that the runs share their splits, and measure every model."""
    evaluation = load_section(files.settings, Evaluate)
    predictions = read_predictions(files.predictions)
    runs = sorted((read_run_metrics(path) for path in files.metrics), key=lambda run: (run.model, run.fold, run.seed))
    scope, model = choose_headline(load_section(files.settings, Finetune).models[0], predictions)
    check_same_split(runs)
    return Study(
        settings=read_params(files.settings),
        cohort=load_section(files.settings, Cohort),
        evaluation=evaluation,
        predictions=predictions,
        metrics={name: _measure_scope(models, evaluation) for name, models in predictions.items()},
        runs=runs,
        histories=read_histories(files.histories),
        labels=pl.read_parquet(files.labels),
        subjects=pl.read_parquet(files.subjects),
        agreement=RaterAgreement.read(files.agreement),
        gates=[read_gate_result(path) for path in sorted(files.gates)],
        pooled={path.stem: pl.read_parquet(path) for path in files.pooled},
        promises=read_promises(files.checks),
        pretraining=pretrained_starts(runs, files.pretraining),
        scope=scope,
        model=model,
        external=_external_rows(files.external, predictions, runs, model, evaluation),
        openings=[] if files.vault is None else read_openings(files.vault),
        walks=read_walks(files.predictions, scope, model),
        walk_values=measure_walks(files.clips),
    )


def _external_rows(
    path: Path | None,
    predictions: dict[str, PredictionsByModel],
    runs: list[RunMetrics],
    model: str,
    evaluation: Evaluate,
) -> list[ExternalRow]:
    """Measure the sources of annotations/external.csv, where that is given."""
    if path is None:
        return []
    study = StudyPredictions(predictions, split_hashes_of(runs))
    return external_rows(read_kept_answers(path), study, model, evaluation)


def read_walks(paths: list[Path], scope: str, model: str) -> pl.DataFrame:
    """Read a model's test predictions per video, of the items that the video's view shows, of the first seed."""
    runs = {path: run_key(path) for path in paths}
    own = {
        path: run for path, run in runs.items() if run.model == model and (run.fold == HOLDOUT) == (scope == HOLDOUT)
    }
    first = min(run.seed for run in own.values())
    is_walk = (pl.col("part") == "test") & (pl.col("level") == "video") & pl.col("counts")
    tables = [
        pl.read_parquet(path).filter(is_walk).select("subject", "video", "view", "target", "calibrated")
        for path, run in sorted(own.items())
        if run.seed == first
    ]
    return pl.concat(tables)


def _measure_scope(models: PredictionsByModel, params: Evaluate) -> MetricsByModel:
    return {name: measure_model(model, params.bootstrap, params.seed, params.bins) for name, model in models.items()}


def check_same_split(runs: list[RunMetrics]) -> None:
    """Fail if runs of one fold were trained on different splits: they would stand in one table."""
    first: dict[str, RunMetrics] = {}
    for run in runs:
        other = first.setdefault(run.fold, run)
        if run.split_hash != other.split_hash:
            raise StepError(
                f"{run.model}, fold {run.fold}, is of split {run.split_hash[:12]}, but {other.model} of"
                f" {other.split_hash[:12]}",
                hint="run finetune and evaluate again for both: their children differ",
            )


def read_histories(paths: list[Path]) -> dict[str, pl.DataFrame]:
    """Read the learning curve of each model's first run."""
    curves: dict[str, pl.DataFrame] = {}
    for path in sorted(paths):
        if path.read_text(encoding="utf-8").strip():
            curves.setdefault(path.parent.parent.name, pl.read_csv(path))
    return curves
