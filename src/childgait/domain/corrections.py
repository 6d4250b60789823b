"""A manual correction of one keypoint in one frame."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Correction:
    """A person's word on one point of one frame."""

    frame: int
    point: int
    x: float
    y: float
