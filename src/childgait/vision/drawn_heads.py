"""Draws a plain head over every cover of a de-identified video, in memory, for the embedded model.

BlazePose finds a body from the head down. Under a mosaic it takes the shoulders for the head: the skeleton is squeezed
down, and in some frames nobody is found. So the mosaic is replaced: beside the head by the wall, interpolated between
the pixels on either side of the cover; below the chin by the shoulders, drawn up from the pixels below the cover; and a
plain ellipse is the head (docs/LOG.md). The video itself is not changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.files.regions import REGIONS
from childgait.files.tables import read_table

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

SKIN = (185, 138, 110)  # RGB
LASTING = 0.5  # of the longest cover, in frames
HALF_WIDTH, HALF_HEIGHT = 0.225, 0.3  # of the head, in heights of its cover, which is often much wider
CHIN = 0.8  # of the cover's height, below which shoulders are drawn
UPPER_PART = 0.25  # of a person's box, in which the middle of the head lies
STATURE = 6.0  # in heads, of a child of six years
EDGE = 3  # pixels beside a cover whose mean is continued


def read_head_covers(path: Path | None) -> dict[int, Floats]:
    """Return the covers of heads (n, 4) by frame, from deidentify's table REGIONS.

    Whole-person covers are left out, and short ones, which may cover a shadow or a part of somebody: a head drawn
    there would be a second person.
    """
    if path is None:
        return {}
    table = read_table(path, REGIONS)
    table = table.filter(~table["whole"])
    frames_of = Counter(table["region"].to_list())
    longest = max(frames_of.values(), default=0)
    table = table.filter(table["region"].is_in([one for one, n in frames_of.items() if n >= LASTING * longest]))
    corners = table.select("x0", "y0", "x1", "y1").to_numpy().astype(np.float64)
    frames = table["frame"].to_numpy()
    return {int(frame): corners[frames == frame] for frame in np.unique(frames)}


def draw_heads(pixels: Pixels, frame: int, covers: Mapping[int, Floats], scale: float = 1.0) -> Pixels:
    """Return the RGB picture of a frame with a plain head in each of its covers; `scale` is its pixels per cover's."""
    if frame not in covers:
        return pixels
    drawn = pixels.copy()
    for box in covers[frame] * scale:
        _fill(drawn, box)
    for box in covers[frame] * scale:
        centre = np.rint((box[:2] + box[2:]) / 2).astype(int)
        half = np.maximum(np.rint((box[3] - box[1]) * np.array([HALF_WIDTH, HALF_HEIGHT])).astype(int), 1)
        cv2.ellipse(drawn, (int(centre[0]), int(centre[1])), (int(half[0]), int(half[1])), 0, 0, 360, SKIN, -1)
    return drawn


def find_head(covers: Floats, place: Floats, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels of the head at a place that one of a frame's covers (n, 4) hides; none where none does.

    Seen from the side a head is as deep as it is tall, hence a disc of the drawn head's height.
    """
    head = np.zeros(size, np.uint8)
    hides = (covers[:, :2] <= place).all(axis=1) & (place < covers[:, 2:]).all(axis=1)
    if hides.any():
        middles = (covers[:, :2] + covers[:, 2:]) / 2
        nearest = int(np.argmin(np.where(hides, np.linalg.norm(middles - place, axis=1), np.inf)))
        radius = max(round(HALF_HEIGHT * float(covers[nearest, 3] - covers[nearest, 1])), 1)
        x, y = np.rint(middles[nearest]).astype(int).tolist()
        cv2.circle(head, (x, y), radius, 1, -1)
    return head > 0


def include_head(box: Floats, covers: Floats) -> Floats:
    """Return a person's box that contains the drawn head above or in its upper part; unchanged without one.

    A skeleton that took the shoulders for the head ends below it, and its box would squeeze the next one, too.
    """
    middles, heights = (covers[:, :2] + covers[:, 2:]) / 2, covers[:, 3] - covers[:, 1]
    tall, centre = box[3] - box[1], (box[0] + box[2]) / 2
    beside = np.abs(middles[:, 0] - centre)
    near = (beside < (box[2] - box[0]) / 2) & (covers[:, 3] > box[1]) & (middles[:, 1] < box[1] + UPPER_PART * tall)
    if not near.any():
        return box
    one = int(np.argmin(np.where(near, beside, np.inf)))
    half = heights[one] * np.array([HALF_WIDTH, HALF_HEIGHT])
    low, high = np.minimum(box[:2], middles[one] - half), np.maximum(box[2:], middles[one] + half)
    return np.concatenate([low, high])


def people_of_heads(covers: Floats) -> list[Floats]:
    """Return a box (4,) of each person whose head is covered: the detector misses some of them under a mosaic."""
    x, tall = (covers[:, 0] + covers[:, 2]) / 2, 2 * HALF_HEIGHT * (covers[:, 3] - covers[:, 1])
    top = (covers[:, 1] + covers[:, 3] - tall) / 2
    return list(np.stack([x - STATURE * tall / 4, top, x + STATURE * tall / 4, top + STATURE * tall], axis=1))


def _fill(pixels: Pixels, box: Floats) -> None:
    """Replace a cover by what lies beside it and, at its lower end, by what lies below it; in place."""
    height, width = pixels.shape[:2]
    low, high = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
    x0, y0 = np.maximum(low, 0).tolist()
    x1, y1 = np.minimum(high, [width, height]).tolist()
    if x0 >= x1 or y0 >= y1:
        return
    sides = [pixels[y0:y1, max(x0 - EDGE, 0) : x0], pixels[y0:y1, x1 : x1 + EDGE]]
    edges = [side.mean(axis=1) for side in sides if side.shape[1]]
    if edges:
        share = np.linspace(0, 1, x1 - x0)[None, :, None]
        pixels[y0:y1, x0:x1] = np.rint(edges[0][:, None] * (1 - share) + edges[-1][:, None] * share)
    below = pixels[y1 : y1 + EDGE, x0:x1]
    if len(below):
        chin = max(y0, round(float(box[1] + CHIN * (box[3] - box[1]))))
        pixels[chin:y1, x0:x1] = np.rint(below.mean(axis=0))
