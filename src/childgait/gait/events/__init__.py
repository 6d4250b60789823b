"""Detects gait events (initial contact and foot-off of both limbs), strides, and the direction of travel.

Reads refined poses; returns events and strides, or the reason why there are none, which is a valid result.

Method: the two feet alternate, so their difference (along the way in a side view, up and down the picture in an end
view) oscillates once per stride, and its phase gives the moments at which each limb stands alone (phase.py). In a side
view each foot is followed from its mid-swing to where it comes to rest, and from its mid-stance to where it leaves
(side_view.py). In an end view contact moves the foot too little to be timed; signs of early swing are timed instead
(end_view.py). No rule needs a heel strike, so toe walkers and crouched children are treated like all others. If the
camera moves, no foot rests in the picture, and the rule of Zeni et al. 2008 applies (zeni.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from childgait.domain.evgs import LIMBS, Limb, View
from childgait.domain.poses import Poses
from childgait.domain.skeleton import INDEX
from childgait.gait.body import body_height, hip_middle
from childgait.gait.events.end_view import end_view_events
from childgait.gait.events.phase import Walk, find_unfit_reason, find_walk
from childgait.gait.events.repair import drop_implausible, infer_typical_events
from childgait.gait.events.side_view import camera_moves, feet_rest, side_view_events
from childgait.gait.events.strides import build_strides
from childgait.gait.events.table import EVENTS, GaitEvent, Kind, as_table
from childgait.gait.events.travel import Travel, find_travel
from childgait.gait.events.zeni import zeni_events
from childgait.gait.scoring import Stride

__all__ = [
    "EVENTS",
    "Gait",
    "GaitEvent",
    "Kind",
    "Travel",
    "as_table",
    "find_events",
    "find_speed",
    "find_strides",
    "find_travel",
]
STANCE_PART = (0.2, 0.8)  # of a stance, in which the foot rests flat or nearly so
FEWEST_SPEED_FRAMES = 5


@dataclass
class Gait:
    """Events in order of time and strides by limb; `reason` states why there are no events and is empty otherwise."""

    events: list[GaitEvent] = field(default_factory=list)
    strides: dict[Limb, list[Stride]] = field(default_factory=lambda: {limb: [] for limb in LIMBS})
    reason: str = ""


def find_events(poses: Poses, view: View, facing: int) -> Gait:
    """Return initial contacts and foot-offs of both limbs, and their strides. `facing` as in Travel."""
    height = body_height(poses.xy)
    if reason := find_unfit_reason(poses, height):
        return Gait(reason=reason)
    walk = find_walk(poses, view, facing, height)
    if not any(len(moments) for moments in walk.mid_stances.values()):
        return Gait(reason="the feet do not alternate as in walking")
    events = drop_implausible(_timed_events(walk), walk.stride_seconds)
    events += [event for limb in LIMBS for event in infer_typical_events(walk, limb, events)]
    gait = Gait(sorted(events, key=lambda event: (event.seconds, event.limb, event.kind)))
    gait.strides = {limb: build_strides(gait.events, limb, walk.mid_stances) for limb in LIMBS}
    if not gait.events:
        gait.reason = "no foot was seen to arrive at or leave a place on the ground"
    return gait


def _timed_events(walk: Walk) -> list[GaitEvent]:
    """Return the events of both limbs by the method that the view and the camera allow."""
    if walk.view in ("forward", "backward"):
        method = end_view_events
    else:
        method = side_view_events if feet_rest(walk) else zeni_events
    return [event for limb in LIMBS for event in method(walk, limb)]


def find_strides(poses: Poses, view: View, facing: int, events: list[GaitEvent]) -> dict[Limb, list[Stride]]:
    """Return the strides of given events by limb."""
    height = body_height(poses.xy)
    if find_unfit_reason(poses, height):
        return {limb: [] for limb in LIMBS}
    mid_stances = find_walk(poses, view, facing, height).mid_stances
    return {limb: build_strides(events, limb, mid_stances) for limb in LIMBS}


def find_speed(poses: Poses, view: View, travel: Travel, strides: dict[Limb, list[Stride]]) -> float:
    """Return the walking speed in body heights per second across the picture; NaN in an end view.

    If the camera moves, the speed is that of the hips over the standing foot, which rests in the room.
    """
    length = float(poses.seconds[-1] - poses.seconds[0]) if len(poses) > 1 else 0.0
    if view not in ("left", "right") or length <= 0:
        return float("nan")
    speed = abs(travel.across) / length
    height = body_height(poses.xy)
    if find_unfit_reason(poses, height) or not camera_moves(find_walk(poses, view, travel.facing, height)):
        return speed
    over_feet = [v for limb in LIMBS for stride in strides[limb] if (v := _speed_over_foot(poses, limb, stride)) > 0]
    return float(np.median(over_feet)) if over_feet else float("nan")


def _speed_over_foot(poses: Poses, limb: Limb, stride: Stride) -> float:
    """Return the speed of the hips over one standing foot, in body heights per second; 0 with too few frames."""
    start, end = (stride.contact + share * (stride.foot_off - stride.contact) for share in STANCE_PART)
    way = hip_middle(poses)[:, 0] - poses.xy[:, INDEX[f"{limb}_ankle"], 0].astype(np.float64)
    height = body_height(poses.xy)
    inside = (poses.seconds >= start) & (poses.seconds <= end) & np.isfinite(way) & np.isfinite(height)
    if np.count_nonzero(inside) < FEWEST_SPEED_FRAMES:
        return 0.0
    return abs(float(np.polyfit(poses.seconds[inside], (way / height)[inside], 1)[0]))
