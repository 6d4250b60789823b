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

from childgait.domain.evgs import LIMBS, Limb, View
from childgait.domain.poses import Poses
from childgait.gait.body import body_height
from childgait.gait.events.end_view import end_view_events
from childgait.gait.events.phase import Walk, find_unfit_reason, find_walk
from childgait.gait.events.repair import drop_implausible, infer_typical_events
from childgait.gait.events.side_view import feet_rest, side_view_events
from childgait.gait.events.strides import build_strides
from childgait.gait.events.table import EVENTS, GaitEvent, Kind, as_table
from childgait.gait.events.travel import Travel, find_travel
from childgait.gait.events.zeni import zeni_events
from childgait.gait.scoring import Stride

__all__ = ["EVENTS", "Gait", "GaitEvent", "Kind", "Travel", "as_table", "find_events", "find_strides", "find_travel"]


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
