"""Draws conditions that other tasks classify (domain/tasks.py), and reads their classes from the true parameters.

Only with `synthesize.conditions`: then gait types are drawn more distinctly than in the clinic's population, where an
ankle that yields hides most of jump gait, and knees and trunk may be crooked. No class is drawn: a limb's gait type
follows from what its true curves measure, alignment and scoliosis from the angles of the body, so that a class shows
in the walk. The limits are ours: gait types of Rodda and Graham differ in the ankle (equinus, neutral, too much
dorsiflexion) and in the knee in stance; varus and valgus from 5 degrees; a list of the trunk from 2 and 5 degrees.
"""

from __future__ import annotations

from dataclasses import replace

from childgait.domain.evgs import LIMBS
from childgait.domain.tasks import TASKS
from childgait.gait.scoring import bands_of
from childgait.synthetic.child import Child, LimbPlan, Random, pick
from childgait.synthetic.rating import Scores

PATTERNS = {"normal": 0.30, "true_equinus": 0.20, "jump": 0.20, "apparent_equinus": 0.15, "crouch_moderate": 0.15}
STRENGTHS = (0.8, 1.15)
KEPT = 0.4  # share of a limb's own offsets of hip, knee and ankle that is kept, so that patterns are distinct
SAME_PATTERN = 0.7  # chance that both limbs have one pattern
EQUINUS, CROUCH = 4.5, 15.0  # degrees of dorsiflexion in stance: below the guide's band; beyond the normal mean of 11
ALIGNMENTS = {"varum": 0.3, "normal": 0.4, "valgum": 0.3}
SIGN_OF = {"varum": -1.0, "normal": 0.0, "valgum": 1.0}
BENT, STRAIGHT = (9.0, 15.0), 2.0  # degrees of the shank to the thigh in the frontal plane; spread of straight knees
CROOKED = 5.0  # degrees from which knees are valgus, or varus
LISTS = {"negative": (0.0, 1.0), "neutral": (3.0, 4.0), "positive": (7.0, 11.0)}  # degrees of the trunk to one side
DOUBTFUL, MANIFEST = 2.0, 5.0


def draw_conditions(child: Child, rng: Random) -> Child:
    """Draw gait types, knee alignment and a list of the trunk for a child; age, sex, body and speed stay."""
    first = pick(rng, PATTERNS)
    names = {"left": first, "right": first if rng.random() < SAME_PATTERN else pick(rng, PATTERNS)}
    alignment, scoliosis = pick(rng, ALIGNMENTS), pick(rng, dict.fromkeys(LISTS, 1.0))
    knees = {limb: _draw_valgus(alignment, rng) for limb in LIMBS}
    limbs = {limb: _with_pattern(child.limb(limb), names[limb], knees[limb], rng) for limb in LIMBS}
    trunk = float(rng.choice((-1.0, 1.0)) * rng.uniform(*LISTS[scoliosis]))
    return replace(child, left=limbs["left"], right=limbs["right"], trunk_list=trunk)


def _draw_valgus(alignment: str, rng: Random) -> float:
    bent = SIGN_OF[alignment] * rng.uniform(*BENT)
    return float(bent if bent else rng.normal(0, STRAIGHT / 2))


def _with_pattern(plan: LimbPlan, name: str, valgus: float, rng: Random) -> LimbPlan:
    strength = float(rng.uniform(*STRENGTHS))
    offsets = {key: KEPT * getattr(plan, key) for key in ("hip", "knee", "ankle", "ankle_contact", "heel_rise")}
    return replace(plan, pattern=name, strength=0.0 if name == "normal" else strength, valgus=valgus, **offsets)


def gait_type(dorsiflexion: float, knee: float) -> str:
    """Return the gait type of a limb: its largest dorsiflexion and its least knee flexion in stance, in degrees."""
    if knee <= bands_of("KEX").zero_high:
        return "type1" if dorsiflexion < EQUINUS else "WNL"
    if dorsiflexion < EQUINUS:
        return "type2"
    return "type4" if dorsiflexion > CROUCH else "type3"


def conditions_of(child: Child, scores: Scores) -> dict[str, str]:
    """Return the child's classes by column of subjects.csv; `scores` hold what the true curves measure."""
    types = {
        column: gait_type(scores[limb]["SAD"]["value"], scores[limb]["KEX"]["value"])
        for limb, column in zip(LIMBS, TASKS["gait_type"].columns, strict=True)
    }
    valgus = (child.left.valgus + child.right.valgus) / 2
    alignment = "normal" if abs(valgus) < CROOKED else "valgum" if valgus > 0 else "varum"
    tilted = abs(child.trunk_list)
    scoliosis = "negative" if tilted < DOUBTFUL else "neutral" if tilted < MANIFEST else "positive"
    return types | {"knee_alignment": alignment, "scoliosis": scoliosis}
