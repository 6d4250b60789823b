"""A person's word on what is covered (regions.csv) and on which videos may pass (cleared.csv).

regions.csv: video, region, frame, x0, y0, x1, y1 in pixels; a region is one thing to cover, on all frames where the frame is
empty. cleared.csv: video, the sha256 of exactly the decoded pixels that were looked at, reviewer, reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from childgait.errors import StepError
from childgait.files.annotations import rows_of

REGION_COLUMNS = ("video", "region", "frame", "x0", "y0", "x1", "y1")
CLEARED_COLUMNS = ("video", "sha256", "reviewer", "reason")


@dataclass(frozen=True)
class Region:
    """A box on one frame (None: on all), of a named thing."""

    name: str
    frame: int | None
    box: tuple[float, float, float, float]


def _rows(path: Path | None, name: str, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a person's file that name this video, each with its line."""
    return [] if path is None else [(line, row) for line, row in rows_of(path, columns) if row["video"] == name]


def read_regions(path: Path | None, name: str, frames: int) -> list[Region]:
    """A person's boxes for this video."""
    found = []
    for line, row in _rows(path, name, REGION_COLUMNS):
        try:
            frame = int(row["frame"]) if row["frame"].strip() else None
            x0, y0, x1, y1 = (float(row[key]) for key in ("x0", "y0", "x1", "y1"))
        except ValueError:
            raise StepError(f"{path}, line {line}: a box is four numbers", hint="x0, y0, x1, y1 in pixels") from None
        if frame is not None and not 0 <= frame < frames:
            raise StepError(
                f"{path}, line {line}: {name} has no frame {frame}, it has frames 0 to {frames - 1}",
                hint="frames count from 0; leave the field empty for all of them",
            )
        if not (x0 < x1 and y0 < y1):
            raise StepError(f"{path}, line {line}: the box {x0, y0, x1, y1} is empty", hint="x0 < x1 and y0 < y1")
        found.append(Region(row["region"], frame, (x0, y0, x1, y1)))
        if any(other.name == row["region"] and (frame is None or other.frame in (None, frame)) for other in found[:-1]):
            where = "all frames" if frame is None else f"frame {frame}"
            raise StepError(
                f"{path}, line {line}: {name} has a second box of region {row['region']!r} on {where}",
                hint="a region is one thing to cover: one box on all frames or one box a frame; give another a name of its own",
            )
    return found


def cleared_by(path: Path | None, name: str, sha256: str) -> str | None:
    """Who accepted exactly these pixels, and why."""
    for line, row in _rows(path, name, CLEARED_COLUMNS):
        if not row["reviewer"].strip():
            raise StepError(f"{path}, line {line}: {name} is cleared by nobody", hint="fill in a reviewer")
        if row["sha256"] == sha256:
            return f"cleared by {row['reviewer']}: {row['reason']}"
    return None
