"""Measures the colour of a person's shirt, by which people who overlap are kept apart."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import INDEX

Floats = NDArray[np.float64]

OTHER_SHIRT = 30.0  # distance in Lab between the shirts of two people
MIN_SHIRT = 30  # pixels
SHIRT = (0.15, 0.6)  # from the shoulders to the hips
SHIRT_WIDTH = 0.08  # body heights, half the depth of a trunk seen from the side
LARGEST_SIDE = 10_000  # pixels from the picture's corner to a point that can be drawn
UNKNOWN = np.full(3, np.nan)
_LIGHT = np.array([0.7, 1.0, 1.0])  # weight of the lightness, which shadows change
_SHOULDERS = [INDEX["left_shoulder"], INDEX["right_shoulder"]]
_HIPS = [INDEX["left_hip"], INDEX["right_hip"]]


def shirt_colour(rgb: NDArray[np.uint8], points: NDArray[np.floating], height: float) -> Floats:
    """Return the median colour (Lab) along the upper trunk; NaN where too few pixels of it are in the picture.

    `points` (23, 2 or 3) are in pixels, as `height` of the body. A band along the trunk's axis is used, because from
    the side shoulders and hips enclose little more than an arm.
    """
    shoulders, hips = (points[pair, :2].astype(np.float64).mean(axis=0) for pair in (_SHOULDERS, _HIPS))
    ends = np.array([shoulders + share * (hips - shoulders) for share in SHIRT])
    if not (np.isfinite(height) and np.isfinite(ends).all() and np.abs(ends).max() < LARGEST_SIDE):
        return UNKNOWN
    (x0, y0), (x1, y1) = np.rint(ends).astype(int).tolist()
    shape = np.zeros(rgb.shape[:2], np.uint8)
    cv2.line(shape, (x0, y0), (x1, y1), 1, max(3, round(SHIRT_WIDTH * height)))
    pixels = rgb[shape > 0]
    if len(pixels) < MIN_SHIRT:
        return UNKNOWN
    lab = cv2.cvtColor((pixels[None] / np.float32(255)).astype(np.float32), cv2.COLOR_RGB2LAB)
    return np.median(lab[0], axis=0).astype(np.float64)


def differs(a: Floats, b: Floats) -> bool:
    """Return whether two shirts have colours of their own; unknown colours do not differ."""
    return bool(np.linalg.norm((a - b) * _LIGHT) > OTHER_SHIRT)
