"""Whether the camera stood still: how far the room itself moves between sampled frames.

Reads pairs of pictures (lightness) and where the child may be; yields the shift in pixels. Corners of the room are
followed by optical flow, the median of their ways is the camera's. Too few corners is an answer too: None.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

FEWEST = 12  # corners, below which a room is too plain to tell


def shift_between(
    before: NDArray[np.uint8], after: NDArray[np.uint8], elsewhere: NDArray[np.bool_] | None = None
) -> float | None:
    """Median way in pixels of the room's corners from one picture to the other; None if there are too few."""
    region = None if elsewhere is None else elsewhere.astype(np.uint8)
    apart = max(8, before.shape[1] // 40)  # spread over the room, so that people are outvoted
    corners = cv2.goodFeaturesToTrack(before, 250, 0.002, apart, mask=region)
    if corners is None or len(corners) < FEWEST:
        return None
    there, ok, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None, winSize=(15, 15), maxLevel=3)
    back, also, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, winSize=(15, 15), maxLevel=3)
    sure = (ok.ravel() == 1) & (also.ravel() == 1) & (np.linalg.norm((back - corners).reshape(-1, 2), axis=1) < 0.5)
    ways = np.linalg.norm((there - corners).reshape(-1, 2), axis=1)[sure]
    return float(np.median(ways)) if len(ways) >= FEWEST else None


def camera_shift(pictures: Sequence[NDArray[np.uint8]], elsewhere: Sequence[NDArray[np.bool_]] | None) -> float | None:
    """The shift that nine tenths of pairs of samples stay below: a shake, a pan or one bump all raise it.

    Neighbours catch shake, and samples against the middle one catch a slow pan or a bump."""
    middle = len(pictures) // 2
    pairs = [(i, i + 1) for i in range(0, len(pictures) - 1, 4)] + [(i, middle) for i in range(0, len(pictures), 6)]
    found = [
        shift_between(pictures[a], pictures[b], None if elsewhere is None else elsewhere[a] & elsewhere[b])
        for a, b in pairs
    ]
    shifts = [shift for shift in found if shift is not None]
    return float(np.quantile(shifts, 0.9)) if 2 * len(shifts) >= len(pairs) and shifts else None
