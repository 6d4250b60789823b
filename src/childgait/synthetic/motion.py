"""Generates a walk: joint curves on each limb's own phase, and the 3D body that they move.

Reads a Child; returns a Motion: 3D points over time, the curves that were used, and the gait events. All cameras show
one motion, so left and right, near and far are right by construction.

Metres; x along the walk, y to the child's left, z up, the floor at 0. The feet stay on the floor in stance: the pelvis
follows the standing limbs, and leg lengths vary by a few per cent where two limbs of different shape stand at once.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from childgait.domain import evgs
from childgait.domain.skeleton import INDEX, POINTS
from childgait.gait.normative import CYCLE, GRID, SPEEDS, Curve, curves_at, pattern_change
from childgait.gait.scoring import Measurement, Stride, score_limb
from childgait.synthetic.child import Child, LimbPlan
from childgait.synthetic.truth import GaitEvent

Array = NDArray[np.float64]
LIMBS: tuple[str, ...] = evgs.LIMBS
SIGN = {"left": 1.0, "right": -1.0}  # of y, on which side of the body
CURVES = (
    "hip",
    "knee",
    "ankle",
    "foot_pitch",
    "adduction",
    "hip_rotation",
    "obliquity",
    "rotation",
    "trunk_lean",
    "trunk_shift",
    "knee_direction",
    "foot_rotation",
    "hindfoot",
    "clearance",
)


@dataclass(frozen=True)
class Motion:
    """A walk. `points` are the 23 keypoints; `parts` are the further points and frames that drawing needs."""

    seconds: Array  # (T,)
    points: Array  # (T, 23, 3)
    parts: dict[str, Array]
    curves: dict[str, dict[str, Array]]  # limb: name: (T,)
    events: list[GaitEvent]
    leg_length: float


def ramp(x: Array, start: float, end: float) -> Array:
    """Return 0 before start, 1 after end, smooth between."""
    t = np.clip((x - start) / (end - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def window(x: Array, start: float, end: float, edge: float = 0.08) -> Array:
    """Return 1 from start to end of the cycle, smooth edges, periodic."""
    total = np.zeros_like(x)
    for shift in (-1, 0, 1):
        total += ramp(x, start + shift - edge / 2, start + shift + edge / 2) - ramp(
            x, end + shift - edge / 2, end + shift + edge / 2
        )
    return np.asarray(np.clip(total, 0, 1))


def _bump(center: float, width: float) -> Curve:
    distance = (CYCLE - center + 0.5) % 1 - 0.5
    return np.asarray(np.exp(-0.5 * (distance / width) ** 2))


def limb_cycle(child: Child, plan: LimbPlan) -> tuple[dict[str, Curve], float]:
    """Return one limb's sagittal curves over its own cycle, with pattern and offsets, and its share of stance."""
    curves, foot_off = curves_at(child.speed)
    change, later = pattern_change(plan.pattern, plan.strength)
    foot_off = float(np.clip(foot_off + later + plan.duty, 0.54, 0.72))
    flat = window(CYCLE, 0.08, 0.36)
    late, swing, contact = _bump(0.98, 0.05), _bump(0.73, 0.09), _bump(0.0, 0.04)
    hip_offset = plan.hip + 1.75 + child.tilt  # healthy children read straighter by markers than by eye
    knee_offset = plan.knee + 3.5 + plan.knee_late * late + plan.knee_swing * swing
    curves["hip"] += change["hip"] + hip_offset
    curves["knee"] += change["knee"] + knee_offset
    curves["tilt"] += change["tilt"] + child.tilt
    push = plan.ankle * window(CYCLE, 0.08, 0.55) + plan.ankle_contact * contact
    push = push + plan.ankle_swing * window(CYCLE, 0.72, 0.97) - plan.heel_rise * window(CYCLE, 0.20, 0.45, 0.14)
    # The foot stays as it was on the floor, whatever hip and knee add: foot flat means ankle = knee - hip + tilt.
    curves["ankle"] += change["ankle"] + push + flat * (knee_offset - plan.hip - 1.75)
    pitch = curves["hip"] - curves["tilt"] - curves["knee"] + curves["ankle"]
    too_far = np.maximum(pitch - 1.5, 0) * flat  # a flat foot cannot point up
    curves["ankle"] -= too_far
    curves["foot_pitch"] = pitch - too_far
    return curves, foot_off


def _at(curve: Curve, phase: Array) -> Array:
    place = (phase % 1.0) * GRID
    low = np.floor(place).astype(int) % GRID
    part = place - np.floor(place)
    return np.asarray((1 - part) * curve[low] + part * curve[(low + 1) % GRID])


def _rotation(axis: int, degrees: Array) -> Array:
    """Return right-handed rotations about x, y or z, (T, 3, 3)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.zeros((len(degrees), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[:, axis, axis] = 1
    matrix[:, i, i] = matrix[:, j, j] = c
    matrix[:, j, i], matrix[:, i, j] = s, -s
    return matrix


def _turn(matrix: Array, x: float = 0, y: float = 0, z: float = 0) -> Array:
    return np.asarray(matrix @ np.array([x, y, z]))


def _wobble(child: Child, name: str, seconds: Array, seed: int) -> Array:
    """Return slow change from stride to stride, about a degree; none for seed 0, the typical stride."""
    if seed == 0:
        return np.zeros_like(seconds)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    total = np.zeros_like(seconds)
    for ratio in (0.31, 0.57, 0.83):
        total += rng.normal(0, 0.55) * np.cos(2 * np.pi * (ratio * seconds / child.stride + rng.random()))
    return total


def walk(child: Child, seconds: Array, *, start: float = 0.0, seed: int = 0, neutral: Collection[str] = ()) -> Motion:
    """The walk at the given times; `start` is the left limb's phase at 0. `neutral` names the curves whose pattern and
    offsets are taken away (the cue of an item removed), on both limbs."""
    phase = {"left": start + seconds / child.stride}
    phase["right"] = phase["left"] - child.phase_lag
    cycles = {limb: limb_cycle(child, child.limb(limb)) for limb in LIMBS}
    if neutral:
        cycles, child = _neutralised(child, cycles, set(neutral))
    angles: dict[str, dict[str, Array]] = {limb: {} for limb in LIMBS}
    for limb in LIMBS:
        curves, _ = cycles[limb]
        plan = child.limb(limb)
        for name in ("hip", "knee", "ankle"):
            angles[limb][name] = _at(curves[name], phase[limb]) + _wobble(child, f"{limb} {name}", seconds, seed)
        angles[limb]["tilt"] = _at(curves["tilt"], phase[limb])
        angles[limb]["adduction"] = _at(curves["adduction"], phase[limb]) + plan.adduction
        angles[limb]["hip_rotation"] = _at(curves["hip_rotation"], phase[limb]) + plan.hip_rotation
        angles[limb]["foot_rotation"] = np.full(len(seconds), plan.foot_rotation)
        angles[limb]["hindfoot"] = plan.hindfoot * (0.4 + 0.6 * window(phase[limb] % 1, 0.05, cycles[limb][1]))
    _add_pelvis_and_trunk(child, cycles, phase, angles, seconds, seed)
    duties = {limb: cycles[limb][1] for limb in LIMBS}
    return _move_body(child, seconds, phase, duties, angles)


def _neutralised(
    child: Child, cycles: dict[str, tuple[dict[str, Curve], float]], names: set[str]
) -> tuple[dict[str, tuple[dict[str, Curve], float]], Child]:
    """Return the same child with some curves as in a normal one."""
    typical = {
        "adduction": "adduction",
        "hip_rotation": "hip_rotation",
        "foot_rotation": "foot_rotation",
        "hindfoot": "hindfoot",
        "clearance": "clearance",
        "obliquity": "drop",
        "trunk_shift": "sway",
    }
    normal = LimbPlan("normal", 0.0)
    plain = {typical[name]: getattr(normal, typical[name]) for name in names if name in typical}
    if "knee_direction" in names:
        plain["hip_rotation"] = 0.0
    child = replace(child, left=replace(child.left, **plain), right=replace(child.right, **plain))
    if "obliquity" in names:
        child = replace(child, obliquity=0.0)
    if "rotation" in names:
        child = replace(child, rotation=0.0)
    if "trunk_lean" in names:
        child = replace(child, trunk_lean=0.0)
    if "trunk_shift" in names:
        child = replace(child, trunk_list=0.0)
    usual, _ = limb_cycle(replace(child, tilt=0.0, speed=SPEEDS["free"][0]), normal)
    joints = {"hip", "knee", "ankle"} & names
    if "foot_pitch" in names:
        joints = {"hip", "knee", "ankle"}
    if "hip" in joints:
        joints |= {"tilt"}  # the pelvis leans with the hips
    return {
        limb: (curves | {name: usual[name] for name in joints}, foot_off) for limb, (curves, foot_off) in cycles.items()
    }, child


def _add_pelvis_and_trunk(
    child: Child,
    cycles: dict[str, tuple[dict[str, Curve], float]],
    phase: dict[str, Array],
    angles: dict[str, dict[str, Array]],
    seconds: Array,
    seed: int,
) -> None:
    """Add one rigid pelvis: what is up or forward on the left is down or back on the right."""
    left, right = cycles["left"][0], cycles["right"][0]
    stance = {limb: window(phase[limb] % 1, 0.06, 0.46) for limb in LIMBS}
    obliquity = (_at(left["obliquity"], phase["left"]) - _at(right["obliquity"], phase["right"])) / 2
    obliquity += child.obliquity + child.left.drop * stance["left"] - child.right.drop * stance["right"]
    rotation = (_at(left["rotation"], phase["left"]) - _at(right["rotation"], phase["right"])) / 2 + child.rotation
    obliquity += 0.5 * _wobble(child, "obliquity", seconds, seed)
    rotation += _wobble(child, "rotation", seconds, seed)
    tilt = (angles["left"]["tilt"] + angles["right"]["tilt"]) / 2
    lean = child.trunk_lean + child.trunk_lean_swing * np.cos(4 * np.pi * (phase["left"] - 0.1))
    lean += _wobble(child, "trunk", seconds, seed)
    over = {limb: window(phase[limb] % 1, 0.10, 0.48, 0.2) for limb in LIMBS}
    lateral = child.left.sway * over["left"] - child.right.sway * over["right"]
    for limb in LIMBS:
        angles[limb].update(
            obliquity=SIGN[limb] * obliquity,
            rotation=SIGN[limb] * rotation,
            tilt=tilt,
            trunk_lean=lean,
            trunk_lateral=SIGN[limb] * lateral,
        )


@dataclass
class _Leg:
    """One leg relative to the middle of the pelvis, before the ground is felt."""

    hip: Array
    thigh: Array
    shank: Array
    femur: Array  # (T, 3, 3) orientation
    foot: Array  # likewise
    toe_frame: Array
    pitch: Array
    lowest: Array  # of the foot, relative to the ankle
    heel_x: Array
    ball_x: Array


def _build_leg(child: Child, limb: str, angles: dict[str, Array], pelvis: Array, late: Array) -> _Leg:
    body, sign = child.body, SIGN[limb]
    valgus = child.limb(limb).valgus
    adduction = angles["adduction"] + valgus / 2  # so that a crooked knee leaves the foot under the hip
    femur = pelvis @ _rotation(1, -angles["hip"]) @ _rotation(0, -sign * adduction)
    femur = femur @ _rotation(2, -sign * angles["hip_rotation"])
    tibia = femur @ _rotation(1, angles["knee"])
    if valgus:
        tibia = tibia @ _rotation(0, np.full(len(adduction), sign * valgus))
    side = femur[:, :, 1]  # the axis the knee bends about
    angles["knee_direction"] = sign * np.degrees(np.arctan2(-side[:, 0], side[:, 1]))
    pitch = angles["hip"] - angles["tilt"] - angles["knee"] + angles["ankle"]
    angles["foot_pitch"] = pitch
    yaw = _rotation(2, sign * (angles["knee_direction"] + angles["foot_rotation"]))
    foot = yaw @ _rotation(1, -pitch)
    toe_pitch = pitch + np.clip(-pitch, 0, 50) * late  # the toes stay on the floor while the heel rises
    toe = yaw @ _rotation(1, -toe_pitch)
    length, sole = body["foot"], -body["ankle_height"]
    heel = _turn(foot, -0.25 * length, 0, sole)
    ball = _turn(foot, 0.45 * length, 0, sole)
    tip = ball + _turn(toe, 0.30 * length)
    hip = _turn(pelvis, 0, sign * body["hip_width"] / 2)
    return _Leg(
        hip,
        _turn(femur, z=-body["thigh"]),
        _turn(tibia, z=-body["shank"]),
        femur,
        foot,
        toe,
        pitch,
        np.minimum(np.minimum(heel[:, 2], ball[:, 2]), tip[:, 2]),
        heel[:, 0],
        ball[:, 0],
    )


def _progress(legs: dict[str, _Leg], weight: dict[str, Array], seconds: Array) -> Array:
    """Return where the pelvis is along the walk: it moves as the standing feet demand, so that they do not slide."""
    if len(seconds) < 3:
        return np.zeros_like(seconds)
    total, mass = np.zeros_like(seconds), np.zeros_like(seconds)
    for limb, leg in legs.items():
        ankle = (leg.hip + leg.thigh + leg.shank)[:, 0]
        on_heel = ramp(leg.pitch, -3, 3)
        speed = -(
            on_heel * np.gradient(ankle + leg.heel_x, seconds)
            + (1 - on_heel) * np.gradient(ankle + leg.ball_x, seconds)
        )
        total, mass = total + weight[limb] ** 2 * speed, mass + weight[limb] ** 2
    speed = np.maximum(total / np.maximum(mass, 1e-6), 0.05)
    step = np.diff(seconds) * (speed[1:] + speed[:-1]) / 2
    return np.concatenate([[0.0], np.cumsum(step)])


def _move_body(
    child: Child, seconds: Array, phase: dict[str, Array], duties: dict[str, float], angles: dict[str, dict[str, Array]]
) -> Motion:
    body, count = child.body, len(seconds)
    left = angles["left"]
    pelvis = _rotation(2, -left["rotation"]) @ _rotation(0, left["obliquity"]) @ _rotation(1, left["tilt"])
    weight = {limb: window(phase[limb] % 1, -0.025, duties[limb] + 0.025, 0.05) for limb in LIMBS}
    legs = {}
    for limb in LIMBS:
        share = phase[limb] % 1
        late = ramp(share, 0.1, 0.3) * (1 - ramp(share, duties[limb] - 0.03, duties[limb] + 0.10))
        legs[limb] = _build_leg(child, limb, angles[limb], pelvis, late)
    bottom = {limb: (leg.hip + leg.thigh + leg.shank)[:, 2] + leg.lowest for limb, leg in legs.items()}
    mass = weight["left"] + weight["right"]
    root = np.zeros((count, 3))
    root[:, 0] = _progress(legs, weight, seconds)
    root[:, 1] = 0.018 * (weight["left"] - weight["right"]) / np.maximum(mass, 1e-6)
    root[:, 2] = -(weight["left"] * bottom["left"] + weight["right"] * bottom["right"]) / np.maximum(mass, 1e-6)
    points, parts = np.zeros((count, len(POINTS), 3)), {"pelvis": root, "pelvis_frame": pelvis}
    leg_length = body["thigh"] + body["shank"] + body["ankle_height"]
    for limb in LIMBS:
        leg, share = legs[limb], phase[limb] % 1
        swing = np.clip((share - duties[limb]) / (1 - duties[limb]), 0, 1)
        height = root[:, 2] + bottom[limb] + 0.03 * leg_length * np.sin(np.pi * swing) ** 2
        clearance = child.limb(limb).clearance * leg_length * ramp(swing, 0.05, 0.35) * (1 - ramp(swing, 0.80, 1.0))
        height = clearance + 0.004 * np.logaddexp(
            0, (height - clearance) / 0.004
        )  # children shorten the limb to clear the floor
        height = (1 - weight[limb]) * np.maximum(height, 0)  # ... or drag on it, but not through it
        reach = (leg.thigh + leg.shank)[:, 2]
        give = np.clip((height - root[:, 2] - leg.hip[:, 2] - leg.lowest) / reach, 0.86, 1.14)[:, None]
        hip = root + leg.hip
        knee = hip + leg.thigh * give
        ankle = knee + leg.shank * give
        angles[limb]["clearance"] = (ankle[:, 2] + leg.lowest) / leg_length
        _place_foot(body, limb, ankle, leg, angles[limb]["hindfoot"], points, parts)
        parts[f"{limb}_femur"] = leg.femur
        for name, place in (("hip", hip), ("knee", knee), ("ankle", ankle)):
            points[:, INDEX[f"{limb}_{name}"]] = place
    _place_upper_body(child, phase, angles, root, points, parts)
    events = _events(child, phase, duties, seconds)
    curves = {limb: {name: angles[limb][name] for name in CURVES} for limb in LIMBS}
    return Motion(seconds, points, parts, curves, events, leg_length)


def _place_foot(
    body: dict[str, float], limb: str, ankle: Array, leg: _Leg, hindfoot: Array, points: Array, parts: dict[str, Array]
) -> None:
    length, sole, sign = body["foot"], -body["ankle_height"], SIGN[limb]
    rear = leg.foot @ _rotation(0, sign * hindfoot)  # the heel bone leans, the forefoot does not
    ball = ankle + _turn(leg.foot, 0.45 * length, 0, 0.9 * sole)
    points[:, INDEX[f"{limb}_heel"]] = ankle + _turn(rear, -0.25 * length, 0, 0.8 * sole)
    points[:, INDEX[f"{limb}_big_toe"]] = ball + _turn(leg.toe_frame, 0.29 * length, -sign * 0.10 * length)
    points[:, INDEX[f"{limb}_small_toe"]] = ball + _turn(leg.toe_frame, 0.18 * length, sign * 0.20 * length)
    parts[f"{limb}_foot"], parts[f"{limb}_hindfoot"], parts[f"{limb}_toes"] = leg.foot, rear, leg.toe_frame
    parts[f"{limb}_ball"] = ball
    parts[f"{limb}_sole"] = ankle + _turn(rear, -0.18 * length, 0, sole)


def _place_upper_body(
    child: Child,
    phase: dict[str, Array],
    angles: dict[str, dict[str, Array]],
    root: Array,
    points: Array,
    parts: dict[str, Array],
) -> None:
    body, left = child.body, angles["left"]
    turn = -0.6 * (left["rotation"] - child.rotation) + 0.3 * child.rotation
    lateral = left["trunk_lateral"] + child.trunk_list
    trunk = _rotation(2, -turn) @ _rotation(0, -lateral) @ _rotation(1, left["trunk_lean"])
    neck = root + _turn(trunk, z=body["trunk"])
    for limb in LIMBS:
        shift = SIGN[limb] * (neck - root)[:, 1] / body["shoulder_width"]
        angles[limb]["trunk_shift"] = shift
    gaze = _rotation(2, -0.3 * turn) @ _rotation(0, -0.4 * lateral) @ _rotation(1, 0.5 * left["trunk_lean"] + 4)
    head = body["head"]
    center = neck + _turn(gaze, 0.07 * head, 0, body["neck_and_head"] - 0.5 * head)
    parts.update(neck=neck, trunk_frame=trunk, head=center, head_frame=gaze)
    face = {
        "nose": (0.47, 0.0, -0.08),
        "left_eye": (0.40, 0.15, 0.03),
        "right_eye": (0.40, -0.15, 0.03),
        "left_ear": (0.02, 0.35, -0.03),
        "right_ear": (0.02, -0.35, -0.03),
    }
    for name, (ahead, aside, above) in face.items():
        points[:, INDEX[name]] = center + _turn(gaze, head * ahead, head * aside, head * above)
    for limb in LIMBS:
        other = "right" if limb == "left" else "left"
        swing = np.cos(2 * np.pi * (phase[other] - 0.02))  # the arm goes with the other leg
        amplitude, elbow = child.arm_swing, 25 + 10 * swing
        if child.aid != "none":
            amplitude, elbow = 3.0, 42 + 3 * swing  # hands on the handles
        elif child.bent_arm == limb:
            amplitude, elbow = 3.0, 75 + 4 * swing
        sign = SIGN[limb]
        shoulder = neck + _turn(trunk, 0, sign * body["shoulder_width"] / 2, -0.01 * child.height)
        upper = _rotation(2, -turn) @ _rotation(0, np.full(len(turn), sign * 8.0)) @ _rotation(1, 4 - amplitude * swing)
        lower = upper @ _rotation(0, np.full(len(turn), -sign * 5.0)) @ _rotation(1, -elbow)
        elbow_place = shoulder + _turn(upper, z=-body["upper_arm"])
        wrist = elbow_place + _turn(lower, z=-body["forearm"])
        for name, place in (("shoulder", shoulder), ("elbow", elbow_place), ("wrist", wrist)):
            points[:, INDEX[f"{limb}_{name}"]] = place
        parts[f"{limb}_hand"] = wrist + _turn(lower, z=-0.55 * body["hand"])


def _events(child: Child, phase: dict[str, Array], duties: dict[str, float], seconds: Array) -> list[GaitEvent]:
    """Return contacts and foot offs within the walk, exact."""
    events: list[GaitEvent] = []
    for limb in LIMBS:
        first, last = phase[limb][0], phase[limb][-1]
        for kind, share in (("contact", 0.0), ("foot_off", duties[limb])):
            for number in range(int(np.ceil(first - share)), int(np.floor(last - share)) + 1):
                moment = float(seconds[0] + (number + share - first) * child.stride)
                events.append({"limb": limb, "kind": kind, "seconds": round(moment, 6)})
    return sorted(events, key=lambda event: (event["seconds"], event["limb"], event["kind"]))


def strides_of(motion: Motion, limb: str) -> list[Stride]:
    """Return the whole strides of a limb, with the other limb's events in between."""
    other = "right" if limb == "left" else "left"

    def moments(side: str, kind: str) -> list[float]:
        return [e["seconds"] for e in motion.events if e["limb"] == side and e["kind"] == kind]

    def between(found: list[float], start: float, end: float) -> float:
        return next((moment for moment in found if start < moment < end), float("nan"))

    ahead = motion.points[:, INDEX[f"{other}_ankle"], 0] - motion.points[:, INDEX[f"{limb}_ankle"], 0]
    strides = []
    contacts = moments(limb, "contact")
    for contact, following in pairwise(contacts):
        off = between(moments(limb, "foot_off"), contact, following)
        other_off = between(moments(other, "foot_off"), contact, following)
        other_contact = between(moments(other, "contact"), contact, following)
        inside = (motion.seconds > other_off) & (motion.seconds < other_contact) & (ahead > 0)
        passing = float(motion.seconds[np.argmax(inside)]) if inside.any() else float("nan")
        strides.append(Stride(contact, other_off, passing, other_contact, off, following))
    return strides


def typical_walk(child: Child, *, neutral: Collection[str] = ()) -> Motion:
    """Return the child's walk without change from stride to stride, long enough for a whole stride of each limb."""
    return walk(child, np.arange(0, 2.7, 1 / GRID) * child.stride, neutral=neutral)


def measure(child: Child, *, neutral: Collection[str] = ()) -> dict[str, dict[str, Measurement]]:
    """Return what the bands give for this child's typical stride: limb: item: value and score."""
    motion = typical_walk(child, neutral=neutral)
    return {limb: score_limb(motion.seconds, motion.curves[limb], strides_of(motion, limb)[:1]) for limb in LIMBS}
