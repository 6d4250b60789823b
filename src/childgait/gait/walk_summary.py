"""Curves over the gait cycle and spatiotemporal values of one child's recordings, with their spread over strides.

Reads the kinematics of clips (gait/features.py). Values of a limb come from recordings that show it near the camera, or
from all if none does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import LIMBS, Limb
from childgait.gait.features import ClipKinematics, describe_limb
from childgait.gait.kinematics import END_CURVES
from childgait.gait.normative import CYCLE, GRID, curves_at, height_of, periodic, proportions, stride_of

Floats = NDArray[np.float64]
SHARES: Floats = np.linspace(0.0, 1.0, 51)  # of the gait cycle, at which a stride's curve is read
GRAVITY = 9.81
CURVES = ("hip", "knee", "ankle", "obliquity")  # shown on the page of a child
# Name of a stride's value in gait/features.py: words, unit and factor to it.
STRIDE_VALUES: dict[str, tuple[str, str, float]] = {
    "stride seconds": ("stride time", "s", 1.0),
    "stance share": ("stance", "% of stride", 100.0),
    "double support share": ("double support", "% of stride", 100.0),
    "step share": ("step time (to opposite contact)", "% of stride", 100.0),
    "step length": ("step length", "body heights", 1.0),
}

# Standard deviation of joint angles between healthy children at free speed, in % of the cycle: Schwartz, Rozumalski and
# Trost 2008 (J Biomech 41:1639), supplement; of the obliquity its mean over the cycle.
_SD_PERCENT = (0, 10, 20, 30, 40, 50, 60, 65, 72, 80, 90)
_SD: dict[str, tuple[float, ...]] = {
    "hip": (5.5, 6.0, 6.0, 6.0, 6.7, 6.8, 6.8, 6.5, 6.0, 5.5, 5.5),
    "knee": (5.6, 6.3, 5.9, 5.5, 5.7, 5.7, 6.6, 6.2, 5.9, 7.8, 8.5),
    "ankle": (5.5, 4.0, 3.8, 3.8, 4.4, 5.6, 9.5, 8.8, 6.8, 4.9, 4.4),
}
_SD_OF_OBLIQUITY = 2.1


@cache
def curve_sd(name: str) -> Floats:
    """Return the standard deviation of a joint angle between healthy children, on the grid of the normative curves."""
    return np.full(GRID, _SD_OF_OBLIQUITY) if name == "obliquity" else periodic(_SD_PERCENT, _SD[name])


@dataclass(frozen=True)
class StrideCurve:
    """One curve of one stride of a limb, at SHARES of the cycle."""

    limb: Limb
    curve: str
    values: Floats


@dataclass(frozen=True)
class LimbValue:
    """A spatiotemporal value of a limb: mean and standard deviation over its strides."""

    mean: float
    sd: float | None  # None with a single stride
    strides: int


def stride_curves(walks: list[ClipKinematics], names: tuple[str, ...]) -> list[StrideCurve]:
    """Return the named curves of every stride; a curve with a gap is left out."""
    curves = []
    for name in names:
        for limb in LIMBS:
            for walk in walks_showing(walks, limb, end_view=name in END_CURVES):
                curve = walk.angles.curves[limb][name]
                for stride in walk.strides[limb]:
                    moments = stride.contact + SHARES * (stride.next_contact - stride.contact)
                    inside = (walk.poses.seconds >= stride.contact) & (walk.poses.seconds <= stride.next_contact)
                    values = np.interp(moments, walk.poses.seconds, curve)
                    if inside.any() and np.isfinite(curve[inside]).all() and np.isfinite(values).all():
                        curves.append(StrideCurve(limb, name, values))  # a gap at its ends counts, too
    return curves


def walks_showing(walks: list[ClipKinematics], limb: Limb, *, end_view: bool) -> list[ClipKinematics]:
    """Return the walks of end views, or the side views with the limb near the camera (else all side views)."""
    fitting = [walk for walk in walks if (walk.view in ("forward", "backward")) == end_view]
    near = [walk for walk in fitting if walk.near(limb)]
    return near or fitting


def spatiotemporal(walks: list[ClipKinematics]) -> dict[str, dict[Limb, LimbValue]]:
    """Return the values of STRIDE_VALUES by limb, over the strides of side views."""
    result: dict[str, dict[Limb, LimbValue]] = {}
    for limb in LIMBS:
        rows = [
            describe_limb(replace(walk, strides={one: [stride] if one == limb else [] for one in LIMBS}), limb)
            for walk in walks_showing(walks, limb, end_view=False)
            for stride in walk.strides[limb]
        ]
        for name, (_, _, factor) in STRIDE_VALUES.items():
            values = np.array([row.get(name, np.nan) for row in rows], dtype=np.float64)
            values = factor * values[np.isfinite(values)]
            if len(values):
                sd = float(values.std(ddof=1)) if len(values) > 1 else None
                result.setdefault(name, {})[limb] = LimbValue(float(values.mean()), sd, len(values))
    return result


def walking_speed(walks: list[ClipKinematics]) -> float | None:
    """Return the median speed of the side views in body heights per second."""
    speeds = [walk.speed for walk in walks if np.isfinite(walk.speed)]
    return float(np.median(speeds)) if speeds else None


@dataclass(frozen=True)
class NormCurves:
    """Normative curves at SHARES: mean and standard deviation between healthy children, and where they are from."""

    mean: dict[str, Floats]
    sd: dict[str, Floats]
    stride_seconds: float | None
    note: str


def norm_curves(age_years: float | None, sex: str, speed_heights: float | None) -> NormCurves:
    """Return the normative band of a child of this age, at its walking speed; free speed where age or speed is unknown.

    The published curves depend on dimensionless speed; age enters by body height and leg length.
    """
    speed, note, stride = 0.43, "healthy children at free speed", None
    if age_years is not None:
        sexes = (sex,) if sex in ("female", "male") else ("female", "male")
        height = float(np.mean([height_of(age_years, one) for one in sexes]))
        if speed_heights is not None:
            shares = proportions(age_years)
            leg = height * (shares["thigh"] + shares["shank"] + shares["ankle_height"])
            speed = speed_heights * height / float(np.sqrt(GRAVITY * leg))
            note = f"healthy children of this child's speed ({speed:.2f}, dimensionless, at {age_years:g} years)"
        stride = stride_of(age_years, speed)
    curves, _ = curves_at(speed)
    names = ("hip", "knee", "ankle", "obliquity")
    mean = {name: np.interp(SHARES, np.r_[CYCLE, 1.0], np.r_[curves[name], curves[name][0]]) for name in names}
    sd = {name: np.interp(SHARES, np.r_[CYCLE, 1.0], np.r_[curve_sd(name), curve_sd(name)[0]]) for name in names}
    return NormCurves(mean, sd, stride, note)
