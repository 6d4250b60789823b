"""Computes features of a clip's keypoints: the score's items by rule, and gait features for models that read a table.

Reads clips (their keypoints, events and crops) and works in pixels of the video, where the floor does not move; where
the camera moves, the speed is that over the standing foot. Returns for every limb and item the value with its moment
(`measure_items`), and for every child a row of features (`item_values`, `kinematics`), NaN where no view shows it or
there is no stride. In a side view the limb near the camera is used; the far one, half hidden, only where no recording
shows it near.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import CODES, LIMBS, TARGETS, VIEWS, Limb, View
from childgait.domain.poses import Poses
from childgait.domain.skeleton import INDEX
from childgait.files.clips import Clip
from childgait.files.tables import Column, Table
from childgait.gait.body import body_height
from childgait.gait.events import GaitEvent, Kind, find_speed, find_strides, find_travel
from childgait.gait.feature_names import NAMES
from childgait.gait.kinematics import END_CURVES, SIDE_CURVES, Angles, measure_angles
from childgait.gait.scoring import Measurement, Stride, bands_of, score_limb

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
KINDS: tuple[Kind, ...] = ("contact", "foot_off")

MEASURED = Table(
    "measured",
    ("video", "limb", "code"),
    (
        Column("video", "String", "name of the recording"),
        Column("limb", "String", "left or right"),
        Column("code", "String", "item of the score"),
        Column("value", "Float64", "measured value in the item's unit (degrees, or as in gait/scoring.py)"),
        Column("zero_low", "Float64", "typical from here; null: no lower edge"),
        Column("zero_high", "Float64", "to here; null: no upper edge"),
        Column("score", "Int64", "0, 1 or 2 by the bands"),
        Column("seconds", "Float64", "moment of the measurement, since the video's first frame"),
        Column("frame", "Int64", "the clip's frame nearest to that"),
        Column("strides", "Int64", "number of strides that the median was taken of"),
        Column("near", "Boolean", "whether the limb is the one near the camera, or both are alike"),
    ),
)


@dataclass(frozen=True)
class ClipKinematics:
    """Angles and strides of one clip."""

    view: View
    poses: Poses
    angles: Angles
    strides: dict[Limb, list[Stride]]
    speed: float  # body heights per second across the picture; NaN in an end view

    @property
    def curves(self) -> tuple[str, ...]:
        return SIDE_CURVES if self.view in ("left", "right") else END_CURVES

    def near(self, limb: str) -> bool:
        return self.view not in ("left", "right") or self.view == limb


def measure_clip(clip: Clip) -> ClipKinematics:
    """Compute angles and strides of a clip."""
    poses = clip.poses()
    view = next(known for known in VIEWS if known == clip.view)
    travel = find_travel(poses, view)
    events = [
        GaitEvent(limb, kind, event.seconds, event.frame, "clip")
        for event in clip.events
        for limb in LIMBS
        for kind in KINDS
        if (limb, kind) == (event.limb, event.kind)
    ]
    strides = find_strides(poses, view, travel.facing, events)
    speed = find_speed(poses, view, travel, strides)
    return ClipKinematics(view, poses, measure_angles(poses, view, travel.facing or 1, clip.unmeasured), strides, speed)


def score_walk(walk: ClipKinematics) -> dict[Limb, dict[str, Measurement]]:
    """Return the measurement of every item that the view shows, by limb and item."""
    measurements: dict[Limb, dict[str, Measurement]] = {}
    for limb in LIMBS:
        curves = {name: walk.angles.curves[limb][name] for name in walk.curves}
        there = {name: curve for name, curve in curves.items() if np.isfinite(curve).any()}
        measurements[limb] = score_limb(walk.poses.seconds, there, walk.strides[limb])
    return measurements


def measure_items(clips: list[Clip]) -> pl.DataFrame:
    """Return the table MEASURED: values of all items with clip and moment, so that a person can check them."""
    import polars as pl

    rows = []
    for clip in clips:
        walk = measure_clip(clip)
        for limb, items in score_walk(walk).items():
            for code, item in items.items():
                bands = bands_of(code)
                edges = [edge if np.isfinite(edge) else None for edge in (bands.zero_low, bands.zero_high)]
                frame = int(np.abs(walk.poses.seconds - item.seconds).argmin())
                rows.append(
                    (
                        clip.video,
                        limb,
                        code,
                        item.value,
                        *edges,
                        item.score,
                        item.seconds,
                        frame,
                        len(walk.strides[limb]),
                        walk.near(limb),
                    )
                )
    return pl.DataFrame(rows, schema=MEASURED.schema(), orient="row")


# --- features of a limb's walk --------------------------------------------------------------------------------------


def describe_limb(walk: ClipKinematics, limb: Limb) -> dict[str, float]:
    """Return the features of NAMES that this view shows: medians over the limb's strides."""
    strides = walk.strides[limb]
    rows = [_of_stride(walk, limb, stride) for stride in strides]
    numbers = {name: _median([row[name] for row in rows]) for name in (rows[0] if rows else ())}
    numbers |= {f"EVGS {code}": item.value for code, item in score_walk(walk)[limb].items()}
    if np.isfinite(walk.speed):
        numbers["speed"] = walk.speed
    return numbers


def _median(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")


def _of_stride(walk: ClipKinematics, limb: Limb, stride: Stride) -> dict[str, float]:
    seconds, numbers = walk.poses.seconds, {}
    stance = (seconds >= stride.contact) & (seconds <= stride.foot_off)
    swing = (seconds > stride.foot_off) & (seconds <= stride.next_contact)
    whole = (seconds >= stride.contact) & (seconds <= stride.next_contact)
    for name in walk.curves:
        curve = walk.angles.curves[limb][name]
        numbers[f"{name} at contact"] = _at(seconds, curve, stride.contact)
        numbers[f"{name} at foot-off"] = _at(seconds, curve, stride.foot_off)
        for phase, inside in (("stance", stance), ("swing", swing)):
            numbers[f"{name} least in {phase}"] = _over(np.min, curve[inside])
            numbers[f"{name} most in {phase}"] = _over(np.max, curve[inside])
        numbers[f"{name} mean"] = _over(np.mean, curve[whole])
        if name in ("knee", "foot_pitch"):
            numbers[f"{name} jerk"] = _jerk(curve[whole], seconds[whole])
    length = stride.next_contact - stride.contact
    other = (stride.opposite_off - stride.contact) + (stride.foot_off - stride.opposite_contact)
    numbers |= {
        "stride seconds": length,
        "stance share": (stride.foot_off - stride.contact) / length,
        "double support share": other / length,
        "step share": (stride.opposite_contact - stride.contact) / length,
    }
    if walk.view in ("left", "right"):
        apart = walk.poses.xy[:, INDEX["left_ankle"], 0] - walk.poses.xy[:, INDEX["right_ankle"], 0]
        numbers["step length"] = abs(_at(seconds, apart / body_height(walk.poses.xy), stride.contact))
    else:
        for name, curve in _end_view_curves(walk, limb).items():
            numbers[f"{name} in stance"] = _over(np.mean, curve[stance])
            numbers[f"{name} range"] = _over(np.ptp, curve[whole])
    return numbers


def _end_view_curves(walk: ClipKinematics, limb: Limb) -> dict[str, Floats]:
    """Return curves that reflect rotation of foot, knee and pelvis and the hindfoot, over leg length in the picture.

    Outwards is away from the other limb.
    """
    other = "right" if limb == "left" else "left"
    at = {
        name: walk.poses.xy[:, INDEX[name]].astype(np.float64)
        for name in (f"{side}_{part}" for side in (limb, other) for part in ("hip", "knee", "ankle", "big_toe", "heel"))
    }
    outwards = np.sign(np.nanmedian((at[f"{limb}_hip"] - at[f"{other}_hip"])[:, 0]))
    leg = np.linalg.norm(at[f"{limb}_hip"] - at[f"{limb}_ankle"], axis=1)
    hip, knee, ankle = (at[f"{limb}_{part}"] for part in ("hip", "knee", "ankle"))
    share = (knee[:, 1] - hip[:, 1]) / (ankle[:, 1] - hip[:, 1])
    on_the_line = hip[:, 0] + share * (ankle[:, 0] - hip[:, 0])
    return {
        "foot outwards": outwards * (at[f"{limb}_big_toe"] - at[f"{limb}_heel"])[:, 0] / leg,
        "knee outwards": outwards * (knee[:, 0] - on_the_line) / leg,
        "heel outwards": outwards * (at[f"{limb}_heel"] - ankle)[:, 0] / leg,
        "hips' width": np.abs(at[f"{limb}_hip"] - at[f"{other}_hip"])[:, 0] / leg,
        "stance width": outwards * (ankle - at[f"{other}_ankle"])[:, 0] / leg,
    }


def _at(seconds: Floats, curve: Floats, moment: float) -> float:
    return float(np.interp(moment, seconds, curve)) if np.isfinite(moment) else float("nan")


def _over(how: Callable[[Floats], np.floating], values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(how(known)) if known.size else float("nan")


def _jerk(curve: Floats, seconds: Floats) -> float:
    """Return the log dimensionless jerk, which depends neither on the stride's duration nor on the curve's range."""
    if len(curve) < 6 or not np.isfinite(curve).all() or np.ptp(curve) == 0:
        return float("nan")
    third = np.diff(curve, 3) / np.median(np.diff(seconds)) ** 3
    return float(np.log(np.mean(third**2) * (seconds[-1] - seconds[0]) ** 6 / np.ptp(curve) ** 2))


# --- one row per child ------------------------------------------------------------------------------------------------


def _of_children(part: pl.DataFrame, clips: dict[str, Clip], names: tuple[str, ...]) -> Floats:
    """Return (children, 2, names) of left and right limb: medians over recordings, of near limbs if there are any."""
    children = sorted(part["subject"].unique())
    result = np.full((len(children), len(LIMBS), len(names)), np.nan)
    for row, child in enumerate(children):
        videos = part.filter(part["subject"] == child)["video"].sort().to_list()
        walks = [measure_clip(clips[video]) for video in videos]
        for side, limb in enumerate(LIMBS):
            seen: dict[bool, list[Floats]] = {True: [], False: []}
            for walk in walks:
                numbers = describe_limb(walk, limb)
                seen[walk.near(limb)].append(np.array([numbers.get(name, np.nan) for name in names]))
            near, far = (_median_rows(seen[is_near], len(names)) for is_near in (True, False))
            result[row, side] = np.where(np.isnan(near), far, near)
    return result


def _median_rows(rows: list[Floats], width: int) -> Floats:
    if not rows:
        return np.full(width, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the median of NaN is NaN, as intended
        return np.asarray(np.nanmedian(np.stack(rows), axis=0))


def item_values(part: pl.DataFrame, clips: dict[str, Clip]) -> Floats:
    """Return the measured value of every target (children, 34)."""
    names = tuple(f"EVGS {code}" for code in CODES)
    return _of_children(part, clips, names).reshape(-1, len(TARGETS))


def kinematics(part: pl.DataFrame, clips: dict[str, Clip]) -> Floats:
    """Return features (children, 2 x NAMES): the left limb's, then the right one's."""
    features = _of_children(part, clips, NAMES)
    return features.reshape(len(features), -1)


def features_of_clips(clips: list[Clip]) -> NDArray[np.float32]:
    """Return features of single recordings (clips, 2 x NAMES): the left limb's, then the right one's."""
    walks = [measure_clip(clip) for clip in clips]
    rows = [[describe_limb(walk, limb) for limb in LIMBS] for walk in walks]
    return np.array([[of_limb.get(name, np.nan) for of_limb in row for name in NAMES] for row in rows], np.float32)
