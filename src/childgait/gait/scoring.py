"""Scores a limb from its joint curves and gait events, by the bands of the Edinburgh Visual Gait Score.

Reads curves over time and strides (exact ones of the generator, or those of keypoints); returns for every item the
value, its moment, and the score. An item whose curve is not given is left out.

Curves of a limb, in degrees unless noted: `foot_pitch` (toe up), `ankle` (dorsiflexion), `knee` (flexion), `hip`
(flexion), `clearance` (lowest foot point above the ground, over leg length), `hindfoot` (valgus), `foot_rotation`
(external, relative to the knee), `knee_direction` (external, from the line of walking), `obliquity` (own side up),
`rotation` (own side forward), `trunk_lean` (forward), `trunk_shift` (shoulders over hips towards the own side, over
shoulder width).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import BY_CODE, CODES, Bands

Series = NDArray[np.float64]

# Bands for the items that the guide describes in words: our own choice.
STAND_INS: dict[str, Bands] = {
    "IC": Bands(-5.0, 5.0, math.inf, math.inf),  # foot pitch at contact: heel, flat, toe
    "HL": Bands(
        -1.75, 0.0, 1.0, 1.75
    ),  # heel rise: 0 feet adjacent, 1 opposite contact; -2 heel never down, 2 forefoot
    "FCL": Bands(
        -0.005, 0.010, 0.100, math.inf
    ),  # clearance over leg length; below 0: drags all swing, or low and high
    "KPA": Bands(-25.0, -10.0, 10.0, 25.0),
    "TLT": Bands(-math.inf, 0.0, 0.12, 0.25),
}
HEEL_UP = -5.0  # degrees of foot pitch from which the heel counts as lifted
HIGH_STEP = (45.5, 70.5)  # hip and knee flexion that make a high foot a high step


@dataclass(frozen=True)
class Stride:
    """One gait cycle of a limb, in seconds; the opposite limb's events may be unknown (NaN)."""

    contact: float
    opposite_off: float
    passing: float  # the swinging ankle passes this one
    opposite_contact: float
    foot_off: float
    next_contact: float

    def share(self, part: float) -> float:
        """Return the time in seconds at a share of the cycle."""
        return self.contact + part * (self.next_contact - self.contact)

    def swing(self, part: float) -> float:
        """Return the time in seconds at a share of the swing."""
        return self.foot_off + part * (self.next_contact - self.foot_off)


@dataclass(frozen=True)
class Measurement:
    """The value of an item, its moment in seconds, and its score."""

    value: float
    seconds: float
    score: int


def bands_of(code: str) -> Bands:
    """Return the bands of an item: the guide's, else our own."""
    bands = BY_CODE[code].bands
    return STAND_INS[code] if bands is None else bands


class _Window:
    """The part of the curves between two moments; its ends are interpolated between samples."""

    def __init__(self, seconds: Series, curves: Mapping[str, Series], start: float, end: float) -> None:
        self._seconds, self._curves = seconds, curves
        inside = (seconds > start) & (seconds < end)
        self.seconds: Series = np.r_[start, seconds[inside], max(start, end)]

    def curve(self, name: str) -> Series:
        return np.asarray(np.interp(self.seconds, self._seconds, self._curves[name]))

    def extreme(self, name: str, pick: Callable[[Series], np.intp]) -> tuple[float, float]:
        values = self.curve(name)
        index = pick(values)
        return float(values[index]), float(self.seconds[index])

    def mean(self, name: str) -> tuple[float, float]:
        values, (start, end) = self.curve(name), self.seconds[[0, -1]]
        width = end - start
        value = float(np.trapezoid(values, self.seconds) / width) if width > 0 else float(values[0])
        return value, float((start + end) / 2)


def _widest(values: Series) -> np.intp:
    return np.argmax(np.abs(values))


def _heel_rise(window: Callable[[float, float], _Window], stride: Stride) -> tuple[float, float]:
    """Return when the heel rises, from 0 (feet adjacent) to 1 (opposite contact), and the moment in seconds."""
    early = window(stride.share(0.10), stride.share(0.40))
    top, moment = early.extreme("foot_pitch", np.argmax)
    if top < HEEL_UP:
        return -2.0, moment
    stance = window(stride.share(0.05), stride.foot_off)
    pitch = stance.curve("foot_pitch")
    if float(pitch[len(pitch) // 2 :].min()) > -HEEL_UP:
        return 2.0, stride.share(0.40)
    flat = int(np.argmax(pitch >= HEEL_UP))  # a toe-first contact may let the heel down later
    lifted = np.flatnonzero(pitch[flat:] < HEEL_UP)
    rise = float(stance.seconds[flat + lifted[0]]) if lifted.size else stride.foot_off
    scale = stride.opposite_contact - stride.passing
    return float(np.clip((rise - stride.passing) / scale, -1.5, 1.5)), rise


def _clearance(window: Callable[[float, float], _Window], stride: Stride) -> tuple[float, float]:
    """Return the foot clearance in swing over leg length, negative where the foot drags, and its moment in seconds."""
    swing = window(stride.swing(0.35), stride.swing(0.80))
    low, moment = swing.extreme("clearance", np.argmin)
    if float(swing.curve("clearance").max()) <= 0.003:
        return -0.01, moment  # drags
    bent = all(
        name in swing._curves and float(window(stride.foot_off, stride.next_contact).curve(name).max()) > limit
        for name, limit in zip(("hip", "knee"), HIGH_STEP, strict=True)
    )
    if bent and low < 0.010:
        return -0.01, moment  # reduced, then high
    if bent:
        high, moment = swing.extreme("clearance", np.argmax)
        return max(low, min(high, 0.2)), moment
    return min(max(low, 0.0), 0.099), moment  # neither drags nor is too high, so the worst left is reduced


def _trunk_shift(support: _Window, cycle: _Window) -> tuple[float, float]:
    """Return the widest trunk shift in single support about the stride's own mean, and its moment in seconds.

    The mean over a recording depends on which part of a stride it ends in, which differs between the limbs. Double
    support is left out: there the trunk passes from one limb to the other, so that its maximum is always positive.
    """
    values = support.curve("trunk_shift") - np.nanmean(cycle.curve("trunk_shift"))
    index = _widest(values)
    return float(values[index]), float(support.seconds[index])


def measure_item(code: str, seconds: Series, curves: Mapping[str, Series], stride: Stride) -> tuple[float, float]:
    """Return the value of one item in one stride, and its moment in seconds."""
    return _measure(code, lambda start, end: _Window(seconds, curves, start, end), stride)


def _measure(code: str, window: Callable[[float, float], _Window], stride: Stride) -> tuple[float, float]:
    """Return the value of one item in one stride, and its moment in seconds."""
    stance = (stride.contact, stride.foot_off)
    early_stance = (stride.share(0.10), stride.share(0.30))
    middle = (stride.opposite_off, stride.opposite_contact)
    if any(math.isnan(moment) for moment in middle):
        middle = (stride.share(0.12), stride.share(0.45))
    swing = (stride.foot_off, stride.next_contact)
    match code:
        case "IC":
            return float(window(stride.contact, stride.contact).curve("foot_pitch")[0]), stride.contact
        case "HL":
            return _heel_rise(window, stride)
        case "FCL":
            return _clearance(window, stride)
        case "SAD":
            return window(stride.share(0.05), stride.foot_off).extreme("ankle", np.argmax)
        case "WAD":
            return window(stride.swing(0.25), stride.swing(0.95)).extreme("ankle", np.argmax)
        case "HVV":
            return window(*middle).mean("hindfoot")
        case "FRT":
            return window(*middle).mean("foot_rotation")
        case "KPA":
            return window(*middle).mean("knee_direction")
        case "KEX":
            return window(stride.share(0.20), stride.foot_off).extreme("knee", np.argmin)
        case "KPS":
            return window(stride.share(0.95), stride.share(0.99)).mean("knee")
        case "KFX":
            return window(*swing).extreme("knee", np.argmax)
        case "HEX":
            value, moment = window(*stance).extreme("hip", np.argmin)
            return -value, moment
        case "HFX":
            return window(*swing).extreme("hip", np.argmax)
        case "POB":
            return window(*early_stance).mean("obliquity")
        case "PRT":
            return window(*early_stance).mean("rotation")
        case "TSG":
            return window(*stance).extreme("trunk_lean", _widest)
        case "TLT":
            return _trunk_shift(window(*middle), window(stride.contact, stride.next_contact))
    raise AssertionError(f"no measure for {code}")


CURVE_OF: dict[str, str] = {
    "IC": "foot_pitch",
    "HL": "foot_pitch",
    "SAD": "ankle",
    "HVV": "hindfoot",
    "FRT": "foot_rotation",
    "FCL": "clearance",
    "WAD": "ankle",
    "KPA": "knee_direction",
    "KEX": "knee",
    "KPS": "knee",
    "KFX": "knee",
    "HEX": "hip",
    "HFX": "hip",
    "POB": "obliquity",
    "PRT": "rotation",
    "TSG": "trunk_lean",
    "TLT": "trunk_shift",
}


def score_limb(seconds: Series, curves: Mapping[str, Series], strides: Sequence[Stride]) -> dict[str, Measurement]:
    """Return every item that curves and events allow, from the (lower) median one of the strides."""
    arrays = {name: np.asarray(curve, dtype=np.float64) for name, curve in curves.items()}
    result = {}
    for code in CODES:
        if CURVE_OF[code] not in arrays:
            continue
        values = []
        for stride in strides:
            needed = [stride.contact, stride.foot_off, stride.next_contact]
            if code == "HL":
                needed += [stride.passing, stride.opposite_contact]
            if any(math.isnan(moment) for moment in needed):
                continue
            value, moment = measure_item(code, seconds, arrays, stride)
            if not math.isnan(value):
                values.append((value, moment))
        if values:
            value, moment = sorted(values)[(len(values) - 1) // 2]
            result[code] = Measurement(value, moment, bands_of(code).score(value))
    return result
