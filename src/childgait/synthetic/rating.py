"""Scores of a synthetic child: the measured value, the score by the bands, and the score as a rater would give it.

In the population `independent` a rater reads what `gait/scoring.py` measures and errs near the edges of the bands. In
the population `clinic` two raters score every child, each with a window, bands and a bias of their own per item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from childgait.domain.evgs import CODES, LIMBS, Bands
from childgait.gait.scoring import CURVE_OF, Measurement, Stride, bands_of, measure_item
from childgait.synthetic.child import Child, Random
from childgait.synthetic.motion import Array, measure, strides_of, typical_walk

Scores = dict[str, dict[str, dict[str, float]]]
# Band edges of the items that are not measured in degrees: what a rater's degree is worth.
_UNIT = {"HL": 0.06, "FCL": 0.0015, "TLT": 0.015}
POINTS_A_LEVEL = 3.8  # of one limb's score, between two levels of motor severity
RATINGS = ("rated", "second")  # of the two raters; the first one's scores are the labels
# A rater reads a still picture for these items, at this share of the gait cycle: a window for the mean is no rater's.
_STILLS = {"HVV": 0.30, "FRT": 0.30, "KPA": 0.30, "POB": 0.22, "PRT": 0.22, "KPS": 0.97}
_LATE = 0.008  # standard deviation of a rater's window, as a share of a gait cycle
_BIAS, _EDGE = 0.05, 0.04  # standard deviations of bias and edges, as shares of the typical band's width
_WIDEST = 20.0  # degrees; of a band that is open or wider


@dataclass(frozen=True)
class Reading:
    """How one rater scores one item."""

    late: float  # by how much the rater's moments are late, as a share of a gait cycle
    bias: float  # added to what is seen, in the item's unit
    bands: Bands  # the rater's own


Rater = Mapping[str, Reading]  # by item code


def stream(seed: int, *key: int) -> Random:
    """Return a random generator of its own for every child, session and purpose."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def draw_rater(rng: Random) -> Rater:
    """Draw a rater: window, bias and bands per item, the same for all children."""
    return {code: _draw_reading(code, rng) for code in CODES}


def _draw_reading(code: str, rng: Random) -> Reading:
    usual = bands_of(code)
    width = min(usual.zero_high - usual.zero_low, _WIDEST * _UNIT.get(code, 1.0))
    late, bias, *shifts = rng.normal(size=2 + len(fields(Bands))) * (_LATE, _BIAS * width, *[_EDGE * width] * 4)
    edges = {field.name: getattr(usual, field.name) + shift for field, shift in zip(fields(Bands), shifts, strict=True)}
    return Reading(float(late), float(bias), Bands(**{name: float(edge) for name, edge in edges.items()}))


def rate(code: str, measured: Measurement, margin: float, rng: Random, own: Bands | None = None) -> int:
    """Draw the score a rater would give: near a band's edge sometimes the one beyond it, at most every second time."""
    bands = own or bands_of(code)
    width = margin * _UNIT.get(code, 1.0)
    edges = [edge for edge in (bands.two_low, bands.zero_low, bands.zero_high, bands.two_high) if np.isfinite(edge)]
    nearest = min(edges, key=lambda edge: abs(measured.value - edge))
    distance = abs(measured.value - nearest)
    chance = rng.random()  # always drawn, so that one item does not shift the others
    if width > 0 and distance < width and chance < 0.5 * (1 - distance / width):
        beyond = nearest + np.sign(nearest - measured.value) * max(0.01 * width, 1e-9)
        return bands.score(float(beyond))
    return measured.score


def rate_child(child: Child, margin: float, rng: Random, raters: Sequence[Rater] = ()) -> Scores:
    """Rate every item of both limbs: the measured value, the score by the bands, the score per rater (RATINGS).

    Without raters one rating follows from the measured values and the bands alone.
    """
    measured = measure(child)
    scores: Scores = {
        limb: {code: {"value": round(item.value, 6), "score": item.score} for code, item in measured[limb].items()}
        for limb in LIMBS
    }
    readers: Sequence[Rater | None] = raters or [None]
    for rating, rater in zip(RATINGS, readers, strict=False):
        read = measured if rater is None else _read(child, rater)
        for limb in LIMBS:
            for code, item in read[limb].items():
                bands = rater[code].bands if rater else None
                scores[limb][code][rating] = rate(code, item, margin, rng, bands)
    return scores


def _read(child: Child, rater: Rater) -> dict[str, dict[str, Measurement]]:
    """Return what the rater sees in the child's typical stride: limb: item: value and the rater's score."""
    motion = typical_walk(child)
    return {
        limb: {
            code: _read_item(code, rater[code], motion.seconds, motion.curves[limb], strides_of(motion, limb)[0])
            for code in CODES
        }
        for limb in LIMBS
    }


def _read_item(code: str, reading: Reading, seconds: Array, curves: Mapping[str, Array], stride: Stride) -> Measurement:
    late = reading.late * (stride.next_contact - stride.contact)
    if code in _STILLS:
        moment = stride.share(_STILLS[code]) + late
        value = float(np.interp(moment, seconds, curves[CURVE_OF[code]]))
    else:
        moments = {field.name: getattr(stride, field.name) + late for field in fields(Stride)}
        value, moment = measure_item(code, seconds, curves, replace(stride, **moments))
    value += reading.bias
    return Measurement(value, moment, reading.bands.score(value))


def severity_of(scores: Scores) -> int:
    """Level 1 to 4 by the limbs' true totals in the mean, a level each 3.8 points: so far apart are GMFCS levels on the
    Edinburgh score (Robinson et al. 2017). Not a clinical grade: it depends on the gait alone."""
    total = sum(int(item["score"]) for limb in LIMBS for item in scores[limb].values())
    return min(1 + int(total / len(LIMBS) / POINTS_A_LEVEL), 4)
