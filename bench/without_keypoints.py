"""Measures the whole chain on synthetic videos with nothing delivered; writes reports/bench/without_keypoints.md.

    .venv/bin/python bench/without_keypoints.py --cohort data/alone data/panning [--videos 12]

Runs deidentify (backends centerface and blazepose), segment, estimate_pose, refine_pose and prepare_clips on every
video alone, as a real cohort without keypoints is run, and compares with the truth: pose, which leg is which, mask,
whether the right person was followed, bare heads, covers on the child, held videos, processor time, and the rules'
balanced accuracy against that on delivered keypoints. Cohorts of `childgait synthesize`; each is one line of the
tables. `--out` also gets a JSON file with one row per video; the cohorts in it that are not measured now keep their
lines.

A frame is wrong if half of the body's points are more than .1 body heights off, or the legs are exchanged and apart; it
is marked if segment's gate refused it or the scores of its legs were lowered.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).resolve().parent))

from blazepose import compare  # noqa: E402
from deidentify import masks as cover_masks  # noqa: E402
from segment import measure  # noqa: E402

from childgait.domain.evgs import CODES  # noqa: E402
from childgait.domain.names import parse_video_name  # noqa: E402
from childgait.domain.skeleton import INDEX  # noqa: E402
from childgait.errors import StepError  # noqa: E402
from childgait.files.masks import Masks, read_boxes  # noqa: E402
from childgait.files.poses import read_poses  # noqa: E402
from childgait.gait.leg_identity import DOUBTFUL_SCORE, PAIRS  # noqa: E402
from childgait.metrics.small_samples import wilson  # noqa: E402
from childgait.params import (  # noqa: E402
    Cohort,
    Deidentify,
    EstimatePose,
    PrepareClips,
    RefinePose,
    Segment,
    load_section,
)
from childgait.synthetic.truth import Truth, load_truth  # noqa: E402

MOST_OF_CHILD = 0.3  # of the child's body and of a leg, as prepare_clips.most_covered
WRONG, APART = 0.1, 0.06  # body heights
LEAST = 3  # limbs of either class
KINDS = ("embedded", "delivered")
VIEWS = (("left", "right"), ("forward", "backward"))
POSE_MEASURES = ("PCK@0.05", "legs exchanged", "knee, RMS degrees in the picture", "points missing")
HEADER = (
    "Made by `bench/without_keypoints.py`; each cohort by the code of the day in its row. Mean (95 % interval over "
    "videos); a bare head has one bare pixel. With a static camera the truth has the heads' boxes, which are 1.3 times "
    "their visible pixels, so that the area beyond the heads' looks smaller than with a moving one. Core seconds of "
    "different rows are comparable only if nothing else ran.",
)
Row = dict[str, Any]


class Files:
    """The files of one video in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    def __getitem__(self, ending: str) -> Path:
        return self.folder / f"{self.name}.{ending}"


def run_chain(video: Path, files: Files, params: Path) -> Row:
    """Run all steps on one video; return verdict, reasons, processor seconds per step, and the error."""
    from childgait.steps.deidentify import deidentify
    from childgait.steps.estimate_pose import estimate_pose
    from childgait.steps.prepare_clips import prepare_clips
    from childgait.steps.refine_pose import refine_pose
    from childgait.steps.segment import segment

    name, seconds = video.stem, {}
    covers = load_section(params, Deidentify).model_copy(
        update={"backends": ["centerface", "blazepose"], "unseen": "hold"}
    )
    hidden = f"child {int(parse_video_name(name).subject)}"
    files["register.json"].write_text(json.dumps({"pose_layout": "wholebody133"}))
    delivered = files["delivered.parquet"]
    section = {kind: load_section(params, kind) for kind in (Segment, EstimatePose, RefinePose, PrepareClips)}

    def cover() -> None:
        outputs = [files[key] for key in ("mp4", "regions", "jpg", "delivered.parquet", "evidence")]
        deidentify(video, None, files["register.json"], None, None, name, *outputs, covers)

    def find_child() -> None:
        outputs = [files[key] for key in ("masks", "boxes", "segment")]
        segment(name, files["mp4"], *outputs, section[Segment], poses=delivered, regions=files["regions"])

    def estimate() -> None:
        inputs = {"video": files["mp4"], "boxes": files["boxes"], "name": name, "summary": files["estimate"]}
        inputs |= {"regions": files["regions"], "masks": files["masks"], "segmented": files["segment"]}
        estimate_pose(files["estimated.parquet"], section[EstimatePose], poses=delivered, **inputs)

    def refine() -> None:
        outputs = [files[key] for key in ("refined", "angles", "events", "refine")]
        inputs = {"boxes": files["boxes"], "estimate": files["estimate"]}
        refine_pose(name, files["estimated.parquet"], *outputs, section[RefinePose], **inputs)

    def prepare() -> None:
        inputs = {"video": "mp4", "masks": "masks", "boxes": "boxes", "events": "events"}
        inputs |= {"regions": "regions", "estimate": "estimate"}
        outputs = {"frames": "frames.npy", "mask_bits": "bits.npy"}
        paths = {flag: files[key] for flag, key in (inputs | outputs).items()}
        prepare_clips(name, files["refined"], files["points.npy"], files["clip.json"], section[PrepareClips], **paths)

    steps = {
        "deidentify": cover,
        "segment": find_child,
        "estimate_pose": estimate,
        "refine_pose": refine,
        "prepare_clips": prepare,
    }
    row: Row = {"error": None}
    for step, call in steps.items():
        begun = time.process_time()
        try:
            call()
        except StepError as error:
            row["error"] = f"{step}: {error}".replace(name, hidden)
            break
        seconds[step] = time.process_time() - begun
    if files["evidence"].exists():
        row |= {key: json.loads(files["evidence"].read_text())[key] for key in ("verdict", "reasons")}
    return row | {"core_seconds": seconds}


def heads_of(truth: Truth, frame: int) -> dict[str, NDArray[np.bool_]]:
    """Return the visible pixels of every head; without them in the truth, its box."""
    if truth.head_labels:
        return truth.visible_heads(frame)
    result = {}
    for who, boxes in truth.heads.items():
        if np.isfinite(boxes[frame]).all():
            mask = np.zeros((truth.height, truth.width), bool)
            x0, y0 = np.floor(boxes[frame, :2]).astype(int).clip(0)
            x1, y1 = np.ceil(boxes[frame, 2:]).astype(int)
            mask[y0:y1, x0:x1] = True
            result[who] = mask
    return result


def measure_covers(truth: Truth, regions: pl.DataFrame) -> Row:
    """Compare the covers with heads and child."""
    bare: Counter[str] = Counter()
    heads = hidden = head_area = cover_area = 0
    for frame, mask in enumerate(cover_masks(regions, len(truth.seconds), truth.height, truth.width)):
        everybody = heads_of(truth, frame)
        for who, head in everybody.items():
            heads += bool(head.any())
            bare[who] += bool((head & ~mask).any())
        body = truth.mask(frame) & ~everybody.get("child", np.zeros_like(mask))
        hidden += bool((body & mask).sum() > MOST_OF_CHILD * max(int(body.sum()), 1))
        union = np.any(list(everybody.values()), axis=0) if everybody else np.zeros_like(mask)
        head_area += int(union.sum())
        cover_area += int(mask.sum())
    return {
        "heads": heads,
        "bare": bare.total(),
        "bare_of": {f"head of {who}": count for who, count in bare.items() if count},  # `child: 3` is a row of child 3
        "frames_child_covered": hidden,
        "area_over_heads": cover_area / max(head_area, 1),
    }


def measure_marks(files: Files, truth: Truth) -> Row:
    """Count wrong frames and those of them that are marked, after estimate_pose."""
    poses, trusted = read_poses(files["estimated.parquet"]), read_boxes(files["boxes"]).trusted()
    body = [index for name, index in INDEX.items() if index > 4 and not name.endswith("small_toe")]
    height = np.ptp(truth.points[..., 1], axis=1)
    off = np.linalg.norm(poses.xy - truth.points, axis=2)[:, body] / height[:, None]
    own = np.linalg.norm(poses.xy[:, PAIRS] - truth.points[:, PAIRS], axis=3).sum(axis=(1, 2))
    other = np.linalg.norm(poses.xy[:, PAIRS] - truth.points[:, PAIRS[:, ::-1]], axis=3).sum(axis=(1, 2))
    way = np.linalg.norm(truth.points[:, PAIRS[:, 0]] - truth.points[:, PAIRS[:, 1]], axis=2).mean(axis=1) / height
    known = np.isfinite(off).any(axis=1)
    far = np.zeros(len(off), bool)
    far[known] = np.nanmedian(off[known], axis=1) > WRONG
    wrong = known & (far | ((other < own) & (way > APART)))
    legs = poses.score[:, PAIRS.ravel()]
    marked = ~np.isfinite(trusted).all(axis=1) | (np.nan_to_num(legs).max(axis=1) <= DOUBTFUL_SCORE)
    return {
        "frames": len(off),
        "wrong": int(wrong.sum()),
        "wrong_marked": int((wrong & marked).sum()),
        "marked": int((known & marked).sum()),
    }


def one_video(cohort: Path, video: Path, work: Path, params: Path) -> Row:
    """Run and measure one video."""
    name, parsed = video.stem, parse_video_name(video.stem)
    files, truth = Files(work, name), load_truth(cohort / "truth" / f"{name}.npz")
    # Not the name: a study's child of the same number would be found in the report when it is erased.
    row: Row = {"video": f"child {int(parsed.subject)}, {parsed.view}", "view": parsed.view}
    row["alone"] = len(truth.heads) == 1
    row["measured"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    row |= {"seconds": float(truth.seconds[-1]), "frames": len(truth.seconds), **run_chain(video, files, params)}
    row["height"] = float(np.median(np.ptp(truth.points[..., 1], axis=1)))
    if files["regions"].exists():
        row["covers"] = measure_covers(truth, pl.read_parquet(files["regions"]))
    if files["masks"].exists() and files["boxes"].exists():
        row["mask"] = measure(Masks(files["masks"]), truth, truth.seconds)
    if files["refined"].exists():
        row["pose"] = compare(read_poses(files["refined"]).xy, truth)
        row["marks"] = measure_marks(files, truth)
        facts = json.loads(files["refine"].read_text())
        row["walk"] = {key: facts[key] for key in ("view_seen", "view_fits", "view_turned", "turns_at")}
    for ending in ("mp4", "frames.npy", "bits.npy", "masks"):
        files[ending].unlink(missing_ok=True)
    return row


def in_time(turn: tuple[Path, Path, Path, Path, float]) -> Row | None:
    """Run one video of (cohort, video, work, params, last second to begin at); None if it is too late."""
    *arguments, last = turn
    return one_video(*arguments) if time.time() < last else None


def rules_accuracy(cohorts: list[Path], works: list[Path], params: Path) -> Row:
    """Return the rules' balanced accuracy, mean over items, on embedded and on delivered keypoints of the same videos.

    Over the limbs that both measure; items with fewer than LEAST limbs of either class are left out.
    """
    from rules import _labels, _right

    parts = [item_tables(cohort, work, params) for cohort, work in zip(cohorts, works, strict=True)]
    known = [(cohort, *part) for cohort, part in zip(cohorts, parts, strict=True) if part is not None]
    result: Row = {"children": 0, "items": {}, **dict.fromkeys(KINDS, float("nan"))}
    if not known:
        return result
    atypical = np.concatenate([_labels(cohort, children) for cohort, children, _ in known])
    cells = {kind: np.concatenate([values[kind] for _, _, values in known]) for kind in KINDS}
    result["children"] = len(atypical)
    for number, code in enumerate(CODES):
        limbs = (number, number + len(CODES))
        truth = np.concatenate([atypical[:, limb] for limb in limbs])
        both = {kind: np.concatenate([rows[:, limb] for limb in limbs]) for kind, rows in cells.items()}
        seen = np.isfinite(both["embedded"]) & np.isfinite(both["delivered"])
        sides = [truth[seen] == side for side in (0, 1)]
        if min(side.sum() for side in sides) < LEAST:
            continue
        right = {kind: _right(rows[seen], truth[seen], code) for kind, rows in both.items()}
        result["items"][code] = {
            kind: float(np.mean([ok[side].mean() for side in sides])) for kind, ok in right.items()
        }
    if result["items"]:
        result |= {kind: float(np.mean([item[kind] for item in result["items"].values()])) for kind in KINDS}
    return result


def item_tables(cohort: Path, work: Path, params: Path) -> tuple[list[str], dict[str, NDArray[Any]]] | None:
    """Return the children of a cohort and their items by both kinds of keypoints; None without a finished video."""
    from rules import _clip

    from childgait.files.clips import clips_by_video
    from childgait.gait.delivered_keypoints import read_delivered
    from childgait.gait.features import item_values
    from childgait.gait.refine import refine

    layout, settings = load_section(params, Cohort).pose_layout, load_section(params, RefinePose)
    videos = [parse_video_name(path.name.removesuffix(".clip.json")) for path in sorted(work.glob("*.clip.json"))]
    if not videos:
        return None
    part = pl.DataFrame([{"video": str(video), "subject": video.subject, "view": video.view} for video in videos])
    folder = work / "delivered"
    for video in videos:
        truth = load_truth(cohort / "truth" / f"{video}.npz")
        poses = cohort / "dataset" / video.subject / f"{video}_filtered_pose.zip"
        refined, _ = refine(read_delivered(poses, layout, truth.seconds).poses, settings, video.view, None, [])
        _clip(folder, str(video), refined, load_section(params, PrepareClips))
    places = {"embedded": work, "delivered": folder}
    values = {kind: item_values(part, clips_by_video(sorted(places[kind].glob("*.clip.json")))) for kind in KINDS}
    return sorted(part["subject"].unique()), values


def interval(values: list[float]) -> str:
    """Return the mean with its interval of 95 % over videos as text, by 2,000 bootstrap draws of a fixed seed."""
    known = np.array([value for value in values if np.isfinite(value)])
    if not len(known):
        return "–"
    draws = np.random.default_rng(0).choice(known, (2000, len(known))).mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return f"{known.mean():.3f} ({low:.3f} to {high:.3f})"


def table(title: str, head: list[str], rows: list[list[str]]) -> list[str]:
    """Return a Markdown table with a title."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return ["", f"## {title}", "", *lines, *(f"| {' | '.join(row)} |" for row in rows)]


def read_earlier(path: Path) -> Row:
    """Return the cohorts and the rules' figures of earlier runs, from the bench's JSON file."""
    if not path.exists():
        return {"cohorts": {}, "rules": []}
    return dict(json.loads(path.read_text()))


def merge(earlier: Row, results: dict[str, list[Row]], rules: Row) -> Row:
    """Return earlier runs with the present one; a cohort that was measured again has its new rows only."""
    measured = {title: rows for title, rows in results.items() if rows}
    kept = [one for one in earlier["rules"] if not set(one["cohorts"]) & set(measured)]
    now = [{"cohorts": list(measured), **rules}] if rules["items"] else []
    return {"cohorts": earlier["cohorts"] | measured, "rules": kept + now}


def report(results: dict[str, list[Row]], rules: list[Row]) -> list[str]:
    """Return the report's lines. Failed videos are counted and are in no mean; those of another person are."""
    results = {f"{title} ({max(row['measured'] for row in rows)})": rows for title, rows in results.items()}
    lines = pose_table(results) + mask_table(results) + cover_table(results)
    every = [row for videos in results.values() for row in videos]
    held = sum(row.get("verdict") not in ("covered", None) for row in every)
    lines += ["", f"Held: {held} of {len(every)} videos ({format_share(held, len(every))}).", ""]
    lines += [
        f"Rules, balanced accuracy over {len(one['items'])} items of {one['children']} children: embedded "
        f"{one['embedded']:.3f}, delivered {one['delivered']:.3f} (the same videos and limbs; "
        f"{'; '.join(one['cohorts'])})."
        for one in rules
    ]
    failures = [f"- {row['video']}: {row['error']}" for row in every if row["error"]]
    lines += ["", "## Videos at which a step stopped", "", *failures] if failures else []
    reasons = [
        f"- {title}, {row['video']}: {'; '.join(row['reasons'])}"
        for title, videos in results.items()
        for row in videos
        if row.get("reasons")
    ]
    return [*lines, "", "## Held videos", "", *reasons]


def pose_table(results: dict[str, list[Row]]) -> list[str]:
    """Tabulate the pose by cohort, by whether others are in view, and by kind of view."""
    rows = []
    for title, videos in results.items():
        for alone in (True, False):
            for group in VIEWS:
                some = [row for row in videos if row["alone"] == alone and row["view"] in group]
                done = [row for row in some if "pose" in row]
                cells = [interval([row["pose"][key] for row in done]) for key in POSE_MEASURES]
                people = "alone" if alone else "others in view"
                if some:
                    rows.append([title, people, "/".join(group), f"{len(done)} of {len(some)}", *cells])
    return table("Pose after refinement", ["cohort", "people", "views", "videos", *POSE_MEASURES], rows)


def mask_table(results: dict[str, list[Row]]) -> list[str]:
    """Tabulate masks, the share of videos of the right person, and wrong frames with those that are marked."""
    head = ["cohort", "views", "videos", "patch recall", "patch precision", "IoU", "right person, others in view"]
    rows = []
    for title, videos in results.items():
        for group in VIEWS:
            some = [row for row in videos if row["view"] in group]
            done = [row for row in some if "mask" in row]
            beside = [row for row in done if not row["alone"]]
            marks = [row["marks"] for row in done if "marks" in row]
            sums = {key: sum(mark[key] for mark in marks) for key in ("wrong", "frames", "wrong_marked", "marked")}
            cells = [interval([row["mask"][key] for row in done]) for key in ("recall", "precision", "IoU")]
            right = f"{sum(row['mask']['right'] for row in beside):.0f} of {len(beside)}"
            wrong = [f"{sums['wrong']} of {sums['frames']}", str(sums["wrong_marked"]), str(sums["marked"])]
            if some:
                rows.append([title, "/".join(group), f"{len(done)} of {len(some)}", *cells, right, *wrong])
    return table("Mask and person", [*head, "wrong frames", "of these marked", "marked"], rows)


def cover_table(results: dict[str, list[Row]]) -> list[str]:
    """Tabulate heads, covers, held videos, and the processor time of a video of 5 s through all steps."""
    head = ["cohort", "videos", "held", "visible heads", "bare, passed", "bare, held", "frames with the child covered"]
    rows = []
    for title, videos in results.items():
        done = [row for row in videos if "covers" in row]
        held = [row for row in done if row.get("verdict") != "covered"]
        bare = {True: 0, False: 0}
        for row in done:
            bare[row in held] += row["covers"]["bare"]
        sums = [sum(row["covers"][key] for row in done) for key in ("heads", "frames_child_covered")]
        area = interval([row["covers"]["area_over_heads"] - 1 for row in done])
        numbers = [len(videos), len(held), sums[0], bare[False], bare[True], sums[1]]
        finished = [row for row in videos if "prepare_clips" in row["core_seconds"]]
        cost = interval([5 * sum(row["core_seconds"].values()) / row["seconds"] for row in finished])
        rows.append([title, *map(str, numbers), area, cost])
    return table("Covers and cost", [*head, "area beyond the heads'", "core seconds per 5 s"], rows)


def format_share(count: int, total: int) -> str:
    """Return a share with Wilson's interval as text."""
    if (bounds := wilson(count / max(total, 1), total)) is None:
        return "–"
    return f"{count / total:.2f}, 95 % {bounds[0]:.2f} to {bounds[1]:.2f}"


def title_of(cohort: Path) -> str:
    """Return what distinguishes a cohort: camera, other people, seed."""
    settings = json.loads((cohort / "cohort.json").read_text())["params"]
    options = ("standing_people", "seated_people", "therapist", "turns", "logo")
    more = "".join(f", {key} {settings[key]}" for key in options if settings.get(key))
    return f"{settings['camera']}, bystander {settings['bystander']:g}{more}, seed {settings['seed']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, nargs="+", required=True, help="cohorts of `childgait synthesize`")
    parser.add_argument("--videos", type=int, default=16, help="number of videos per cohort")
    parser.add_argument("--minutes", type=float, default=600, help="no video is begun after so many minutes")
    parser.add_argument("--jobs", type=int, default=1, help="processes; each video is one core's work")
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml")
    parser.add_argument("--out", type=Path, default=ROOT / "reports/bench/without_keypoints.md")
    given = parser.parse_args()
    results: dict[str, list[Row]] = {title_of(cohort): [] for cohort in given.cohort}
    last = time.time() + 60 * given.minutes
    with tempfile.TemporaryDirectory() as scratch:
        works = [Path(scratch) / str(number) for number in range(len(given.cohort))]
        for work in works:
            work.mkdir()
        videos = [sorted(cohort.glob("dataset/*/*.mp4"))[: given.videos] for cohort in given.cohort]
        turns = [  # one of each cohort in turn, so that a limit of time leaves none out
            (cohort, some[turn], work, given.params, last)
            for turn in range(max(map(len, videos)))
            for cohort, work, some in zip(given.cohort, works, videos, strict=True)
            if turn < len(some)
        ]
        with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("spawn")) as pool:
            for turn, row in zip(turns, pool.map(in_time, turns), strict=True):
                if row is not None:
                    results[title_of(turn[0])].append(row)
                    print(json.dumps(row), flush=True)
        rules = rules_accuracy(given.cohort, works, given.params)
    as_json = given.out.with_suffix(".json")
    merged = merge(read_earlier(as_json), results, rules)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    as_json.write_text(json.dumps(merged, indent=1) + "\n", encoding="utf-8")
    lines = ["# Videos with nothing delivered", "", *HEADER, *report(merged["cohorts"], merged["rules"])]
    given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
