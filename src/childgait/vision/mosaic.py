"""Mosaic covers: coarse cells, one texture per track, fixed to its box; and the check that a frame shows them.

A mosaic computed per frame is safe in one frame and leaks over many: as the face moves against the grid, every frame
samples it at other places, and averaging the frames restores detail. Therefore a track has a single texture: the mean
colours of at most `cells` cells across the short side, pooled over the video, quantised and permuted, so that not even
light and dark stay in place. Every frame shows the same cells at the same places of its box, and no other pixel of the
head.

Works on YUV planes and changes nothing outside the boxes. Boxes lie on even pixels, the edges of subsampled chroma.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.files.video import Planes

MAX_CELLS = 8  # across the short side; with more, faces were reconstructed from video in our experiments
LEVELS = 16  # step of a quantised channel
GREY = 128
_PERMUTATIONS = 500  # random permutations of the cells to choose from


@dataclass(frozen=True)
class Cover:
    """The cover of one track: a texture, and the box that it fills in each frame."""

    texture: NDArray[np.uint8]  # (rows, columns, 3) of Y, U, V
    boxes: dict[int, NDArray[np.int64]]  # frame: x0, y0, x1, y1


@dataclass(frozen=True)
class Sample:
    """A reduced frame for the colours of a texture: U and V as wide as Y. Held in memory, never written."""

    frame: int
    pixels: NDArray[np.uint8]  # (height, width, 3) of Y, U, V
    scale: float  # pixels of the video per pixel of the sample


def sample(frame: int, planes: Planes, width: int = 320) -> Sample:
    """Reduce a frame to at most that width."""
    scale = max(planes.width / width, 1.0)
    size = (round(planes.width / scale), round(planes.height / scale))
    small = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (planes.y, planes.u, planes.v)]
    return Sample(frame, np.stack(small, axis=2), scale)


def solid() -> NDArray[np.uint8]:
    """Return the strictest texture: one grey, the same for everybody."""
    return np.full((1, 1, 3), GREY, np.uint8)


def texture(
    boxes: dict[int, NDArray[np.int64]], samples: list[Sample], cells: int, seed: list[int]
) -> NDArray[np.uint8]:
    """Return the texture of a track with these boxes by frame: at most `cells` cells across the short side."""
    assert 1 <= cells <= MAX_CELLS
    wide, tall = (int(side) for side in np.max([box[2:] - box[:2] for box in boxes.values()], axis=0))
    cell = -(-min(wide, tall) // cells)
    rows, columns = -(-tall // cell), -(-wide // cell)
    parts = [part for one in samples if one.frame in boxes and (part := _part(one, boxes[one.frame])) is not None]
    if not parts:
        return solid()
    pooled = np.mean([cv2.resize(p, (columns, rows), interpolation=cv2.INTER_AREA) for p in parts], axis=0)
    quantised = (np.floor(pooled / LEVELS) * LEVELS + LEVELS // 2).astype(np.uint8)
    return _permute(quantised, seed)


def _part(one: Sample, box: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """Return the sample's pixels in a box, as far as it lies in the picture; None if it lies outside."""
    height, width = one.pixels.shape[:2]
    x0, y0 = (max(int(v / one.scale), 0) for v in box[:2])
    x1, y1 = min(round(box[2] / one.scale), width), min(round(box[3] / one.scale), height)
    return one.pixels[y0:y1, x0:x1].astype(np.float32) if x1 > x0 and y1 > y0 else None


def _permute(cells: NDArray[np.uint8], seed: list[int]) -> NDArray[np.uint8]:
    """Permute the cells: of many random permutations, the one whose luma correlates least with the true order.

    The correlation counts in the worst of many windows, because the face is a part of the box at an unknown place.
    """
    rows, columns = cells.shape[:2]
    flat = cells.reshape(-1, 3)
    rng = np.random.default_rng(seed)
    orders = np.array([rng.permutation(len(flat)) for _ in range(_PERMUTATIONS)])
    truth = cells[..., 0].astype(np.float64)
    permuted = flat[orders, 0].astype(np.float64).reshape(-1, rows, columns)
    tall, wide = -(-2 * rows // 3), -(-2 * columns // 3)
    correlations = [_correlation(permuted, truth)]
    for y in range(rows - tall + 1):
        for x in range(columns - wide + 1):
            correlations.append(
                _correlation(permuted[:, y : y + tall, x : x + wide], truth[y : y + tall, x : x + wide])
            )
    return flat[orders[np.max(correlations, axis=0).argmin()]].reshape(cells.shape)


def _correlation(permuted: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the absolute correlation of each permutation (n, rows, columns) with the true order."""
    a = (permuted - permuted.mean(axis=(1, 2), keepdims=True)).reshape(len(permuted), -1)
    b = (truth - truth.mean()).ravel()
    return np.asarray(np.abs(a @ b) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b), 1e-9))


def draw(planes: Planes, frame: int, covers: list[Cover]) -> None:
    """Draw the covers of this frame in place, in their order."""
    for cover in covers:
        if frame not in cover.boxes:
            continue
        box = cover.boxes[frame]
        rows, columns = cover.texture.shape[:2]
        for channel, plane in enumerate((planes.y, planes.u, planes.v)):
            step = 2 if planes.halved and channel else 1
            x0, y0, x1, y1 = (int(v) // step for v in box)
            height, width = plane.shape
            across = (np.arange(max(x0, 0), min(x1, width)) - x0) * columns // max(x1 - x0, 1)
            down = (np.arange(max(y0, 0), min(y1, height)) - y0) * rows // max(y1 - y0, 1)
            plane[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = cover.texture[down[:, None], across, channel]


def covered_mask(frame: int, covers: list[Cover], width: int, height: int) -> NDArray[np.bool_]:
    """Return which pixels of a frame are covered, (height, width)."""
    mask = np.zeros((height, width), bool)
    for cover in covers:
        if frame in cover.boxes:
            x0, y0, x1, y1 = (max(int(v), 0) for v in cover.boxes[frame])
            mask[y0:y1, x0:x1] = True
    return mask


def is_covered(planes: Planes, frame: int, covers: list[Cover], tolerance: int) -> bool:
    """Whether a decoded frame shows exactly the textures in all boxes, so that drawing them again changes nothing.

    A lossy copy may differ from them by `tolerance` levels on average over the covered pixels.
    """
    redrawn = planes.copy()
    draw(redrawn, frame, covers)
    if tolerance == 0:
        return np.array_equal(redrawn.data, planes.data)
    mask = covered_mask(frame, covers, planes.width, planes.height)
    difference = np.abs(redrawn.y[mask].astype(np.int16) - planes.y[mask])
    return bool(not mask.any() or difference.mean() <= tolerance)
