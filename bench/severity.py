"""Writes one table of the networks that grade motor severity in four levels. `snakemake severity` calls it last.

    childgait preset peers && snakemake cohort_all && snakemake severity
    .venv/bin/python bench/severity.py --levels data/grade_severity/*/*/levels.csv      # only the table
    .venv/bin/python bench/severity.py --work .cache/bench-learning --models stgcn gru  # from runs of bench/learning.py

Every test child counts once per seed, whatever its fold; intervals are over children, all seeds of a child together.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from childgait.metrics.intervals import draw_weights, interval
from childgait.report.formats import number
from childgait.training.severity import LEVELS, SEVERITY_METRICS, confusion_tables, measure_levels

DRAWS, SEED = 2000, 1
NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1, mean of the levels",
    "kappa": "kappa",
    "error": "levels off",
}
COMMONEST = "the commonest level"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--levels", type=Path, nargs="+", help="levels.csv of every run")
    which.add_argument(
        "--work", type=Path, help="folder of bench/learning.py: its networks learn the levels first; resumes"
    )
    parser.add_argument("--models", nargs="+", default=["stgcn", "stgcn_fusion"], help="with --work")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="with --work")
    parser.add_argument("--out", type=Path, default=Path("reports/severity/severity.md"))
    given = parser.parse_args()
    if given.work:
        given.levels = [grade(given.work, model, seed) for seed in given.seeds for model in given.models]
    text = report(read_runs(given.levels))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(text, encoding="utf-8")
    print(text)


def grade(work: Path, model: str, seed: int) -> Path:
    """The levels.csv of one run, made unless it is there."""
    from childgait.params import load_params
    from childgait.steps.grade_severity import grade_severity

    learnt, out = (work / step / model / f"holdout-{seed}" for step in ("finetune", "grade_severity"))
    if not (out / "levels.csv").exists():
        out.mkdir(parents=True, exist_ok=True)
        how: Any = load_params(Path("params.yaml"))["grade_severity"]
        parts = {part: work / f"holdout.{part}.parquet" for part in ("train", "validation", "test")}
        grade_severity(
            learnt / "weights.safetensors",
            learnt / "model.json",
            **parts,
            subjects=work / "subjects_out.parquet",
            clips=sorted((work / "clips").glob("*.clip.json")),
            weights_out=out / "weights.safetensors",
            levels=out / "unfinished.csv",
            metrics=out / "metrics.json",
            model_name=model,
            fold="holdout",
            seed=seed,
            params=how,
            checkpoint=out,
        )
        (out / "unfinished.csv").rename(out / "levels.csv")
    return out / "levels.csv"


def read_runs(paths: list[Path]) -> dict[str, dict[str, pl.DataFrame]]:
    """By model and seed the children of all folds; the files lie in {model}/{fold}-{seed}/."""
    folds: dict[str, dict[str, list[pl.DataFrame]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(paths):
        model, seed = path.parent.parent.name, path.parent.name.rsplit("-", 1)[1]
        folds[model][seed].append(pl.read_csv(path, schema_overrides={"subject": pl.String}))
    runs = {
        m: {seed: pl.concat(tables).sort("subject") for seed, tables in seeds.items()} for m, seeds in folds.items()
    }
    children = [table["subject"].to_list() for seeds in runs.values() for table in seeds.values()]
    if any(len(set(one)) < len(one) for one in children):
        raise SystemExit("error: a child is tested in two folds. Hint: give the runs of one study.")
    if any(one != children[0] for one in children):
        raise SystemExit("error: the runs are of different children. Hint: give all folds of every model and seed.")
    return runs


def report(runs: dict[str, dict[str, pl.DataFrame]]) -> str:
    some = next(iter(next(iter(runs.values())).values()))
    truth, weights = some["level"].to_numpy(), draw_weights(some.height, DRAWS, SEED)
    said = {model: [table["said"].to_numpy() for table in seeds.values()] for model, seeds in runs.items()}
    rows = {COMMONEST: [some["commonest"].to_numpy()]} | said
    plain = {name: mean_over_seeds(each, truth, np.ones((1, len(truth)))) for name, each in rows.items()}
    drawn = {name: mean_over_seeds(each, truth, weights) for name, each in rows.items()}
    seeds = max(len(each) for each in said.values())
    there = ", ".join(f"{int((truth == level).sum())} of level {level}" for level in LEVELS)
    lines = [
        "# Motor severity in four levels",
        "",
        f"{len(truth)} test children ({there}), {seeds} seed(s). Each network was trained on the 34 items, then "
        "on the levels of",
        "the same training children; a mean over seeds, 95 % intervals over draws of the test children. Kappa is "
        "weighted by",
        "squares; levels off is the mean distance, less is better.",
        "",
        "| row | " + " | ".join(f"{NAMES[name]} | 95 %" for name in SEVERITY_METRICS) + " |",
        "|---" + "|--:|--:" * len(SEVERITY_METRICS) + "|",
        *(
            f"| {name} | " + " | ".join(cell(plain[name][m], drawn[name][m]) for m in SEVERITY_METRICS) + " |"
            for name in rows
        ),
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
    for name, each in said.items():
        table = np.mean([confusion_tables(one, truth, np.ones((1, len(truth))))[0] for one in each], axis=0)
        lines += [
            "",
            f"## {name}: children by true and predicted level, mean over seeds",
            "",
            "| level | " + " | ".join(f"predicted {level}" for level in LEVELS) + " |",
            "|---" + "|--:" * len(LEVELS) + "|",
            *(
                f"| {level} | " + " | ".join(f"{value:.1f}" for value in row) + " |"
                for level, row in zip(LEVELS, table, strict=True)
            ),
        ]
    lines += [
        "",
        "## Published: other children, other videos, not to be compared",
        "",
        "ST-GCN with clinical gait features (arXiv 2603.22371): accuracy 0.71, 5.6 points above its baseline.",
        "",
    ]
    return "\n".join(lines)


def mean_over_seeds(said: list[Any], truth: Any, weights: Any) -> dict[str, Any]:
    each = [measure_levels(confusion_tables(one, truth, weights)) for one in said]
    return {name: np.mean([result[name] for result in each], axis=0) for name in SEVERITY_METRICS}


def cell(plain: Any, drawn: Any) -> str:
    low, high = interval(drawn) or (None, None)
    value = float(plain[0])
    bounds = "–" if low is None else f"{number(low, 2)} to {number(high, 2)}"
    return f"{'–' if np.isnan(value) else number(value, 2)} | {bounds}"


if __name__ == "__main__":
    main()
