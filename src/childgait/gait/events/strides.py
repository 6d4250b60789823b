"""Builds strides from events."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import Limb
from childgait.gait.events.phase import LONGEST_STRIDE, SHORTEST_STRIDE, opposite
from childgait.gait.events.table import GaitEvent
from childgait.gait.scoring import Stride

if TYPE_CHECKING:
    from childgait.gait.events.table import Kind


def build_strides(events: list[GaitEvent], limb: Limb, mid_stances: dict[Limb, NDArray[np.float64]]) -> list[Stride]:
    """Return a limb's strides, contact to contact, with the other limb's events in between (NaN where unknown)."""

    def first_between(side: Limb, kind: Kind, start: float, end: float) -> float:
        inside = [e.seconds for e in events if e.limb == side and e.kind == kind and start < e.seconds < end]
        return inside[0] if inside else float("nan")

    contacts = [event.seconds for event in events if event.limb == limb and event.kind == "contact"]
    strides = []
    for start, end in pairwise(contacts):
        if not SHORTEST_STRIDE <= end - start <= LONGEST_STRIDE:
            continue
        passing = [float(moment) for moment in mid_stances[limb] if start < moment < end]
        strides.append(
            Stride(
                contact=start,
                opposite_off=first_between(opposite(limb), "foot_off", start, end),
                passing=passing[0] if passing else float("nan"),
                opposite_contact=first_between(opposite(limb), "contact", start, end),
                foot_off=first_between(limb, "foot_off", start, end),
                next_contact=end,
            )
        )
    return strides
