"""Refines keypoints: from an estimator's output to a walk that angles and gait events can be read from.

Stages, in this order, one module each: low scores and other people (confidence.py), swapped sides (sides.py), outliers
(outliers.py), short gaps (gaps.py), noise (denoise.py). Manual corrections (manual.py) override every stage and shift
their neighbours. No position is made up: what cannot be inferred stays missing, and every point has a status.

Swapped legs are the largest error of all, so they are undone before outliers are removed, over the whole leg and over
time. The low-pass is a zero-lag Butterworth filter (filters.py) whose cut-off frequencies suit children: they step
faster than adults, and below about 6 Hz their filtered ankles are worse than unfiltered ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.corrections import Correction, SideCorrection
from childgait.domain.evgs import View
from childgait.domain.poses import Poses
from childgait.gait.refine.confidence import drop_points, find_other_people, find_points_outside
from childgait.gait.refine.denoise import low_pass_points, remove_joint_noise
from childgait.gait.refine.gaps import fill_gaps
from childgait.gait.refine.manual import (
    apply_corrections,
    apply_sides,
    corrected_points,
    shift_neighbours,
    sides_by_correction,
)
from childgait.gait.refine.outliers import find_outliers
from childgait.gait.refine.sides import Swaps, undo_swaps

if TYPE_CHECKING:
    from childgait.params import RefinePose


@dataclass
class Report:
    """Number of points and frames that each stage changed; the keys of the step's summary."""

    gated: int = 0
    outside: int = 0
    frames_of_others: int = 0
    frames_swapped: int = 0
    arm_frames_swapped: int = 0
    sides: str = "as delivered"
    outliers: int = 0
    filled: int = 0


def refine(
    poses: Poses,
    params: RefinePose,
    view: View | None,
    boxes: NDArray[np.float64] | None,
    corrections: list[Correction],
) -> tuple[Poses, Report]:
    """Return what `refine_with_sides` returns but for the sides, which few callers need."""
    return refine_with_sides(poses, params, view, boxes, corrections)[:2]


def refine_with_sides(
    poses: Poses,
    params: RefinePose,
    view: View | None,
    boxes: NDArray[np.float64] | None,
    corrections: list[Correction],
    legs_settled: bool = False,
    side_corrections: Sequence[SideCorrection] = (),
) -> tuple[Poses, Report, Swaps]:
    """Return refined poses, what was changed, and whose sides differ from the estimate.

    The input is not modified. `boxes` (T, 4) is NaN without a child.
    """
    poses = poses.copy()
    report = Report()
    corrected = corrected_points(poses, corrections)
    unseen = corrected_points(poses, corrections, seen=False)

    report.gated = drop_points(poses, (poses.score < params.min_score) & poses.seen)
    outside = find_points_outside(poses, boxes, params.box_margin)
    others = find_other_people(poses, outside)
    report.outside = drop_points(poses, outside & ~others[:, None])
    report.frames_of_others = int(others.sum())
    drop_points(poses, others[:, None] & poses.seen)

    swaps = undo_swaps(poses, params.swap_penalty, view, sides_by_correction(poses, corrections), legs_settled)
    apply_sides(poses, side_corrections, swaps)
    report.frames_swapped, report.arm_frames_swapped = int(swaps.legs.sum()), int(swaps.arms.sum())
    report.sides = swaps.decided_by or report.sides
    apply_corrections(poses, corrections)

    report.outliers = drop_points(poses, find_outliers(poses, params.outlier_sigmas) & ~corrected)
    report.filled = fill_gaps(poses, params.longest_gap_seconds)
    report.filled -= drop_points(poses, unseen & poses.seen)
    before = poses.xy.copy()
    if params.joint_noise:
        remove_joint_noise(poses, params.joint_noise)
    low_pass_points(poses, params.distal_hz, params.proximal_hz)
    shift_neighbours(poses, before, corrected)
    return poses, report, swaps
