"""A manual correction of one keypoint in one frame."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Correction:
    """The corrected position of one point in one frame, in pixels."""

    frame: int
    point: int
    x: float
    y: float
