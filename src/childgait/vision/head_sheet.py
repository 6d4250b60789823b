"""What covers the heads, at one glance: a row a video, its riskiest frames as they went out, covered.

A frame is the riskier, the less was known of a head in it: a whole person covered because no head was known, then heads that
were only bridged or extended in time, then the lowest scores. Reads de-identified videos and their regions tables alone;
raw pixels never come here. Writes one JPEG.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.files.tables import read_table
from childgait.files.video import read_frames
from childgait.vision.cover import REGIONS

if TYPE_CHECKING:
    import polars as pl

    Pixels = NDArray[np.uint8]

RISKIEST, SPREAD = 5, 3  # tiles a video: the riskiest frames, far from each other, and some evenly spread
WIDTH, HEIGHT, CAPTION = 240, 136, 18
KNOWN, GUESSED, INK = (60, 220, 60), (255, 140, 0), (235, 235, 235)  # RGB


def write_head_sheet(path: Path, videos: Sequence[Path], regions: Sequence[Path]) -> None:
    rows = [_row(video, read_table(table, REGIONS)) for video, table in zip(videos, regions, strict=True)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])


def riskiest_frames(regions: pl.DataFrame, frames: int) -> list[int]:
    """Up to RISKIEST frames, at least a tenth of the video apart, then SPREAD more evenly over it."""
    import polars as pl

    risk = regions.group_by("frame").agg(
        (4.0 * pl.col("whole").max() + 2.0 * _guessed().max() + 1.0 - pl.col("score").min()).alias("risk")
    )
    apart = max(1, frames // 10)
    chosen: list[int] = []
    for frame in risk.sort(["risk", "frame"], descending=[True, False])["frame"]:
        if all(abs(frame - other) >= apart for other in chosen):
            chosen.append(frame)
        if len(chosen) == RISKIEST:
            break
    evenly = [round(index) for index in np.linspace(0, frames - 1, SPREAD)]
    return sorted({*chosen, *evenly})


def _guessed() -> pl.Expr:
    """Nothing was seen in the frame itself: the region is there by what came before and after."""
    import polars as pl

    return ~pl.col("source").str.contains("detected|keypoints|silhouette|sam3|region")


def _row(video: Path, regions: pl.DataFrame) -> Pixels:
    frames = int(regions["frame"].max()) + 1 if regions.height else 1  # type: ignore[arg-type]
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
    people = regions["region"].n_unique()
    _write(head, f"{video.stem}: {people} covered, {whole} frames with a whole person covered", GUESSED if whole else INK)
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
