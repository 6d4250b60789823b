"""Reads manual corrections of keypoints: corrections.csv, which overrides every estimate.

Columns: video, frame (from 0), joint (a name of domain/skeleton.py), x, y in pixels, reason. Two more may be left out:

    action   empty: the joint is at x, y. `unseen`: it cannot be seen, x and y are empty. `exchange` or `keep` with the
             joint `legs` or `arms`: left and right of these limbs are exchanged, or kept, as estimated.
    last     the last frame of a range that begins at `frame`, for unseen, exchange and keep.

Other columns are ignored. Reads the whole file and returns the rows of one video. The delivered data are never
overwritten.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from pathlib import Path

from childgait.domain.corrections import LIMB_GROUPS, Correction, SideCorrection
from childgait.domain.skeleton import INDEX
from childgait.errors import StepError
from childgait.files.annotations import parse_decimal, parse_whole, rows_of

COLUMNS = ("video", "frame", "joint", "x", "y", "reason")
ACTIONS = ("", "unseen", "exchange", "keep")
UNKNOWN_LENGTH = 10_000_000  # frames; no video is longer
FARTHEST = 100_000.0  # pixels from the corner; no picture is larger, and keypoints are 32-bit numbers
ParsedRow = list[Correction] | SideCorrection  # one row: a point in each frame of its range, or sides


def read_corrections(path: Path, video: str, frames: int) -> list[Correction]:
    """Read the corrected points of a video; of two rows on one point in one frame the later one counts, as in a log."""
    return combine_rows(read_video_rows(path, video, frames))[0]


def read_side_corrections(path: Path, video: str, frames: int) -> list[SideCorrection]:
    """Read the corrected sides of a video in the order of the file: in a frame the last one counts."""
    return combine_rows(read_video_rows(path, video, frames))[1]


def check_corrections(path: Path) -> None:
    """Check every row of the file but for the length of its video, which is not known before a run."""
    for line, row in rows_of(path, COLUMNS):
        parse_row(f"{path}, line {line}", row, UNKNOWN_LENGTH, expand=False)


def read_video_rows(path: Path, video: str, frames: int) -> list[ParsedRow]:
    """Read and parse the rows of a video in the order of the file."""
    rows = rows_of(path, COLUMNS)
    return [parse_row(f"{path}, line {line}", row, frames) for line, row in rows if row["video"] == video]


def combine_rows(rows: Iterable[ParsedRow]) -> tuple[list[Correction], list[SideCorrection]]:
    """Return the points, the last row of each point and frame, and the sides in the order of the rows."""
    points: dict[tuple[int, int], Correction] = {}
    sides: list[SideCorrection] = []
    for row in rows:
        if isinstance(row, SideCorrection):
            sides.append(row)
        else:
            points |= {(one.frame, one.point): one for one in row}
    return [points[key] for key in sorted(points)], sides


def parse_row(where: str, row: dict[str, str], frames: int, expand: bool = True) -> ParsedRow:
    """Parse one row, whose errors begin with `where`: points in one frame or in several, or sides over a range.

    Without `expand` a range of points is checked but only its first frame is returned.
    """
    action, joint = (row.get("action") or "").strip(), row["joint"] or ""
    if action not in ACTIONS:
        raise StepError(f"{where}: there is no action {action!r}", hint="leave it empty, or unseen, exchange or keep")
    _check_joint(where, joint, LIMB_GROUPS if action in ("exchange", "keep") else tuple(INDEX))
    first, last = _range(where, row, action, frames)
    if not (row["reason"] or "").strip():
        raise StepError(f"{where}: the correction has no reason", hint="state why the point was moved")
    if action in ("exchange", "keep"):
        limbs = next(one for one in LIMB_GROUPS if one == joint)
        return SideCorrection(limbs, first, last, action == "exchange")
    x, y = (math.nan, math.nan) if action == "unseen" else _place(where, row)
    return [Correction(frame, INDEX[joint], x, y) for frame in range(first, last + 1 if expand else first + 1)]


def _check_joint(where: str, joint: str, valid: tuple[str, ...]) -> None:
    if joint not in valid:
        near = difflib.get_close_matches(joint, valid, n=1)
        raise StepError(
            f"{where}: there is no joint {joint!r}",
            hint=f"did you mean {near[0]}?" if near else f"joints are {', '.join(valid)}",
        )


def _range(where: str, row: dict[str, str], action: str, frames: int) -> tuple[int, int]:
    """Return the first and the last frame of a row."""
    try:
        first = parse_whole(row["frame"])
        last = parse_whole(row.get("last") or row["frame"])
    except ValueError:
        raise StepError(
            f"{where}: frame and last are {row['frame']} and {row.get('last')}, not numbers", hint="give whole numbers"
        ) from None
    for frame in (first, last):
        if not 0 <= frame < frames:
            length = "" if frames == UNKNOWN_LENGTH else f", which has {frames}"
            raise StepError(f"{where}: frame {frame} is not in the video{length}", hint="frames count from 0")
    if last < first or (last > first and not action):
        raise StepError(
            f"{where}: the range is {first} to {last}",
            hint="let last follow frame; a place is given for one frame at a time",
        )
    return first, last


def _place(where: str, row: dict[str, str]) -> tuple[float, float]:
    try:
        x, y = parse_decimal(row["x"]), parse_decimal(row["y"])
    except ValueError:
        raise StepError(f"{where}: x and y are {row['x']} and {row['y']}, not numbers", hint="give numbers") from None
    if not (abs(x) <= FARTHEST and abs(y) <= FARTHEST):  # false for NaN
        raise StepError(f"{where}: x and y are {x} and {y}", hint="give the place in pixels of the de-identified video")
    return x, y
