"""Scores of a synthetic child: the measured value, the score by the bands, and the score as a rater would give it."""

from __future__ import annotations

import numpy as np

from childgait.domain.evgs import LIMBS
from childgait.gait.scoring import Measurement, bands_of
from childgait.synthetic.child import Child, Random
from childgait.synthetic.motion import measure

Scores = dict[str, dict[str, dict[str, float]]]
# Band edges of the items that are not measured in degrees: what a rater's degree is worth.
_UNIT = {"HL": 0.06, "FCL": 0.0015, "TLT": 0.015}
POINTS_A_LEVEL = 3.8  # of one limb's score, between two levels of motor severity


def stream(seed: int, *key: int) -> Random:
    """A source of chance of its own for every child, session and purpose."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def rate(code: str, measured: Measurement, margin: float, rng: Random) -> int:
    """The score a rater would give: near a band's edge sometimes the one beyond it, at most every second time."""
    bands = bands_of(code)
    width = margin * _UNIT.get(code, 1.0)
    edges = [edge for edge in (bands.two_low, bands.zero_low, bands.zero_high, bands.two_high) if np.isfinite(edge)]
    nearest = min(edges, key=lambda edge: abs(measured.value - edge))
    distance = abs(measured.value - nearest)
    chance = rng.random()  # always drawn, so that one item does not shift the others
    if width > 0 and distance < width and chance < 0.5 * (1 - distance / width):
        beyond = nearest + np.sign(nearest - measured.value) * max(0.01 * width, 1e-9)
        return bands.score(float(beyond))
    return measured.score


def rate_child(child: Child, margin: float, rng: Random) -> Scores:
    """Every item of both limbs: the measured value, the score by the bands, and the score as rated."""
    measured = measure(child)
    return {
        limb: {
            code: {
                "value": round(found.value, 4),
                "score": found.score,
                "rated": rate(code, found, margin, rng),
            }
            for code, found in measured[limb].items()
        }
        for limb in LIMBS
    }


def severity_of(scores: Scores) -> int:
    """Level 1 to 4 by the limbs' true totals in the mean, a level each 3.8 points: so far apart are GMFCS levels on the
    Edinburgh score (Robinson et al. 2017). Not a clinical grade: it depends on the gait alone."""
    total = sum(int(found["score"]) for limb in LIMBS for found in scores[limb].values())
    return min(1 + int(total / len(LIMBS) / POINTS_A_LEVEL), 4)
