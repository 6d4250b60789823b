"""Take corrected keypoints back from an annotation tool: what differs from the export becomes rows of corrections.csv.

childgait import-corrections annotations.xml --format cvat --exported logs/exchange --reviewer AB
childgait import-corrections export.json --format label-studio --exported logs/exchange --reviewer AB
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.errors import StepError

if TYPE_CHECKING:
    from childgait.files.annotation_formats import FramePoints

SAME = 0.02  # pixels; the tools round to hundredths


def import_corrections(
    file: Path,
    format: str = "cvat",
    exported: Path = Path("logs/exchange"),
    reviewer: str | None = None,
    reason: str = "corrected in an annotation tool",
    data: Path = Path("data"),
    params: Path = Path("params.yaml"),
) -> None:
    """Add a row per point that was moved, placed or removed since the export; unchanged points give none."""
    from childgait.files.annotation_formats import FORMATS, read_baseline, read_frames
    from childgait.review.checks import check_for
    from childgait.review.decisions import Decisions, check_reviewer
    from childgait.review.study import open_study

    if format not in FORMATS:
        raise StepError(f"the format {format!r} is unknown", hint=f"known are {', '.join(FORMATS)}")
    if reviewer is None:
        raise StepError("nobody corrected the keypoints", hint="add --reviewer with initials or a pseudonym")
    check_reviewer(reviewer)
    before, hashes = read_baseline(exported / "exported.json")
    frames, without_skeleton = read_frames(file, format)
    study = open_study(params, None, data)
    decisions = Decisions(study.annotations, study.logs)
    versions = {video: decisions.version("corrections", video) for video in hashes}
    rows = {video: rows_of_video(file, frames, before, video) for video in {frame.video for frame in frames}}
    for video in rows:
        if hashes.get(video) != study.evidence(video)["decoded_sha256"]:
            raise StepError(f"{video} was made again after the export", hint="export its frames again")
    for video in sorted(video for video in rows if rows[video]):
        check = check_for("corrections", video, study.evidence(video))
        decisions.add("corrections", video, rows[video], reviewer, reason, versions[video], check)
        print(f"{video}: {len(rows[video])} points corrected")
    if without_skeleton:
        print(f"{len(without_skeleton)} pictures without a skeleton are left as they are, first {without_skeleton[0]}")
    count = sum(map(len, rows.values()))
    print(f"{decisions.path('corrections')}: {count} rows from {file}; `make run` takes them in")


def rows_of_video(
    file: Path, frames: list[FramePoints], before: dict[str, FramePoints], video: str
) -> list[dict[str, object]]:
    """Return the rows of corrections.csv that make the exported points of a video those of the file."""
    rows: list[dict[str, object]] = []
    for frame in sorted((one for one in frames if one.video == video), key=lambda one: one.frame):
        if frame.image not in before:
            raise StepError(f"{file}: {frame.image} is not among the exported pictures", hint="give --exported")
        rows += changes(before[frame.image], frame)
    return rows


def changes(before: FramePoints, after: FramePoints) -> list[dict[str, object]]:
    """Return a row per point of one frame that was moved, placed or removed."""
    from childgait.domain.skeleton import POINTS

    rows: list[dict[str, object]] = []
    for name in POINTS:
        old, new = before.points.get(name), after.points.get(name)
        if new is None and old is not None:
            rows.append({"frame": after.frame, "joint": name, "action": "unseen"})
        elif new is not None and (old is None or math.dist(old, new) > SAME):
            rows.append({"frame": after.frame, "joint": name, "x": f"{new[0]:.3f}", "y": f"{new[1]:.3f}"})
    return rows
