"""Metrics of a study from its runs' predictions: pooled over folds, averaged over seeds, the child being the unit.

Reads `evaluate/{model}/{fold}-{seed}/predictions.parquet`. The hold-out and the folds are two scopes and are never
mixed: in a scope each child is tested once per seed. A metric is computed per seed over the scope's children and
averaged over seeds; its interval is that of the average. AUROC and balanced accuracy compare children of the same fold
only: pooled, a constant predictor would have an AUROC below .5, because the folds' models rank the folds.
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
from childgait.metrics.cells import Cell, round_value
from childgait.metrics.intervals import Comparison, compare, holm
from childgait.metrics.target_cells import Predictions, cells_of_groups, measure_values, targets_of

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
    calibrated: tuple[Array, ...] | None = None  # one (N, 34) per seed
    folds: NDArray[np.int64] | None = None  # (N,) of the model that predicts the child; None: of one
    severe: tuple[Array, ...] | None = None  # one (N, 34) per seed: P(score 2 | atypical) of an ordinal model


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
        table = pl.read_parquet(path).filter(pl.col("part") == "test")
        tables[scope, run.model][run.seed].append(table.with_columns(fold=pl.lit(run.fold)))
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
    ordinal = all("severe" in table.columns for table in tables.values())
    severe = tuple(grid[3] for grid in grids) if ordinal else None
    videos = next(iter(tables.values())).filter(pl.col("level") == "video")["video"].n_unique()
    probability, calibrated = (tuple(grid[n] for grid in grids) for n in (1, 2))
    folds = _folds(next(iter(tables.values())), children)
    return ScopePredictions(model, tuple(children), grids[0][0], probability, videos, calibrated, folds, severe)


def _folds(table: pl.DataFrame, children: list[str]) -> NDArray[np.int64]:
    """Return (N,) the number of the fold that tests each child."""
    rows = dict(table.filter(pl.col("level") == "child").select("subject", "fold").unique().iter_rows())
    names = sorted(set(rows.values()))
    return np.array([names.index(rows[child]) for child in children], dtype=np.int64)


def _children(table: pl.DataFrame, where: str) -> list[str]:
    rows = table.filter(pl.col("level") == "child")
    if rows.select("subject", "target").is_duplicated().any():
        raise StepError(f"{where}: a child is tested twice", hint="folds overlap; run split_subjects again")
    return sorted(rows["subject"].unique().to_list())


def _grid(table: pl.DataFrame, children: list[str]) -> tuple[Array, ...]:
    """Arrange child rows as (children, 34) truth, probability and calibrated probability, NaN where unknown.

    Those of an ordinal model have the probability of score 2 of an atypical item as a fourth.
    """
    rows = table.filter(pl.col("level") == "child")
    column = {name: index for index, name in enumerate(TARGET_NAMES)}
    row = {child: index for index, child in enumerate(children)}
    places = [(row[s], column[t]) for s, t in rows.select("subject", "target").iter_rows()]
    at = tuple(np.array(places, dtype=np.int64).reshape(-1, 2).T)
    grids = []
    for name in ("atypical", "probability", "calibrated", *(["severe"] if "severe" in table.columns else [])):
        grid = np.full((len(children), len(TARGET_NAMES)), np.nan)
        grid[at] = rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        grids.append(grid)
    return tuple(grids)


def measure_model(predictions: ScopePredictions, draws: int, seed: int, bins: int = 10) -> ScopeMetrics:
    """Compute all metrics of a model in a scope; with no `draws`, without intervals."""
    half, intervals = np.full(len(TARGET_NAMES), 0.5), draws > 0
    natural = Predictions(predictions.truth, predictions.probability, predictions.calibrated or None, predictions.folds)
    values = measure_values(natural, half, bins, balanced=False, intervals=intervals)
    plain = Predictions(predictions.truth, predictions.probability, None, predictions.folds)
    equal = measure_values(plain, half, bins, balanced=True, intervals=False)  # the same predictions: no interval
    counts = values.atypical + values.typical
    return ScopeMetrics(
        predictions.model,
        len(predictions.children),
        predictions.videos,
        len(predictions.probability),
        targets_of(values, intervals=intervals),
        cells_of_groups(values),
        cells_of_groups(equal),
        {name: int(values.atypical[t]) for t, name in enumerate(TARGET_NAMES)},
        {name: int(counts[t]) for t, name in enumerate(TARGET_NAMES)},
    )


def compare_models(first: ScopePredictions, second: ScopePredictions, draws: int, seed: int) -> Comparison:
    """Compare all seeds of two models on the children that both were tested on."""
    shared = sorted(set(first.children) & set(second.children))
    rows = [[model.children.index(child) for child in shared] for model in (first, second)]
    one, two = ([p[own] for p in model.probability] for model, own in zip((first, second), rows, strict=True))
    folds = None if first.folds is None else first.folds[rows[0]]
    return compare(one, two, first.truth[rows[0]], draws=draws, seed=seed, folds=folds)


@dataclass(frozen=True)
class GapToBest:
    """A model's mean balanced accuracy less that of the best model of its scope, over the same children."""

    best: str
    difference: float | None  # this model minus the best
    low: float | None
    high: float | None
    p: float | None  # two-sided, from the paired bootstrap; None over too few children
    p_holm: float | None  # corrected over the scope's models
    p_is_bound: bool = False  # p is the smallest that so many draws can give, so it is an upper bound


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
        difference, low, high = (round_value(value) for value in (test.difference, test.low, test.high))
        is_bound = p is not None and p <= test.smallest_p
        gaps[name] = GapToBest(best, difference, low, high, round_value(p), round_value(p_holm), is_bound)
    return gaps
