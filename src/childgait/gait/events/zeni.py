"""Times events by Zeni's rule, for a camera that moves with the child.

Zeni, Richards and Higginson 2008, Gait & Posture 27:710-714, doi 10.1016/j.gaitpost.2007.07.007: contact is where the
foot is furthest ahead of the pelvis, foot-off where it is furthest behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from childgait.domain.evgs import Limb
from childgait.domain.skeleton import INDEX
from childgait.gait.body import hip_middle
from childgait.gait.events.phase import Walk
from childgait.gait.events.table import GaitEvent

if TYPE_CHECKING:
    from childgait.gait.events.table import Kind

SEARCH = 0.5  # of a stride, before mid-stance for a contact and after it for a foot-off
_RULES: tuple[tuple[Kind, str, int], ...] = (("contact", "ankle", -1), ("foot_off", "big_toe", 1))


def zeni_events(walk: Walk, limb: Limb) -> list[GaitEvent]:
    """Return a limb's events: the ankle furthest ahead before each mid-stance, the toe furthest behind after it."""
    events, poses = [], walk.poses
    hips = hip_middle(poses)[:, 0]
    for kind, name, direction in _RULES:
        distance = walk.facing * (poses.xy[:, INDEX[f"{limb}_{name}"], 0] - hips) * -direction
        for moment in walk.mid_stances[limb]:
            low, high = sorted((moment, moment + direction * SEARCH * walk.stride_seconds))
            window = np.flatnonzero((poses.seconds >= low) & (poses.seconds <= high) & np.isfinite(distance))
            if len(window) > 5:
                best = window[np.argmax(distance[window])]
                if window[0] < best < window[-1]:
                    events.append(walk.event(limb, kind, float(poses.seconds[best]), "zeni"))
    return events
