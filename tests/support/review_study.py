"""A study for the review app: de-identified recordings of two children with all outputs that its pages read.

The pictures are a moving rectangle; child 0001 has one held recording per view, child 0002 covered ones.
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from childgait.domain.evgs import View
from childgait.domain.names import parse_video_name
from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import INDEX, POINTS
from childgait.files.atomic import write_json
from childgait.files.hashes import sha256
from childgait.files.masks import FRAMES, write_masks
from childgait.files.poses import write_poses
from childgait.files.regions import REGIONS
from childgait.files.tables import write_table
from childgait.files.video import decoded_sha256, write_video
from childgait.gait.events import EVENTS
from childgait.gait.events import as_table as event_table
from childgait.gait.kinematics import ANGLES, measure_angles
from childgait.gait.kinematics import as_table as angle_table
from childgait.review.study import Study

WIDTH, HEIGHT, COUNT, RATE = 128, 96, 24, 30
HELD = ("0001-0001_left_1-24", "0001-0001_forward_1-24")
COVERED = ("0002-0001_left_1-24", "0002-0001_forward_1-24")
HEADERS = {
    "regions": "video,region,frame,x0,y0,x1,y1,reason",
    "cleared": "video,sha256,reviewer,reason",
    "selections": "video,frame,x0,y0,x1,y1,reason",
    "corrections": "video,frame,joint,x,y,reason",
    "split": "subject,part,reason",
}


def write_study(root: Path, width: int = WIDTH, height: int = HEIGHT, count: int = COUNT) -> Study:
    """Write the study and return it; a raw file lies in its cohort, which no page may show."""
    study = Study(
        root / "data",
        root / "annotations",
        root / "raw",
        root / "raw" / "labels.json",
        root / "review.jsonl",
        params_file=Path(__file__).parents[2] / "params.yaml",
    )
    study.annotations.mkdir(parents=True)
    for table, header in HEADERS.items():
        (study.annotations / f"{table}.csv").write_text(header + "\n")
    raw = study.cohort / "dataset" / "0001" / f"{HELD[0]}.mp4"
    raw.parent.mkdir(parents=True)
    for name in (*HELD, *COVERED):
        write_recording(study, name, "held" if name in HELD else "covered", width, height, count)
    write_pictures(raw, width, height, count, bright=255)
    return study


def write_recording(study: Study, name: str, verdict: str, width: int, height: int, count: int) -> None:
    """Write every output of one recording."""
    for step in ("deidentify", "segment", "estimate_pose", "refine_pose"):
        (study.data / step).mkdir(parents=True, exist_ok=True)
    _write_deidentified(study, name, verdict, width, height, count)
    if verdict == "held":
        return
    view = parse_video_name(name).view
    poses = walking_poses(width, height, count)
    _write_segment(study, name, width, height, count)
    write_json(
        study.file("estimate_pose", name, ".summary.json"),
        {"video": name, "backend": "delivered", "sides_settled": False},
    )
    write_poses(study.file("estimate_pose", name, ".poses.parquet"), poses)
    write_refined(study, name, view, poses)


def write_pictures(path: Path, width: int, height: int, count: int, bright: int = 160) -> None:
    """Write a video of a rectangle that moves to the right."""
    frames = []
    for n in range(count):
        picture = np.full((height, width, 3), 40, np.uint8)
        x = round(width * (0.2 + 0.5 * n / count))
        picture[height // 5 : height - height // 8, x : x + width // 8] = bright
        frames.append(picture)
    write_video(path, frames, [Fraction(n, RATE) for n in range(count)])


def _write_deidentified(study: Study, name: str, verdict: str, width: int, height: int, count: int) -> None:
    video = study.file("deidentify", name, ".mp4")
    write_pictures(video, width, height, count)
    evidence = {
        "video": name,
        "verdict": verdict,
        "frames": count,
        "width": width,
        "height": height,
        "seconds": (count - 1) / RATE,
        "decoded_sha256": decoded_sha256(video),
        "reasons": ["there are no keypoints and no SAM 3"] if verdict == "held" else [],
    }
    write_json(study.file("deidentify", name, ".evidence.json"), evidence)
    record = {"outputs": {"covered": [{"path": str(video), "sha256": sha256(video), "bytes": video.stat().st_size}]}}
    write_json(study.file("deidentify", name, ".record.json"), record)
    study.file("deidentify", name, ".heads.jpg").write_bytes(b"\xff\xd8\xff\xe0 a sheet")
    rows: list[dict[str, Any]] = []
    for n in range(count):
        x = round(width * (0.2 + 0.5 * n / count))
        rows.append(
            {
                "frame": n,
                "seconds": n / RATE,
                "region": 0,
                "whole": False,
                "source": "detected",
                "score": 0.9,
                "x0": x,
                "y0": height // 5,
                "x1": x + width // 8,
                "y1": height // 5 + height // 6,
                "area": 200,
            }
        )
    write_table(
        study.file("deidentify", name, ".regions.parquet"), pl.DataFrame(rows, schema=REGIONS.schema()), REGIONS
    )


def _write_segment(study: Study, name: str, width: int, height: int, count: int) -> None:
    masks, rows = [], []
    for n in range(count):
        mask = np.zeros((height, width), bool)
        x = round(width * (0.2 + 0.5 * n / count))
        mask[height // 5 : height - height // 8, x : x + width // 8] = True
        masks.append(mask)
        rows.append(
            {
                "frame": n,
                "seconds": n / RATE,
                "x0": float(x),
                "y0": height / 5,
                "x1": float(x + width // 8),
                "y1": height * 7 / 8,
                "area": int(mask.sum()),
                "area_jump": None,
                "border": False,
                "joints_inside": 1.0,
                "pieces": 1,
                "ok": n % 2 == 0 or "left" not in name,
            }
        )
    write_masks(study.file("segment", name, ".masks"), masks)
    write_table(study.file("segment", name, ".frames.parquet"), pl.DataFrame(rows, schema=FRAMES.schema()), FRAMES)
    below = sum(not row["ok"] for row in rows)
    summary = {"video": name, "ok": below == 0, "frames_below_gate": below, "frames": count, "flags": []}
    write_json(study.file("segment", name, ".summary.json"), summary)


def walking_poses(width: int, height: int, count: int) -> Poses:
    """Return keypoints of a figure whose legs swing; point scores fall in the middle of the video."""
    xy = np.zeros((count, len(POINTS), 2), np.float32)
    score = np.full((count, len(POINTS)), 0.9, np.float32)
    score[count // 2] = 0.35
    for n in range(count):
        middle = width * (0.26 + 0.5 * n / count)
        for point, index in INDEX.items():
            side = 1 if point.startswith("left") else -1
            part = point.split("_", 1)[-1]
            low = {"hip": 0.5, "knee": 0.65, "ankle": 0.8, "heel": 0.82, "big_toe": 0.84, "small_toe": 0.84}.get(
                part, 0.3
            )
            swing = side * math.sin(2 * math.pi * n / 12) * width * 0.08 * max(0.0, low - 0.5) / 0.3
            xy[n, index] = middle + swing + (width * 0.03 if "toe" in part else 0), height * low
    return make_poses(np.arange(count) / RATE, xy, score)


def write_refined(study: Study, name: str, view: View, poses: Poses) -> None:
    """Write the outputs of refine_pose."""
    write_poses(study.file("refine_pose", name, ".poses.parquet"), poses)
    write_table(study.file("refine_pose", name, ".angles.parquet"), angle_table(measure_angles(poses, view, 1)), ANGLES)
    write_table(study.file("refine_pose", name, ".events.parquet"), event_table([]), EVENTS)
    facts = {
        "video": name,
        "frames": len(poses),
        "frames_swapped": 4 if "forward" in name else 0,
        "share_legs_missing": 0.0,
    }
    write_json(study.file("refine_pose", name, ".summary.json"), facts)
