"""Measures segmentation on a synthetic cohort, where the child's pixels are known; writes reports/bench/segment.md.

    .venv/bin/python bench/segment.py                      # three children of its own
    .venv/bin/python bench/segment.py --subjects 12 --keep data/bench-cohort

Measured where pruning needs it: 16-pixel patches of a 224-pixel crop; a patch is the child's from a tenth of its pixels
on, for truth and mask alike. `fps` is frames per second of processor time, decoding twice and writing included.
Keypoints go in as delivered, with drop-outs, outliers and swaps. The raw videos stand in for the de-identified ones,
which differ on heads only.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

PATCH, CROP, SHARE = 16, 224, 0.1


def patches(mask: np.ndarray) -> np.ndarray:
    n = CROP // PATCH
    return mask.reshape(n, PATCH, n, PATCH).mean(axis=(1, 3)) >= SHARE


def measure(masks: Any, truth: Any, seconds: np.ndarray) -> dict[str, float]:
    """One video's figures, over the frames that show the child."""
    from childgait.vision.crop import cut_mask, square_path
    from childgait.vision.sam3 import box_of

    there = [truth.mask(i) for i in range(len(seconds))]
    boxes = np.array([box_of(mask) if mask.sum() > 50 else [np.nan] * 4 for mask in there])
    squares = square_path(seconds, boxes, margin=0.15, smoothing_seconds=0.25)
    hit = result = true = grown_hit = 0
    iou, precision, recall = [], [], []
    for i, square in enumerate(squares):
        if not np.isfinite(boxes[i]).all():
            continue
        mask, real = masks[i], there[i]
        both = (mask & real).sum()
        iou.append(both / max((mask | real).sum(), 1))
        precision.append(both / max(mask.sum(), 1))
        recall.append(both / real.sum())
        a, b = patches(cut_mask(mask, square, CROP)), patches(cut_mask(real, square, CROP))
        wide = cv2.dilate(a.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        hit, result, true, grown_hit = (
            hit + (a & b).sum(),
            result + a.sum(),
            true + b.sum(),
            grown_hit + (wide & b).sum(),
        )
    return {
        "frames": len(seconds),
        "IoU": float(np.median(iou)),
        "IoU p5": float(np.quantile(iou, 0.05)),
        "recall": hit / true,
        "precision": hit / max(result, 1),
        "recall +1": grown_hit / true,
        "right": float(np.median(precision) > 0.5 and np.median(recall) > 0.5),
    }


def one_video(cohort: Path, video: Path, work: Path, params: Any, keypoints: bool) -> dict[str, Any]:
    from childgait.errors import StepError
    from childgait.files.masks import Masks
    from childgait.files.poses import write_poses
    from childgait.gait.delivered_keypoints import read_delivered
    from childgait.steps.segment import segment
    from childgait.synthetic.truth import load_truth

    name = video.stem
    truth = load_truth(cohort / "truth" / f"{name}.npz")
    row: dict[str, Any] = {"video": name, "view": name.split("_")[1], "bystander": len(truth.heads) > 1}
    poses = work / "poses.parquet" if keypoints else None
    if poses is not None:
        write_poses(
            poses, read_delivered(video.with_name(name + "_filtered_pose.zip"), "wholebody133", truth.seconds).poses
        )
    masks, frames, summary = work / f"{name}.masks", work / "frames.parquet", work / "summary.json"
    begun = time.process_time()
    try:
        segment(name, video, masks, frames, summary, params, poses=poses)
    except StepError as error:
        return row | {"path": "refused", "error": str(error)}
    row["fps"] = len(truth.seconds) / (time.process_time() - begun)
    facts = json.loads(summary.read_text())
    row |= {key: facts[key] for key in ("path", "camera", "share_below_gate")}
    row["bytes"] = masks.stat().st_size / len(truth.seconds)
    return row | measure(Masks(masks), truth, truth.seconds)


MEANING = (
    "IoU: median over a video's frames, then over videos; p5: the twentieth worst frame. Recall and precision: "
    "16-pixel patches of a 224-pixel crop, +1 after growing by a patch; means. fps: frames per core second."
)
COLUMNS = ("IoU", "IoU p5", "recall", "precision", "recall +1", "right", "fps", "share_below_gate", "bytes")


def table(rows: list[dict[str, Any]], kind: str) -> list[str]:
    """A line for the side views and one for the coronal views: medians of IoU, means of the rest."""
    lines = []
    for label, views in (("side", ("left", "right")), ("coronal", ("forward", "backward"))):
        of_kind = [row for row in rows if row["view"] in views]
        done = [row for row in of_kind if row["path"] != "refused"]
        cells = []
        for column in COLUMNS:
            values = [row[column] for row in done]
            value = (np.median if column.startswith("IoU") else np.mean)(values) if values else float("nan")
            cells.append(f"{value:.0f}" if column in ("fps", "bytes") else f"{value:.3f}")
        refused = f" ({len(of_kind) - len(done)} refused)" if len(of_kind) > len(done) else ""
        lines.append(f"| {kind} | {label} | {len(of_kind)}{refused} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=3)
    parser.add_argument(
        "--seed", type=int, default=21, help="of the cohort; not the demo's, so that nothing is tuned on it"
    )
    parser.add_argument("--keep", type=Path, nargs="+", help="synthetic cohorts: used where they are, else made there")
    parser.add_argument(
        "--inputs", choices=("keypoints", "none", "both"), default="both", help="inputs beside the videos"
    )
    parser.add_argument("--only", default="", help="part of the names of the videos to measure")
    parser.add_argument("--verbose", action="store_true", help="print one line per video")
    parser.add_argument("--report", type=Path, default=Path("reports/bench/segment.md"))
    arguments = parser.parse_args()

    from childgait.params import Segment, Synthesize, load_section
    from childgait.synthetic.cohort import write_cohort

    params = load_section(Path("params.yaml"), Segment)
    with tempfile.TemporaryDirectory() as folder:
        work, cohorts = Path(folder), arguments.keep or [Path(folder) / "cohort"]
        for cohort in cohorts:
            if not (cohort / "truth").is_dir():
                changes = {"subjects": arguments.subjects, "seed": arguments.seed}
                cohort.mkdir(parents=True, exist_ok=True)
                own = load_section(Path("params.yaml"), Synthesize)
                write_cohort(cohort, Synthesize.model_validate(own.model_dump() | changes), 1)
        seeds = [json.loads((cohort / "cohort.json").read_text())["params"]["seed"] for cohort in cohorts]
        videos = [path for c in cohorts for path in sorted(c.glob("dataset/*/*.mp4")) if arguments.only in path.name]
        lines: list[str] = []
        persons: list[str] = []
        for kind, keypoints in (("keypoints delivered", True), ("no keypoints", False)):
            if arguments.inputs not in ("both", "keypoints" if keypoints else "none"):
                continue
            rows = []
            for video in videos:
                rows.append(one_video(video.parents[2], video, work, params, keypoints))
                if arguments.verbose:
                    print({k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
            lines += table(rows, kind)
            right = [row.get("right", 0.0) for row in rows if row["bystander"]]
            if right:
                persons.append(
                    f"With a bystander, {kind}: the right person in {sum(right):.0f} of {len(right)} videos."
                )
    head = f"| input | view | videos | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 3)}"
    where = f"{len(videos)} videos of synthetic cohorts (seeds {', '.join(map(str, seeds))})"
    opening = f"# segment, backend {params.backend}\n\n{where}. {MEANING}"
    text = "\n".join([opening, "", head, *lines, "", *persons, ""])
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    arguments.report.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
