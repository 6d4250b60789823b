"""Reads manual corrections of single points: corrections.csv, which overrides every estimate.

Columns: video, frame (from 0), joint (a name of domain/skeleton.py), x, y in pixels, reason; others are ignored. Reads
the whole file and returns the rows of one video. The delivered data are never overwritten.
"""

from __future__ import annotations

import difflib
import math
from pathlib import Path

from childgait.domain.corrections import Correction
from childgait.domain.skeleton import INDEX
from childgait.errors import StepError
from childgait.files.annotations import rows_of

COLUMNS = ("video", "frame", "joint", "x", "y", "reason")


def read_corrections(path: Path, video: str, frames: int) -> list[Correction]:
    """Read the rows of a video; of two corrections of one point in one frame the later row counts, as in a log."""
    corrections: dict[tuple[int, int], Correction] = {}
    for line, row in rows_of(path, COLUMNS):
        if row["video"] == video:
            correction = _correction(f"{path}, line {line}", row, frames)
            corrections[correction.frame, correction.point] = correction
    return [corrections[key] for key in sorted(corrections)]


def _correction(where: str, row: dict[str, str], frames: int) -> Correction:
    joint = row["joint"] or ""
    if joint not in INDEX:
        near = difflib.get_close_matches(joint, INDEX, n=1)
        raise StepError(
            f"{where}: there is no joint {joint!r}",
            hint=f"did you mean {near[0]}?" if near else f"joints are {', '.join(INDEX)}",
        )
    try:
        frame, x, y = int(row["frame"] or ""), float(row["x"] or ""), float(row["y"] or "")
    except ValueError:
        raise StepError(
            f"{where}: frame, x and y are {row['frame']}, {row['x']}, {row['y']}, not numbers", hint="give numbers"
        ) from None
    if not 0 <= frame < frames:
        raise StepError(f"{where}: frame {frame} is not in the video, which has {frames}", hint="frames count from 0")
    if not (math.isfinite(x) and math.isfinite(y)):
        raise StepError(f"{where}: x and y are {x} and {y}", hint="give the place in pixels of the de-identified video")
    if not (row["reason"] or "").strip():
        raise StepError(f"{where}: the correction has no reason", hint="state why the point was moved")
    return Correction(frame, INDEX[joint], x, y)
