"""Cuts a silhouette of fixed size out of every mask of a window, as gait recognition does.

The mask's rows are scaled to ROWS and its median column is moved to the middle of the crop, so neither the distance
from the camera nor the place in the picture is left. Reads masks (T, S, S); yields uint8 (T, ROWS, columns), 255
inside the child, and the rectangle of each crop in pixels of the clip.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

ROWS = 64  # height of a crop in pixels (Chao et al., GaitSet, 2019, arXiv 1811.06186)


def crop_silhouettes(masks: NDArray[np.bool_], columns: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the crops (T, ROWS, columns) and their rectangles (T, 4): left, top, width, height in pixels of the clip.

    A frame without a mask is empty, and its rectangle is the whole clip at the crop's proportions.
    """
    crops = np.zeros((len(masks), ROWS, columns), np.uint8)
    rectangles = np.empty((len(masks), 4), np.float32)
    for crop, rectangle, mask in zip(crops, rectangles, masks, strict=True):
        rectangle[:] = _crop_into(crop, mask)
    return crops, rectangles


def _crop_into(crop: NDArray[np.uint8], mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Fill one crop and return its rectangle."""
    columns, size = crop.shape[1], mask.shape[1]
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        width = size * columns / ROWS
        return (size - width) / 2, 0.0, width, float(size)
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    scale = ROWS / (bottom - top)
    band = mask[top:bottom].view(np.uint8) * np.uint8(255)
    shrinks = scale < 1
    wide = max(round(size * scale), 1)
    scaled = cv2.resize(band, (wide, ROWS), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    left = round((_median_column(mask) + 0.5) * scale - columns / 2)
    first, last = max(left, 0), min(left + columns, wide)
    crop[:, first - left : last - left] = scaled[:, first:last]
    return left / scale, float(top), columns / scale, float(bottom - top)


def _median_column(mask: NDArray[np.bool_]) -> float:
    """Return the column that has half of the mask's pixels on either side."""
    cumulative = np.cumsum(mask.sum(axis=0))
    return float(np.searchsorted(cumulative, cumulative[-1] / 2))
