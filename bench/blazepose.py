"""Measures the embedded pose model on a synthetic cohort without keypoints; writes reports/bench/blazepose.md.

    .venv/bin/python bench/blazepose.py                      # four children, made for the occasion
    .venv/bin/python bench/blazepose.py --cohort data/demo

Runs segment, estimate_pose and refine_pose on the videos alone (raw ones, which differ from de-identified ones on heads
only). Points: shoulders to feet without small toes, in frames that show the whole child. The constants of
gait/leg_identity.py and vision/person_tracks.py were chosen on cohorts of seeds 911 and 912 and on one video of seed
931; report on others.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
VIEWS = ("left", "right", "forward", "backward")
ROWS = {
    "videos": "{:.0f}",
    "failed or of another person": "{:.0f}",
    "mask IoU (median)": "{:.3f}",
    "faces found (score above .5)": "{:.2f}",
    "points missing": "{:.3f}",
    "PCK@0.05": "{:.3f}",
    "PCK@0.1": "{:.3f}",
    "legs exchanged": "{:.4f}",
    "legs exchanged, 0.06 heights apart": "{:.4f}",
    "knee, RMS degrees in the picture": "{:.1f}",
    "knee, median degrees": "{:.1f}",
    "frames doubtful": "{:.3f}",
    "core seconds per 300 frames": "{:.1f}",
}


def knee(xy: NDArray[Any], side: str) -> NDArray[Any]:
    """The knee's angle in the picture, degrees."""
    from childgait.domain.skeleton import INDEX

    hip, joint, ankle = (xy[:, INDEX[f"{side}_{name}"]].astype(float) for name in ("hip", "knee", "ankle"))
    up, down = hip - joint, ankle - joint
    size = np.linalg.norm(up, axis=1) * np.linalg.norm(down, axis=1)
    return np.asarray(np.degrees(np.arccos(np.clip((up * down).sum(axis=1) / size, -1, 1))))


def compare(xy: NDArray[Any], truth: Any) -> dict[str, float]:
    """One video's points against the exact ones."""
    from childgait.domain.skeleton import INDEX
    from childgait.gait.leg_identity import PAIRS

    body = [index for name, index in INDEX.items() if index > 4 and not name.endswith("small_toe")]
    x, y = truth.points[..., 0], truth.points[..., 1]
    whole = ((x >= 0) & (x < truth.width) & (y >= 0) & (y < truth.height)).all(axis=1)
    height = np.ptp(y, axis=1)
    off = (np.linalg.norm(xy - truth.points, axis=2) / height[:, None])[whole][:, body]
    known = np.isfinite(off)
    own = np.linalg.norm(xy[:, PAIRS] - truth.points[:, PAIRS], axis=3)
    other = np.linalg.norm(xy[:, PAIRS] - truth.points[:, PAIRS[:, ::-1]], axis=3)
    both = np.isfinite(own) & np.isfinite(other)
    exchanged = np.where(both, other, 0).sum(axis=(1, 2)) < np.where(both, own, 0).sum(axis=(1, 2))
    legs = whole & both.any(axis=(1, 2))
    way = np.linalg.norm(truth.points[:, PAIRS[:, 0]] - truth.points[:, PAIRS[:, 1]], axis=2).mean(axis=1) / height
    knees = np.concatenate([(knee(xy, side) - knee(truth.points, side))[whole] for side in ("left", "right")])
    knees = knees[np.isfinite(knees)]
    return {
        "points missing": float(1 - known.mean()),
        "PCK@0.05": float((off[known] < 0.05).mean()),
        "PCK@0.1": float((off[known] < 0.1).mean()),
        "legs exchanged": float(exchanged[legs].mean()),
        "legs exchanged, 0.06 heights apart": float(exchanged[legs & (way > 0.06)].mean()),
        "knee, RMS degrees in the picture": float(np.sqrt((knees**2).mean())),
        "knee, median degrees": float(np.median(np.abs(knees))),
    }


def one_video(cohort: Path, video: Path, work: Path, params: Path, landmarks: str) -> dict[str, Any]:
    from childgait.errors import StepError
    from childgait.files.masks import Masks
    from childgait.files.poses import read_poses
    from childgait.params import EstimatePose, RefinePose, Segment, load_section
    from childgait.steps.estimate_pose import estimate_pose
    from childgait.steps.refine_pose import refine_pose
    from childgait.steps.segment import segment
    from childgait.synthetic.truth import load_truth

    name = video.stem
    truth = load_truth(cohort / "truth" / f"{name}.npz")
    row: dict[str, Any] = {"video": name, "view": name.split("_")[1], "alone": len(truth.heads) == 1}
    masks, boxes, estimated, summary = (work / f"{name}{end}" for end in (".masks", ".boxes", ".parquet", ".json"))
    settings = load_section(params, EstimatePose).model_copy(update={"landmarks": landmarks, "backend": "blazepose"})
    begun = time.process_time()
    try:
        section = load_section(params, Segment).model_copy(update={"backend": "blazepose"})
        segment(name, video, masks, boxes, work / "segment.json", section)
        estimate_pose(estimated, settings, video=video, boxes=boxes, name=name, summary=summary)
        outputs = [work / f"{n}.out" for n in range(4)]
        section_of_refine = load_section(params, RefinePose)
        refine_pose(name, estimated, *outputs, section_of_refine, boxes=boxes, estimate=summary)
    except StepError as error:
        return row | {"error": str(error)}
    row["core seconds per 300 frames"] = (time.process_time() - begun) * 300 / len(truth.seconds)
    stored = Masks(masks)
    ious = []
    for n in range(len(stored)):
        exact = truth.mask(n)
        if exact.sum() > 50:
            ious.append((stored[n] & exact).sum() / max((stored[n] | exact).sum(), 1))
    row["mask IoU (median)"] = float(np.median(ious))
    row["frames doubtful"] = json.loads(summary.read_text())["frames_doubtful"] / len(truth.seconds)
    return row | compare(read_poses(outputs[0]).xy, truth)


def in_true_boxes(cohort: Path, video: Path, landmarks: str, step: int = 5) -> dict[str, Any]:
    """Measure the landmark network alone: every fifth frame, in the square of the true mask."""
    import av

    from childgait.synthetic.truth import load_truth
    from childgait.vision.blazepose import BlazePose
    from childgait.vision.faces import CenterFace

    name = video.stem
    truth, view = load_truth(cohort / "truth" / f"{name}.npz"), name.split("_")[1]
    network, detector = BlazePose("heavy" if landmarks == "heavy" else "full"), CenterFace(640)
    frames = np.arange(1, len(truth.seconds), step)
    xy, ious, faces = np.full((len(frames), 23, 2), np.nan), [], []
    with av.open(str(video)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for row, index in enumerate(frames.tolist()):
        exact = truth.mask(index)
        y, x = np.nonzero(exact)
        if len(x) < 50:
            continue
        box = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]], float)
        look = network.look_at_boxes(pictures[index], box)[0]
        assert look is not None
        xy[row], mask = look.points[:, :2], look.mask(exact.shape)
        ious.append((mask & exact).sum() / max((mask | exact).sum(), 1))
        head = truth.heads["child"][index]
        if row % 3 == 0 and view in ("forward", "backward") and np.isfinite(head).all():
            found = detector.detect(pictures[index], 0.05)
            middle = (found[:, :2] + found[:, 2:4]) / 2
            inside = ((middle >= head[:2]) & (middle <= head[2:])).all(axis=1)
            faces.append(float(found[inside, 4].max()) if inside.any() else 0.0)
    some = replace(truth, points=truth.points[frames])
    row_of_video = {"video": name, "view": view, "alone": len(truth.heads) == 1, "mask IoU (median)": np.median(ious)}
    if faces:
        row_of_video["faces found (score above .5)"] = float((np.array(faces) > 0.5).mean())
    return row_of_video | compare(xy, some)


def table(rows: list[dict[str, Any]], title: str) -> list[str]:
    """A measure per line, means over the videos that show the right person."""
    lines = ["", f"## {title}", "", f"| measure | {' | '.join(VIEWS)} |", "|---|" + "---|" * len(VIEWS)]
    for measure, form in ROWS.items():
        if rows and measure.startswith("faces") and not any(measure in row for row in rows):
            continue
        cells = []
        for view in VIEWS:
            of_view = [row for row in rows if row["view"] == view]
            right = [row for row in of_view if row.get("mask IoU (median)", 0) > 0.5]
            counts = {"videos": len(of_view), "failed or of another person": len(of_view) - len(right)}
            known = [row[measure] for row in right if measure in row]
            value = counts.get(measure, np.mean(known) if known else np.nan)
            cells.append(form.format(value))
        lines.append(f"| {measure} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, help="a synthetic cohort; without it one is made and thrown away")
    parser.add_argument("--subjects", type=int, default=4)
    parser.add_argument("--videos", type=int, help="only the first of them")
    parser.add_argument("--seed", type=int, default=941)
    parser.add_argument("--bystander", type=float, default=0.5)
    parser.add_argument("--body", choices=("capsules", "mesh"), default="capsules", help="of the cohort that is made")
    parser.add_argument("--true-boxes", action="store_true", help="the network alone, in the box of the true mask")
    parser.add_argument("--landmarks", choices=("full", "heavy"), default="heavy")
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml")
    parser.add_argument("--out", type=Path, default=ROOT / "reports/bench/blazepose.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        cohort = arguments.cohort or make_cohort(Path(scratch) / "cohort", arguments)
        videos = sorted(cohort.glob("dataset/*/*.mp4"))[: arguments.videos]
        rows = []
        for video in videos:
            if arguments.true_boxes:
                rows.append(in_true_boxes(cohort, video, arguments.landmarks))
            else:
                rows.append(one_video(cohort, video, Path(scratch), arguments.params, arguments.landmarks))
            print({key: round(v, 4) if isinstance(v, float) else v for key, v in rows[-1].items()}, flush=True)
    lines = ["# Videos without keypoints: the embedded model on synthetic truth", "", "Made by `bench/blazepose.py`."]
    lines[-1] += (
        f" Landmarks {arguments.landmarks}, seed {arguments.seed}. After refinement; failed videos are not in the "
        "means."
    )
    if arguments.true_boxes:
        lines[-1] = lines[-1].replace("After refinement", "Every fifth frame, in the true box, without refinement")
    lines += table([row for row in rows if row["alone"]], "The child alone")
    lines += table([row for row in rows if not row["alone"]], "With another person in view")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def make_cohort(out: Path, arguments: argparse.Namespace) -> Path:
    from childgait.params import Synthesize, load_section
    from childgait.synthetic.cohort import write_cohort

    section = load_section(arguments.params, Synthesize).model_dump()
    section |= {"subjects": arguments.subjects, "seed": arguments.seed, "bystander": arguments.bystander}
    section |= {"body": arguments.body}
    write_cohort(out, Synthesize.model_validate(section), 1)
    return out


if __name__ == "__main__":
    main()
