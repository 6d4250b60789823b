"""Computes a square crop that follows the child smoothly, and crops pixels, masks and points.

The crop's path is a local linear regression through the boxes, weighted in time: no lag at a steady walk, no shaking
with every swing of an arm, and gaps are bridged. Squares have whole pixels, so that frames, masks and points agree.

Reads boxes (T, 4) x0, y0, x1, y1 with NaN where unknown; returns squares and their content.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_REACH = 4  # kernel widths within which a box counts


@dataclass(frozen=True)
class Square:
    """A square in a picture, in whole pixels; it may reach beyond the picture."""

    left: int
    top: int
    side: int

    def inside(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return its part inside a picture of this size as x0, y0, x1, y1, ends exclusive; may be empty."""
        x0, y0 = (min(max(edge, 0), limit) for edge, limit in ((self.left, width), (self.top, height)))
        x1, y1 = (min(edge + self.side, limit) for edge, limit in ((self.left, width), (self.top, height)))
        return x0, y0, max(x1, x0), max(y1, y0)


def boxes_of_points(xy: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return boxes (T, 4) around points (T, 23, 2); NaN where a frame has fewer than two of them."""
    boxes = np.full((len(xy), 4), np.nan)
    for row, points in zip(boxes, xy.astype(np.float64), strict=True):
        known = points[np.isfinite(points).all(axis=1)]
        if len(known) >= 2:
            row[:2], row[2:] = known.min(axis=0), known.max(axis=0) + 1
    return boxes


def local_lines(seconds: NDArray[np.float64], values: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Return values (T, K) of local lines, weighted by a Gaussian of `width` seconds; NaN rows have no weight."""
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


def square_path(
    seconds: NDArray[np.float64], boxes: NDArray[np.float64], *, margin: float, smoothing_seconds: float
) -> list[Square]:
    """Return the square of every frame: around the middle of the box, its longer side plus the share `margin` of it."""
    longer = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    path = np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2, longer])
    path = local_lines(seconds, path, smoothing_seconds)
    sides = np.maximum(2, np.rint(path[:, 2] * (1 + margin))).astype(int)
    corners = np.rint(path[:, :2] - sides[:, None] / 2).astype(int)
    return [Square(int(x), int(y), int(side)) for (x, y), side in zip(corners, sides, strict=True)]


def cut(
    pixels: NDArray[np.uint8], square: Square, size: int, *, fast: bool = False, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Return the square resized to `size` pixels per side; black beyond the picture.

    A larger square is averaged; `fast` interpolates instead, which is good enough near the same size.
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
    """Return the square of a mask; a pixel is true where at least half of it is."""
    return cut(mask.view(np.uint8) * np.uint8(255), square, size) >= 128


def cut_each(frames: NDArray[np.uint8], square: Square) -> NDArray[np.uint8]:
    """Return the square of every frame, at the frames' own size, interpolated."""
    result = np.empty_like(frames)
    for frame, target in zip(frames, result, strict=True):
        cut(frame, square, frames.shape[1], fast=True, out=target)
    return result


def to_crop(xy: NDArray[np.float32], square: Square, size: int) -> NDArray[np.float32]:
    """Return positions in pixels of the crop: (0, 0) stays the centre of the top left pixel."""
    corner = np.array([square.left, square.top])
    return ((xy - corner + 0.5) * (size / square.side) - 0.5).astype(np.float32)
