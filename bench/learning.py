"""Measures learning on a synthetic cohort, split by children; writes reports/bench/learning.md.

    .venv/bin/python bench/learning.py                                  # 24 children, one seed: some minutes
    .venv/bin/python bench/learning.py --children 110 --seeds 0 1 2 --device cuda --precision bf16

Every model is trained from scratch on the same children with the same numbers (params.yaml and the flags), and judged
on children it has never seen. It resumes: clips, weights and metrics that are there are kept (`--work`). To spend the
time on learning, clips are cut straight from the synthetic videos: masks are the true ones, keypoints are the delivered,
imperfect ones, unrefined; nothing is de-identified, for nobody is real.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from childgait.files.parts import part_files
from childgait.models.registry import ABLATION, BASELINES, FRAMES, MODELS
from childgait.params import load_params
from childgait.steps.build_labels import build_labels
from childgait.steps.evaluate import evaluate
from childgait.steps.finetune import finetune
from childgait.steps.split_subjects import split_subjects
from childgait.training.bootstrap import compare

OURS, PLAIN = "childgait_video", "videomae"
log = logging.getLogger("bench")


def make_clips(index: int, work: Path) -> None:
    """One child's clips, from rendering to crop; the videos are thrown away."""
    from childgait.files.masks import write_masks
    from childgait.steps.estimate_pose import estimate_pose
    from childgait.steps.prepare_clips import prepare_clips
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
        keypoints = root / "poses.parquet"
        estimate_pose(keypoints, sections["estimate_pose"], poses=root / entry["poses"], layout="wholebody133")
        prepare_clips(
            name, keypoints, Path(f"{target}.points.npy"), Path(f"{target}.clip.json"), sections["prepare_clips"],
            video=video, masks=root / "masks", frames=Path(f"{target}.frames.npy"), mask_bits=Path(f"{target}.masks.npy"),
        )  # fmt: skip
    shutil.rmtree(root)
    done.touch()


def make_parts(work: Path, children: int) -> None:
    """Labels and splits by the study's own steps."""
    from childgait.synthetic.cohort import child_of, label_row

    sections: Any = load_params(Path("params.yaml"))
    drawn = [child_of(index, sections["synthesize"]) for index in range(children)]
    (work / "labels.json").write_text(json.dumps([label_row(child, scores) for child, scores in drawn]))
    lines = ["patient_id,age,sex,diagnosis,aid"]
    lines += [f"{c.subject},{c.age_years},{c.sex},{c.diagnosis},{c.aid}" for c, _ in drawn]
    (work / "subjects.csv").write_text("\n".join(lines) + "\n")
    facts = [json.loads(path.read_text()) for path in clips_of(work)]
    table = pl.DataFrame([{k: f[k] for k in ("video", "subject", "view")} for f in facts])
    table = table.with_columns(pl.col("video").str.slice(5, 4).alias("session"))
    table.filter(pl.col("subject").is_in([c.subject for c, _ in drawn])).write_parquet(work / "clips.parquet")
    outputs = {name: work / f"{name}.parquet" for name in ("labels_out", "totals", "subjects_out")}
    build_labels(
        work / "labels.json", work / "subjects.csv", work / "clips.parquet", **outputs,
        agreement=work / "agreement.json", params=sections["build_labels"],
    )  # fmt: skip
    params = sections["split_subjects"]
    split_subjects(
        outputs["labels_out"], outputs["subjects_out"], work / "clips.parquet", work / "who.csv",
        [work / name for name in part_files(params.folds)], params,
    )  # fmt: skip


def clips_of(work: Path) -> list[Path]:
    return sorted((work / "clips").glob("*.clip.json"))


def run(work: Path, name: str, seed: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Train and judge one model with one seed, unless that is done."""
    sections: Any = load_params(Path("params.yaml"))
    params = type(sections["finetune"]).model_validate({**sections["finetune"].model_dump(), **changes})
    out = work / "runs" / f"{name}-{seed}"
    out.mkdir(parents=True, exist_ok=True)
    weights, model, metrics = out / "weights.safetensors", out / "model.json", out / "metrics.json"
    validation, clips = work / "holdout.validation.parquet", clips_of(work)
    began = time.monotonic()
    if not weights.exists():
        finetune(work / "holdout.train.parquet", validation, clips, out / "w", model, out / "history.csv", name,
                 "holdout", seed, params, checkpoint=out)  # fmt: skip
        (out / "seconds").write_text(f"{time.monotonic() - began:.0f}")
        (out / "w").rename(weights)
    if not metrics.exists():
        evaluate(weights, model, validation, work / "holdout.test.parquet", clips, out / "predictions.parquet",
                 metrics, name, "holdout", seed, sections["evaluate"])  # fmt: skip
    return json.loads(metrics.read_text())


def of_children(work: Path, name: str, seeds: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(children, 34) probabilities, the mean logit over seeds, and the truth."""
    found = []
    for seed in seeds:
        table = pl.read_parquet(work / "runs" / f"{name}-{seed}" / "predictions.parquet")
        table = table.filter((pl.col("part") == "test") & (pl.col("level") == "child"))
        found.append(table.pivot("target", index="subject", values=["logit", "atypical"]).sort("subject"))
    logits = np.mean([f.select(pl.selectors.starts_with("logit_")).to_numpy().astype(float) for f in found], axis=0)
    truth = found[0].select(pl.selectors.starts_with("atypical_")).to_numpy().astype(float)
    return 1 / (1 + np.exp(-logits)), truth


def table_of(work: Path, names: list[str], seeds: list[int]) -> str:
    lines = ["| model | balanced accuracy | 95 % | F1 | accuracy | AUROC | items above majority | seconds |",
             "|---|--:|--:|--:|--:|--:|--:|--:|"]  # fmt: skip
    majority = json.loads((work / "runs" / f"majority-{seeds[0]}" / "metrics.json").read_text())["natural"]["targets"]
    for name in names:
        runs = [json.loads((work / "runs" / f"{name}-{seed}" / "metrics.json").read_text()) for seed in seeds]
        overall = [run["natural"]["groups"]["overall"] for run in runs]

        def mean(metric: str, cells: list[dict[str, Any]] = overall) -> str:
            values = [cell[metric]["value"] for cell in cells if cell[metric]["value"] is not None]
            spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            return f"{np.mean(values):.3f}{spread}" if values else "–"

        first = overall[0]["balanced_accuracy"]
        above = np.mean([sum((r["natural"]["targets"][t]["accuracy"]["value"] or 0) > (cell["accuracy"]["value"] or 0)
                             for t, cell in majority.items()) for r in runs])  # fmt: skip
        seconds = [int((work / "runs" / f"{name}-{seed}" / "seconds").read_text()) for seed in seeds]
        bounds = "–" if first["low"] is None else f"{first['low']:.3f}–{first['high']:.3f}"
        lines.append(f"| {name} | {mean('balanced_accuracy')} | {bounds} | {mean('f1')} | {mean('accuracy')} "
                     f"| {mean('auroc')} | {above:.0f} of 34 | {np.mean(seconds):.0f} |")  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--children", type=int, default=24)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--models", nargs="+", default=[*BASELINES, *ABLATION], choices=list(MODELS))
    parser.add_argument("--frames", action="store_true", help="add the study of 8, 16 and 32 frames")
    parser.add_argument("--work", type=Path, default=Path(".cache/bench-learning"))
    parser.add_argument("--processes", type=int, default=2, help="that make clips")
    parser.add_argument("--set", nargs="*", default=[], help="keys of finetune, such as epochs=60 learning_rate=0.001")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{given.work.absolute()}/mlflow.db")
    (given.work / "clips").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(make_clips, range(given.children), [given.work] * given.children))
    if not (given.work / "holdout.test.parquet").exists():
        make_parts(given.work, given.children)
    names = list(dict.fromkeys([*given.models, *(FRAMES if given.frames else ())]))
    changes: dict[str, Any] = {"device": given.device, "precision": given.precision}
    changes |= {key: json.loads(value) for key, value in (pair.split("=", 1) for pair in given.set)}
    for seed in given.seeds:
        for name in names:
            overall = run(given.work, name, seed, changes)["natural"]["groups"]["overall"]
            log.info("%s-%d: %s", name, seed, overall["balanced_accuracy"])
    tables = [given.work / f"holdout.{part}.parquet" for part in ("train", "validation", "test")]
    parts = [pl.read_parquet(table)["subject"].n_unique() for table in tables]
    text = [
        "# Learning on the synthetic cohort", "",
        f"{parts[0]} children train, {parts[1]} validate, {parts[2]} test; {len(given.seeds)} seed(s), from scratch,"
        f" {given.device}; changes to params.yaml: {' '.join(given.set) or 'none'}. Mean over the 34 targets where a"
        " metric is defined; ± over seeds; interval over children, first seed.", "",
        table_of(given.work, names, given.seeds), "",
    ]  # fmt: skip
    if {OURS, PLAIN} <= set(names):
        (ours, truth), (plain, _) = (of_children(given.work, name, given.seeds) for name in (OURS, PLAIN))
        found = compare(ours, plain, truth, draws=2000, seed=0)
        better = sum(test.p_holm is not None and test.p_holm < 0.05 for test in found.targets)
        text += [f"{OURS} minus {PLAIN}, mean balanced accuracy, same children, logits averaged over seeds:"
                 f" {found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f}, p {found.p:.3f});"
                 f" {better} targets differ after Holm's correction.", ""]  # fmt: skip
    target = Path("reports/bench/learning.md")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()
