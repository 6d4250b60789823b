"""Derives direction of travel, gait events and joint angles from refined keypoints of one recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.corrections import Correction, SideCorrection
from childgait.domain.evgs import View
from childgait.domain.poses import Poses
from childgait.gait.events import Gait, Travel, find_events, find_travel
from childgait.gait.kinematics import Angles, measure_angles
from childgait.gait.refine import Report, refine_with_sides
from childgait.gait.refine.sides import Swaps

if TYPE_CHECKING:
    from childgait.params import RefinePose


@dataclass(frozen=True)
class RefinedWalk:
    """Refined keypoints, what refinement changed, and what is derived from them."""

    poses: Poses
    report: Report
    swaps: Swaps
    travel: Travel
    gait: Gait
    angles: Angles


def refine_walk(
    estimated: Poses,
    params: RefinePose,
    view: View,
    boxes: NDArray[np.float64] | None,
    corrections: list[Correction],
    legs_settled: bool,
    side_corrections: Sequence[SideCorrection],
    unmeasured: Sequence[str] = (),
) -> RefinedWalk:
    """Return the refined walk; the arguments are those of `refine`, and joint curves that the estimator lacks."""
    poses, report, swaps = refine_with_sides(
        estimated, params, view, boxes, corrections, legs_settled, side_corrections
    )
    travel = find_travel(poses, view)
    gait = find_events(poses, view, travel.facing)
    angles = measure_angles(poses, view, travel.facing or 1, unmeasured)
    return RefinedWalk(poses, report, swaps, travel, gait, angles)
