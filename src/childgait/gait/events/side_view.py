"""Times events in a side view: a foot comes to rest at contact and starts to move at foot-off."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import LIMBS, Limb
from childgait.domain.skeleton import INDEX
from childgait.gait.events.end_view import MERGED_WITHIN, merge_near, times_by_swing
from childgait.gait.events.phase import Walk, opposite
from childgait.gait.events.table import GaitEvent

Floats = NDArray[np.float64]

FOOT = ("heel", "big_toe", "small_toe")

# Levels are shares of the 90 % quantile of a foot's speed, chosen on synthetic children who are in no cohort.
SWING_QUANTILE = 0.9
HIGH, LOW, REST = 0.6, 0.3, 0.1  # the fall of the speed from HIGH to LOW is extrapolated to REST: contact
START = 0.48  # the ankle's speed rises through this: foot-off
LONGEST_FALL = 0.15  # seconds from HIGH to LOW; a longer fall is not extrapolated
SEARCH = 0.6  # of a stride, from mid-swing or mid-stance, in which an edge is searched
APART = 0.3  # of a stride, between two edges of one kind
REST_SPEED = 0.35  # body heights per second in mid-stance, below which a foot rests; the body moves at about one
MID_STANCE = 0.08  # of a stride, on either side of mid-stance, in which a foot should rest


def feet_rest(walk: Walk) -> bool:
    """Return whether feet rest in the picture at mid-stance, as they do unless the camera moves."""
    speeds = _standing_speeds(walk)
    return bool(speeds) and float(np.median(speeds)) < REST_SPEED


def camera_moves(walk: Walk) -> bool:
    """Return whether standing feet move in the picture; false where no foot is seen to stand."""
    speeds = _standing_speeds(walk)
    return bool(speeds) and float(np.median(speeds)) >= REST_SPEED


def _standing_speeds(walk: Walk) -> list[float]:
    """Return the speeds of feet at mid-stance in the picture, in body heights per second."""
    poses, speeds = walk.poses, []
    for limb in LIMBS:
        for moment in walk.mid_stances[limb]:
            near = np.flatnonzero(np.abs(poses.seconds - moment) < MID_STANCE * walk.stride_seconds)
            for name in FOOT[:2]:
                places = poses.xy[near, INDEX[f"{limb}_{name}"]]
                if len(near) > 3 and np.isfinite(places).all():
                    way = places[-len(near) // 3 :].mean(axis=0) - places[: len(near) // 3 + 1].mean(axis=0)
                    duration = 0.1 * walk.stride_seconds  # between the middles of the first and the last third
                    speeds.append(float(np.linalg.norm(way)) / walk.height[near[0]] / duration)
    return speeds


def side_view_events(walk: Walk, limb: Limb) -> list[GaitEvent]:
    """Return a limb's events: the means of the edges of rest and of the signs of swing.

    Contact: the slowest of heel, toes and ankle counts, because whichever arrives first rests first. Foot-off: the
    ankle starts. Each of the two kinds of evidence fails for some gait pattern, so both are averaged.
    """
    foot, ankle = _speed(walk, limb, FOOT), _speed(walk, limb, ("ankle",))
    slowest = np.fmin(foot, ankle)
    high, contacts = _edges(walk, limb, slowest, HIGH, 1), []
    for time in _edges(walk, limb, slowest, LOW, 1):
        before = [t for t in high if 0 <= time - t < LONGEST_FALL]
        contacts.append(time + (time - before[-1]) * (LOW - REST) / (HIGH - LOW) if before else time)
    swing_contacts, swing_offs = times_by_swing(walk, limb)
    within = MERGED_WITHIN * walk.stride_seconds
    contacts = merge_near(sorted(contacts + swing_contacts), within)
    offs = merge_near(sorted(_edges(walk, limb, ankle, START, -1) + swing_offs), within)
    return walk.events(limb, contacts, offs, "standing")


def _speed(walk: Walk, limb: Limb, names: tuple[str, ...]) -> Floats:
    """Return the speed (T,) of the slowest of these points in body heights per second; NaN without any."""
    speeds = []
    for name in names:
        place = walk.poses.xy[:, INDEX[f"{limb}_{name}"]].astype(np.float64) / walk.height[:, None]
        speeds.append(np.linalg.norm(np.gradient(place, walk.poses.seconds, axis=0), axis=1))
    slowest = np.min(np.where(np.isfinite(speeds), speeds, np.inf), axis=0)
    return np.where(np.isfinite(slowest), slowest, np.nan)


def _edges(walk: Walk, limb: Limb, speed: Floats, share: float, direction: int) -> list[float]:
    """Return when a foot comes to rest (`direction` 1) or starts to move (-1), in seconds, between frames.

    Searches from each mid-swing (the other limb's mid-stance) towards rest; where that leads out of the video, from
    each mid-stance towards motion. A missing point ends the search.
    """
    seconds, stride = walk.poses.seconds, walk.stride_seconds
    above = speed - share * float(np.nanquantile(speed, SWING_QUANTILE))
    moving = above > 0
    swings, stances = walk.mid_stances[opposite(limb)], walk.mid_stances[limb]
    edges: list[float] = []
    for anchors, step, state in ((swings, direction, True), (stances, -direction, False)):
        for moment in anchors:
            n = int(np.argmin(np.abs(seconds - moment)))
            while moving[n] == state and 0 <= n + step < len(seconds) and abs(seconds[n] - moment) < SEARCH * stride:
                if not np.isfinite(above[[n, n + step]]).all():
                    break
                if moving[n + step] != state:
                    part = above[n] / (above[n] - above[n + step])
                    time = float(seconds[n] + part * (seconds[n + step] - seconds[n]))
                    if all(abs(time - other) > APART * stride for other in edges):
                        edges.append(time)
                    break
                n += step
    return sorted(edges)
