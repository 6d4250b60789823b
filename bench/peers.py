"""Writes one table of all models of the bench: performance, interval, cost, inputs. `snakemake bench` calls it last.

    childgait preset peers && snakemake cohort_all && snakemake bench     # 24 children, cross-validated; needs no video
    .venv/bin/python bench/peers.py --out reports/bench/peers.md          # only the table
    .venv/bin/python bench/peers.py --work .cache/bench-learning          # of the runs of bench/learning.py instead

Reads reports/peers/tables/models.csv, which is the same for the same data, params and code, and adds the training time
from the untracked log of the runs, which differs between machines and is in no versioned output.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from childgait.metrics.of_study import gap_to_best, measure_model, read_predictions
from childgait.metrics.run_metrics import read_run_metrics
from childgait.report.formats import number, signed, size_of
from childgait.report.headline import TOO_FEW
from childgait.report.published import AVERAGES, FOOTING
from childgait.report.sections import SCOPE_TITLES
from childgait.report.study import check_same_split
from childgait.report.tables import model_table

LEARNT = "data/finetune/"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=Path("reports/peers/tables/models.csv"))
    parser.add_argument("--log", type=Path, default=Path("logs/runs.jsonl"), help="untracked; one line per job")
    parser.add_argument("--work", type=Path, help="folder of bench/learning.py: its runs, all of one split")
    parser.add_argument("--out", type=Path, default=Path("reports/peers/peers.md"))
    given = parser.parse_args()
    if given.work:
        models, seconds = runs_of_learning(given.work)
    else:
        models, seconds = pl.read_csv(given.tables, infer_schema_length=None), seconds_of_training(given.log)
    text = report(models, seconds)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(text, encoding="utf-8")
    print(text)


def seconds_of_training(path: Path) -> dict[str, list[float]]:
    """Processor seconds by model: of each run the last job that made it. A run taken from a cache has none."""
    log = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    last = {line["record"]: line for line in log if line["step"] == "finetune" and line["record"].startswith(LEARNT)}
    result: dict[str, list[float]] = defaultdict(list)
    for record, line in last.items():
        result[record.removeprefix(LEARNT).split("/", 1)[0]].append(line["cpu_seconds"])
    return result


def runs_of_learning(work: Path) -> tuple[pl.DataFrame, dict[str, list[float]]]:
    """The same table, of runs that lie in a folder of bench/learning.py."""
    predictions = read_predictions(sorted(work.glob("evaluate/*/*/predictions.parquet")))
    runs = [read_run_metrics(path) for path in sorted(work.glob("evaluate/*/*/metrics.json"))]
    check_same_split(runs)
    first_runs = {run.model: run for run in reversed(runs)}
    scopes = {
        scope: {name: measure_model(model, 2000, 0) for name, model in models.items()}
        for scope, models in predictions.items()
    }
    behind = {scope: gap_to_best(predictions[scope], result, 2000, 0, TOO_FEW) for scope, result in scopes.items()}
    seconds = {
        folder.name: [float(path.read_text()) for path in folder.glob("*/seconds")]
        for folder in (work / "finetune").iterdir()
    }
    return pl.DataFrame(model_table(scopes, behind, first_runs), infer_schema_length=None), seconds


def report(models: pl.DataFrame, seconds: dict[str, list[float]]) -> str:
    lines = [
        "# All models, trained on the same children and evaluated by the same code",
        "",
        "Means over the targets for which a number is defined, and over seeds; the 95 % intervals are over draws "
        "of the test",
        "children. Gap to the best: balanced accuracy less that of the best row, paired over the same children; p is",
        "two-sided, after Holm's correction over the rows, and the best was picked on these very children; ≤: the",
        "smallest p that so many draws can give. On synthetic children rules and kinematic_trees share curves and "
        "bands with",
        "the generator of the labels: their lead is partly by construction. Operations are",
        "those of one clip, forward. Seconds are the processor's, of one training, in the median; they stand "
        "here only,",
        "for they differ between machines.",
        "",
    ]
    for scope in sorted(models["scope"].unique(), reverse=True):
        own = models.filter(pl.col("scope") == scope).sort("balanced_accuracy", descending=True, nulls_last=True)
        first = own.row(0, named=True)
        lines += [
            f"## {SCOPE_TITLES[scope]}: {first['children']} children, {first['seeds']} seed(s)",
            "",
            *_table(own, seconds),
            "",
        ]
    lines += [
        "## Published: other children, other videos",
        "",
        FOOTING,
        "",
        "| system | accuracy left | accuracy right | F1 left | F1 right |",
        "|---|--:|--:|--:|--:|",
        *(
            f"| {row.name} (published) | {row.left / 100:.2f} | {row.right / 100:.2f} | "
            + (" | ".join(f"{value:.2f}" for value in row.f1) if row.f1 else "– | –")
            + " |"
            for row in AVERAGES
        ),
        "",
    ]
    return "\n".join(lines)


def _table(own: pl.DataFrame, seconds: dict[str, list[float]]) -> list[str]:
    head = (
        "row",
        "balanced accuracy",
        "95 %",
        "gap to the best",
        "95 %",
        "p",
        "accuracy",
        "F1",
        "AUROC",
        "needs",
        "started from",
        "parameters",
        "operations per clip",
        "seconds",
    )
    lines = ["| " + " | ".join(head) + " |", "|---" + "|--:" * 8 + "|---" * 2 + "|--:" * 3 + "|"]
    for row in own.iter_rows(named=True):
        spent = seconds.get(row["model"])
        best = row["behind_best"] is None
        cells = [
            row["model"],
            number(row["balanced_accuracy"], 3),
            _range(row, "balanced_accuracy", number),
            "best" if best else signed(row["behind_difference"]),
            _range(row, "behind", signed),
            ("≤ " if row["behind_p_is_bound"] else "") + number(row["behind_p_holm"], 3),
            number(row["accuracy"], 3),
            number(row["f1"], 3),
            number(row["auroc"], 3),
            row["inputs"] or "nothing",
            row["weights_from"] or "–",
            size_of(row["parameters"]),
            size_of(row["operations"]),
            f"{median(spent):.0f}" if spent else "–",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _range(row: dict[str, Any], key: str, words: Any) -> str:
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    return "–" if low is None or high is None else f"{words(low)} to {words(high)}"


if __name__ == "__main__":
    main()
