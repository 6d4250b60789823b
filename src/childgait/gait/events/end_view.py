"""Times events by signs of early swing, which are visible from any side: the only method in an end view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import Limb, View
from childgait.domain.skeleton import INDEX
from childgait.gait.body import hip_middle
from childgait.gait.events.phase import Walk
from childgait.gait.events.table import GaitEvent

Floats = NDArray[np.float64]

MERGED_WITHIN = 0.25  # of a stride: estimates of one event by several signs are averaged
SEARCH = (-0.05, 0.5)  # of a stride, around mid-stance, in which a sign of the following swing is searched


def _side_views(off: float, contact: float) -> dict[View, tuple[float, float]]:
    return {"left": (off, contact), "right": (off, contact)}


# In early swing the heel is highest and the foot steepest. Strides from there to the foot-off before and to the contact
# after: means over synthetic children who are in no cohort.
_SIGNS: dict[str, dict[View, tuple[float, float]]] = {
    "heel highest": {"forward": (-0.068, 0.329), "backward": (-0.087, 0.302), **_side_views(-0.073, 0.321)},
    "foot steepest": {"forward": (-0.077, 0.321), "backward": (-0.068, 0.325), **_side_views(-0.068, 0.328)},
}


def end_view_events(walk: Walk, limb: Limb) -> list[GaitEvent]:
    """Return a limb's events by the signs of early swing alone."""
    return walk.events(limb, *times_by_swing(walk, limb), "swing")


def times_by_swing(walk: Walk, limb: Limb) -> tuple[list[float], list[float]]:
    """Return contacts and foot-offs in seconds by the signs of early swing.

    Foot-off precedes the signs by a little, contact follows a third of a stride later. Each swing also gives the
    contact one stride before. Where a swing lasts unusually long or short, the estimate is off by that.
    """
    stride = walk.stride_seconds
    signs = _times_of_signs(walk, limb)
    offs, contacts = [], []
    for times in zip(*signs.values(), strict=True):
        known = [(time, *_SIGNS[sign][walk.view]) for time, sign in zip(times, signs, strict=True) if time is not None]
        if known:
            offs.append(float(np.mean([time + off * stride for time, off, _ in known])))
            contacts.append(float(np.mean([time + contact * stride for time, _, contact in known])))
    before = [time - stride for time in contacts]
    return merge_near(sorted(contacts + before), MERGED_WITHIN * stride), offs


def _times_of_signs(walk: Walk, limb: Limb) -> dict[str, list[float | None]]:
    """Return, per sign, its time in the swing after every mid-stance, and in the swing before the first one."""
    moments, poses = walk.mid_stances[limb], walk.poses
    if len(moments) < 2:
        return {}
    hips = hip_middle(poses)[:, 1]
    heel, toe = (poses.xy[:, INDEX[f"{limb}_{name}"], 1].astype(np.float64) for name in ("heel", "big_toe"))
    starts = (2 * moments[0] - moments[1], *moments)
    curves = {"heel highest": (hips - heel) / walk.height, "foot steepest": (toe - heel) / walk.height}
    return {
        sign: [_time_of_peak(curve, poses.seconds, start, walk.stride_seconds) for start in starts]
        for sign, curve in curves.items()
    }


def _time_of_peak(curve: Floats, seconds: Floats, mid_stance: float, stride: float) -> float | None:
    """Return when a curve is highest in the half stride after mid-stance, between frames; None at the window's ends."""
    start, end = (mid_stance + share * stride for share in SEARCH)
    window = np.flatnonzero((seconds >= start) & (seconds <= end) & np.isfinite(curve))
    if len(window) < 5:
        return None
    n = int(window[np.argmax(curve[window])])
    if n in (window[0], window[-1]) or not np.isfinite(curve[n - 1 : n + 2]).all():
        return None
    bend = curve[n - 1] - 2 * curve[n] + curve[n + 1]
    shift = 0.5 * (curve[n - 1] - curve[n + 1]) / bend if bend < 0 else 0.0
    return float(seconds[n] + shift * (seconds[n + 1] - seconds[n]))


def merge_near(times: list[float], within: float) -> list[float]:
    """Return sorted times, those within `within` seconds after the first of their group replaced by their mean."""
    groups: list[list[float]] = []
    for time in times:
        if groups and time - groups[-1][0] < within:
            groups[-1].append(time)
        else:
            groups.append([time])
    return [float(np.mean(group)) for group in groups]
