"""Numbers of a study from the predictions of its runs: pooled over folds, averaged over seeds, the child being the unit.

Reads `evaluate/{model}/{fold}-{seed}/predictions.parquet`. The hold-out and the folds are two scopes and never mixed:
in a scope each child is tested once a seed. A metric is computed for each seed over the scope's children and averaged
over seeds; its interval is that of the average, over draws of the same children for every seed and model.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from childgait.domain.evgs import TARGET_NAMES
from childgait.errors import StepError
from childgait.files.split import HOLDOUT
from childgait.metrics.intervals import Comparison, compare, draw_weights, holm, interval, mean_of, measure_draws
from childgait.metrics.scores import METRICS, groups, measure, reason

Array = NDArray[np.float64]
Cell = dict[str, Any]  # value, low, high; or value None and the reason
HEADLINE_METRICS = ("accuracy", "balanced_accuracy", "f1", "auroc")
FOLDS = "folds"


@dataclass(frozen=True)
class Run:
    """One model, fold and seed, as its folder says."""

    model: str
    fold: str
    seed: int


@dataclass(frozen=True)
class Judgement:
    """A model's probabilities of a scope's children: the same children in the same order for every seed."""

    model: str
    children: tuple[str, ...]
    truth: Array  # (N, 34), NaN where unknown
    probability: tuple[Array, ...]  # one (N, 34) a seed
    videos: int


def run_of(path: Path) -> Run:
    """`evaluate/childgait_video/holdout-0/predictions.parquet`."""
    try:
        fold, seed = path.parent.name.rsplit("-", 1)
        return Run(path.parent.parent.name, fold, int(seed))
    except ValueError:
        raise StepError(
            f"{path} does not lie in a folder like MODEL/FOLD-SEED", hint="give the paths that evaluate writes"
        ) from None


def read_judgements(paths: list[Path]) -> dict[str, dict[str, Judgement]]:
    """By scope (holdout, folds) and model."""
    by: dict[tuple[str, str], dict[int, list[tuple[str, pl.DataFrame]]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(paths):
        run = run_of(path)
        frame = pl.read_parquet(path).filter(pl.col("part") == "test")
        scope = HOLDOUT if run.fold == HOLDOUT else FOLDS
        by[scope, run.model][run.seed].append((run.fold, frame))
    found: dict[str, dict[str, Judgement]] = defaultdict(dict)
    for (scope, model), seeds in sorted(by.items()):
        found[scope][model] = _judgement(scope, model, seeds)
    return dict(found)


def _judgement(scope: str, model: str, seeds: dict[int, list[tuple[str, pl.DataFrame]]]) -> Judgement:
    tables = {seed: pl.concat([frame for _, frame in parts]) for seed, parts in sorted(seeds.items())}
    lists = {seed: _children(table, f"{model}, {scope}, seed {seed}") for seed, table in tables.items()}
    children = next(iter(lists.values()))
    if any(other != children for other in lists.values()):
        raise StepError(
            f"{model}: the seeds of {scope} were tested on different children",
            hint="every seed needs the same folds; see finetune.folds and finetune.seeds",
        )
    grids = [_grid(table, children) for table in tables.values()]
    videos = next(iter(tables.values())).filter(pl.col("level") == "video")["video"].n_unique()
    return Judgement(model, tuple(children), grids[0][0], tuple(grid[1] for grid in grids), videos)


def _children(table: pl.DataFrame, where: str) -> list[str]:
    rows = table.filter(pl.col("level") == "child")
    if rows.select("subject", "target").is_duplicated().any():
        raise StepError(f"{where}: a child is tested twice", hint="folds overlap; run split_subjects again")
    return sorted(rows["subject"].unique().to_list())


def _grid(table: pl.DataFrame, children: list[str]) -> tuple[Array, Array]:
    """(children, 34) truth and probability, NaN where unknown."""
    rows = table.filter(pl.col("level") == "child")
    place = {name: index for index, name in enumerate(TARGET_NAMES)}
    shape = (len(children), len(TARGET_NAMES))
    truth, probability = np.full(shape, np.nan), np.full(shape, np.nan)
    at = {child: index for index, child in enumerate(children)}
    for subject, target, atypical, p in rows.select("subject", "target", "atypical", "probability").iter_rows():
        truth[at[subject], place[target]] = np.nan if atypical is None else atypical
        probability[at[subject], place[target]] = np.nan if p is None else p
    return truth, probability


@dataclass(frozen=True)
class Measured:
    """A model's metrics in a scope: a cell a target and a cell a group, for each metric."""

    model: str
    children: int
    videos: int
    seeds: int
    targets: dict[str, dict[str, Cell]]
    groups: dict[str, dict[str, Cell]]
    balanced: dict[str, dict[str, Cell]]  # groups again, with the classes reweighed to be equal
    atypical: dict[str, int]
    known: dict[str, int]


def measure_model(judged: Judgement, draws: int, seed: int, bins: int = 10) -> Measured:
    draws = draws if len(judged.children) > 1 else 0  # one child drawn again and again is no interval
    natural = _averaged(judged, draws, seed, bins, balanced=False)
    balanced = _averaged(
        judged, 0, seed, bins, balanced=True
    )  # a second view of the same answers; no interval of its own
    known = ~np.isnan(judged.truth) & ~np.isnan(judged.probability[0])
    atypical = {name: int((known & (judged.truth == 1))[:, t].sum()) for t, name in enumerate(TARGET_NAMES)}
    counts = {name: int(known[:, t].sum()) for t, name in enumerate(TARGET_NAMES)}
    targets = {
        name: {
            metric: _cell(natural[metric][:, [t]], reason(metric, atypical[name], counts[name] - atypical[name]))
            for metric in METRICS
        }
        for t, name in enumerate(TARGET_NAMES)
    }
    return Measured(
        judged.model,
        len(judged.children),
        judged.videos,
        len(judged.probability),
        targets,
        _of_groups(natural),
        _of_groups(balanced),
        atypical,
        counts,
    )


def _averaged(judged: Judgement, draws: int, seed: int, bins: int, *, balanced: bool) -> dict[str, Array]:
    """(1 + draws, 34) for each metric: the plain value, then a row a draw; the mean over seeds."""
    options: dict[str, Any] = {"thresholds": np.full(len(TARGET_NAMES), 0.5), "bins": bins, "balanced": balanced}
    ones = np.ones((1, len(judged.children)))
    weights = draw_weights(len(judged.children), draws, seed) if draws else None
    each = []
    for probability in judged.probability:
        found = measure(probability, judged.truth, ones, **options)
        if weights is not None:
            drawn = measure_draws(probability, judged.truth, weights, **options)
            found = {metric: np.concatenate([found[metric], drawn[metric]]) for metric in METRICS}
        each.append(found)
    return {metric: np.mean([found[metric] for found in each], axis=0) for metric in METRICS}


def _of_groups(values: dict[str, Array]) -> dict[str, dict[str, Cell]]:
    return {
        name: {metric: _cell(values[metric][:, members], "defined for none of the targets") for metric in METRICS}
        for name, members in groups().items()
    }


def _cell(values: Array, why: str) -> Cell:
    """The mean over columns: its plain value, and the interval of its draws."""
    means = mean_of(values, list(range(values.shape[1])))
    if np.isnan(means[0]):
        return {"value": None, "low": None, "high": None, "reason": why}
    low, high = interval(means[1:]) or (None, None)
    return {"value": round(float(means[0]), 6), "low": _short(low), "high": _short(high)}


def _short(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)


def compare_models(first: Judgement, second: Judgement, draws: int, seed: int) -> Comparison:
    """All seeds of each, on the children that both judged."""
    shared = sorted(set(first.children) & set(second.children))
    rows = [[judged.children.index(child) for child in shared] for judged in (first, second)]
    one, two = ([p[own] for p in judged.probability] for judged, own in zip((first, second), rows, strict=True))
    return compare(one, two, first.truth[rows[0]], draws=draws, seed=seed)


@dataclass(frozen=True)
class GapToBest:
    """How far a row stays behind the best one of its scope, in mean balanced accuracy over the same children."""

    best: str
    difference: float | None  # this row minus the best
    low: float | None
    high: float | None
    p: float | None  # two-sided, from the paired bootstrap; None over too few children
    p_holm: float | None  # corrected over the scope's rows


def gap_to_best(
    judged: dict[str, Judgement], measured: dict[str, Measured], draws: int, seed: int, fewest: int
) -> dict[str, GapToBest]:
    """By model, the best one itself left out. Over less than `fewest` children no p is given."""
    accuracy = {name: model.groups["overall"]["balanced_accuracy"]["value"] for name, model in measured.items()}
    known = {name: value for name, value in accuracy.items() if value is not None}
    if not known:
        return {}
    best = max(sorted(known), key=lambda name: known[name])
    found = {name: compare_models(judged[name], judged[best], draws, seed) for name in judged if name != best}
    p_values = [test.p if test.children >= fewest else None for test in found.values()]
    return {
        name: GapToBest(best, _short(test.difference), _short(test.low), _short(test.high), _short(p), _short(p_holm))
        for (name, test), p, p_holm in zip(found.items(), p_values, holm(p_values), strict=True)
    }
