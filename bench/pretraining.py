"""Pre-trains with and without prompting and pruning, then measures each on a cohort that went through the pipeline.

    python bench/pretraining.py --study ../study110         # hours; a killed bench continues where it stopped
    python bench/pretraining.py --smoke                     # a minute: proves that it runs, measures nothing

`--study` is a checkout in which a study's clips and splits exist: `make run` with synthesize.subjects: 110 and a seed
of its own, and the values of prepare_clips and finetune that the demo has. Every row is the same encoder on the same
stream, schedule and number of windows, then the same head (finetune.head: measures, encoder frozen) on the same
children, with the given fine-tuning seeds; nothing is chosen on the test children. The first budget is that of the
comparison of the four settings, the others are points of the budget curve, each on a schedule of its own.
Writes reports/bench/pretraining.json and .md (with --smoke into the work folder).
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import learning
import polars as pl
import torch

from childgait.files.atomic import write_json, write_text
from childgait.metrics.of_study import ScopePredictions, compare_models, measure_model, read_predictions
from childgait.params import load_params
from childgait.steps.pretrain import pretrain

SETTINGS = {"prompted_pruned": "childgait_video", "prompted": "prompted", "pruned": "pruned", "plain": "videomae"}
METRICS = ("balanced_accuracy", "f1", "auroc", "accuracy")
DRAWS = 2000
PARTS = ("train", "validation", "test")
SMOKE_WINDOWS = 16
SMOKE = {
    "batch_size": 8,
    "warmup_windows": 8,
    "children": 2,
    "held_out_children": 2,
    "validation_windows": 16,
    "validation_every": 8,
    "pixels": 32,
    "workers": 0,
}


@dataclass(frozen=True)
class Row:
    """One row of the table: a network of the registry, pre-trained on a number of windows."""

    name: str
    model: str
    windows: int


def rows_of(budgets: list[int]) -> list[Row]:
    """Return the four settings at the first budget, then the main one at the others."""
    first, *others = budgets
    rows = [Row(name, model, first) for name, model in SETTINGS.items()]
    return rows + [Row(f"{windows}", SETTINGS["prompted_pruned"], windows) for windows in others]


def processor_seconds() -> float:
    """Return the processor time of this process and of its finished workers."""
    return sum(os.times()[:4])


def pretrain_row(row: Row, work: Path, changes: dict[str, Any]) -> Path:
    """Pre-train a row, unless that is done; return its checkpoint."""
    folder = work / "pretrain" / f"{row.model}-{row.windows}"
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "weights.safetensors"
    if weights.exists():
        return weights
    section: Any = load_params(Path("params.yaml"))["pretrain"]
    warmup = min(section.warmup_windows, row.windows // 10)
    every = min(section.validation_every, row.windows)
    settings = {"windows": row.windows, "warmup_windows": warmup, "validation_every": every} | changes
    began = processor_seconds()
    pretrain(
        folder / "unfinished",
        folder / "weights.json",
        folder / "history.csv",
        folder / "strip.png",
        row.model,
        section.model_copy(update=settings),
        checkpoint=work / "pretrain",
    )
    (folder / "seconds").write_text(f"{processor_seconds() - began:.0f}")
    (folder / "unfinished").rename(weights)
    return weights


def evaluate_row(row: Row, weights: Path, work: Path, seeds: list[int], changes: dict[str, Any]) -> ScopePredictions:
    """Fine-tune the head of a row with each seed; return the predictions on the test children."""
    folder = work / "rows" / f"{row.model}-{row.windows}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("clips", *(f"holdout.{part}.parquet" for part in PARTS)):
        if not (folder / name).exists():
            (folder / name).symlink_to((work / name).absolute())
    start = {"weights": str(weights.absolute()), "head": "measures", "tune": "head", "overrides": {}} | changes
    for seed in seeds:
        learning.run(folder, row.model, seed, start, views=4)
    paths = [folder / "evaluate" / row.model / f"holdout-{seed}" / "predictions.parquet" for seed in seeds]
    return read_predictions(paths)["holdout"][row.model]


def figures_of(row: Row, weights: Path, predictions: ScopePredictions) -> dict[str, Any]:
    """Return what the JSON file holds of a row: means over the targets, the interval of the first, and validation."""
    overall = measure_model(predictions, DRAWS, 0).overall
    first = overall["balanced_accuracy"]
    spent = weights.with_name("seconds")
    validation = json.loads(weights.with_name("weights.json").read_text())["validation"]
    return {
        "model": row.model,
        "windows": row.windows,
        **{name: overall[name].value for name in METRICS},
        "low": first.low,
        "high": first.high,
        "held_out": {name: validation[name] for name in ("r2_knee", "r2_measures")},
        "processor_seconds": int(spent.read_text()) if spent.exists() else None,
    }


def difference(first: ScopePredictions, second: ScopePredictions) -> dict[str, float | None]:
    """Return the paired difference of mean balanced accuracy over the same test children, with its interval."""
    result = compare_models(first, second, draws=DRAWS, seed=0)
    return {"difference": result.difference, "low": result.low, "high": result.high}


def link_study(study: Path, work: Path) -> None:
    """Link the clips and the hold-out's parts of a finished study into the work folder."""
    links = {"clips": study / "data/prepare_clips"}
    links |= {f"holdout.{part}.parquet": study / f"data/split_subjects/holdout.{part}.parquet" for part in PARTS}
    for name, target in links.items():
        if not target.exists():
            raise SystemExit(f"there is no {target}: run the study first (see --help)")
        if not (work / name).exists():
            (work / name).symlink_to(target.absolute())


def make_smoke_study(work: Path) -> None:
    """Make clips and splits of six children, without the pipeline."""
    learning.make_all_clips(work, 6, SMOKE["pixels"], 1)
    learning.make_parts(work, 6)


def to_markdown(results: dict[str, Any]) -> str:
    """Return the tables: the four settings, their differences, and the budget curve."""
    parts, stream = results["parts"], results["pretrain"]
    about = (
        f"{results['children']} children through the whole pipeline (synthesize.seed {results['cohort_seed']}): "
        f"{parts['train']} train, {parts['validation']} validate, {parts['test']} test. Pre-trained on "
        f"{stream['children']} other synthetic children (seed {stream['seed']}), on {results['device']}; encoder "
        f"frozen, head measures, {results['fine_tuning_epochs']} epochs; fine-tuning seeds "
        f"{', '.join(map(str, results['seeds']))}. Means over the targets and seeds; intervals over draws "
        "of the test children; R² on held-out children of the stream. One pre-training seed each."
    )
    head = "| row | windows | balanced accuracy | 95 % | F1 | AUROC | knee R² | measures R² | processor s |"
    rule = "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    lines = ["# Pre-training on synthetic walks", "", about, "", head, rule]
    shown = [(name, results[name]) for name in SETTINGS if name in results]
    lines += [to_line(name, row) for name, row in shown]
    if results["differences"]:
        lines += ["", "Prompted and pruned minus another, points of mean balanced accuracy over the same children:", ""]
    lines += [f"- minus {name}: {to_points(row)}" for name, row in results["differences"].items()]
    lines += ["", "Budget of pre-training, prompted and pruned, each on a schedule of its own:", "", head, rule]
    lines += [to_line("", row) for row in results["budget_curve"]]
    return "\n".join(lines) + "\n"


def to_points(row: dict[str, float | None]) -> str:
    """Return a difference and its interval in points of a hundred."""
    each = ["–" if row[key] is None else f"{100 * row[key]:+.1f}" for key in ("difference", "low", "high")]
    return f"{each[0]} ({each[1]} to {each[2]})"


def to_line(name: str, row: dict[str, Any]) -> str:
    """Return one line of a table."""
    interval = f"{row['low']:.3f} to {row['high']:.3f}" if row["low"] is not None else "–"
    values = [row["f1"], row["auroc"], row["held_out"]["r2_knee"], row["held_out"]["r2_measures"]]
    cells = " | ".join("–" if value is None else f"{value:.3f}" for value in values)
    balanced = "–" if row["balanced_accuracy"] is None else f"{row['balanced_accuracy']:.3f}"
    return f"| {name} | {row['windows']} | {balanced} | {interval} | {cells} | {row['processor_seconds'] or '–'} |"


def describe_study(work: Path, seeds: list[int], study: Path | None) -> dict[str, Any]:
    """Return what the JSON file holds of cohort, split and settings."""
    sections: Any = load_params((study or Path()) / "params.yaml")
    own: Any = load_params(Path("params.yaml"))
    counts = {part: pl.read_parquet(work / f"holdout.{part}.parquet")["subject"].n_unique() for part in PARTS}
    return {
        "cohort_seed": sections["synthesize"].seed,
        "children": sum(counts.values()),
        "parts": counts,
        "seeds": seeds,
        "device": own["pretrain"].device,
        "pretrain": own["pretrain"].model_dump(mode="json"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, help="checkout of a finished study of this cohort")
    parser.add_argument("--windows", type=int, nargs="+", default=[48000, 6000, 12000, 24000, 192000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of fine-tuning")
    parser.add_argument("--epochs", type=int, default=40, help="of fine-tuning")
    parser.add_argument("--work", type=Path, default=Path(".cache/bench-pretraining"), help="checkpoints and runs")
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    if not given.smoke and given.study is None:
        parser.error("give --study, or --smoke")
    work = given.work / "smoke" if given.smoke else given.work
    work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{work.absolute()}/mlflow.db")
    torch.set_num_threads(1)
    budgets, seeds = ([SMOKE_WINDOWS], [0]) if given.smoke else (given.windows, given.seeds)
    epochs = 1 if given.smoke else given.epochs
    changes: dict[str, Any] = {"epochs": epochs, "warmup_epochs": min(epochs // 10, 4)}
    make_smoke_study(work) if given.smoke else link_study(given.study, work)
    out = work if given.smoke else Path("reports/bench")
    results = describe_study(work, seeds, given.study)
    results |= {"fine_tuning_epochs": epochs, "differences": {}, "budget_curve": []}
    predictions: dict[str, ScopePredictions] = {}
    for row in rows_of(budgets):
        weights = pretrain_row(row, work, SMOKE if given.smoke else {})
        predictions[row.name] = evaluate_row(row, weights, work, seeds, changes)
        figures = figures_of(row, weights, predictions[row.name])
        if row.name in SETTINGS:
            results[row.name] = figures
        if row.model == SETTINGS["prompted_pruned"]:
            results["budget_curve"] = sorted([*results["budget_curve"], figures], key=lambda one: one["windows"])
        if row.name in SETTINGS and row.name != "prompted_pruned":
            results["differences"][row.name] = difference(predictions["prompted_pruned"], predictions[row.name])
        write_json(out / "pretraining.json", results)
        write_text(out / "pretraining.md", to_markdown(results))
        print(f"{row.model}, {row.windows} windows: {figures['balanced_accuracy']}", flush=True)


if __name__ == "__main__":
    main()
