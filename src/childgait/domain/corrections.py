"""Manual corrections of keypoints: one point in one frame, or the sides of legs or arms over a range of frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Limbs = Literal["legs", "arms"]
LIMB_GROUPS: tuple[Limbs, ...] = get_args(Limbs)


@dataclass(frozen=True)
class Correction:
    """The corrected position of one point in one frame, in pixels; NaN for a point that cannot be seen there."""

    frame: int
    point: int
    x: float
    y: float

    @property
    def seen(self) -> bool:
        return not math.isnan(self.x)


@dataclass(frozen=True)
class SideCorrection:
    """The sides of both legs or arms in the frames `first` to `last`, both included.

    They are those of the estimated keypoints, or these with left and right exchanged. Relating to the estimate and not
    to the refined keypoints, a row means the same after every rerun.
    """

    limbs: Limbs
    first: int
    last: int
    exchanged: bool
