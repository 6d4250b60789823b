"""A small study made of thin air, consistent in itself, for tests of the report and of the promises."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from childgait.domain.evgs import CODES, LIMBS, TARGET_NAMES, Target, default_views
from childgait.files.agreement import RaterAgreement
from childgait.files.labels import LABELS, SUBJECTS
from childgait.files.predictions import PREDICTIONS
from childgait.files.split import ASSIGNMENT, HOLDOUT, PART_NAMES, PARTS, hash_of_split, rows_of_videos
from childgait.files.tables import write_table
from childgait.metrics.cells import Cell
from childgait.metrics.run_metrics import (
    Calibration,
    CalibrationSummary,
    ChallengeScore,
    ItemReading,
    MetricsBlock,
    RunMetrics,
    SubgroupMetrics,
    TargetMetrics,
    TrainingLength,
    write_run_metrics,
)
from childgait.metrics.scores import METRICS

SUBJECTS_MADE = [f"{number:04d}" for number in range(1, 17)]
VIEWS = ("left", "forward")
MODELS = ("majority", "childgait_video")


@dataclass
class Made:
    """Where everything lies."""

    folder: Path
    gates: list[Path]
    results: list[Path]
    labels: Path
    subjects: Path
    agreement: Path
    assignment: Path
    parts: list[Path]
    models: list[Path]
    histories: list[Path]
    predictions: list[Path]
    metrics: list[Path]


def write_study(folder: Path, folds: tuple[str, ...] = (HOLDOUT,), seeds: tuple[int, ...] = (0,)) -> Made:
    random = np.random.default_rng(5)
    for name in ("gate", "build_labels", "split_subjects"):
        (folder / name).mkdir(parents=True)
    labels, children = make_labels(random), make_children(random)
    videos = pl.DataFrame(
        [
            {"video": f"{s}-0001_{v}_1-120", "subject": s, "session": "0001", "view": v}
            for s in SUBJECTS_MADE
            for v in VIEWS
        ]
    )
    write_table(folder / "build_labels/labels.parquet", labels, LABELS)
    write_table(folder / "build_labels/subjects.parquet", children, SUBJECTS)
    one_rater = RaterAgreement(scale="ordinal", raters=[""], labels_by="", pairs=[], oddities=[])
    one_rater.write(folder / "build_labels/agreement.json")
    who, parts = make_parts(videos, children, labels, folds)
    who.write_csv(folder / "split_subjects/subjects.csv")
    for (fold, part), table in parts.items():
        write_table(folder / f"split_subjects/{fold}.{part}.parquet", table, PARTS)
    gates, results = write_gates(folder / "gate", videos, labels, who)
    made = Made(
        folder,
        gates,
        results,
        folder / "build_labels/labels.parquet",
        folder / "build_labels/subjects.parquet",
        folder / "build_labels/agreement.json",
        folder / "split_subjects/subjects.csv",
        [folder / f"split_subjects/{fold}.{part}.parquet" for fold, part in parts],
        [],
        [],
        [],
        [],
    )
    for model in MODELS:
        for fold in folds:
            for seed in seeds:
                write_run(made, model, fold, seed, {part: parts[fold, part] for part in PART_NAMES}, labels, random)
    return made


def make_labels(random: np.random.Generator) -> pl.DataFrame:
    views = default_views()
    rows = []
    for subject in SUBJECTS_MADE:
        for limb in LIMBS:
            for code in CODES:
                score = int(random.choice([0, 0, 1, 2])) if (subject, code) != ("0003", "KPA") else None
                rows.append(
                    {
                        "subject": subject,
                        "limb": limb,
                        "code": code,
                        "score": score,
                        "atypical": None if score is None else score > 0,
                        "reason": "the item has no score" if score is None else None,
                        "views": " ".join(views[code]),
                        "rater": None,
                    }
                )
    return pl.DataFrame(rows, schema=LABELS.schema())


def make_children(random: np.random.Generator) -> pl.DataFrame:
    rows = [
        {
            "subject": s,
            "age_years": float(random.integers(3, 17)),
            "sex": str(random.choice(["female", "male"])),
            "diagnosis": "unknown",
            "aid": "none",
        }
        for s in SUBJECTS_MADE
    ]
    return pl.DataFrame(rows, schema=SUBJECTS.schema())


def make_parts(
    videos: pl.DataFrame, children: pl.DataFrame, labels: pl.DataFrame, folds: tuple[str, ...]
) -> tuple[pl.DataFrame, dict[tuple[str, str], pl.DataFrame]]:
    """The hold-out tests the last four; each fold tests two of the first eight."""
    wide = rows_of_videos(videos, children, labels)
    who, parts = [], {}
    for fold in folds:
        if fold == HOLDOUT:
            test, validation = SUBJECTS_MADE[12:], SUBJECTS_MADE[10:12]
            pool = SUBJECTS_MADE
        else:
            pool = SUBJECTS_MADE[:12]
            test, validation = pool[2 * int(fold) : 2 * int(fold) + 2], pool[8:10]
        where = {s: "test" if s in test else "validation" if s in validation else "train" for s in pool}
        for part in PART_NAMES:
            inside = [s for s, p in where.items() if p == part]
            parts[fold, part] = wide.filter(pl.col("subject").is_in(inside)).with_columns(
                split_hash=pl.lit(hash_of_split(where))
            )
        who += [(fold, s, p, None) for s, p in where.items()]
        who += [(fold, s, "none", "kept for the hold-out test") for s in SUBJECTS_MADE if s not in where]
    return pl.DataFrame(who, schema=ASSIGNMENT.schema(), orient="row"), parts


def write_gates(
    folder: Path, videos: pl.DataFrame, labels: pl.DataFrame, who: pl.DataFrame
) -> tuple[list[Path], list[Path]]:
    base = videos.select("video", "subject", "view")
    tables = {
        "register": base.with_columns(frames=240, oddities=pl.lit(["59.00 frames per second, not 60"])),
        "deidentify": base.with_columns(frames=240, verdict=pl.lit("covered")),
        "refine_pose": base.with_columns(frames=240, share_measured=pl.lit(0.9), share_missing=pl.lit(0.02)),
        "prepare_clips": base.with_columns(frames=120, source_frames=240),
        "build_labels": labels,
        "split_subjects": who,
    }
    paths, results = [], []
    for step, table in tables.items():
        paths.append(folder / f"{step}.parquet")
        table.write_parquet(paths[-1])
        results.append(folder / f"{step}.json")
        odd = step == "register"
        check = {
            "expects": "column_values_to_be_in_set",
            "columns": "variable_rate",
            "needs": "value_set [False]",
            "severity": "warning",
            "success": not odd,
            "unexpected": int(odd),
            "problem": "",
            "failing": ["0001-0001_left_1-120 (True)"] * odd,
            "why": "a steady rate is better",
        }
        results[-1].write_text(
            json.dumps(
                {
                    "step": step,
                    "rows": table.height,
                    "passed": True,
                    "critical_failures": 0,
                    "warnings": int(odd),
                    "checks": [check],
                }
            )
        )
    return paths, results


def write_run(
    made: Made,
    model: str,
    fold: str,
    seed: int,
    parts: dict[str, pl.DataFrame],
    labels: pl.DataFrame,
    random: np.random.Generator,
) -> None:
    trained, evaluated = (made.folder / step / model / f"{fold}-{seed}" for step in ("finetune", "evaluate"))
    trained.mkdir(parents=True)
    evaluated.mkdir(parents=True)
    run: dict[str, Any] = {"model": model, "remark": f"{model} of a test", "fold": fold, "seed": seed}
    run["split_hash"] = parts["test"]["split_hash"][0]
    children = {part: sorted(set(parts[part]["subject"])) for part in ("train", "validation")}
    (trained / "model.json").write_text(json.dumps(run | {"children": children}))
    table = [{"epoch": float(n), "loss": 1 / n, "validation_loss": 1.1 / n} for n in range(1, 6)]
    pl.DataFrame(table if model != "majority" else table[:0], schema=dict.fromkeys(table[0], pl.Float64)).write_csv(
        trained / "history.csv"
    )
    constant = -0.7 if fold == "1" else -0.5  # of the majority: each fold's model has its own
    frames = [predictions_of(part, parts[part], labels, model, random, constant) for part in ("validation", "test")]
    write_table(evaluated / "predictions.parquet", pl.concat(frames), PREDICTIONS)
    sizes = {part: len(names) for part, names in children.items()}
    write_run_metrics(evaluated / "metrics.json", RunMetrics(**run, **evaluation(), **cost_of(model), trained_on=sizes))
    made.models.append(trained / "model.json")
    made.histories.append(trained / "history.csv")
    made.predictions.append(evaluated / "predictions.parquet")
    made.metrics.append(evaluated / "metrics.json")


def evaluation() -> dict[str, Any]:
    """The metrics of any run: one value throughout."""
    cells = dict.fromkeys(METRICS, Cell(value=0.7, low=0.6, high=0.8))
    block = MetricsBlock(
        targets=dict.fromkeys(TARGET_NAMES, TargetMetrics(**cells, children=4, atypical=2)), groups={"overall": cells}
    )
    half = Cell(value=0.5)
    group = SubgroupMetrics(children=2, cells=60, accuracy=half, balanced_accuracy=half, f1=half)
    return {
        "unit": "child",
        "children": {"validation": 2, "test": 4},
        "temperature": 1.25,
        "thresholds": dict.fromkeys(TARGET_NAMES, 0.5),
        "natural": block,
        "balanced": block,
        "tuned": block,
        "calibration": Calibration(
            before=CalibrationSummary(brier=0.25, ece=0.125, reliability=[]),
            after=CalibrationSummary(brier=0.2, ece=0.0625, slope=Cell(value=0.91, low=0.7, high=1.12), reliability=[]),
        ),
        "confusion": dict.fromkeys(TARGET_NAMES, dict.fromkeys(("tp", "fp", "fn", "tn"), 1)),
        "subgroups": {"sex.female": group, "view.left": group},
        "challenge": ChallengeScore(value=None, reason="no child has all 34 items scored and seen"),
        "kept_epoch": 5,
    }


def cost_of(model: str) -> dict[str, Any]:
    """Inputs, cost and origin of a model; the majority also has what rules and trees have."""
    if model != "majority":
        return {
            "weights_from": "from scratch",
            "trained": TrainingLength(epochs=5, frames=16),
            "inputs": ["frames", "masks", "points"],
            "parameters": 34,
            "operations": 2_500_000_000,
        }
    reading = ItemReading(
        subject="0013",
        limb="left",
        code="KEX",
        value=21.4,
        zero_low=-0.5,
        zero_high=15.5,
        score=1,
        video="0013-0001_left_1-120",
        frame=31,
        seconds=1.033,
    )
    return {
        "weights_from": "fitted",
        "trained": None,
        "inputs": [],
        "parameters": 34,
        "operations": None,
        "measured": [reading],
        "importance": {"IC": {"own foot_pitch at contact": 0.61}, "HL": {}},
    }


def predictions_of(
    part: str, table: pl.DataFrame, labels: pl.DataFrame, model: str, random: np.random.Generator, constant: float
) -> Any:
    truth = {
        (s, Target(limb, code).name): atypical
        for s, limb, code, atypical in labels.select("subject", "limb", "code", "atypical").iter_rows()
    }
    rows = []
    for video, subject, view, *scores in table.select("video", "subject", "view", *TARGET_NAMES).iter_rows():
        for target, score in zip(TARGET_NAMES, scores, strict=True):
            known = truth[subject, target]
            push = 0.0 if known is None or model == "majority" else (1.2 if known else -1.2)
            logit = constant if model == "majority" else float(random.normal() + push)
            rows.append(("video", subject, video, view, target, score is not None, known, logit))
    cells: dict[tuple[str, str], list[float]] = {}
    for _, subject, _, _, target, counts, _, logit in rows:
        cells.setdefault((subject, target), [])
        if counts:
            cells[subject, target].append(logit)
    for (subject, target), logits in cells.items():
        mean = float(np.mean(logits)) if logits else None
        rows.append(("child", subject, "", "", target, bool(logits), truth[subject, target], mean))
    frame = pl.DataFrame(
        rows, orient="row", schema=["level", "subject", "video", "view", "target", "counts", "atypical", "logit"]
    )
    p = 1 / (1 + (-pl.col("logit")).exp())
    return frame.with_columns(
        part=pl.lit(part),
        window=pl.lit(-1, pl.Int64),
        start=pl.lit(-1, pl.Int64),
        atypical=pl.col("atypical").cast(pl.Int64),
        probability=p,
        calibrated=p,
    )
