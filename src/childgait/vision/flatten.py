"""Flattens colour and texture of the child's region in clips: what clothes, skin and folds show is taken away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def flatten_region(frames: NDArray[np.uint8], masks: NDArray[np.bool_], strength: float) -> NDArray[np.uint8]:
    """Mix the pixels of frames (T, S, S, 3) inside masks (T, S, S) with the region's mean grey level.

    At strength 0 the frames are unchanged; at strength 1 the region has one grey level over all frames.
    """
    flat = frames.copy()
    if masks.any():
        inside = frames[masks].astype(np.float32)
        flat[masks] = np.rint((1 - strength) * inside + strength * inside.mean()).astype(np.uint8)
    return flat
