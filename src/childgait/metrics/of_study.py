"""Metrics of a study from its runs' predictions: pooled over folds, averaged over seeds, the child being the unit.

Reads `evaluate/{model}/{fold}-{seed}/predictions.parquet`. The hold-out and the folds are two scopes and are never
mixed: in a scope each child is tested once per seed. A metric is computed per seed over the scope's children and
averaged over seeds; its interval is that of the average, over draws of the same children for every seed and model.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from childgait.domain.evgs import TARGET_NAMES
from childgait.errors import StepError
from childgait.files.split import HOLDOUT
from childgait.metrics.cells import Cell, make_cell, round_value
from childgait.metrics.intervals import Comparison, compare, draw_weights, holm, mean_of, measure_draws
from childgait.metrics.scores import METRICS, groups, measure, undefined_reason

Array = NDArray[np.float64]
HEADLINE_METRICS = ("accuracy", "balanced_accuracy", "f1", "auroc")
FOLDS = "folds"


@dataclass(frozen=True, order=True)
class RunKey:
    """The model, fold and seed of a run, as its folder names them."""

    model: str
    fold: str
    seed: int

    def __str__(self) -> str:
        return f"{self.model}, fold {self.fold}, seed {self.seed}"


@dataclass(frozen=True)
class ScopePredictions:
    """A model's probabilities in a scope: the same children in the same order for every seed."""

    model: str
    children: tuple[str, ...]
    truth: Array  # (N, 34), NaN where unknown
    probability: tuple[Array, ...]  # one (N, 34) per seed
    videos: int


@dataclass(frozen=True)
class ScopeMetrics:
    """A model's metrics in a scope: a cell per target and a cell per group, for each metric."""

    model: str
    children: int
    videos: int
    seeds: int
    targets: dict[str, dict[str, Cell]]
    groups: dict[str, dict[str, Cell]]
    balanced: dict[str, dict[str, Cell]]  # the groups again, with the classes reweighed to be equal
    atypical: dict[str, int]  # children by target
    labelled: dict[str, int]  # children by target

    @property
    def overall(self) -> dict[str, Cell]:
        return self.groups["overall"]


PredictionsByModel = dict[str, ScopePredictions]
MetricsByModel = dict[str, ScopeMetrics]


def run_key(path: Path) -> RunKey:
    """Read a run's key off a path such as `evaluate/childgait_video/holdout-0/predictions.parquet`."""
    try:
        fold, seed = path.parent.name.rsplit("-", 1)
        return RunKey(path.parent.parent.name, fold, int(seed))
    except ValueError:
        raise StepError(
            f"{path} does not lie in a folder like MODEL/FOLD-SEED", hint="give the paths that evaluate writes"
        ) from None


def read_predictions(paths: list[Path]) -> dict[str, PredictionsByModel]:
    """Read the test predictions of all runs, by scope (holdout, folds) and model."""
    tables: dict[tuple[str, str], dict[int, list[pl.DataFrame]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(paths):
        run = run_key(path)
        scope = HOLDOUT if run.fold == HOLDOUT else FOLDS
        tables[scope, run.model][run.seed].append(pl.read_parquet(path).filter(pl.col("part") == "test"))
    scopes: dict[str, PredictionsByModel] = defaultdict(dict)
    for (scope, model), by_seed in sorted(tables.items()):
        pooled = {seed: pl.concat(by_seed[seed]) for seed in sorted(by_seed)}
        scopes[scope][model] = _scope_predictions(scope, model, pooled)
    return dict(scopes)


def _scope_predictions(scope: str, model: str, tables: dict[int, pl.DataFrame]) -> ScopePredictions:
    """Arrange the pooled tables of one model, by seed, as arrays over the same children."""
    members = {seed: _children(table, f"{model}, {scope}, seed {seed}") for seed, table in tables.items()}
    children = next(iter(members.values()))
    if any(other != children for other in members.values()):
        raise StepError(
            f"{model}: the seeds of {scope} were tested on different children",
            hint="every seed needs the same folds; see finetune.folds and finetune.seeds",
        )
    grids = [_grid(table, children) for table in tables.values()]
    videos = next(iter(tables.values())).filter(pl.col("level") == "video")["video"].n_unique()
    return ScopePredictions(model, tuple(children), grids[0][0], tuple(grid[1] for grid in grids), videos)


def _children(table: pl.DataFrame, where: str) -> list[str]:
    rows = table.filter(pl.col("level") == "child")
    if rows.select("subject", "target").is_duplicated().any():
        raise StepError(f"{where}: a child is tested twice", hint="folds overlap; run split_subjects again")
    return sorted(rows["subject"].unique().to_list())


def _grid(table: pl.DataFrame, children: list[str]) -> tuple[Array, Array]:
    """Arrange child rows as (children, 34) truth and probability, NaN where unknown."""
    rows = table.filter(pl.col("level") == "child")
    column = {name: index for index, name in enumerate(TARGET_NAMES)}
    shape = (len(children), len(TARGET_NAMES))
    truth, probability = np.full(shape, np.nan), np.full(shape, np.nan)
    row = {child: index for index, child in enumerate(children)}
    for subject, target, atypical, p in rows.select("subject", "target", "atypical", "probability").iter_rows():
        truth[row[subject], column[target]] = np.nan if atypical is None else atypical
        probability[row[subject], column[target]] = np.nan if p is None else p
    return truth, probability


def measure_model(predictions: ScopePredictions, draws: int, seed: int, bins: int = 10) -> ScopeMetrics:
    """Compute all metrics of a model in a scope, with intervals over `draws` of the children."""
    draws = draws if len(predictions.children) > 1 else 0  # draws of a single child give no interval
    natural = _averaged(predictions, draws, seed, bins, balanced=False)
    balanced = _averaged(predictions, 0, seed, bins, balanced=True)  # a summary of the same predictions: no interval
    valid = ~np.isnan(predictions.truth) & ~np.isnan(predictions.probability[0])
    positives, counts = (valid & (predictions.truth == 1)).sum(axis=0), valid.sum(axis=0)
    return ScopeMetrics(
        predictions.model,
        len(predictions.children),
        predictions.videos,
        len(predictions.probability),
        {
            name: _target_cells(natural, t, int(positives[t]), int(counts[t] - positives[t]))
            for t, name in enumerate(TARGET_NAMES)
        },
        _group_cells(natural),
        _group_cells(balanced),
        {name: int(positives[t]) for t, name in enumerate(TARGET_NAMES)},
        {name: int(counts[t]) for t, name in enumerate(TARGET_NAMES)},
    )


def _averaged(predictions: ScopePredictions, draws: int, seed: int, bins: int, *, balanced: bool) -> dict[str, Array]:
    """Average each metric over seeds: (1 + draws, 34), the plain value first, then one row per draw."""
    half, count = np.full(len(TARGET_NAMES), 0.5), len(predictions.children)
    weights = draw_weights(count, draws, seed) if draws else None
    by_seed = []
    for p in predictions.probability:
        ones = np.ones((1, count))
        values = measure(p, predictions.truth, ones, thresholds=half, bins=bins, balanced=balanced)
        if weights is not None:
            drawn = measure_draws(p, predictions.truth, weights, thresholds=half, bins=bins, balanced=balanced)
            values = {metric: np.concatenate([values[metric], drawn[metric]]) for metric in METRICS}
        by_seed.append(values)
    return {metric: np.mean([values[metric] for values in by_seed], axis=0) for metric in METRICS}


def _target_cells(values: dict[str, Array], target: int, atypical: int, typical: int) -> dict[str, Cell]:
    return {
        metric: _mean_cell(values[metric][:, [target]], undefined_reason(metric, atypical, typical))
        for metric in METRICS
    }


def _group_cells(values: dict[str, Array]) -> dict[str, dict[str, Cell]]:
    return {
        name: {metric: _mean_cell(values[metric][:, members], "defined for none of the targets") for metric in METRICS}
        for name, members in groups().items()
    }


def _mean_cell(values: Array, reason: str) -> Cell:
    """Average over columns: row 0 is the plain value, the other rows are its draws."""
    means = mean_of(values, list(range(values.shape[1])))
    return make_cell(means[0], means[1:], reason)


def compare_models(first: ScopePredictions, second: ScopePredictions, draws: int, seed: int) -> Comparison:
    """Compare all seeds of two models on the children that both were tested on."""
    shared = sorted(set(first.children) & set(second.children))
    rows = [[model.children.index(child) for child in shared] for model in (first, second)]
    one, two = ([p[own] for p in model.probability] for model, own in zip((first, second), rows, strict=True))
    return compare(one, two, first.truth[rows[0]], draws=draws, seed=seed)


@dataclass(frozen=True)
class GapToBest:
    """A model's mean balanced accuracy less that of the best model of its scope, over the same children."""

    best: str
    difference: float | None  # this model minus the best
    low: float | None
    high: float | None
    p: float | None  # two-sided, from the paired bootstrap; None over too few children
    p_holm: float | None  # corrected over the scope's models


def gap_to_best(
    predictions: PredictionsByModel, metrics: MetricsByModel, draws: int, seed: int, fewest: int
) -> dict[str, GapToBest]:
    """Compare every model with the best one, which is left out. Over fewer than `fewest` children no p is given."""
    accuracy = {name: model.overall["balanced_accuracy"].value for name, model in metrics.items()}
    defined = {name: value for name, value in accuracy.items() if value is not None}
    if not defined:
        return {}
    best = max(sorted(defined), key=lambda name: defined[name])
    tests = {
        name: compare_models(predictions[name], predictions[best], draws, seed) for name in predictions if name != best
    }
    p_values = [test.p if test.children >= fewest else None for test in tests.values()]
    gaps = {}
    for (name, test), p, p_holm in zip(tests.items(), p_values, holm(p_values), strict=True):
        rounded = map(round_value, (test.difference, test.low, test.high, p, p_holm))
        gaps[name] = GapToBest(best, *rounded)
    return gaps
