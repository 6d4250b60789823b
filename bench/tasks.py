"""Writes one table of the networks that classify children or limbs in a task. `snakemake tasks` calls it last.

    childgait preset peers && snakemake cohort_all && snakemake tasks
    .venv/bin/python bench/tasks.py --task gait_type --classes data/classify/gait_type/*/*/classes.csv  # only the table
    .venv/bin/python bench/tasks.py --work .cache/bench-learning --models stgcn gru  # from runs of bench/learning.py

Every test child counts once per seed, whatever its fold; intervals are over children, all limbs and seeds of a child
together.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from childgait.domain.tasks import TASKS, Task
from childgait.metrics.intervals import interval
from childgait.report.formats import number
from childgait.training.classes import confusion_tables, measure_classes, metrics_of, weights_of_units

DRAWS, SEED = 2000, 1
NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "macro F1",
    "kappa": "kappa",
    "error": "classes off",
    "challenge": "challenge S2",
}
EXPLAINED = {
    "severity": "Kappa is weighted by squares; classes off is the mean distance, less is better.",
    "gait_type": "One row per limb. S2 is the challenge's second metric, the mean of accuracy and macro F1.",
}
COMMONEST = "the commonest class"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--classes", type=Path, nargs="+", help="classes.csv of every run")
    which.add_argument(
        "--work", type=Path, help="folder of bench/learning.py: its networks learn the classes first; resumes"
    )
    parser.add_argument("--task", choices=sorted(TASKS), default="severity")
    parser.add_argument("--models", nargs="+", default=["stgcn", "stgcn_fusion"], help="with --work")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="with --work")
    parser.add_argument("--out", type=Path, help="by default reports/tasks/TASK.md")
    given = parser.parse_args()
    task, out = TASKS[given.task], given.out or Path("reports/tasks") / f"{given.task}.md"
    if given.work:
        given.classes = [classify(given.work, task, model, seed) for seed in given.seeds for model in given.models]
    text = report(read_runs(given.classes), task)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(text)


def classify(work: Path, task: Task, model: str, seed: int) -> Path:
    """Make the classes.csv of one run unless it is there; return its path."""
    from childgait.params import load_params
    from childgait.steps.classify import classify as step

    trained = work / "finetune" / model / f"holdout-{seed}"
    out = work / "classify" / task.name / model / f"holdout-{seed}"
    if not (out / "classes.csv").exists():
        out.mkdir(parents=True, exist_ok=True)
        how: Any = load_params(Path("params.yaml"))["classify"]
        parts = {part: work / f"holdout.{part}.parquet" for part in ("train", "validation", "test")}
        step(
            trained / "weights.safetensors",
            trained / "model.json",
            **parts,
            subjects=work / "subjects_out.parquet",
            clips=sorted((work / "clips").glob("*.clip.json")),
            weights_out=out / "weights.safetensors",
            classes=out / "unfinished.csv",
            metrics=out / "metrics.json",
            task_name=task.name,
            model_name=model,
            fold="holdout",
            seed=seed,
            params=how,
            checkpoint=out,
        )
        (out / "unfinished.csv").rename(out / "classes.csv")
    return out / "classes.csv"


def read_runs(paths: list[Path]) -> dict[str, dict[str, pl.DataFrame]]:
    """Read by model and seed the units of all folds whose class is known, from {model}/{fold}-{seed}/."""
    folds: dict[str, dict[str, list[pl.DataFrame]]] = defaultdict(lambda: defaultdict(list))
    text = dict.fromkeys(("subject", "limb", "true", "predicted", "commonest"), pl.String)
    for path in sorted(paths):
        model, seed = path.parent.parent.name, path.parent.name.rsplit("-", 1)[1]
        table = pl.read_csv(path, schema_overrides=text).with_columns(pl.col("limb").fill_null(""))
        folds[model][seed].append(table.filter(pl.col("true").is_not_null()))
    runs = {
        m: {seed: pl.concat(tables).sort("subject", "limb") for seed, tables in seeds.items()}
        for m, seeds in folds.items()
    }
    units = [table.select("subject", "limb").rows() for seeds in runs.values() for table in seeds.values()]
    if any(len(set(one)) < len(one) for one in units):
        raise SystemExit("error: a child is tested in two folds. Hint: give the runs of one study.")
    if any(one != units[0] for one in units):
        raise SystemExit("error: the runs are of different children. Hint: give all folds of every model and seed.")
    return runs


def report(runs: dict[str, dict[str, pl.DataFrame]], task: Task) -> str:
    some = next(iter(next(iter(runs.values())).values()))
    place = {name: number for number, name in enumerate(task.classes)}

    def indices(table: pl.DataFrame, column: str) -> Any:
        return np.array([place[name] for name in table[column]])

    truth, weights = indices(some, "true"), weights_of_units(some["subject"].to_list(), DRAWS, SEED)
    equal = np.ones((1, len(truth)))
    predictions = {model: [indices(table, "predicted") for table in seeds.values()] for model, seeds in runs.items()}
    rows = {COMMONEST: [indices(some, "commonest")]} | predictions
    plain = {name: mean_over_seeds(each, truth, equal, task) for name, each in rows.items()}
    drawn = {name: mean_over_seeds(each, truth, weights, task) for name, each in rows.items()}
    seeds = max(len(each) for each in predictions.values())
    there = ", ".join(f"{int((truth == number).sum())} {name}" for name, number in place.items())
    metrics = metrics_of(task)
    lines = [
        f"# {task.name}: {len(task.classes)} classes{', ordered' if task.ordered else ''}",
        "",
        f"{some['subject'].n_unique()} test children, {len(truth)} with a class ({there}), {seeds} seed(s).",
        "Each network was trained on the 34 items, then on the classes of the same training children; mean over seeds,",
        f"95 % intervals over draws of the test children. {EXPLAINED.get(task.name, '')}".rstrip(),
        "",
        "| row | " + " | ".join(f"{NAMES[name]} | 95 %" for name in metrics) + " |",
        "|---" + "|--:|--:" * len(metrics) + "|",
        *(f"| {name} | " + " | ".join(cell(plain[name][m], drawn[name][m]) for m in metrics) + " |" for name in rows),
        "",
        "## Accuracy against each other, paired over the same children",
        "",
        "| row | less | points | 95 % |",
        "|---|---|--:|--:|",
    ]
    names = list(rows)
    for index, name in enumerate(names):
        for other in names[:index]:
            gap = 100 * (drawn[name]["accuracy"] - drawn[other]["accuracy"])
            value = 100 * float(plain[name]["accuracy"][0] - plain[other]["accuracy"][0])
            low, high = interval(gap) or (None, None)
            bounds = "–" if low is None else f"{low:+.1f} to {high:+.1f}"
            lines.append(f"| {name} | {other} | {value:+.1f} | {bounds} |")
    for name, each in predictions.items():
        table = np.mean([confusion_tables(one, truth, equal, len(task.classes))[0] for one in each], axis=0)
        lines += [
            "",
            f"## {name}: true class (rows) by predicted class, mean over seeds",
            "",
            "| class | " + " | ".join(f"predicted {one}" for one in task.classes) + " |",
            "|---" + "|--:" * len(task.classes) + "|",
            *(
                f"| {one} | " + " | ".join(f"{value:.1f}" for value in row) + " |"
                for one, row in zip(task.classes, table, strict=True)
            ),
        ]
    if task.name == "severity":
        lines += [
            "",
            "## Published: other children, other videos, not to be compared",
            "",
            "ST-GCN with clinical gait features (arXiv 2603.22371): accuracy 0.71, 5.6 points above its baseline.",
        ]
    return "\n".join([*lines, ""])


def mean_over_seeds(predictions: list[Any], truth: Any, weights: Any, task: Task) -> dict[str, Any]:
    count = len(task.classes)
    each = [measure_classes(confusion_tables(one, truth, weights, count), task) for one in predictions]
    return {name: np.mean([result[name] for result in each], axis=0) for name in metrics_of(task)}


def cell(plain: Any, drawn: Any) -> str:
    low, high = interval(drawn) or (None, None)
    value = float(plain[0])
    bounds = "–" if low is None else f"{number(low, 2)} to {number(high, 2)}"
    return f"{'–' if np.isnan(value) else number(value, 2)} | {bounds}"


if __name__ == "__main__":
    main()
