"""Measures learning on a synthetic cohort, split by children; writes reports/bench/learning.md.

    .venv/bin/python bench/learning.py                                  # 24 children, one seed: some minutes
    .venv/bin/python bench/learning.py --children 110 --seeds 0 1 2 --device cuda --precision bf16 --set epochs=200

Every model is trained from scratch on the same children with the same settings (params.yaml and the flags) and tested
on unseen children. Resumable: existing clips, weights and metrics are kept (`--work`), and the table is written after
every seed. To spend the time on learning, clips are cut straight from the synthetic videos: true masks, delivered
keypoints, refined; de-identification is skipped because the children are synthetic.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from childgait.files.split import part_files
from childgait.metrics.of_study import ScopeMetrics, ScopePredictions, compare_models, measure_model, read_predictions
from childgait.models.registry import ABLATION, BASELINES, FRAMES, MODELS
from childgait.params import load_params
from childgait.steps.build_labels import build_labels
from childgait.steps.evaluate import evaluate
from childgait.steps.finetune import finetune
from childgait.steps.split_subjects import split_subjects

OURS, PLAIN = "childgait_video", "videomae"
METRICS_SHOWN = ("balanced_accuracy", "f1", "accuracy", "auroc")
log = logging.getLogger("bench")


def make_clips(index: int, work: Path, size: int) -> None:
    """One child's clips, from rendering to crop; the videos are thrown away."""
    from childgait.files.masks import write_masks
    from childgait.steps.estimate_pose import estimate_pose
    from childgait.steps.prepare_clips import prepare_clips
    from childgait.steps.refine_pose import refine_pose
    from childgait.synthetic.cohort import child_of
    from childgait.synthetic.recording import record_child
    from childgait.synthetic.truth import load_truth

    sections: Any = load_params(Path("params.yaml"))
    done = work / "clips" / f"{index + 1:04d}.done"
    if done.exists():
        return
    root = work / "films" / f"{index:04d}"
    shutil.rmtree(root, ignore_errors=True)
    (root / "dataset").mkdir(parents=True)
    (root / "truth").mkdir()
    child, scores = child_of(index, sections["synthesize"])
    for entry in record_child(index, child, scores, root, sections["synthesize"]):
        video = root / entry["video"]
        name, target = video.stem, work / "clips" / video.stem
        truth = load_truth(root / "truth" / f"{name}.npz")
        write_masks(root / "masks", (truth.mask(i) for i in range(len(truth.seconds))))
        given, refined, events = (root / f"{kind}.parquet" for kind in ("given", "refined", "events"))
        estimate_pose(given, sections["estimate_pose"], poses=root / entry["poses"], layout="wholebody133")
        refine_pose(
            name, given, refined, root / "angles.parquet", events, root / "summary.json", sections["refine_pose"]
        )
        prepare_clips(
            name,
            refined,
            Path(f"{target}.points.npy"),
            Path(f"{target}.clip.json"),
            sections["prepare_clips"].model_copy(update={"size": size}),
            video=video,
            masks=root / "masks",
            events=events,
            frames=Path(f"{target}.frames.npy"),
            mask_bits=Path(f"{target}.masks.npy"),
        )
    shutil.rmtree(root)
    done.touch()


def make_all_clips(work: Path, children: int, size: int, processes: int) -> None:
    (work / "clips").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(make_clips, work=work, size=size), range(children)))


def make_parts(work: Path, children: int) -> None:
    """Labels and splits by the study's own steps."""
    labels, subjects = make_labels(work, children)
    params: Any = load_params(Path("params.yaml"))["split_subjects"]
    split_subjects(
        labels,
        subjects,
        work / "clips.parquet",
        work / "who.csv",
        [work / name for name in part_files(params.folds)],
        params,
    )


def make_labels(work: Path, children: int) -> tuple[Path, Path]:
    """Labels and subjects of the first `children` of the cohort, and clips.parquet of their clips."""
    from childgait.synthetic.cohort import child_of, label_row, subject_facts, subjects_text

    sections: Any = load_params(Path("params.yaml"))
    drawn = [child_of(index, sections["synthesize"]) for index in range(children)]
    (work / "labels.json").write_text(json.dumps([label_row(child, scores) for child, scores in drawn]))
    known = [subject_facts(child, scores, sections["synthesize"]) for child, scores in drawn]
    (work / "subjects.csv").write_text(subjects_text(known, sections["synthesize"]))
    facts = [json.loads(path.read_text()) for path in clips_of(work)]
    table = pl.DataFrame([{k: f[k] for k in ("video", "subject", "view")} for f in facts])
    table = table.with_columns(pl.col("video").str.slice(5, 4).alias("session"))
    table.filter(pl.col("subject").is_in([c.subject for c, _ in drawn])).write_parquet(work / "clips.parquet")
    outputs = {name: work / f"{name}.parquet" for name in ("labels_out", "totals", "subjects_out")}
    build_labels(
        work / "labels.json",
        work / "subjects.csv",
        work / "clips.parquet",
        **outputs,
        agreement=work / "agreement.json",
        params=sections["build_labels"],
    )
    return outputs["labels_out"], outputs["subjects_out"]


def clips_of(work: Path) -> list[Path]:
    return sorted((work / "clips").glob("*.clip.json"))


def run(work: Path, name: str, seed: int, changes: dict[str, Any], views: int) -> None:
    """Train and judge one model with one seed, unless that is done."""
    sections: Any = load_params(Path("params.yaml"))
    params = changed(sections["finetune"], changes)
    trained, evaluated = (work / step / name / f"holdout-{seed}" for step in ("finetune", "evaluate"))
    trained.mkdir(parents=True, exist_ok=True)
    evaluated.mkdir(parents=True, exist_ok=True)
    weights, model, metrics = trained / "weights.safetensors", trained / "model.json", evaluated / "metrics.json"
    validation, clips = work / "holdout.validation.parquet", clips_of(work)
    if not weights.exists():
        began = time.process_time() if params.device == "cpu" else time.monotonic()
        finetune(
            work / "holdout.train.parquet",
            validation,
            clips,
            trained / "unfinished",
            model,
            trained / "history.csv",
            name,
            "holdout",
            seed,
            params,
            checkpoint=trained,
        )
        ended = time.process_time() if params.device == "cpu" else time.monotonic()
        (trained / "seconds").write_text(f"{ended - began:.0f}")
        (trained / "unfinished").rename(weights)
    if not metrics.exists():
        how = sections["evaluate"].model_copy(update={"windows_per_video": views, "appearances": 0})
        evaluate(
            weights,
            model,
            validation,
            work / "holdout.test.parquet",
            clips,
            evaluated / "predictions.parquet",
            evaluated / "unfinished",
            name,
            "holdout",
            seed,
            how,
        )
        (evaluated / "unfinished").rename(metrics)


def read_changes(pairs: list[str]) -> dict[str, Any]:
    """`epochs=60` as {"epochs": 60}."""
    return {key: json.loads(value) for key, value in (pair.split("=", 1) for pair in pairs)}


def changed(section: Any, changes: dict[str, Any]) -> Any:
    """Params' section with some keys changed; `encoder.min_tokens` is a key inside a key."""
    values = section.model_dump()
    for name, value in changes.items():
        *outer, inner = name.split(".")
        place = values
        for key in outer:
            place = place[key]
        place[inner] = value
    return type(section).model_validate(values)


def table_of(work: Path, measured: dict[str, ScopeMetrics], seeds: list[int]) -> list[str]:
    lines = [
        "| model | balanced accuracy | 95 % | F1 | 95 % | accuracy | AUROC | targets above majority | seconds |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    majority = measured["majority"].targets
    for name, model in measured.items():
        over = model.groups["overall"]
        above = sum((model.targets[t]["accuracy"].value or 0) > (majority[t]["accuracy"].value or 0) for t in majority)
        spent = [int((work / "finetune" / name / f"holdout-{seed}" / "seconds").read_text()) for seed in seeds]
        cells = [value_of(over[m]) for m in METRICS_SHOWN]
        bounds = [bounds_of(over[m]) for m in METRICS_SHOWN]
        lines.append(
            f"| {name} | {cells[0]} | {bounds[0]} | {cells[1]} | {bounds[1]} | {cells[2]} | {cells[3]} "
            f"| {above} of 34 | {np.mean(spent):.0f} |"
        )
    return lines


def value_of(cell: dict[str, Any]) -> str:
    return "–" if cell.value is None else f"{cell.value:.3f}"


def bounds_of(cell: dict[str, Any]) -> str:
    return "–" if cell.value is None or cell.low is None else f"{cell.low:.3f} to {cell.high:.3f}"


def seeds_apart(predictions: dict[str, ScopePredictions], names: list[str]) -> list[str]:
    """Mean balanced accuracy of each seed: what chance in training alone does."""
    lines = ["| model | mean balanced accuracy, a seed each |", "|---|---|"]
    for name in names:
        each = [
            measure_model(replace(predictions[name], probability=(one,)), 0, 0).overall["balanced_accuracy"].value
            for one in predictions[name].probability
        ]
        lines.append(f"| {name} | {', '.join(f'{value:.3f}' for value in each)} |")
    return lines


def losses(work: Path, names: list[str], seeds: list[int]) -> list[str]:
    """Tabulate training loss at both ends and the lowest validation loss, to tell under- from overfitting."""
    lines = [
        "| model | training loss, first and last epoch | validation loss, first and last | least, at epoch |",
        "|---|--:|--:|--:|",
    ]
    for name in names:
        tables = [pl.read_csv(work / "finetune" / name / f"holdout-{seed}" / "history.csv") for seed in seeds]
        ends = [
            f"{np.mean([t[column][0] for t in tables]):.3f} → {np.mean([t[column][-1] for t in tables]):.3f}"
            for column in ("loss", "validation_loss")
        ]
        curves = [t["validation_loss"].to_numpy() for t in tables]
        least, at = np.mean([curve.min() for curve in curves]), ", ".join(str(curve.argmin() + 1) for curve in curves)
        lines.append(f"| {name} | {ends[0]} | {ends[1]} | {least:.3f}, at {at} |")
    return lines


def describe_difference(predictions: dict[str, ScopePredictions], first: str, second: str) -> str:
    result = compare_models(predictions[first], predictions[second], draws=2000, seed=0)
    apart = sum(test.p_holm is not None and test.p_holm < 0.05 for test in result.targets)
    return (
        f"- {first} minus {second}: {100 * (result.difference or 0):+.1f} points of mean balanced accuracy"
        f" ({100 * (result.low or 0):+.1f} to {100 * (result.high or 0):+.1f}, p {result.p:.3f}); {apart} of 34 targets"
        " differ by McNemar's test after Holm's correction."
    )


def report(work: Path, names: list[str], seeds: list[int], about: str) -> str:
    """The table over all seeds that are done, and what the differences are worth."""
    paths = [work / "evaluate" / name / f"holdout-{seed}" / "predictions.parquet" for name in names for seed in seeds]
    result = read_predictions(paths)["holdout"]
    predictions = {name: result[name] for name in names}
    measured = {name: measure_model(predictions[name], 2000, 0) for name in names}
    tables = [work / f"holdout.{part}.parquet" for part in ("train", "validation", "test")]
    parts = [pl.read_parquet(table)["subject"].n_unique() for table in tables]
    text = [
        "# Learning on the synthetic cohort",
        "",
        f"{parts[0]} children train, {parts[1]} validate, {parts[2]} test; seeds {', '.join(map(str, seeds))}; "
        "networks from"
        f" scratch. {about} A metric is the mean over the 34 targets where it is defined, and over seeds; "
        "intervals are the"
        " middle 95 % over draws of the test children. True masks, refined keypoints, nothing de-identified.",
        "",
        *table_of(work, measured, seeds),
        "",
    ]
    networks = [name for name in names if MODELS[name].kind == "network"]
    if networks:
        text += [*losses(work, networks, seeds), ""]
    if len(seeds) > 1 and networks:
        text += [*seeds_apart(predictions, networks), ""]
    pairs = [
        (OURS, PLAIN),
        *((OURS, other) for other in FRAMES if other != OURS),
        (OURS, "kinematic_trees"),
        (OURS, "majority"),
    ]
    text += [
        "Paired, over the same test children:",
        "",
        *(describe_difference(predictions, a, b) for a, b in pairs if {a, b} <= set(names)),
        "",
    ]
    if {OURS, PLAIN, "majority"} <= set(names):
        text += [*aims(predictions, measured), ""]
    frames = [name for name in FRAMES if name in names]
    if len(frames) == len(FRAMES):
        text += [
            "Initial contact (IC), both limbs, as the paper's ablation:",
            "",
            *item_rows(measured, frames, "IC"),
            "",
        ]
    return "\n".join([*text, WHAT_A_GPU_RUN_NEEDS, ""])


def aims(predictions: dict[str, ScopePredictions], measured: dict[str, ScopeMetrics]) -> list[str]:
    """What was aimed at beside what came out."""
    ours, majority = measured[OURS], measured["majority"].targets
    gain = 100 * (compare_models(predictions[OURS], predictions[PLAIN], draws=0, seed=0).difference or 0)
    above = sum(
        (ours.targets[t]["accuracy"].value or 0) > (cell["accuracy"].value or 0) for t, cell in majority.items()
    )
    f1 = ours.groups["overall"]["f1"].value or 0
    rows = [
        (f"{OURS} over {PLAIN}, points of mean balanced accuracy", f"{gain:+.1f}", "+12", gain >= 12),
        (f"mean F1 of {OURS}", f"{f1:.2f}", "0.83", f1 >= 0.83),
        ("its targets above majority", f"{above}", "34", above == 34),
    ]
    lines = ["| measure | is | aim | |", "|---|--:|--:|---|"]
    return lines + [f"| {name} | {value} | {aim} | {'met' if met else 'missed'} |" for name, value, aim, met in rows]


WHAT_A_GPU_RUN_NEEDS = """A GPU run needs one CUDA device, VideoMAE v2's weights (not shipped), and `--children 110
--seeds 0 1 2 --frames --device cuda --precision bf16 --size 224 --set 'encoder.size="base"' 'weights="FILE"'
'weights_sha256="…"' layer_decay=0.75`; clips of 110 children take some 640 MB at 64 pixels, 12 times that at 224. Where
validation loss rises while training loss falls, more steps are not what is lacking: it is children, or weights."""


def item_rows(measured: dict[str, ScopeMetrics], names: list[str], code: str) -> list[str]:
    lines = ["| model | accuracy | 95 % | F1 | 95 % |", "|---|--:|--:|--:|--:|"]
    for name in names:
        cells = [measured[name].groups[f"item.{code}"][metric] for metric in ("accuracy", "f1")]
        shown = [f"{value_of(cell)} | {bounds_of(cell)}" for cell in cells]
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--children", type=int, default=24)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--models", nargs="+", default=[*BASELINES, *ABLATION], choices=list(MODELS))
    parser.add_argument("--frames", action="store_true", help="add the study of 8, 16 and 32 frames")
    parser.add_argument("--size", type=int, default=112, help="side of a clip in pixels; a multiple of 16")
    parser.add_argument("--views", type=int, default=4, help="windows per video in evaluation")
    parser.add_argument("--work", type=Path, default=Path(".cache/bench-learning"), help="one folder per set of flags")
    parser.add_argument("--processes", type=int, default=2, help="processes that make clips")
    parser.add_argument("--set", nargs="*", default=[], help="keys of finetune: epochs=60 encoder.min_tokens=8")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--out", type=Path, default=Path("reports/bench/learning.md"))
    parser.add_argument(
        "--table", action="store_true", help="only write the table of what is done for all models and seeds"
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{given.work.absolute()}/mlflow.db")
    names = list(dict.fromkeys([*given.models, *(FRAMES if given.frames else ())]))
    about = (
        f"Clips of {given.size} pixels, {given.views} windows per video in evaluation; changes to params.yaml:"
        f" {', '.join(given.set) or 'none'}; seconds of training, on {given.device} (of the processor there)."
    )
    if given.table:
        given.out.write_text(report(given.work, names, given.seeds, about), encoding="utf-8")
        return
    make_all_clips(given.work, given.children, given.size, given.processes)
    if not (given.work / "holdout.test.parquet").exists():
        make_parts(given.work, given.children)
    changes = {"device": given.device, "precision": given.precision} | read_changes(given.set)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for count, seed in enumerate(given.seeds, 1):
        for name in names:
            run(given.work, name, seed, changes, given.views)
            log.info("%s-%d is evaluated", name, seed)
        given.out.write_text(report(given.work, names, given.seeds[:count], about), encoding="utf-8")
    print(given.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
