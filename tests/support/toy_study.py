"""A small made-up study run through the real step runner: the chain's shape and names, with toy steps and tiny files.

`run_toy_study()` works in the current folder and leaves data/, reports/ and records as a real run does.
"""

from __future__ import annotations

import csv
import json
import shutil
import zlib
from pathlib import Path

import yaml

from childgait.engine.flags import Input, Output, Raw
from childgait.engine.run_step import run_step
from childgait.engine.source_files import ROOT
from childgait.params import SplitSubjects

VIEWS = ("forward", "left")


def register(video: Raw, facts: Output, name: str) -> None:
    facts.write_text(json.dumps({"video": name, "subject": name[:4], "bytes": video.stat().st_size}))


def prepare_clips(video: Input, register: Input, clip: Output) -> None:
    clip.write_bytes(b"clip of " + video.read_bytes() + register.read_bytes())


def gate(rows: list[Input], pooled: Output) -> None:
    pooled.write_text("".join(row.read_text() + "\n" for row in rows))


def split_subjects(
    labels: Input, subjects: Input, pooled: Input, train: Output, test: Output, params: SplitSubjects
) -> None:
    children = sorted(row["patient_id"] for row in json.loads(labels.read_text()))
    first = params.seed % len(children)
    for path, chosen in ((train, children[:first] + children[first + 1 :]), (test, [children[first]])):
        with path.open("w", newline="") as stream:
            csv.writer(stream).writerows([["subject", "score"], *([child, 1] for child in chosen)])


def finetune(train: Input, clips: list[Input], weights: Output) -> None:
    weights.write_bytes(train.read_bytes() + b"".join(clip.read_bytes() for clip in clips))


def evaluate(weights: Input, test: Input, clips: list[Input], predictions: Output) -> None:
    predictions.write_text(test.read_text())


def write_report(predictions: Input, weights: Input, metrics: Output, figure: Output) -> None:
    metrics.write_text(json.dumps({"accuracy": {"L": {"IC": zlib.crc32(predictions.read_bytes()) % 1000 / 1000}}}))
    figure.write_bytes(b"drawn from " + predictions.read_bytes())


def make_cohort(children: list[str], views: tuple[str, ...] = VIEWS) -> None:
    """Raw files in the release's layout under data/raw."""
    root = Path("data/raw")
    for child in children:
        folder = root / "dataset" / child
        folder.mkdir(parents=True, exist_ok=True)
        for view in views:
            (folder / f"{child}-0001_{view}_1-240.mp4").write_bytes(f"video {child} {view} ".encode() * 40)
    (root / "labels.json").write_text(json.dumps([{"patient_id": child, "left": {"1": 0}} for child in children]))
    (root / "subjects.csv").write_text("patient_id,age\n" + "".join(f"{child},8\n" for child in children))


def write_params(**split: int) -> Path:
    """The repository's params, with other values in one section."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["split_subjects"].update(split)
    values["cohort"]["root"] = "data/raw"
    Path("params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return Path("params.yaml")


def run_toy_study(children: list[str] | None = None, *, seed: int = 1, cohort: bool = True) -> None:
    children = children or ["0001", "0002", "0007"]
    if cohort:
        make_cohort(children)
    params = write_params(seed=seed)
    shutil.rmtree("reports", ignore_errors=True)
    videos = sorted(Path("data/raw/dataset").glob("*/*.mp4"))
    for video in videos:
        name = video.stem
        facts = Path(f"data/register/{name}.json")
        run_step(register, {"video": video, "facts": facts, "name": name}, None, facts.with_suffix(".record.json"))
        clip = Path(f"data/prepare_clips/{name}.clip.json")
        run_step(
            prepare_clips,
            {"video": video, "register": facts, "clip": clip},
            None,
            Path(f"data/prepare_clips/{name}.record.json"),
        )
    pooled = Path("data/gate/register.jsonl")
    run_step(
        gate,
        {"rows": [Path(f"data/register/{v.stem}.json") for v in videos], "pooled": pooled},
        None,
        Path("data/gate/register.record.json"),
    )
    train, test = Path("data/split_subjects/0.train.csv"), Path("data/split_subjects/0.test.csv")
    run_step(
        split_subjects,
        {
            "labels": Path("data/raw/labels.json"),
            "subjects": Path("data/raw/subjects.csv"),
            "pooled": pooled,
            "train": train,
            "test": test,
            "params": None,
        },
        params,
        Path("data/split_subjects/split_subjects.record.json"),
    )
    clips = {
        part: [Path(f"data/prepare_clips/{v.stem}.clip.json") for v in videos if v.stem[:4] in part.read_text()]
        for part in (train, test)
    }
    weights, predictions = Path("data/finetune/toy/0-0/weights.bin"), Path("data/evaluate/toy/0-0/predictions.csv")
    run_step(
        finetune,
        {"train": train, "clips": clips[train], "weights": weights},
        None,
        weights.with_name("finetune.record.json"),
    )
    run_step(
        evaluate,
        {"weights": weights, "test": test, "clips": clips[test], "predictions": predictions},
        None,
        predictions.with_name("evaluate.record.json"),
    )
    run_step(
        write_report,
        {
            "predictions": predictions,
            "weights": weights,
            "metrics": Path("reports/metrics.json"),
            "figure": Path("reports/figure.png"),
        },
        None,
        Path("reports/write_report.record.json"),
    )
