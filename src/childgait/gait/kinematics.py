"""Computes joint angles over time from 2D keypoints.

Side view: hip, knee and ankle flexion, foot pitch, trunk lean and foot clearance. Front or back view: pelvic obliquity
and trunk shift. A curve that the view does not show is NaN. Names and signs are those of gait/scoring.py, in degrees;
flexion, dorsiflexion, toe up, forward and own side up are positive.

Limits:
- A child who walks off the picture's plane by 20 degrees reads 4 % too little flexion; by 45 degrees, a fifth.
- Keypoints do not show the pelvis's tilt: `hip` is the thigh against the vertical plus the mean tilt of healthy
  children (Schwartz et al. 2008), so an unusual tilt is an error of HEX and HFX.
- `ankle` is the shank against the line from heel to toe: a midfoot that breaks reads as dorsiflexion.
- The camera's roll adds to trunk lean, foot pitch and hip, not to knee and ankle.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import LIMBS, View
from childgait.domain.poses import Poses
from childgait.domain.skeleton import INDEX
from childgait.files.tables import Column, Table
from childgait.gait.filters import low_pass, runs_of_true

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
CLEARANCE_HZ = 4.0  # low-pass; the clearance has one dip in a swing of 0.4 s
PELVIC_TILT = 12.0  # degrees, mean of healthy children (Schwartz et al. 2008, J Biomech 41:1639)
SIDE_CURVES = ("hip", "knee", "ankle", "foot_pitch", "trunk_lean", "clearance")
END_CURVES = ("obliquity", "trunk_shift")
CURVES = SIDE_CURVES + END_CURVES

ANGLES = Table(
    "angles",
    ("frame", "limb"),
    (
        Column("frame", "Int32", "index of the frame in the video, from 0"),
        Column("seconds", "Float64", "time since the video's first frame"),
        Column("limb", "String", "left or right"),
        Column("hip", "Float32", "degrees, flexion positive: thigh to the vertical plus a healthy pelvic tilt of 12"),
        Column("knee", "Float32", "degrees, flexion positive"),
        Column("ankle", "Float32", "degrees, dorsiflexion positive: shank to the line from heel to toe"),
        Column("foot_pitch", "Float32", "degrees, toe up positive, to the horizontal"),
        Column("trunk_lean", "Float32", "degrees, forward positive: hips to shoulders, to the vertical"),
        Column("clearance", "Float32", "lowest foot point above its own ground line, over leg length"),
        Column("obliquity", "Float32", "degrees, own side of the pelvis up positive"),
        Column("trunk_shift", "Float32", "shoulders over hips towards the own side, over shoulder width"),
    ),
)


@dataclass(frozen=True)
class Angles:
    """Curves of both limbs, each (T,); NaN where a point is missing or the view does not show it."""

    seconds: Floats
    curves: dict[str, dict[str, Floats]]  # limb: name of CURVES


def measure_angles(poses: Poses, view: View, facing: int, unmeasured: Collection[str] = ()) -> Angles:
    """Return the angles of both limbs; `facing` is 1 to the picture's right, -1 to its left, unused in an end view.

    Curves that the pose estimator does not show are `unmeasured`.
    """
    nothing = np.full(len(poses), np.nan)
    side_view = view in ("left", "right")
    curves: dict[str, dict[str, Floats]] = {}
    for limb in LIMBS:
        visible = _side_curves(poses, limb, facing) if side_view else _end_curves(poses, limb, view)
        curves[limb] = {name: nothing if name in unmeasured else visible.get(name, nothing) for name in CURVES}
    return Angles(poses.seconds, curves)


def _side_curves(poses: Poses, limb: str, facing: int) -> dict[str, Floats]:
    at = _Points(poses, facing)
    thigh = _from_vertical(at(f"{limb}_hip"), at(f"{limb}_knee"))
    shank = _from_vertical(at(f"{limb}_knee"), at(f"{limb}_ankle"))
    sole = at(f"{limb}_big_toe") - at(f"{limb}_heel")
    pitch = np.degrees(np.arctan2(sole[:, 1], sole[:, 0]))
    hips = (at("left_hip") + at("right_hip")) / 2
    shoulders = (at("left_shoulder") + at("right_shoulder")) / 2
    return {
        "hip": thigh + PELVIC_TILT,
        "knee": _wrapped(thigh - shank),
        "ankle": _wrapped(pitch - shank),
        "foot_pitch": pitch,
        "trunk_lean": np.degrees(np.arctan2((shoulders - hips)[:, 0], (shoulders - hips)[:, 1])),
        "clearance": _smooth_clearance(_clearance(at, limb), poses.seconds),
    }


def _end_curves(poses: Poses, limb: str, view: str) -> dict[str, Floats]:
    """Return obliquity (own hip above the other) and the shift of the shoulders towards the own side."""
    other = "right" if limb == "left" else "left"
    at = _Points(poses, 1)
    across = at(f"{limb}_hip") - at(f"{other}_hip")
    shoulders = at(f"{limb}_shoulder") - at(f"{other}_shoulder")
    middle = (at("left_shoulder") + at("right_shoulder") - at("left_hip") - at("right_hip")) / 2
    own_side = (1.0 if limb == "left" else -1.0) * (1.0 if view == "forward" else -1.0)  # where that is in the picture
    width = np.abs(shoulders[:, 0])
    with np.errstate(all="ignore"):
        shift = np.where(width > 0, own_side * middle[:, 0] / width, np.nan)
    return {
        "obliquity": np.degrees(np.arctan2(across[:, 1], np.abs(across[:, 0]))),
        "trunk_shift": shift,
    }


class _Points:
    """The points by name, (T, 2): forward, up."""

    def __init__(self, poses: Poses, facing: int) -> None:
        self._xy = poses.xy.astype(np.float64) * np.array([facing, -1.0])

    def __call__(self, name: str) -> Floats:
        return np.asarray(self._xy[:, INDEX[name]])


def _from_vertical(upper: Floats, lower: Floats) -> Floats:
    """Return the angle of a segment from the vertical in degrees; lower end forward is positive."""
    hanging = lower - upper
    return np.asarray(np.degrees(np.arctan2(hanging[:, 0], -hanging[:, 1])))


def _wrapped(degrees: Floats) -> Floats:
    """Return angles between -180 and 180 degrees."""
    return np.asarray((degrees + 180.0) % 360.0 - 180.0)


def _clearance(at: _Points, limb: str) -> Floats:
    """Return the lowest foot point's height above this foot's ground line, which slopes if the camera rolls, over leg
    length."""
    foot = np.stack([at(f"{limb}_{name}") for name in ("heel", "big_toe", "small_toe")], axis=1)
    whole = np.isfinite(foot).all(axis=(1, 2))
    low = np.full(len(foot), np.nan)
    leg = np.linalg.norm(at(f"{limb}_hip") - at(f"{limb}_knee"), axis=1) + np.linalg.norm(
        at(f"{limb}_knee") - at(f"{limb}_ankle"), axis=1
    )
    leg = leg[np.isfinite(leg)]
    if np.count_nonzero(whole) < 20 or not len(leg):
        return low
    lowest = foot[..., 1].argmin(axis=1)
    place = foot[np.arange(len(foot)), lowest]
    x, y = place[whole].T
    line = np.polyfit(x, y, 1) if np.ptp(x) > 0.5 * np.median(leg) else np.array([0.0, np.median(y)])
    for _ in range(8):  # fit again to the lower half, which are the frames of standing
        off = y - np.polyval(line, x)
        standing = off <= np.quantile(off, 0.55)
        line = np.polyfit(x[standing], y[standing], 1) if np.ptp(x[standing]) > np.median(leg) / 2 else line
    low[whole] = (y - np.polyval(line, x)) / np.median(leg)
    return low


def _smooth_clearance(curve: Floats, seconds: Floats) -> Floats:
    """Low-pass the known runs: the score reads extreme values, which noise exaggerates."""
    out = curve.copy()
    for first, end in runs_of_true(np.isfinite(curve)):
        out[first:end] = low_pass(curve[first:end, None], seconds[first:end], CLEARANCE_HZ)[:, 0]
    return out


def as_table(angles: Angles) -> pl.DataFrame:
    """Return the angles as the table ANGLES."""
    import polars as pl

    count = len(angles.seconds)
    frames = np.arange(count, dtype=np.int32)
    parts = [
        pl.DataFrame({"frame": frames, "seconds": angles.seconds, "limb": [limb] * count})
        .with_columns(pl.col("limb").cast(pl.String))
        .with_columns(
            pl.Series(name, np.round(curve, 3).astype(np.float32)).fill_nan(None)
            for name, curve in angles.curves[limb].items()
        )
        for limb in LIMBS
    ]
    return pl.concat(parts).sort("frame", "limb")
