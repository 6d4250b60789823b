"""A square crop that follows the child smoothly, and what it does to pixels, masks and points.

The crop's path is a local straight line through the boxes, weighted in time: no lag at a steady walk, no shaking with
every swing of an arm, and gaps are bridged. Its place is whole pixels, so that frames, masks and points agree exactly.

Reads boxes (T, 4) x0, y0, x1, y1 with NaN where unknown; yields whole-pixel squares and what is inside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_REACH = 4  # kernel widths within which a box counts


@dataclass(frozen=True)
class Square:
    left: int
    top: int
    side: int

    def inside(self, width: int, height: int) -> tuple[int, int, int, int]:
        """What of it lies in a picture of that size: x0, y0, x1, y1, ends exclusive; nothing of it gives an empty part."""
        x0, y0 = (min(max(edge, 0), limit) for edge, limit in ((self.left, width), (self.top, height)))
        x1, y1 = (min(edge + self.side, limit) for edge, limit in ((self.left, width), (self.top, height)))
        return x0, y0, max(x1, x0), max(y1, y0)


def boxes_of_points(xy: NDArray[np.float32]) -> NDArray[np.float64]:
    """Boxes around (T, 23, 2) points, NaN where a frame has fewer than two of them."""
    boxes = np.full((len(xy), 4), np.nan)
    for row, points in zip(boxes, xy.astype(np.float64), strict=True):
        known = points[np.isfinite(points).all(axis=1)]
        if len(known) >= 2:
            row[:2], row[2:] = known.min(axis=0), known.max(axis=0) + 1
    return boxes


def smooth(seconds: NDArray[np.float64], values: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Local lines through (T, K) values, weighted by a Gaussian of `width` seconds; NaN rows have no weight."""
    known = np.isfinite(values).all(axis=1)
    times, rows = seconds[known], values[known]
    if len(times) == 0:
        return np.full(values.shape, np.nan)
    result = np.empty(values.shape)
    for frame, now in enumerate(seconds):
        first, last = np.searchsorted(times, (now - _REACH * width, now + _REACH * width))
        if last - first < 3:  # a long gap: the straight line between its edges
            result[frame] = [np.interp(now, times, column) for column in rows.T]
            continue
        distance = times[first:last] - now
        weight = np.exp(-0.5 * (distance / width) ** 2)
        mean = weight @ distance / weight.sum()
        level = weight @ rows[first:last] / weight.sum()
        spread = weight @ (distance - mean) ** 2
        slope = (weight * (distance - mean)) @ rows[first:last] / spread
        result[frame] = level - mean * slope
    return result


def follow(
    seconds: NDArray[np.float64], boxes: NDArray[np.float64], *, margin: float, smoothing_seconds: float
) -> list[Square]:
    """The square of every frame: around the child's middle, the longer side of the box and `margin` of it more."""
    longer = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    path = np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2, longer])
    path = smooth(seconds, path, smoothing_seconds)
    sides = np.maximum(2, np.rint(path[:, 2] * (1 + margin))).astype(int)
    corners = np.rint(path[:, :2] - sides[:, None] / 2).astype(int)
    return [Square(int(x), int(y), int(side)) for (x, y), side in zip(corners, sides, strict=True)]


def cut(
    pixels: NDArray[np.uint8], square: Square, size: int, *, fast: bool = False, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """The square at `size` pixels a side; black where it reaches beyond the picture.

    A smaller picture is averaged from a larger square; `fast` interpolates instead, good enough near the same size.
    """
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = square.inside(width, height)
    if (x1 - x0, y1 - y0) == (square.side, square.side):
        canvas = pixels[y0:y1, x0:x1]
    else:
        canvas = np.zeros((square.side, square.side, *pixels.shape[2:]), np.uint8)
        if x1 > x0 and y1 > y0:
            canvas[y0 - square.top : y1 - square.top, x0 - square.left : x1 - square.left] = pixels[y0:y1, x0:x1]
    method = cv2.INTER_AREA if square.side > size and not fast else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(canvas, (size, size), dst=out, interpolation=method), np.uint8)


def cut_mask(mask: NDArray[np.bool_], square: Square, size: int) -> NDArray[np.bool_]:
    """A pixel of the crop is child where at least half of it is."""
    return cut(mask.view(np.uint8) * np.uint8(255), square, size) >= 128


def cut_each(frames: NDArray[np.uint8], square: Square) -> NDArray[np.uint8]:
    """The square of every frame, at the frames' own size and fast."""
    found = np.empty_like(frames)
    for one, there in zip(frames, found, strict=True):
        cut(one, square, frames.shape[1], fast=True, out=there)
    return found


def to_crop(xy: NDArray[np.float32], square: Square, size: int) -> NDArray[np.float32]:
    """Positions in pixels of the crop, as resizing moves them: (0, 0) stays the centre of the top left pixel."""
    corner = np.array([square.left, square.top])
    return ((xy - corner + 0.5) * (size / square.side) - 0.5).astype(np.float32)
