"""What covers the heads, at one glance: a strip a video, its riskiest frames as they went out, covered.

A frame is the riskier, the less was known of a head in it: nobody covered at all, a whole person covered because no head was
known, then heads that were only bridged or extended in time, then the lowest scores. Reads de-identified videos and their
regions tables alone; raw pixels never come here. Writes JPEGs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.files.video import read_frames

if TYPE_CHECKING:
    import polars as pl

    Pixels = NDArray[np.uint8]

RISKIEST, SPREAD = 5, 3  # tiles a video: the riskiest frames, far from each other, and some evenly spread
BARE = 3  # of the riskiest, at most: frames in which nobody is covered
WIDTH, HEIGHT, CAPTION = 240, 136, 18
KNOWN, GUESSED, INK = (60, 220, 60), (255, 140, 0), (235, 235, 235)  # RGB


def write_head_strip(path: Path, video: Path, name: str, frames: int, regions: pl.DataFrame, note: str) -> None:
    """One video's strip; it has so many frames, and `note` stands at its top."""
    _write_jpeg(path, cv2.cvtColor(_row(video, name, frames, regions, note), cv2.COLOR_RGB2BGR), 90)


def write_head_sheet(path: Path, strips: Sequence[Path]) -> None:
    """The strips of several videos, one below the other."""
    pictures: list[Any] = [cv2.imread(str(strip)) for strip in strips]
    _write_jpeg(path, np.vstack(pictures), 85)


def _write_jpeg(path: Path, pixels: NDArray[Any], quality: int) -> None:
    """`path` is a temporary name, whose ending says nothing."""
    path.write_bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def riskiest_frames(regions: pl.DataFrame, frames: int) -> list[int]:
    """Up to RISKIEST frames, at least a tenth of the video apart, then SPREAD more evenly over it."""
    import polars as pl

    risk = regions.group_by("frame").agg(
        (4.0 * pl.col("whole").max() + 2.0 * _guessed().max() + 1.0 - pl.col("score").min()).alias("risk")
    )
    known = risk.sort(["risk", "frame"], descending=[True, False])["frame"].to_list()
    chosen = _apart(bare_frames(regions, frames), frames, BARE, [])
    chosen = _apart(known, frames, RISKIEST, chosen)
    evenly = [round(index) for index in np.linspace(0, frames - 1, SPREAD)]
    return sorted({*chosen, *evenly})


def bare_frames(regions: pl.DataFrame, frames: int) -> list[int]:
    """Those in which nobody is covered."""
    return sorted(set(range(frames)) - set(regions["frame"].to_list()))


def _apart(candidates: list[int], frames: int, count: int, chosen: list[int]) -> list[int]:
    """More of the candidates, in their order, until there are `count`."""
    chosen = list(chosen)
    for frame in candidates:
        if len(chosen) == count:
            break
        if all(abs(frame - other) >= max(1, frames // 10) for other in chosen):
            chosen.append(frame)
    return chosen


def _guessed() -> pl.Expr:
    """Nothing was seen in the frame itself: the region is there by what came before and after."""
    import polars as pl

    return ~pl.col("source").str.contains("detected|keypoints|silhouette|sam3|region")


def _row(video: Path, name: str, frames: int, regions: pl.DataFrame, note: str) -> Pixels:
    wanted = riskiest_frames(regions, frames)
    tiles = [
        _tile(frame.pixels, frame.index, regions.filter(regions["frame"] == frame.index))
        for frame in read_frames(video)
        if frame.index in wanted
    ]
    blank = np.zeros((HEIGHT + CAPTION, WIDTH, 3), np.uint8)
    tiles += [blank] * (RISKIEST + SPREAD - len(tiles))
    head = np.zeros((CAPTION + 4, WIDTH * (RISKIEST + SPREAD), 3), np.uint8)
    whole = regions.filter(regions["whole"])["frame"].n_unique()
    people, bare = regions["region"].n_unique(), len(bare_frames(regions, frames))
    said = f"{name}: {people} covered, {whole} frames with a whole person covered, {bare} frames with nobody covered; {note}"
    _write(head, said, GUESSED if whole or bare else INK)
    return np.vstack([head, np.hstack(tiles)])


def _tile(pixels: Pixels, index: int, regions: pl.DataFrame) -> Pixels:
    """The frame with each covered region framed, and the lowest score below it."""
    scale = min(WIDTH / pixels.shape[1], HEIGHT / pixels.shape[0])
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    guessed: list[bool] = regions.select(_guessed()).to_series().to_list() if regions.height else []
    for row, guess in zip(regions.iter_rows(named=True), guessed, strict=True):
        corners = [round(row[side] * scale) for side in ("x0", "y0", "x1", "y1")]
        cv2.rectangle(small, corners[:2], corners[2:], GUESSED if guess or row["whole"] else KNOWN, 1)
    tile = np.zeros((HEIGHT + CAPTION, WIDTH, 3), np.uint8)
    tile[: size[1], : size[0]] = small
    lowest = float(regions["score"].min()) if regions.height else 0.0  # type: ignore[arg-type]
    said = f"frame {index}: " + (f"score {lowest:.2f}" if regions.height else "nobody covered")
    caption: Pixels = tile[HEIGHT:]
    _write(caption, said, GUESSED if not regions.height or any(guessed) else INK)
    return tile


def _write(canvas: Pixels, text: str, colour: tuple[int, int, int]) -> None:
    cv2.putText(canvas, text, (4, CAPTION - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
