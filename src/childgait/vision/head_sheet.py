"""The head strip of a video: its riskiest frames as they were published, with every cover outlined.

Frames are ranked by risk: frames in which nobody is covered; frames with a whole person covered because no head is
known; frames with heads that are only bridged or extended in time; then by lowest score. Reads de-identified frames and
their table of regions, never raw pixels. Writes JPEGs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.files.video import Frame

if TYPE_CHECKING:
    import polars as pl

    Pixels = NDArray[np.uint8]

RISKIEST, SPREAD = 5, 3  # tiles per video: the riskiest frames, far from each other, and some evenly spread
MAX_UNCOVERED = 3  # of the riskiest: frames in which nobody is covered
WIDTH, HEIGHT, CAPTION = 240, 136, 18  # pixels of a tile, and of the caption below it
DETECTED, INFERRED, TEXT = (60, 220, 60), (255, 140, 0), (235, 235, 235)  # RGB


def write_head_strip(
    path: Path, frames: Sequence[Frame], name: str, frame_count: int, regions: pl.DataFrame, note: str
) -> None:
    """Write the strip of one covered video from its `riskiest_frames`; `note` is printed at its top."""
    _write_jpeg(path, cv2.cvtColor(_strip(frames, name, frame_count, regions, note), cv2.COLOR_RGB2BGR), 90)


def write_head_sheet(path: Path, strips: Sequence[Path]) -> None:
    """Write the strips of several videos, one below the other."""
    pictures: list[Any] = [cv2.imread(str(strip)) for strip in strips]
    _write_jpeg(path, np.vstack(pictures), 85)


def _write_jpeg(path: Path, pixels: NDArray[Any], quality: int) -> None:
    """Write a JPEG; `path` is a temporary name without a usable ending."""
    path.write_bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def riskiest_frames(regions: pl.DataFrame, frame_count: int) -> list[int]:
    """Return up to RISKIEST frames, at least a tenth of the video apart, and SPREAD more evenly over it."""
    import polars as pl

    risk = regions.group_by("frame").agg(
        (4.0 * pl.col("whole").max() + 2.0 * _is_inferred().max() + 1.0 - pl.col("score").min()).alias("risk")
    )
    by_risk = risk.sort(["risk", "frame"], descending=[True, False])["frame"].to_list()
    frames = _add_apart([], uncovered_frames(regions, frame_count), frame_count, MAX_UNCOVERED)
    frames = _add_apart(frames, by_risk, frame_count, RISKIEST)
    evenly = [round(index) for index in np.linspace(0, frame_count - 1, SPREAD)]
    return sorted({*frames, *evenly})


def uncovered_frames(regions: pl.DataFrame, frame_count: int) -> list[int]:
    """Return the frames in which nobody is covered."""
    return sorted(set(range(frame_count)) - set(regions["frame"].to_list()))


def _add_apart(frames: list[int], candidates: list[int], frame_count: int, count: int) -> list[int]:
    """Add candidates in their order, each a tenth of the video from all others, until there are `count` frames."""
    frames = list(frames)
    for frame in candidates:
        if len(frames) == count:
            break
        if all(abs(frame - other) >= max(1, frame_count // 10) for other in frames):
            frames.append(frame)
    return frames


def _is_inferred() -> pl.Expr:
    """Whether nothing was detected in the frame itself: the region follows from earlier and later frames."""
    import polars as pl

    return ~pl.col("source").str.contains("detected|keypoints|silhouette|blazepose|sam3|region")


def _strip(frames: Sequence[Frame], name: str, frame_count: int, regions: pl.DataFrame, note: str) -> Pixels:
    tiles = [_tile(frame.pixels, frame.index, regions.filter(regions["frame"] == frame.index)) for frame in frames]
    blank = np.zeros((HEIGHT + CAPTION, WIDTH, 3), np.uint8)
    tiles += [blank] * (RISKIEST + SPREAD - len(tiles))
    header = np.zeros((CAPTION + 4, WIDTH * (RISKIEST + SPREAD), 3), np.uint8)
    whole = regions.filter(regions["whole"])["frame"].n_unique()
    people, uncovered = regions["region"].n_unique(), len(uncovered_frames(regions, frame_count))
    text = (
        f"{name}: {people} covered, {whole} frames with a whole person covered, "
        f"{uncovered} frames with nobody covered; {note}"
    )
    _write(header, text, INFERRED if whole or uncovered else TEXT)
    return np.vstack([header, np.hstack(tiles)])


def _tile(pixels: Pixels, index: int, regions: pl.DataFrame) -> Pixels:
    """Draw one frame with each covered region outlined, and the lowest score below it."""
    scale = min(WIDTH / pixels.shape[1], HEIGHT / pixels.shape[0])
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    inferred: list[bool] = regions.select(_is_inferred()).to_series().to_list() if regions.height else []
    for row, flag in zip(regions.iter_rows(named=True), inferred, strict=True):
        corners = [round(row[side] * scale) for side in ("x0", "y0", "x1", "y1")]
        cv2.rectangle(small, corners[:2], corners[2:], INFERRED if flag or row["whole"] else DETECTED, 1)
    tile = np.zeros((HEIGHT + CAPTION, WIDTH, 3), np.uint8)
    tile[: size[1], : size[0]] = small
    lowest = float(regions["score"].min()) if regions.height else 0.0  # type: ignore[arg-type]
    text = f"frame {index}: " + (f"score {lowest:.2f}" if regions.height else "nobody covered")
    caption: Pixels = tile[HEIGHT:]
    _write(caption, text, INFERRED if not regions.height or any(inferred) else TEXT)
    return tile


def _write(canvas: Pixels, text: str, colour: tuple[int, int, int]) -> None:
    cv2.putText(canvas, text, (4, CAPTION - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
