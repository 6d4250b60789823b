"""Draws the gait of a clinic's children: one severity per limb moves all joints together.

Items of one limb correlate, totals spread and score 2 stays rare as published (report/published.py); the numbers below
are fitted to those figures by bench/cohort.py, which prints them side by side. Age, sex, body and the chances of the
recording stay those of draw_child, so that the population changes only how a child walks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from childgait.gait.normative import CYCLE, pattern_change
from childgait.params import Synthesize
from childgait.synthetic.child import DIAGNOSES, Child, LimbPlan, Random, draw_child, pick
from childgait.synthetic.conditions import draw_conditions
from childgait.synthetic.rating import stream


@dataclass(frozen=True)
class Offset:
    """Distribution of one offset of a limb from its pattern, in the unit of LimbPlan.

    The standardized offset is `severity` x limb severity + `shared` x factor of the group + its own part, whose
    correlation between the limbs is `limbs`.
    """

    mean: float
    spread: float
    limbs: float
    severity: float = 0.0
    group: str = ""
    shared: float = 0.0


OFFSETS = {
    "hip": Offset(-1.8, 4.8, 0.70, 0.58, "flexion", 0.50),
    "knee": Offset(1.0, 4.0, 0.60, 0.35, "flexion", 0.35),
    "knee_swing": Offset(-4.8, 7.5, 0.70, -0.72, "flexion", -0.45),
    "knee_late": Offset(3.5, 4.5, 0.70, 0.50, "equinus", 0.55),
    "ankle": Offset(-4.2, 4.2, 0.10, -0.50, "equinus", -0.45),
    "ankle_swing": Offset(-2.8, 4.5, 0.30, -0.50, "equinus", -0.50),
    "ankle_contact": Offset(0.2, 3.2, 0.30, -0.50, "equinus", -0.60),
    "heel_rise": Offset(0.9, 3.6, 0.60, 0.45, "equinus", 0.60),
    "adduction": Offset(0.5, 2.5, 0.50),
    "hip_rotation": Offset(16.0, 7.0, 0.85, 0.30),
    "foot_rotation": Offset(4.5, 11.0, 0.50, -0.20),
    "hindfoot": Offset(6.2, 4.5, 0.95, 0.15),
    "clearance": Offset(0.018, 0.009, 0.90, -0.50, "equinus", -0.60),
    "drop": Offset(0.3, 2.9, 0.90, 0.25, "trunk", 0.20),
    "sway": Offset(4.2, 2.2, 0.10, 0.50, "trunk", 0.70),
}
LEAN = Offset(2.4, 4.0, 1.0, 0.50, "trunk", 0.75)  # of the trunk, forward
GROUP_LIMBS = 0.4  # correlation of a group's factor between the limbs
SEVERITY_LIMBS = 0.55  # correlation of the severity between the limbs of a child without hemiplegia
BOUND = 2.2  # standard deviations that an offset approaches but does not exceed: severe deviations are rare
TYPICAL_SHARE, TYPICAL_SPREAD = 0.08, 0.5  # typically developing children, and their spread relative to the others
KINDS = {"bilateral": 0.34, "hemiplegia": 0.22, "rotational": 0.22, "mild": 0.22}
KIND_SEVERITY = {"bilateral": 0.9, "hemiplegia": 0.3, "rotational": -0.5, "mild": -0.7}  # log odds per unit of severity
PATTERNS_OF = {
    "bilateral": {
        "true_equinus": 0.14,
        "jump": 0.34,
        "apparent_equinus": 0.20,
        "crouch_moderate": 0.12,
        "stiff_knee": 0.12,
        "recurvatum": 0.08,
    },
    "hemiplegia": {
        "drop_foot": 0.35,
        "drop_foot_steppage": 0.10,
        "true_equinus": 0.25,
        "recurvatum": 0.10,
        "stiff_knee": 0.20,
    },
    "mild": {"normal": 0.7, "true_equinus": 0.2, "apparent_equinus": 0.1},
    "rotational": {"normal": 1.0},
}
SPEED = {"typical": 0.43, "bilateral": 0.36, "hemiplegia": 0.39, "rotational": 0.42, "mild": 0.41}  # dimensionless
STRENGTH, STRENGTH_SEVERITY = 0.45, 0.10  # of a pattern: in the mean, and per unit of severity
WEAKEST, STRONGEST = 0.2, 0.70
HEEL_DOWN = 0.92  # share of limbs whose ankle yields in stance until the heel is down
HIGHEST_HEEL = 6.0  # degrees of heel lift in mid-stance that a yielding ankle allows at most
FLAT, LANDING = 1.0, 6.5  # degrees by which a pattern lifts the heel where the ankle yields: in stance, at contact
NO_CLEARANCE = 0.010  # clearance that a pattern of strength 1 takes away
LOW_FEET = ("drop_foot", "stiff_knee", "true_equinus", "jump")


def base_child(index: int, params: Synthesize) -> Child:
    """Draw the cohort's child number `index`, from 0, with independent deviations: the population of pre-training."""
    return draw_child(f"{index + 1:04d}", stream(params.seed, index, 0))


def cohort_child(index: int, params: Synthesize) -> Child:
    """Draw the cohort's child number `index`, from 0, of the population that params name."""
    child = base_child(index, params)
    if params.population != "independent":
        child = draw_clinic_child(child, stream(params.seed, index, 6))
    return draw_conditions(child, stream(params.seed, index, 10)) if params.conditions else child


def draw_clinic_child(base: Child, rng: Random) -> Child:
    """Draw how a child of a clinic walks; age, sex and body are those of `base`."""
    typical = rng.random() < TYPICAL_SHARE
    common, *own = rng.normal(size=3)
    kind = "typical" if typical else _draw_kind(common, rng)
    severity = np.sqrt(SEVERITY_LIMBS) * common + np.sqrt(1 - SEVERITY_LIMBS) * np.array(own)
    involved = int(rng.integers(2))
    if kind == "hemiplegia":
        severity = severity + np.where(np.arange(2) == involved, 0.8, -0.6)
    patterns = _draw_patterns(kind, severity, involved, rng)
    left, right, lean = _draw_offsets(severity, typical, rng)
    retraction = float(rng.choice((-1.0, 1.0)) * rng.uniform(4.5, 18.0) * (0.3 if typical else 1.0))
    retraction *= float(np.clip(1 + 0.025 * (left["knee_swing"] + right["knee_swing"]) / 2, 0.5, 1.2))
    lag, bent_arm, duty = 0.5 + float(rng.normal(0, 0.006)), "", np.zeros(2)
    if kind == "hemiplegia":
        strength = max(patterns[0][1], patterns[1][1])
        sign = 1.0 if involved == 0 else -1.0
        lag += 0.02 * strength * sign
        bent_arm = ("left", "right")[involved]
        duty = strength * np.where(np.arange(2) == involved, -0.02, 0.03)
        retraction = -sign * abs(retraction)
    for limb, pattern in ((left, patterns[0]), (right, patterns[1])):
        _add_pattern(limb, *pattern, rng)
    left["hip_rotation"] -= 0.8 * retraction  # the hip turns back what the pelvis turns, towards where the child walks
    right["hip_rotation"] += 0.8 * retraction
    speed = float(np.clip(rng.normal(SPEED[kind], 0.035) - 0.015 * common, 0.2, 0.6))
    return replace(
        base,
        diagnosis="typical development" if typical else str(rng.choice(DIAGNOSES[kind])),
        aid=_draw_aid(-2.0 if typical else float(severity.mean()), rng),
        speed=speed,
        phase_lag=lag,
        left=LimbPlan(patterns[0][0], patterns[0][1], duty=float(duty[0]), **left),
        right=LimbPlan(patterns[1][0], patterns[1][1], duty=float(duty[1]), **right),
        tilt=float(rng.normal(0, 3.0)),
        obliquity=float(rng.normal(0, 1.0)),
        rotation=retraction,
        trunk_lean=lean,
        bent_arm=bent_arm,
    )


def _draw_kind(severity: float, rng: Random) -> str:
    return pick(rng, {kind: share * float(np.exp(KIND_SEVERITY[kind] * severity)) for kind, share in KINDS.items()})


def _draw_patterns(kind: str, severity: np.ndarray, involved: int, rng: Random) -> list[tuple[str, float]]:
    """Draw pattern and strength of the left and the right limb."""
    if kind == "typical":
        return [("normal", 0.0), ("normal", 0.0)]
    first, other = pick(rng, PATTERNS_OF[kind]), pick(rng, PATTERNS_OF[kind])
    if kind != "bilateral" or rng.random() < 0.7:
        other = first
    strengths = np.clip(STRENGTH + STRENGTH_SEVERITY * severity + rng.normal(0, 0.08, size=2), WEAKEST, STRONGEST)
    names = [first, other]
    if kind == "hemiplegia":
        names = ["normal", "normal"]
        names[involved] = first
    return [(name, 0.0 if name == "normal" else float(value)) for name, value in zip(names, strengths, strict=True)]


def _add_pattern(limb: dict[str, float], name: str, strength: float, rng: Random) -> None:
    """Add to a limb's offsets what its pattern brings: an ankle that yields in stance, a foot that hangs in swing."""
    change, _ = pattern_change(name, strength)
    pitch = change["hip"] - change["tilt"] - change["knee"] + change["ankle"]
    lifted, landed = -float(pitch[(CYCLE >= 0.10) & (CYCLE <= 0.40)].max()), -float(pitch[0])
    yields = rng.random() < HEEL_DOWN
    limb["ankle"] += (1.0 if yields else 0.3) * max(lifted - FLAT, 0.0)
    limb["ankle_contact"] += (1.0 if yields else 0.3) * max(landed - LANDING, 0.0)
    if yields:
        limb["ankle"] = max(limb["ankle"], lifted - HIGHEST_HEEL)
    if name in LOW_FEET:
        limb["clearance"] -= NO_CLEARANCE * strength


def _draw_offsets(severity: np.ndarray, typical: bool, rng: Random) -> tuple[dict[str, float], dict[str, float], float]:
    """Draw the offsets of the left and the right limb, and the forward lean of the trunk in degrees."""
    groups = {name: _correlated(GROUP_LIMBS, rng) for name in ("equinus", "flexion", "trunk")}
    normal = LimbPlan("normal", 0.0)
    drawn = {}
    for name, offset in OFFSETS.items():
        deviation = offset.spread * _standardized(offset, severity, groups, rng)
        mean = getattr(normal, name) if typical else offset.mean
        drawn[name] = mean + (TYPICAL_SPREAD if typical else 1.0) * deviation
    lean = LEAN.spread * float(_standardized(LEAN, severity, groups, rng).mean())
    left, right = ({name: float(pair[limb]) for name, pair in drawn.items()} for limb in range(2))
    return left, right, LEAN.mean + (TYPICAL_SPREAD if typical else 1.0) * lean


def _standardized(offset: Offset, severity: np.ndarray, groups: dict[str, np.ndarray], rng: Random) -> np.ndarray:
    """Draw a limb pair of mean 0 and standard deviation about 1, bounded."""
    rest = np.sqrt(1 - offset.severity**2 - offset.shared**2)
    total = offset.severity * severity + rest * _correlated(offset.limbs, rng)
    if offset.group:
        total = total + offset.shared * groups[offset.group]
    return np.asarray(BOUND * np.tanh(total / BOUND))


def _correlated(limbs: float, rng: Random) -> np.ndarray:
    common, *own = rng.normal(size=3)
    return np.asarray(np.sqrt(limbs) * common + np.sqrt(1 - limbs) * np.array(own))


def _draw_aid(severity: float, rng: Random) -> str:
    """Draw the walking aid: the more severe, the more often, and bars rather than a walker."""
    chance = 1 / (1 + np.exp(2.1 - 1.5 * severity))
    if rng.random() > chance:
        return "none"
    return "parallel bars" if rng.random() < 1 / (1 + np.exp(0.6 - severity)) else "walker"
