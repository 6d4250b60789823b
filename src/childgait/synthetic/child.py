"""Draws a child's age, body, gait pattern and offsets from a seed.

The shares of patterns and the spread of the offsets are set so that the labels, which come from scoring the curves,
occur about as often as published (bench/cohort.py prints both). Nothing here draws a label.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from childgait.gait.normative import height_of, proportions, stride_of

Random = np.random.Generator


@dataclass(frozen=True)
class LimbPlan:
    """How one limb deviates from the normal curves, in degrees unless stated."""

    pattern: str  # one of gait.normative.PATTERNS
    strength: float  # 1: the pattern at moderate strength
    hip: float = 0.0  # flexion, all cycle
    knee: float = 0.0  # flexion, all cycle
    knee_swing: float = 0.0  # at the swing peak
    knee_late: float = 0.0  # just before contact
    ankle: float = 0.0  # dorsiflexion, stance
    ankle_swing: float = 0.0
    ankle_contact: float = 0.0
    heel_rise: float = 0.0  # plantarflexion from mid-stance on: an early heel
    adduction: float = 0.0
    hip_rotation: float = 0.0  # internal
    foot_rotation: float = 8.0  # external, relative to the knee
    hindfoot: float = 4.0  # valgus
    clearance: float = 0.02  # kept under the foot in mid-swing, over leg length
    drop: float = (
        0.0  # own side up in own stance: Trendelenburg; negative: the pelvis hiked over the other, swinging limb
    )
    sway: float = 2.5  # trunk towards the own side in own stance
    duty: float = 0.0  # added share of stance
    valgus: float = 0.0  # of the shank to the thigh in the frontal plane; negative: varus


@dataclass(frozen=True)
class Child:
    """One child: the row of subjects.csv, the body, and the motion plan of each limb."""

    subject: str
    age_years: float
    sex: str
    diagnosis: str
    aid: str
    height: float  # metres
    speed: float  # dimensionless
    stride: float  # seconds
    phase_lag: float  # of the right limb behind the left, share of a cycle
    left: LimbPlan
    right: LimbPlan
    tilt: float  # pelvis, added anterior tilt
    obliquity: float  # pelvis, left side up
    rotation: float  # pelvis, left side forward
    trunk_lean: float  # forward
    trunk_lean_swing: float  # twice a stride
    arm_swing: float  # degrees either way
    bent_arm: str  # "left", "right" or ""
    body: dict[str, float] = field(default_factory=dict)  # metres
    trunk_list: float = 0.0  # constant lean of the trunk to the left

    def limb(self, side: str) -> LimbPlan:
        return self.left if side == "left" else self.right


BILATERAL = {
    "true_equinus": 0.22,
    "jump": 0.26,
    "apparent_equinus": 0.16,
    "crouch_moderate": 0.08,
    "crouch_severe": 0.03,
    "stiff_knee": 0.14,
    "recurvatum": 0.11,
}
HEMIPLEGIC = {
    "drop_foot": 0.40,
    "drop_foot_steppage": 0.10,
    "true_equinus": 0.20,
    "recurvatum": 0.10,
    "stiff_knee": 0.20,
}
KINDS = {"bilateral": 0.36, "hemiplegia": 0.24, "rotational": 0.20, "mild": 0.20}
DIAGNOSES = {
    "bilateral": ("bilateral spastic cerebral palsy",),
    "hemiplegia": ("unilateral spastic cerebral palsy",),
    "rotational": ("idiopathic in-toeing", "flexible flatfoot", "femoral anteversion"),
    "mild": ("idiopathic toe walking", "developmental delay", "leg length difference"),
}
AIDS = {"none": 0.80, "walker": 0.10, "parallel bars": 0.10}


def pick(rng: Random, shares: dict[str, float]) -> str:
    names = list(shares)
    weights = np.array([shares[name] for name in names])
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _shared(rng: Random, mean: float, spread: float, same: float) -> tuple[float, float]:
    """Return a value for each limb, with correlation `same`."""
    common, left, right = rng.normal(size=3)
    return (
        mean + spread * (np.sqrt(same) * common + np.sqrt(1 - same) * left),
        mean + spread * (np.sqrt(same) * common + np.sqrt(1 - same) * right),
    )


def _patterns(rng: Random, kind: str) -> tuple[tuple[str, float], tuple[str, float]]:
    """Pattern and strength of the left and the right limb."""
    if kind == "bilateral":
        first = pick(rng, BILATERAL)
        second = first if rng.random() < 0.7 else pick(rng, BILATERAL | {"normal": 0.5})
        strength = rng.uniform(0.35, 1.15)
        return (first, strength), (second, float(np.clip(strength + rng.normal(0, 0.2), 0.2, 1.2)))
    if kind == "hemiplegia":
        limbs = [(pick(rng, HEMIPLEGIC), rng.uniform(0.4, 1.15)), ("normal", 0.0)]
        if rng.random() < 0.5:
            limbs.reverse()
        return limbs[0], limbs[1]
    if kind == "mild" and rng.random() < 0.35:
        strength = rng.uniform(0.3, 0.8)
        return ("true_equinus", strength), ("true_equinus", strength * rng.uniform(0.7, 1.1))
    return ("normal", 0.0), ("normal", 0.0)


def _offsets(rng: Random, kind: str) -> tuple[dict[str, float], dict[str, float]]:
    """Return each limb's offsets from its pattern: mean, spread, correlation of the limbs."""
    turned = 1.3 if kind == "rotational" else 1.0
    table = {
        "hip": (-2.8, 3.6, 0.85),
        "knee": (0.0, 3.2, 0.8),
        "knee_swing": (-1.5, 6.0, 0.8),
        "knee_late": (0.0, 5.0, 0.8),
        "ankle": (-0.5, 3.0, 0.1),
        "ankle_swing": (-0.5, 4.5, 0.5),
        "ankle_contact": (0.5, 6.0, 0.4),
        "heel_rise": (0.5, 3.5, 0.7),
        "adduction": (0.5, 2.5, 0.5),
        "hip_rotation": (14.0 * turned, 12.0, 0.85),
        "foot_rotation": (7.0, 10.5 * turned, 0.7),
        "hindfoot": (4.6, 5.0, 0.95),
        "clearance": (0.022, 0.008, 0.9),
        "drop": (0.0, 2.0, 0.3),
        "sway": (3.2, 2.2, 0.4),
    }
    drawn = {name: _shared(rng, *numbers) for name, numbers in table.items()}
    return {name: float(pair[0]) for name, pair in drawn.items()}, {
        name: float(pair[1]) for name, pair in drawn.items()
    }


def draw_child(subject: str, rng: Random) -> Child:
    age = float(np.clip(rng.normal(8.4, 3.1), 3.0, 17.0))
    sex = "male" if rng.random() < 0.58 else "female"
    kind = pick(rng, KINDS)
    (left_pattern, left_strength), (right_pattern, right_strength) = _patterns(rng, kind)
    left, right = _offsets(rng, kind)
    height = height_of(age, sex) * float(rng.normal(1, 0.042))
    slow = {"bilateral": 0.36, "hemiplegia": 0.39, "rotational": 0.43, "mild": 0.42}[kind]
    speed = float(np.clip(rng.normal(slow, 0.045), 0.2, 0.6))
    retraction = float(rng.normal(0, 17.0))
    lag, bent_arm, duty = 0.5 + float(rng.normal(0, 0.006)), "", (0.0, 0.0)
    if kind == "hemiplegia":
        involved_left = left_pattern != "normal"
        severity = max(left_strength, right_strength)
        lag += 0.02 * severity * (1 if involved_left else -1)
        bent_arm = "left" if involved_left else "right"
        duty = (-0.02 * severity, 0.03 * severity) if involved_left else (0.03 * severity, -0.02 * severity)
        retraction = (-1 if involved_left else 1) * (9.0 * severity + float(rng.normal(0, 9.0)))
    if kind == "bilateral" and rng.random() < 0.3:  # a weak hip, or a trunk that leans over it
        sign, size = (1.0, -1.0)[int(rng.random() < 0.5)], rng.uniform(3, 10)
        for limb in (left, right):
            limb["drop"] += sign * size * rng.uniform(0.5, 1.0)
            limb["sway"] += (-1.5 if sign > 0 else 6.0) * size / 10
    left["hip_rotation"] -= 0.6 * retraction  # the hip turns back what the pelvis turns, towards where the child walks
    right["hip_rotation"] += 0.6 * retraction
    for limb, pattern, strength in ((left, left_pattern, left_strength), (right, right_pattern, right_strength)):
        if pattern in ("drop_foot", "stiff_knee", "true_equinus"):  # a foot that hangs or a knee that does not bend
            limb["clearance"] -= 0.008 * strength
    lean = float(rng.normal(1.5, 3.6)) + (2.5 if kind == "bilateral" else 0.0)
    return Child(
        subject=subject,
        age_years=round(age, 1),
        sex=sex,
        diagnosis=str(rng.choice(DIAGNOSES[kind])),
        aid=pick(rng, AIDS),
        height=height,
        speed=speed,
        stride=stride_of(age, speed) * float(np.exp(rng.normal(0, 0.08))),
        phase_lag=lag,
        left=LimbPlan(left_pattern, float(left_strength), duty=duty[0], **left),
        right=LimbPlan(right_pattern, float(right_strength), duty=duty[1], **right),
        tilt=float(rng.normal(0, 3.5)),
        obliquity=float(rng.normal(0, 1.2)),
        rotation=retraction,
        trunk_lean=lean,
        trunk_lean_swing=float(abs(rng.normal(1.2, 0.6))),
        arm_swing=float(rng.uniform(12, 25)),
        bent_arm=bent_arm,
        body={name: share * height for name, share in proportions(age).items()},
    )


def draw_adult(rng: Random) -> Child:
    """Draw an adult with a normal gait who walks beside the child."""
    height = float(rng.normal(1.68, 0.08))
    plan = LimbPlan("normal", 0.0)
    return Child(
        subject="",
        age_years=35.0,
        sex=("male", "female")[int(rng.random() < 0.7)],
        diagnosis="",
        aid="none",
        height=height,
        speed=0.4,
        stride=float(rng.normal(1.12, 0.05)),
        phase_lag=0.5,
        left=plan,
        right=plan,
        tilt=0.0,
        obliquity=0.0,
        rotation=0.0,
        trunk_lean=2.0,
        trunk_lean_swing=1.0,
        arm_swing=float(rng.uniform(10, 20)),
        bent_arm="",
        body={name: share * height for name, share in proportions(17).items()},
    )
