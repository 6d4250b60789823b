"""Camera movement: how far the background shifts between sampled frames, in pixels.

Corners of the background are tracked by optical flow (Lucas-Kanade, forward and backward) outside the region of the
child; the median displacement is the camera's. With too few corners the result is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cv2.typing import MatLike

MIN_CORNERS = 12  # below which a background has too little texture


def track_corners(
    before: NDArray[np.uint8], after: NDArray[np.uint8], corners: MatLike, max_error: float
) -> tuple[MatLike, NDArray[np.bool_]]:
    """Return where corners (N, 1, 2) lie in `after`, and which miss their place by less than `max_error` pixels after
    optical flow there and back."""
    forward, forward_ok, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None, winSize=(15, 15), maxLevel=3)
    backward, backward_ok, _ = cv2.calcOpticalFlowPyrLK(after, before, forward, None, winSize=(15, 15), maxLevel=3)
    error = np.linalg.norm((backward - corners).reshape(-1, 2), axis=1)
    return forward, (forward_ok.ravel() == 1) & (backward_ok.ravel() == 1) & (error < max_error)


def shift_between(
    before: NDArray[np.uint8], after: NDArray[np.uint8], background: NDArray[np.bool_] | None = None
) -> float | None:
    """Return the median displacement in pixels of the background's corners; None if there are too few.

    `background` marks the pixels in which corners may lie.
    """
    region = None if background is None else background.astype(np.uint8)
    apart = max(8, before.shape[1] // 40)  # spread over the picture, so that corners on people are a minority
    corners = cv2.goodFeaturesToTrack(before, 250, 0.002, apart, mask=region)
    if corners is None or len(corners) < MIN_CORNERS:
        return None
    forward, reliable = track_corners(before, after, corners, max_error=0.5)
    distances = np.linalg.norm((forward - corners).reshape(-1, 2), axis=1)[reliable]
    return float(np.median(distances)) if len(distances) >= MIN_CORNERS else None


def camera_shift(
    pictures: Sequence[NDArray[np.uint8]], backgrounds: Sequence[NDArray[np.bool_]] | None
) -> float | None:
    """Return the 90th percentile of the shift over pairs of samples, in pixels; None if most have too few corners.

    Pairs of neighbours measure shake; pairs with the middle sample measure a slow pan or a single bump.
    """
    middle = len(pictures) // 2
    pairs = [(i, i + 1) for i in range(0, len(pictures) - 1, 4)] + [(i, middle) for i in range(0, len(pictures), 6)]
    results = [
        shift_between(pictures[a], pictures[b], None if backgrounds is None else backgrounds[a] & backgrounds[b])
        for a, b in pairs
    ]
    shifts = [shift for shift in results if shift is not None]
    return float(np.quantile(shifts, 0.9)) if 2 * len(shifts) >= len(pairs) and shifts else None
