"""Regions of a video that are covered: the manual files regions.csv and cleared.csv, and the table of what was covered.

regions.csv: video, region, frame, x0, y0, x1, y1 in pixels. A region is one thing to cover; an empty frame means all
frames, as for a logo burnt into a corner. With the columns action, reviewer and reason a row can also change a cover:
`remove` drops the cover that lies at this box in this frame, `end` drops it from this frame on.
cleared.csv: video, sha256 of the reviewed decoded pixels, reviewer, reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from childgait.domain.boxes import Box
from childgait.errors import StepError
from childgait.files.annotations import parse_decimal, parse_whole, rows_of
from childgait.files.tables import Column, Table

LARGEST = 1_000_000  # pixels, as for keypoints
REGION_COLUMNS = ("video", "region", "frame", "x0", "y0", "x1", "y1")
ACTIONS = ("cover", "remove", "end")
CLEARED_COLUMNS = ("video", "sha256", "reviewer", "reason")

REGIONS = Table(
    "regions",
    ("frame", "region", "whole", "x0", "y0"),  # a whole-person cover has several parts around the child's body
    (
        Column("frame", "Int32", "index of the frame in the video, from 0"),
        Column("seconds", "Float64", "time since the video's first frame"),
        Column("region", "Int32", "number of the track, from 0"),
        Column("whole", "Boolean", "whether the whole person is covered because no head is known"),
        Column(
            "source",
            "String",
            "detected, keypoints, silhouette, blazepose, sam3, region (manual), joined by +; bridged; extended; hole",
        ),
        Column("score", "Float32", "best score of the sources, 0 where nothing was detected"),
        Column("x0", "Int32", "left edge of the cover"),
        Column("y0", "Int32", "top edge"),
        Column("x1", "Int32", "right edge, exclusive"),
        Column("y1", "Int32", "bottom edge, exclusive"),
        Column("area", "Int32", "pixels of it inside the picture"),
    ),
)


@dataclass(frozen=True)
class Region:
    """A manual box on one frame (None: on all frames) of a named region."""

    name: str
    frame: int | None
    box: Box


@dataclass(frozen=True)
class CoverChange:
    """A reviewer's decision that the cover at a place in a frame is wrong: remove it, or end it there."""

    action: str  # remove or end
    region: str
    frame: int
    box: Box
    reviewer: str
    reason: str
    where: str  # file and line

    def __str__(self) -> str:
        verb = "removed" if self.action == "remove" else f"ended at frame {self.frame}"
        return f"cover {self.region!r} {verb} by {self.reviewer}: {self.reason}"


def _rows(path: Path | None, name: str, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a manual file for this video, each with its line number."""
    return [] if path is None else [(line, row) for line, row in rows_of(path, columns) if row["video"] == name]


def read_regions(path: Path | None, name: str, frames: int) -> list[Region]:
    """Read the manual regions of one video of `frames` frames."""
    regions: list[Region] = []
    for line, row in _rows(path, name, REGION_COLUMNS):
        if _action(f"{path}, line {line}", row) != "cover":
            continue
        region = _region(f"{path}, line {line}", row, name, frames)
        if any(
            other.name == region.name and (region.frame is None or other.frame in (None, region.frame))
            for other in regions
        ):
            where = "all frames" if region.frame is None else f"frame {region.frame}"
            raise StepError(
                f"{path}, line {line}: {name} has a second box of region {region.name!r} on {where}",
                hint="a region is one thing to cover: one box on all frames or one box per frame; give another thing "
                "a name of its own",
            )
        regions.append(region)
    return regions


def read_cover_changes(path: Path | None, name: str, frames: int) -> list[CoverChange]:
    """Read the rows of one video of `frames` frames that remove or end a cover."""
    changes = []
    for line, row in _rows(path, name, REGION_COLUMNS):
        where = f"{path}, line {line}"
        action = _action(where, row)
        if action == "cover":
            continue
        region = _region(where, row, name, frames)
        reviewer, reason = (row.get(key, "").strip() for key in ("reviewer", "reason"))
        if region.frame is None or not reviewer or not reason:
            raise StepError(
                f"{where}: a row that makes a cover {action} needs a frame, a reviewer and a reason",
                hint="add the columns action, reviewer and reason, and state the frame in which the cover is wrong",
            )
        changes.append(CoverChange(action, region.name, region.frame, region.box, reviewer, reason, where))
    return changes


def _action(where: str, row: dict[str, str]) -> str:
    action = row.get("action", "").strip() or "cover"
    if action not in ACTIONS:
        raise StepError(f"{where}: the action is {action!r}", hint=f"expected {', '.join(ACTIONS)}, or nothing")
    return action


def _region(where: str, row: dict[str, str], name: str, frames: int) -> Region:
    """Check one row of regions.csv."""
    try:
        frame = parse_whole(row["frame"]) if row["frame"].strip() else None
        x0, y0, x1, y1 = (parse_decimal(row[key]) for key in ("x0", "y0", "x1", "y1"))
    except ValueError:
        raise StepError(f"{where}: a box is four numbers", hint="x0, y0, x1, y1 in pixels") from None
    if frame is not None and not 0 <= frame < frames:
        raise StepError(
            f"{where}: {name} has no frame {frame}, it has frames 0 to {frames - 1}",
            hint="frames count from 0; leave the field empty for all of them",
        )
    if max(map(abs, (x0, y0, x1, y1))) > LARGEST:
        raise StepError(f"{where}: a position is beyond ±{LARGEST:,} pixels", hint="x0, y0, x1, y1 in pixels")
    if not (x0 < x1 and y0 < y1):
        raise StepError(f"{where}: the box {x0, y0, x1, y1} is empty", hint="x0 < x1 and y0 < y1")
    return Region(row["region"], frame, (x0, y0, x1, y1))


def cleared_by(path: Path | None, name: str, sha256: str) -> str | None:
    """Return reviewer and reason if these decoded pixels of this video were cleared, else None."""
    for line, row in _rows(path, name, CLEARED_COLUMNS):
        if not row["reviewer"].strip():
            raise StepError(f"{path}, line {line}: {name} is cleared by nobody", hint="fill in a reviewer")
        if row["sha256"] == sha256:
            return f"cleared by {row['reviewer']}: {row['reason']}"
    return None
