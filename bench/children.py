"""Measures how performance grows with the number of training children. Writes reports/bench/children.md.

    .venv/bin/python bench/children.py --train 66 660 --size 64 --set epochs=20       # CPU: an hour per 600 children
    ... --set 'overrides={}'                   # all networks from scratch, the first one without its pre-training

Validation and test children are those of bench/learning.py's split. Training children are the first N of its training
children, or all of them plus children with later numbers of the same synthetic cohort, who are never tested on.
Resumable: existing clips, weights and metrics are kept (`--work`; a finished folder of bench/learning.py works too).
"""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import learning
import polars as pl

from childgait.files.labels import LABELS, SUBJECTS
from childgait.files.split import HOLDOUT, PART_NAMES, PARTS, hash_of_split, rows_of_videos
from childgait.files.tables import read_table, write_table
from childgait.metrics.of_study import ScopeMetrics, ScopePredictions, measure_model, read_predictions
from childgait.metrics.run_metrics import read_run_metrics
from childgait.models.registry import MODELS

log = logging.getLogger("bench")


@dataclass(frozen=True)
class Result:
    """What came of so many training children."""

    children: int
    clips: int
    work: Path
    predictions: dict[str, ScopePredictions]
    measured: dict[str, ScopeMetrics]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--children", type=int, default=110, help="of bench/learning.py's split")
    parser.add_argument("--train", type=int, nargs="+", default=[66, 200], help="training children")
    parser.add_argument(
        "--models",
        nargs="+",
        choices=list(MODELS),
        default=["rules", "kinematic_trees", "lstm", learning.PLAIN, learning.OURS],
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=112, help="side of a clip in pixels; a multiple of 16")
    parser.add_argument("--views", type=int, default=4, help="windows per video in evaluation")
    parser.add_argument("--work", type=Path, default=Path(".cache/bench-learning"), help="one folder per set of flags")
    parser.add_argument("--processes", type=int, default=2, help="processes that make clips")
    parser.add_argument("--set", nargs="*", default=[], help="keys of finetune: epochs=60 encoder.min_tokens=8")
    parser.add_argument("--out", type=Path, default=Path("reports/bench/children.md"))
    given = parser.parse_args()
    given.models = list(dict.fromkeys(["majority", *given.models]))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{given.work.absolute()}/mlflow.db")
    learning.make_all_clips(given.work, given.children, given.size, given.processes)
    if not (given.work / "holdout.test.parquet").exists():
        learning.make_parts(given.work, given.children)
    parts = {part: read_table(given.work / f"{HOLDOUT}.{part}.parquet", PARTS) for part in PART_NAMES}
    everybody = given.children + max(max(given.train) - parts["train"]["subject"].n_unique(), 0)
    learning.make_all_clips(given.work, everybody, given.size, given.processes)
    parts["train"] = pl.concat([parts["train"], rows_of_more(given.work, given.children, everybody)])
    result = []
    for count in given.train:
        work = given.work / f"trained-on-{count}-{'-'.join(given.set) or 'params'}"
        clips = write_parts(work, given.work, parts, count)
        for name in given.models:
            learning.run(work, name, given.seed, learning.read_changes(given.set), given.views)
            log.info("%s of %d children is evaluated", name, count)
        paths = [work / "evaluate" / name / f"{HOLDOUT}-{given.seed}" / "predictions.parquet" for name in given.models]
        predictions = read_predictions(paths)[HOLDOUT]
        result.append(
            Result(
                count,
                clips,
                work,
                predictions,
                {name: measure_model(predictions[name], 2000, 0) for name in given.models},
            )
        )
        given.out.write_text(report(result, parts, given), encoding="utf-8")
    print(given.out.read_text(encoding="utf-8"))


def rows_of_more(work: Path, first: int, children: int) -> pl.DataFrame:
    """Part rows of the cohort's children from number `first` on, in their order."""
    place = work / "everybody"
    place.mkdir(exist_ok=True)
    link_clips(place, work)
    labels, subjects = learning.make_labels(place, children)
    rows = rows_of_videos(
        pl.read_parquet(place / "clips.parquet"), read_table(subjects, SUBJECTS), read_table(labels, LABELS)
    ).with_columns(pl.lit("").alias("split_hash"))
    later = [f"{index + 1:04d}" for index in range(first, children)]
    return rows.filter(pl.col("subject").is_in(later)).select(list(PARTS.schema())).sort("subject", "video")


def write_parts(work: Path, base: Path, parts: dict[str, pl.DataFrame], count: int) -> int:
    """The three parts, with the first `count` training children; the number of their clips."""
    work.mkdir(exist_ok=True)
    link_clips(work, base)
    training = parts["train"]["subject"].unique(maintain_order=True).to_list()
    if count > len(training):
        raise SystemExit(f"error: there are {len(training)} training children, not {count}. Hint: lower --train.")
    inside = parts | {"train": parts["train"].filter(pl.col("subject").is_in(training[:count]))}
    who = {subject: part for part, table in inside.items() for subject in table["subject"].unique()}
    for part, table in inside.items():
        table = table.with_columns(pl.lit(hash_of_split(who)).alias("split_hash")).sort("video")
        write_table(work / f"{HOLDOUT}.{part}.parquet", table, PARTS)
    return inside["train"].height


def link_clips(work: Path, base: Path) -> None:
    if not (work / "clips").exists():
        (work / "clips").symlink_to((base / "clips").absolute())


def starts_of(work: Path, networks: list[str], seed: int) -> str:
    """Tell from which weights each network started."""
    paths = {name: work / "evaluate" / name / f"{HOLDOUT}-{seed}" / "metrics.json" for name in networks}
    return "; ".join(f"{name}: {read_run_metrics(path).weights_from}" for name, path in paths.items()) or "none"


def report(result: list[Result], parts: dict[str, pl.DataFrame], given: Any) -> str:
    tested, monitored = (parts[part]["subject"].n_unique() for part in ("test", "validation"))
    networks = [name for name in given.models if MODELS[name].kind == "network"]
    text = [
        "# Performance by number of training children",
        "",
        f"The same children test ({tested}) and validate ({monitored}); seed {given.seed}; networks on the CPU"
        f" ({starts_of(result[0].work, networks, given.seed)}).",
        "",
        f"Clips of {given.size} pixels, {given.views} windows per video in evaluation; changes to params.yaml:"
        f" {', '.join(given.set) or 'none'}. Balanced accuracy is the mean over the 34 targets where it is "
        "defined; intervals are"
        " the middle 95 % over draws of the test children. True masks, refined keypoints, nothing de-identified.",
        "",
        "| row | " + " | ".join(f"{one.children} children, {one.clips} clips | 95 %" for one in result) + " |",
        "|---" + "|--:|--:" * len(result) + "|",
    ]
    for name in given.models:
        over = [one.measured[name].groups["overall"]["balanced_accuracy"] for one in result]
        text.append(
            f"| {name} | " + " | ".join(f"{learning.value_of(o)} | {learning.bounds_of(o)}" for o in over) + " |"
        )
    for one in result:
        text += [
            "",
            f"## {one.children} training children",
            "",
            *learning.table_of(one.work, one.measured, [given.seed]),
        ]
        if networks:
            text += ["", *learning.losses(one.work, networks, [given.seed])]
        if {learning.OURS, learning.PLAIN} <= set(given.models):
            text += ["", learning.describe_difference(one.predictions, learning.OURS, learning.PLAIN)]
    return "\n".join([*text, ""])


if __name__ == "__main__":
    main()
