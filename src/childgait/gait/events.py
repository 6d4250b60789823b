"""When each foot meets and leaves the ground, where the child walks, and whether that fits the video's name.

Reads refined poses; yields events, strides and one sentence where there are none. "No events" is a valid result.

How: the two feet alternate, so their difference (along the way in a side view, up and down the picture in an end view)
swings once a stride; its phase says when each limb stands alone. In a side view each foot is followed from there to
where it comes to rest and where it leaves; the first of heel, toes and ankle to rest counts, and the early swing's own
signs are averaged in. Nothing asks for a heel strike, so toe walkers and crouched children are judged like all others.
Where the camera moves no foot rests in the picture, and Zeni's rule steps in (the foot's furthest place ahead of and
behind the pelvis). In an end view a landing is too small a motion to be timed, and the swing's signs stand alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import LIMBS, VIEWS, Limb, View
from childgait.domain.poses import Poses
from childgait.domain.skeleton import INDEX
from childgait.files.tables import Column, Table
from childgait.gait.body import body_height
from childgait.gait.filters import band_pass
from childgait.gait.scoring import Stride

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
Kind = Literal["contact", "foot_off"]
SHORTEST_STRIDE, LONGEST_STRIDE = 0.5, 2.4  # seconds; children with a walking frame go slowly
ACROSS = 0.5  # body heights across the picture from which a way says something
_FOOT = ("heel", "big_toe", "small_toe")

EVENTS = Table(
    "events",
    ("limb", "kind", "seconds"),
    (
        Column("limb", "String", "left or right"),
        Column("kind", "String", "contact or foot_off"),
        Column("seconds", "Float64", "time since the video's first frame"),
        Column("frame", "Int32", "the nearest frame"),
        Column("method", "String", "standing (a foot rests), zeni, swing (told from it), typical (as in other steps)"),
    ),
)


@dataclass(frozen=True)
class Event:
    """One foot meets or leaves the ground."""

    limb: Limb
    kind: Kind
    seconds: float
    frame: int
    method: str


@dataclass(frozen=True)
class Travel:
    """Where the child goes, as seen: the way across the picture in body heights, and how its size changes."""

    seen: View | None  # None: it silhouette_only moves
    across: float  # body heights to the right, from start to end
    growth: float  # natural logarithm of the last height over the first
    facing: int  # 1: looks to the picture's right, -1: left, by the toes, else the way, else the name; 0: none of them
    fits: bool | None  # whether `seen` is the named view; None where nothing was seen
    turned: bool  # the name is the wrong way round
    note: str


@dataclass
class Gait:
    """What was found; `reason` says why there is nothing, and is empty otherwise."""

    events: list[Event] = field(default_factory=list)
    strides: dict[Limb, list[Stride]] = field(default_factory=lambda: {limb: [] for limb in LIMBS})
    reason: str = ""


# --- travel ---------------------------------------------------------------------------------------------------------


def find_travel(poses: Poses, view: View) -> Travel:
    """The direction of travel, from the body's way and size; and whether the named view fits it."""
    height = body_height(poses.xy)
    middle = _middle(poses)
    there = np.flatnonzero(np.isfinite(middle).all(axis=1) & np.isfinite(height))
    if len(there) < 10:
        few = "the child's body is seen in fewer than ten frames"
        return Travel(None, 0.0, 0.0, _toes(poses) or _WAYS.get(view, 0), None, False, few)
    tenth = max(3, len(there) // 10)
    first, last = there[:tenth], there[-tenth:]
    typical = float(np.median(height[there]))
    across = float(np.median(middle[last, 0]) - np.median(middle[first, 0])) / typical
    growth = float(np.log(np.median(height[last]) / np.median(height[first])))
    toes, seen = _toes(poses), _view_seen(across, growth)
    # A name the wrong way round exchanges the limbs. From the side toes tell, for a camera that pans moves the child's way.
    turned = toes == -_WAYS[view] if view in _WAYS else seen == _OPPOSITE[view]
    facing = toes or (int(np.sign(across)) if abs(across) >= ACROSS else _WAYS.get(view, 0))
    if seen not in (None, view):
        note = f"named {view}, but the child is seen to walk {_WORDS[seen]}"
    elif turned:
        note = f"named {view}, but the toes point the other way"
    else:
        note = "the child silhouette_only moves" if seen is None else ""
    return Travel(seen, across, growth, facing, None if seen is None else seen == view, turned, note)


_WORDS: dict[View, str] = {
    "left": "to the left",
    "right": "to the right",
    "forward": "towards the camera",
    "backward": "away from the camera",
}
_OPPOSITE: dict[View, View] = {"left": "right", "right": "left", "forward": "backward", "backward": "forward"}
_WAYS: dict[View, int] = {"left": -1, "right": 1}  # where a child looks in a side view
assert set(_WORDS) == set(_OPPOSITE) == set(VIEWS)


def _view_seen(across: float, growth: float) -> View | None:
    """A walk across covers body heights; one along the camera's axis changes the size by a tenth and more."""
    if abs(across) < ACROSS and abs(growth) < 0.1:
        return None
    if abs(across) >= ACROSS * (1 + 2 * abs(growth)) and abs(across) > 2 * abs(growth):
        return "right" if across > 0 else "left"
    return "forward" if growth > 0 else "backward"


def _middle(poses: Poses) -> Floats:
    """The middle of the hips, (T, 2)."""
    return np.asarray(poses.xy[:, [INDEX["left_hip"], INDEX["right_hip"]]].astype(np.float64).mean(axis=1))


def _toes(poses: Poses) -> int:
    """Where the toes point: 1 to the picture's right, -1 to its left, 0 where that is unclear."""
    toes = poses.xy[:, [INDEX["left_big_toe"], INDEX["right_big_toe"]], 0]
    heels = poses.xy[:, [INDEX["left_heel"], INDEX["right_heel"]], 0]
    ahead = (toes - heels).ravel()
    ahead = ahead[np.isfinite(ahead)]
    share = float((ahead > 0).mean()) if len(ahead) else 0.5
    if abs(share - 0.5) > 0.2:
        return 1 if share > 0.5 else -1
    return 0


# --- events ---------------------------------------------------------------------------------------------------------


def find_events(poses: Poses, view: View, facing: int) -> Gait:
    """Contacts and foot-offs of both limbs, and their strides."""
    height = body_height(poses.xy)
    reason = _unfit(poses, height)
    if reason:
        return Gait(reason=reason)
    swing = _alternation(poses, view, facing, height)
    middles, stride = _mid_stances(swing, poses.seconds, view)
    if not any(len(moments) for moments in middles.values()):
        return Gait(reason="the feet do not alternate as in walking")
    still = _stands_still(poses, middles, stride, height)
    events = []
    for limb in LIMBS:
        if view in ("forward", "backward"):
            told = _told_by_swing(poses, limb, middles[limb], stride, height, view)
            events += _events_inside(poses, limb, *told, "swing")
        elif still:
            events += _side_view_events(poses, limb, middles, stride, height, view)
        else:
            events += _zeni_events(poses, limb, middles[limb], stride, facing)
    events = _plausible(events, stride)
    events += [event for limb in LIMBS for event in _typical_events(poses, limb, middles[limb], stride, events)]
    gait = Gait(sorted(events, key=lambda event: (event.seconds, event.limb, event.kind)))
    gait.strides = {limb: _strides(gait.events, limb, middles) for limb in LIMBS}
    if not gait.events:
        gait.reason = "no foot was seen to arrive at or leave a place on the ground"
    return gait


def _unfit(poses: Poses, height: Floats) -> str:
    ankles = poses.seen[:, [INDEX["left_ankle"], INDEX["right_ankle"]]].all(axis=1)
    if not ankles.any() or not np.isfinite(height).any():
        return "the ankles are never seen together"
    seconds = float(poses.seconds[ankles][-1] - poses.seconds[ankles][0])
    if seconds < SHORTEST_STRIDE or np.count_nonzero(ankles) < 20:
        return f"the ankles are seen for {seconds:.1f} s only, less than a stride"
    if ankles.mean() < 0.3:
        return f"the ankles are seen in {100 * ankles.mean():.0f} % of the frames only"
    return ""


def _alternation(poses: Poses, view: View, facing: int, height: Floats) -> Floats:
    """Left minus right foot in body heights: how far it is ahead in a side view, how low it stands in an end view."""
    ankles = poses.xy[:, [INDEX["left_ankle"], INDEX["right_ankle"]]].astype(np.float64)
    difference = (ankles[:, 0] - ankles[:, 1]) / height[:, None]
    if view in ("left", "right"):
        return np.asarray(difference[:, 0] * (facing or (1 if view == "right" else -1)))
    return np.asarray(difference[:, 1])


def _mid_stances(swing: Floats, seconds: Floats, view: View) -> tuple[dict[Limb, Floats], float]:
    """When each limb stands alone, and the stride's length in seconds.

    Side view: the left limb stands alone as it falls behind, the right one as the left overtakes. Towards the camera
    it is the same (who is ahead stands lower); away from it the standing foot is simply the lower one.
    """
    good = np.flatnonzero(np.isfinite(swing))
    rate = 60.0
    grid = np.arange(seconds[good[0]], seconds[good[-1]], 1 / rate)
    even = np.interp(grid, seconds[good], swing[good])
    stride = _period(even, rate)
    if stride is None:
        return {limb: np.zeros(0) for limb in LIMBS}, 0.0
    wave = band_pass(even - np.median(even), rate, 0.45 / stride, min(1.6 / stride, 0.4 * rate))
    if view == "backward":
        left, right = _peaks(wave), _peaks(-wave)
    else:
        left, right = _crossings(-wave), _crossings(wave)
    strong = 0.25 * np.quantile(np.abs(wave), 0.9)
    size = np.sqrt(np.convolve(wave**2, np.ones(31) / 31, "same"))
    found = {"left": left, "right": right}
    return {limb: grid[0] + found[limb][size[found[limb].astype(int)] > strong] / rate for limb in LIMBS}, stride


def _period(wave: Floats, rate: float) -> float | None:
    """The stride's length, from the wave's likeness to itself a stride later; None where there is none."""
    wave = wave - np.median(wave)
    if len(wave) < SHORTEST_STRIDE * rate or np.ptp(wave) < 0.03:
        return None
    size = 1 << (2 * len(wave) - 1).bit_length()
    power = np.fft.irfft(np.abs(np.fft.rfft(wave, size)) ** 2)[: len(wave)]
    likeness = power / power[0] * (len(wave) / np.arange(len(wave), 0, -1)) ** 0.5
    low, high = round(SHORTEST_STRIDE * rate), min(round(LONGEST_STRIDE * rate), round(0.8 * len(wave)))
    tops = [n for n in range(low, high) if likeness[n] >= likeness[n - 1 : n + 2].max()]
    tops = [n for n in tops if likeness[n] > 0.15]
    if not tops:  # less than two strides: a half wave is what there is
        dip = low // 2 + int(np.argmin(likeness[low // 2 : max(high, low // 2 + 1)]))
        return 2 * dip / rate if likeness[dip] < -0.2 and SHORTEST_STRIDE < 2 * dip / rate < LONGEST_STRIDE else None
    best = max(tops, key=lambda n: likeness[n])
    early = [n for n in tops if likeness[n] > 0.8 * likeness[best]]
    return min(early) / rate


def _crossings(wave: Floats) -> Floats:
    """Where it rises through zero, between samples; its ends are zero by the filter's doing."""
    at = np.flatnonzero((wave[:-1] < 0) & (wave[1:] >= 0))
    at = at[(at > 0) & (at < len(wave) - 2)]
    return np.asarray(at + wave[at] / (wave[at] - wave[at + 1]))


def _peaks(wave: Floats) -> Floats:
    at = np.flatnonzero((wave[1:-1] > wave[:-2]) & (wave[1:-1] >= wave[2:]) & (wave[1:-1] > 0)) + 1
    return at.astype(np.float64)


def _stands_still(poses: Poses, middles: dict[Limb, Floats], stride: float, height: Floats) -> bool:
    """Whether feet rest in the picture while they stand alone, as they do unless the camera moves."""
    moved = []
    for limb in LIMBS:
        for moment in middles[limb]:
            near = np.flatnonzero(np.abs(poses.seconds - moment) < 0.08 * stride)
            for name in _FOOT[:2]:
                places = poses.xy[near, INDEX[f"{limb}_{name}"]]
                if len(near) > 3 and np.isfinite(places).all():
                    way = places[-len(near) // 3 :].mean(axis=0) - places[: len(near) // 3 + 1].mean(axis=0)
                    moved.append(float(np.linalg.norm(way)) / height[near[0]] / (0.1 * stride))
    # the body goes on at about a body height in a second; half of that is no rest
    return bool(moved) and float(np.median(moved)) < 0.35


def _side_view_events(
    poses: Poses, limb: Limb, middles: dict[Limb, Floats], stride: float, height: Floats, view: View
) -> list[Event]:
    """Where a foot comes to rest and starts from it, and what its swing tells: the mean of both.

    Rest: the slowest of heel, toes and ankle counts, for whichever arrives first stands first; the fall of its speed
    between 60 % and 30 % of the swing's is drawn on to 10 %. Start: the ankle's rise through 48 %. Each of the two ways
    is blind to some gait pattern. All shares were chosen on synthetic children who are in no cohort.
    """
    other: Limb = "right" if limb == "left" else "left"
    foot, ankle = _speed(poses, limb, _FOOT, height), _speed(poses, limb, ("ankle",), height)

    def edges(speed: Floats, share: float, way: int) -> list[float]:
        level = share * float(np.nanquantile(speed, 0.9))
        return _edges(speed > level, speed - level, poses.seconds, middles[other], middles[limb], stride, way)

    slowest = np.fmin(foot, ankle)
    high, contacts = edges(slowest, 0.6, 1), []
    for time in edges(slowest, 0.3, 1):
        before = [t for t in high if 0 <= time - t < 0.15]
        contacts.append(time + (time - before[-1]) * (0.3 - 0.1) / (0.6 - 0.3) if before else time)
    told_contacts, told_offs = _told_by_swing(poses, limb, middles[limb], stride, height, view)
    contacts = _means_of_near(sorted(contacts + told_contacts), 0.25 * stride)
    offs = _means_of_near(sorted(edges(ankle, 0.48, -1) + told_offs), 0.25 * stride)
    return _events_inside(poses, limb, contacts, offs, "standing")


def _means_of_near(times: list[float], apart: float) -> list[float]:
    """Sorted times, those less than `apart` after the first of their group taken together."""
    groups: list[list[float]] = []
    for time in times:
        if groups and time - groups[-1][0] < apart:
            groups[-1].append(time)
        else:
            groups.append([time])
    return [float(np.mean(group)) for group in groups]


def _speed(poses: Poses, limb: Limb, names: tuple[str, ...], height: Floats) -> Floats:
    """Body heights a second of the slowest of these points that are there."""
    speeds = []
    for name in names:
        place = poses.xy[:, INDEX[f"{limb}_{name}"]].astype(np.float64) / height[:, None]
        speeds.append(np.linalg.norm(np.gradient(place, poses.seconds, axis=0), axis=1))
    slowest = np.min(np.where(np.isfinite(speeds), speeds, np.inf), axis=0)
    return np.where(np.isfinite(slowest), slowest, np.nan)


def _edges(
    moving: NDArray[np.bool_], above: Floats, seconds: Floats, swings: Floats, stances: Floats, stride: float, way: int
) -> list[float]:
    """Where a foot comes to rest (`way` 1) or starts to move (-1): from each mid-swing towards rest, and, where that
    leads out of the video, from each mid-stance towards motion. Between frames; a missing point ends the search."""
    found: list[float] = []
    for anchors, step, state in ((swings, way, True), (stances, -way, False)):
        for moment in anchors:
            n = int(np.argmin(np.abs(seconds - moment)))
            while moving[n] == state and 0 <= n + step < len(seconds) and abs(seconds[n] - moment) < 0.6 * stride:
                if not np.isfinite(above[[n, n + step]]).all():
                    break
                if moving[n + step] != state:
                    share = above[n] / (above[n] - above[n + step])
                    time = float(seconds[n] + share * (seconds[n + step] - seconds[n]))
                    if all(abs(time - other) > 0.3 * stride for other in found):
                        found.append(time)
                    break
                n += step
    return sorted(found)


def _both_sides(off: float, contact: float) -> dict[View, tuple[float, float]]:
    return {"left": (off, contact), "right": (off, contact)}


# Early in swing a foot stands out in any view: the heel is highest, the foot steepest. Strides from there to the
# foot-off before and the contact after: means over synthetic children who are in no cohort.
_SIGNS: dict[str, dict[View, tuple[float, float]]] = {
    "heel highest": {"forward": (-0.068, 0.329), "backward": (-0.087, 0.302), **_both_sides(-0.073, 0.321)},
    "foot steepest": {"forward": (-0.077, 0.321), "backward": (-0.068, 0.325), **_both_sides(-0.068, 0.328)},
}


def _early_swing(
    poses: Poses, limb: Limb, moments: Floats, stride: float, height: Floats
) -> dict[str, list[float | None]]:
    """When each sign shows, after every mid-stance and in the first swing, whose stance may not be seen."""
    if len(moments) < 2:
        return {}
    hips = _middle(poses)[:, 1]
    heel, toe = (poses.xy[:, INDEX[f"{limb}_{name}"], 1].astype(np.float64) for name in ("heel", "big_toe"))
    starts = (2 * moments[0] - moments[1], *moments)
    curves = {"heel highest": (hips - heel) / height, "foot steepest": (toe - heel) / height}
    return {sign: [_top(curve, poses.seconds, start, stride) for start in starts] for sign, curve in curves.items()}


def _told_by_swing(
    poses: Poses, limb: Limb, moments: Floats, stride: float, height: Floats, view: View
) -> tuple[list[float], list[float]]:
    """Contacts and foot-offs from the signs of early swing: foot-off lies just before them, contact a third of a stride
    after, and, told from the next swing, two thirds before that. A swing unusually long or short is not told."""
    signs = _early_swing(poses, limb, moments, stride, height)
    offs, contacts = [], []
    for tops in zip(*signs.values(), strict=True):
        known = [(top, *_SIGNS[sign][view]) for top, sign in zip(tops, signs, strict=True) if top is not None]
        if known:
            offs.append(float(np.mean([top + off * stride for top, off, _ in known])))
            contacts.append(float(np.mean([top + contact * stride for top, _, contact in known])))
    before = [time - stride for time in contacts]  # each swing also tells the contact that began its stride
    return _means_of_near(sorted(contacts + before), 0.25 * stride), offs


def _events_inside(poses: Poses, limb: Limb, contacts: list[float], offs: list[float], method: str) -> list[Event]:
    kinds = [("contact", time) for time in contacts] + [("foot_off", time) for time in offs]
    return [
        _event(poses, limb, kind, time, method) for kind, time in kinds if poses.seconds[0] <= time <= poses.seconds[-1]
    ]


def _top(curve: Floats, seconds: Floats, moment: float, stride: float) -> float | None:
    """When the curve is highest in the half stride after mid-stance, between frames; None at the window's ends."""
    window = np.flatnonzero(
        (seconds >= moment - 0.05 * stride) & (seconds <= moment + 0.5 * stride) & np.isfinite(curve)
    )
    if len(window) < 5:
        return None
    n = int(window[np.argmax(curve[window])])
    if n in (window[0], window[-1]) or not np.isfinite(curve[n - 1 : n + 2]).all():
        return None
    bend = curve[n - 1] - 2 * curve[n] + curve[n + 1]
    shift = 0.5 * (curve[n - 1] - curve[n + 1]) / bend if bend < 0 else 0.0
    return float(seconds[n] + shift * (seconds[n + 1] - seconds[n]))


def _zeni_events(poses: Poses, limb: Limb, middles: Floats, stride: float, facing: int) -> list[Event]:
    """Contact: the ankle furthest ahead of the pelvis before mid-stance. Foot-off: the toe furthest behind after it."""
    events = []
    hips = _middle(poses)[:, 0]
    for kind, name, way in (("contact", "ankle", -1), ("foot_off", "big_toe", 1)):
        ahead = facing * (poses.xy[:, INDEX[f"{limb}_{name}"], 0] - hips) * -way
        for moment in middles:
            low, high = sorted((moment, moment + way * 0.5 * stride))
            window = np.flatnonzero((poses.seconds >= low) & (poses.seconds <= high) & np.isfinite(ahead))
            if len(window) > 5:
                best = window[np.argmax(ahead[window])]
                if window[0] < best < window[-1]:
                    events.append(_event(poses, limb, kind, float(poses.seconds[best]), "zeni"))
    return events


def _typical_events(poses: Poses, limb: Limb, middles: Floats, stride: float, events: list[Event]) -> list[Event]:
    """Where a drop-out hides a moment of a step that is seen otherwise: as long before or after mid-stance as this
    limb's other steps have it, and marked so. Needs two others, and the hips at that moment."""
    added = []
    hips = np.isfinite(_middle(poses).sum(axis=1))
    for kind, way in (("contact", -1), ("foot_off", 1)):
        known = np.array([event.seconds for event in events if event.limb == limb and event.kind == kind])
        delays = {}
        for moment in middles:
            near = known[(way * (known - moment) > 0) & (np.abs(known - moment) < 0.62 * stride)]
            delays[float(moment)] = float(near[0] - moment) if len(near) else None
        usual = [delay for delay in delays.values() if delay is not None]
        for moment, delay in delays.items():
            if delay is None and len(usual) >= 2:
                event = _event(poses, limb, kind, moment + float(np.median(usual)), "typical")
                inside = poses.seconds[0] <= event.seconds <= poses.seconds[-1]
                if inside and hips[event.frame] and np.abs(known - event.seconds).min() > 0.35 * stride:
                    added.append(event)
    return added


def _event(poses: Poses, limb: Limb, kind: str, seconds: float, method: str) -> Event:
    frame = int(np.argmin(np.abs(poses.seconds - seconds)))
    return Event(limb, "contact" if kind == "contact" else "foot_off", seconds, frame, method)


def _plausible(events: list[Event], stride: float) -> list[Event]:
    """Without events that come twice within a third of a stride; of such the later contact, the earlier foot-off."""
    kept: list[Event] = []
    for limb in LIMBS:
        for kind in ("contact", "foot_off"):
            own = sorted((e for e in events if e.limb == limb and e.kind == kind), key=lambda event: event.seconds)
            out: list[Event] = []
            for event in own:
                if out and event.seconds - out[-1].seconds < 0.35 * stride:
                    if kind == "contact":
                        out[-1] = event
                else:
                    out.append(event)
            kept += out
    return kept


def find_strides(poses: Poses, view: View, facing: int, events: list[Event]) -> dict[Limb, list[Stride]]:
    """The strides of events that are known already."""
    height = body_height(poses.xy)
    if _unfit(poses, height):
        return {limb: [] for limb in LIMBS}
    middles, _ = _mid_stances(_alternation(poses, view, facing, height), poses.seconds, view)
    return {limb: _strides(events, limb, middles) for limb in LIMBS}


def _strides(events: list[Event], limb: Limb, middles: dict[Limb, Floats]) -> list[Stride]:
    """A limb's whole strides, contact to contact, with what the other limb did in between."""
    other: Limb = "right" if limb == "left" else "left"

    def between(who: Limb, kind: Kind, start: float, end: float) -> float:
        inside = [e.seconds for e in events if e.limb == who and e.kind == kind and start < e.seconds < end]
        return inside[0] if inside else float("nan")

    contacts = [event.seconds for event in events if event.limb == limb and event.kind == "contact"]
    strides = []
    for start, end in pairwise(contacts):
        if not SHORTEST_STRIDE <= end - start <= LONGEST_STRIDE:
            continue
        passing = [float(moment) for moment in middles[limb] if start < moment < end]
        strides.append(
            Stride(
                start,
                between(other, "foot_off", start, end),
                passing[0] if passing else float("nan"),
                between(other, "contact", start, end),
                between(limb, "foot_off", start, end),
                end,
            )
        )
    return strides


def as_table(events: list[Event]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(
        {
            "limb": [event.limb for event in events],
            "kind": [event.kind for event in events],
            "seconds": [round(event.seconds, 6) for event in events],
            "frame": [event.frame for event in events],
            "method": [event.method for event in events],
        },
        schema=EVENTS.schema(),
    )
