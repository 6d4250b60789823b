"""Draws an overview of a child's masks: one row per video, with frames spread over it and frames below the gate.

Green outline: passes the gate; orange: does not, with the reason below. Reads the de-identified videos, their masks and
their tables of boxes; writes one JPEG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.files.masks import FrameRow, Mask, Masks, read_frame_rows
from childgait.files.video import read_frames

SPREAD, BELOW = 6, 4  # tiles per video: evenly spread, and at most so many below the gate
WIDTH, HEIGHT, CAPTION = 200, 200, 18
STRETCHES = 8  # of covered frames that a header lists
GREEN, ORANGE, INK = (60, 220, 60), (255, 140, 0), (235, 235, 235)  # RGB


def write_mask_sheet(
    path: Path,
    videos: Sequence[Path],
    masks: Sequence[Path],
    boxes: Sequence[Path],
    covered: Mapping[str, Sequence[str]],
) -> None:
    """Draw the sheet of a child's videos; `covered` lists per video the stretches in which covers hide the child."""
    rows = [
        _row(video, Masks(mask), read_frame_rows(table), covered.get(video.stem, ()))
        for video, mask, table in zip(videos, masks, boxes, strict=True)
    ]
    sheet = np.vstack(rows)
    cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])


def choose_frames(rows: Sequence[FrameRow]) -> list[int]:
    """Return the frames to draw: spread evenly over those with a child, and over those below the gate."""
    there = [row["frame"] for row in rows if row["area"]] or [row["frame"] for row in rows]
    below = [row["frame"] for row in rows if not row["ok"]]
    return _spread(there, SPREAD) + _spread(below, BELOW)


def _spread(frames: Sequence[int], most: int) -> list[int]:
    if len(frames) <= most:
        return list(frames)
    return [frames[round(i)] for i in np.linspace(0, len(frames) - 1, most)]


def count_frames(stretches: Sequence[str]) -> int:
    """Return the number of frames in stretches like `40-61`."""
    ends = [stretch.partition("-") for stretch in stretches]
    return sum(int(last or first) - int(first) + 1 for first, _, last in ends)


def _row(video: Path, masks: Masks, rows: Sequence[FrameRow], covered: Sequence[str]) -> NDArray[np.uint8]:
    """Draw the row of one video: its name above its tiles."""
    frames = choose_frames(rows)
    tiles: dict[int, NDArray[np.uint8]] = {}
    for frame in read_frames(video):
        if frame.index in frames:
            tiles[frame.index] = _tile(frame.pixels, masks[frame.index], rows[frame.index])
    blank = np.zeros((HEIGHT + CAPTION, WIDTH, 3), np.uint8)
    line = [tiles[index] for index in frames] + [blank] * (SPREAD + BELOW - len(frames))
    head = np.zeros((CAPTION + 4, WIDTH * (SPREAD + BELOW), 3), np.uint8)
    below = sum(not row["ok"] for row in rows)
    text = f"{video.stem}: {len(rows)} frames, {below} below the gate"
    if covered:
        listed = ", ".join(covered[:STRETCHES]) + (", ..." if len(covered) > STRETCHES else "")
        text += f"; the child is covered in {count_frames(covered)} frames: {listed}"
    _write(head, text, ORANGE if below or covered else INK)
    return np.vstack([head, np.hstack(line)])


def _write(canvas: NDArray[np.uint8], text: str, colour: tuple[int, int, int]) -> None:
    cv2.putText(canvas, text, (4, CAPTION - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)


def _tile(pixels: NDArray[np.uint8], mask: Mask, row: FrameRow) -> NDArray[np.uint8]:
    """Draw the child and a margin around it; the whole picture if there is no mask."""
    colour = GREEN if row["ok"] else ORANGE
    picture = pixels.copy()
    outline, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outline, -1, colour, max(1, pixels.shape[0] // 360))
    if row["area"]:
        x0, y0, x1, y1 = (int(side) for side in (row["x0"], row["y0"], row["x1"], row["y1"]) if side is not None)
        margin = round(0.12 * max(x1 - x0, y1 - y0))
        picture = picture[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin]
    scale = min(WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    tile = np.zeros((HEIGHT + CAPTION, WIDTH, 3), np.uint8)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left = (WIDTH - size[0]) // 2
    tile[: size[1], left : left + size[0]] = small
    caption: NDArray[np.uint8] = tile[HEIGHT:]
    _write(caption, f"{row['frame']} {'' if row['ok'] else reason(row)}", INK if row["ok"] else ORANGE)
    return tile


def reason(row: FrameRow) -> str:
    """Return why a row is below the gate, in a few words."""
    if not row["area"]:
        return "no mask, but keypoints"
    parts = []
    if row["joints_inside"] is not None:
        parts.append(f"joints {row['joints_inside']:.2f}")
    if row["area_jump"] is not None:
        parts.append(f"jump {row['area_jump']:.2f}")
    return ", ".join([*parts, f"pieces {row['pieces']}"])
