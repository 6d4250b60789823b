"""Proposes the frames of a recording in which a manual correction would change its scored items most.

The gain of a frame is a sum over points of doubt times leverage. Doubt is the error that the point may have, in body
heights: from its score and from what refinement changed. Leverage is the change of the items per such error: how much
the point moves a curve, near the moments at which an item is measured on it, over the item's distance from an edge of
its bands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import LIMBS, Limb, View
from childgait.domain.poses import Poses, Status
from childgait.domain.skeleton import MIRRORED, POINTS
from childgait.gait.body import body_height
from childgait.gait.kinematics import Angles, measure_angles
from childgait.gait.refine.manual import REACH_SECONDS
from childgait.gait.refined_walk import RefinedWalk
from childgait.gait.scoring import CURVE_OF, bands_of, measure_item

Floats = NDArray[np.float64]
COUNT = 20  # frames per recording
NUDGE = 0.01  # body heights by which a point is shifted for the derivative of the curves
SCORE_ERROR = 0.03  # body heights of error of a point with score 0
MISSING_ERROR = 0.05  # body heights of doubt of a point that is missing or filled
SMOOTHING = 0.01  # body heights by which the low-pass moves a point that is right
LARGEST_ERROR = 0.2  # body heights; an outlier is no larger doubt than this
MOMENT_SECONDS = 0.04  # standard deviation of the weight around an item's moment; the low-pass spreads a point so far
EDGE_SHARE = 0.25  # of the typical band's width, added to the distance from an edge: a value has an error itself
OPEN_BAND = 10.0  # width that stands for a band without an edge


@dataclass(frozen=True)
class Proposal:
    """A frame to look at, and the point in it whose correction would change most."""

    frame: int
    joint: str
    gain: float


def propose_frames(estimated: Poses, walk: RefinedWalk, view: View, count: int = COUNT) -> list[Proposal]:
    """Return up to `count` frames, the largest gain first.

    A correction also shifts its neighbours, so that the gain of these falls with their distance in time.
    """
    height = body_height(walk.poses.xy)
    if not np.isfinite(height).any():
        return []
    gains = find_doubts(estimated, walk.poses, height) * find_leverages(walk, view, height)
    left = gains.sum(axis=1)
    seconds = walk.poses.seconds
    proposals: list[Proposal] = []
    while len(proposals) < count and left.max() > 0:
        frame = int(left.argmax())
        proposals.append(Proposal(frame, POINTS[int(gains[frame].argmax())], float(left[frame])))
        left *= np.minimum(1.0, np.abs(seconds - seconds[frame]) / REACH_SECONDS)
    return proposals


def find_doubts(estimated: Poses, refined: Poses, height: Floats) -> Floats:
    """Return the possible error (T, 23) of each refined point in body heights; 0 for a corrected one."""
    own = np.linalg.norm(refined.xy - estimated.xy, axis=2)
    exchanged = np.linalg.norm(refined.xy - estimated.xy[:, MIRRORED], axis=2)
    moved = np.fmin(own, exchanged) / np.nan_to_num(height, nan=float(np.nanmedian(height)))[:, None]
    moved = np.maximum(np.nan_to_num(moved) - SMOOTHING, 0.0)
    uncertain = (refined.status == Status.MISSING) | (refined.status == Status.FILLED)
    doubts = SCORE_ERROR * (1 - np.clip(refined.score, 0, 1)) + moved + MISSING_ERROR * uncertain
    return np.asarray(np.where(refined.status == Status.CORRECTED, 0.0, np.minimum(doubts, LARGEST_ERROR)))


def find_leverages(walk: RefinedWalk, view: View, height: Floats) -> Floats:
    """Return per frame and point (T, 23) the change of the items, in distances from their edges, per body height."""
    weights = item_weights(walk)
    nudge = NUDGE * float(np.nanmedian(height))
    facing = walk.travel.facing or 1
    leverages = np.zeros(walk.poses.score.shape)
    for point in range(len(POINTS)):
        shifts = []
        for axis in (0, 1):
            xy = walk.poses.xy.copy()
            xy[:, point, axis] += nudge
            shifts.append(measure_angles(replace(walk.poses, xy=xy), view, facing))
        for (limb, curve), weight in weights.items():
            leverages[:, point] += weight * _slope(walk.angles, shifts, limb, curve)
    return leverages / NUDGE


def _slope(angles: Angles, shifts: list[Angles], limb: Limb, curve: str) -> Floats:
    """Return how much a curve changes by a nudge; where a point is missing, its median over the recording."""
    across, down = (shift.curves[limb][curve] - angles.curves[limb][curve] for shift in shifts)
    slope = np.hypot(across, down)
    known = slope[np.isfinite(slope)]
    return np.asarray(np.where(np.isfinite(slope), slope, np.median(known) if len(known) else 0.0))


def item_weights(walk: RefinedWalk) -> Mapping[tuple[Limb, str], Floats]:
    """Return per limb and curve the weight (T,) of each frame; without strides all frames weigh alike."""
    seconds = walk.poses.seconds
    weights: dict[tuple[Limb, str], Floats] = {}
    for limb in LIMBS:
        curves = {name: curve for name, curve in walk.angles.curves[limb].items() if np.isfinite(curve).any()}
        strides = walk.gait.strides[limb]
        for code, name in CURVE_OF.items():
            if name not in curves:
                continue
            total = weights.setdefault((limb, name), np.zeros(len(seconds)))
            if not strides:
                total += 1 / OPEN_BAND
            for stride in strides:
                value, moment = measure_item(code, seconds, curves, stride)
                if math.isfinite(value) and math.isfinite(moment):
                    near = np.exp(-0.5 * ((seconds - moment) / MOMENT_SECONDS) ** 2)
                    total += near / (edge_distance(code, value) * len(strides))
    return weights


def edge_distance(code: str, value: float) -> float:
    """Return the distance of a value from the nearest edge of the item's bands, plus a share of the typical band."""
    bands = bands_of(code)
    edges = [edge for edge in (bands.two_low, bands.zero_low, bands.zero_high, bands.two_high) if math.isfinite(edge)]
    width = bands.zero_high - bands.zero_low
    width = width if math.isfinite(width) else OPEN_BAND
    return min(abs(value - edge) for edge in edges) + EDGE_SHARE * width
