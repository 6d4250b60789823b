"""Drops events that are too close together, and infers events hidden by a gap from the limb's other steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from childgait.domain.evgs import LIMBS, Limb
from childgait.gait.body import hip_middle
from childgait.gait.events.phase import Walk
from childgait.gait.events.table import GaitEvent

if TYPE_CHECKING:
    from childgait.gait.events.table import Kind

APART = 0.35  # of a stride, between two events of one kind
LONGEST_DELAY = 0.62  # of a stride, between a mid-stance and its contact before or foot-off after
FEWEST_STEPS = 2  # with a delay of their own, from which a typical one is taken
_SIDES: tuple[tuple[Kind, int], ...] = (("contact", -1), ("foot_off", 1))  # before and after mid-stance


def drop_implausible(events: list[GaitEvent], stride: float) -> list[GaitEvent]:
    """Keep one of any two events of a kind that are less than APART: the later contact, the earlier foot-off."""
    remaining: list[GaitEvent] = []
    for limb in LIMBS:
        for kind, _ in _SIDES:
            own = sorted((e for e in events if e.limb == limb and e.kind == kind), key=lambda event: event.seconds)
            plausible: list[GaitEvent] = []
            for event in own:
                if plausible and event.seconds - plausible[-1].seconds < APART * stride:
                    if kind == "contact":
                        plausible[-1] = event
                else:
                    plausible.append(event)
            remaining += plausible
    return remaining


def infer_typical_events(walk: Walk, limb: Limb, events: list[GaitEvent]) -> list[GaitEvent]:
    """Return events at the median delay of the limb's other steps, for steps whose own event is hidden by a gap.

    The hips must be present at that moment: the step itself is in the video.
    """
    inferred = []
    hips = np.isfinite(hip_middle(walk.poses).sum(axis=1))
    stride = walk.stride_seconds
    for kind, direction in _SIDES:
        times = np.array([event.seconds for event in events if event.limb == limb and event.kind == kind])
        delays: dict[float, float | None] = {}
        for moment in walk.mid_stances[limb]:
            near = times[(direction * (times - moment) > 0) & (np.abs(times - moment) < LONGEST_DELAY * stride)]
            delays[float(moment)] = float(near[0] - moment) if len(near) else None
        usual = [delay for delay in delays.values() if delay is not None]
        if len(usual) < FEWEST_STEPS:
            continue
        for moment in (moment for moment, delay in delays.items() if delay is None):
            event = walk.event(limb, kind, moment + float(np.median(usual)), "typical")
            free = np.abs(times - event.seconds).min() > APART * stride
            if walk.covers(event.seconds) and hips[event.frame] and free:
                inferred.append(event)
    return inferred
