"""Keypoints of one child over one video, as arrays. A missing point is NaN in `xy`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import POINTS


class Status(IntEnum):
    """Origin of a point: measured, corrected manually, swapped to its own side, filled by interpolation, or missing."""

    MEASURED = 0
    CORRECTED = 1
    SWAPPED = 2
    FILLED = 3
    MISSING = 4

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass
class Poses:
    """T frames of the 23 points. Missing points have NaN in `xy` and the status MISSING."""

    seconds: NDArray[np.float64]  # (T,) from the video's first frame
    xy: NDArray[np.float32]  # (T, 23, 2) pixels
    score: NDArray[np.float32]  # (T, 23)
    status: NDArray[np.uint8]  # (T, 23) of Status

    def __post_init__(self) -> None:
        frames = len(self.seconds)
        assert self.xy.shape == (frames, len(POINTS), 2), self.xy.shape
        assert self.score.shape == self.status.shape == (frames, len(POINTS)), (self.score.shape, self.status.shape)

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which points (T, 23) have a position."""
        return np.asarray(np.isfinite(self.xy).all(axis=2))

    def copy(self) -> Poses:
        return replace(
            self, seconds=self.seconds.copy(), xy=self.xy.copy(), score=self.score.copy(), status=self.status.copy()
        )


def make_poses(seconds: NDArray[np.float64], xy: NDArray[np.float32], score: NDArray[np.float32]) -> Poses:
    """Return poses with status MEASURED; points without a position are MISSING with score 0."""
    xy = np.array(xy, np.float32)
    gone = ~np.isfinite(xy).all(axis=2)
    xy[gone] = np.nan
    score = np.where(gone, 0.0, np.nan_to_num(score)).astype(np.float32)
    status = np.where(gone, Status.MISSING, Status.MEASURED).astype(np.uint8)
    return Poses(np.asarray(seconds, np.float64), xy, score, status)


def no_poses() -> Poses:
    """Return poses of no frame, for a video without delivered keypoints."""
    return make_poses(np.zeros(0), np.zeros((0, len(POINTS), 2), np.float32), np.zeros((0, len(POINTS)), np.float32))
