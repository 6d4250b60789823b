"""Applies manual corrections: points keep their place and shift their neighbours; sides of limbs are fixed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from childgait.domain.corrections import Correction, SideCorrection
from childgait.domain.poses import Poses, Status
from childgait.gait.refine.confidence import drop_points
from childgait.gait.refine.sides import ARM, LEG, Swaps, swap_sides

REACH_SECONDS = 0.1  # on either side of a correction, within which its neighbours are shifted


def corrected_points(poses: Poses, corrections: list[Correction], seen: bool = True) -> NDArray[np.bool_]:
    """Return which points (T, 23) were corrected to a place; with `seen` false, which were marked as unseen."""
    corrected = np.zeros(poses.score.shape, bool)
    for correction in corrections:
        corrected[correction.frame, correction.point] = correction.seen == seen
    return corrected


def apply_corrections(poses: Poses, corrections: list[Correction]) -> None:
    """Set the corrected points; drop those that cannot be seen."""
    for correction in corrections:
        if correction.seen:
            poses.xy[correction.frame, correction.point] = correction.x, correction.y
            poses.score[correction.frame, correction.point] = 1.0
            poses.status[correction.frame, correction.point] = Status.CORRECTED
    drop_points(poses, corrected_points(poses, corrections, seen=False))


def apply_sides(poses: Poses, corrections: Sequence[SideCorrection], swaps: Swaps) -> None:
    """Set the sides of limbs in the corrected frames and note them in `swaps`, which holds what was swapped before."""
    for correction in corrections:
        pairs, swapped = (LEG, swaps.legs) if correction.limbs == "legs" else (ARM, swaps.arms)
        frames = np.zeros(len(poses), bool)
        frames[correction.first : correction.last + 1] = True
        frames &= swapped != correction.exchanged
        swap_sides(poses, pairs, frames)
        swapped[frames] = correction.exchanged


def sides_by_correction(poses: Poses, corrections: list[Correction]) -> NDArray[np.float64]:
    """Return each frame's evidence (T,) on its legs: positive "as they are", negative "swapped", 0 none.

    A corrected left ankle that lies near the right one's place means "swapped".
    """
    evidence = np.zeros(len(poses))
    partner = {int(a): int(b) for pair in LEG for a, b in (pair, pair[::-1])}
    for correction in corrections:
        if correction.point in partner:
            at = np.array([correction.x, correction.y])
            own = np.linalg.norm(poses.xy[correction.frame, correction.point] - at)
            other = np.linalg.norm(poses.xy[correction.frame, partner[correction.point]] - at)
            if np.isfinite(own) and np.isfinite(other):
                evidence[correction.frame] += np.sign(other - own) if abs(other - own) > 0.5 * (own + other) else 0
    return evidence


def shift_neighbours(poses: Poses, before: NDArray[np.float32], corrected: NDArray[np.bool_]) -> None:
    """Undo the smoothing of corrected points and shift their neighbours along.

    The shift is what smoothing moved the point by (`before` is the state before it); it falls to zero over
    REACH_SECONDS, and is interpolated between corrections nearer to each other.
    """
    for point in np.flatnonzero(corrected.any(axis=0)):
        frames = np.flatnonzero(corrected[:, point])
        offsets = before[frames, point] - poses.xy[frames, point]
        times, values = _knots(poses.seconds[frames], offsets)
        shift = np.stack([np.interp(poses.seconds, times, values[:, axis], 0, 0) for axis in (0, 1)], axis=1)
        poses.xy[:, point] += shift.astype(np.float32)


def _knots(moments: NDArray[np.float64], offsets: NDArray[np.floating]) -> tuple[list[float], NDArray[np.floating]]:
    """Return times and values (n, 2) of the piecewise linear shift through the corrections of one point."""
    times: list[float] = []
    values: list[NDArray[np.floating]] = []
    for n, moment in enumerate(moments):
        if n == 0 or moment - moments[n - 1] > REACH_SECONDS:
            times.append(max(moment - REACH_SECONDS, times[-1] + 1e-6) if times else moment - REACH_SECONDS)
            values.append(np.zeros(2))
        times.append(moment)
        values.append(offsets[n])
        if n == len(moments) - 1 or moments[n + 1] - moment > REACH_SECONDS:
            times.append(moment + REACH_SECONDS)
            values.append(np.zeros(2))
    return times, np.array(values)
