"""Manual selections of the child: selections.csv, a box or a point on one frame of a video.

Columns: video, frame (from 0), x0, y0, x1, y1 in pixels; x1 and y1 stay empty for a point. Further columns (reason,
reviewer) are ignored. The rows of one video are checked against its size and length.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from childgait.domain.boxes import Box
from childgait.errors import StepError
from childgait.files.annotations import parse_decimal, parse_whole, rows_of

COLUMNS = ("video", "frame", "x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Selection:
    """The place of the child on one frame. A point is a box without extent."""

    frame: int
    box: Box

    @property
    def is_point(self) -> bool:
        return self.box[:2] == self.box[2:]


def read_selections(path: Path, video: str, frames: int, size: tuple[int, int]) -> list[Selection]:
    """Read the rows of one video; `size` is (height, width)."""
    selections = []
    for line, row in rows_of(path, COLUMNS):
        if row["video"] == video:
            selections.append(_selection(f"{path}, line {line}", row, frames, size))
    return selections


def _selection(where: str, row: dict[str, str], frames: int, size: tuple[int, int]) -> Selection:
    """Check one row."""
    try:
        frame = parse_whole(row["frame"])
        x0, y0 = parse_decimal(row["x0"]), parse_decimal(row["y0"])
        x1, y1 = (parse_decimal(row[key] or row[other]) for key, other in (("x1", "x0"), ("y1", "y0")))
    except ValueError:
        raise StepError(
            f"{where}: frame, x0, y0, x1, y1 are {', '.join(str(row[name]) for name in COLUMNS[1:])}, not numbers",
            hint="give numbers; leave x1 and y1 empty for a point",
        ) from None
    if not 0 <= frame < frames:
        raise StepError(f"{where}: frame {frame} is not in the video, which has {frames}", hint="frames count from 0")
    height, width = size
    if not (-0.5 <= x0 <= x1 <= width and -0.5 <= y0 <= y1 <= height):
        raise StepError(
            f"{where}: the selection {x0:g}, {y0:g}, {x1:g}, {y1:g} lies outside the frame of {width}x{height}",
            hint="give pixels of the de-identified video, with x0 <= x1 and y0 <= y1",
        )
    return Selection(frame, (x0, y0, x1, y1))
