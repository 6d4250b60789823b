"""The score by rule: each item's measured value against its band, with nothing learnt that the band does not say.

The bands are those of gait/scoring.py (from the score's reference guide; stand-ins of ours where the guide uses words).
The logit is how far the value lies outside the typical band, in units of about one error of reading it off a picture,
so that 0 is the band's edge. Items that keypoints do not show (rotations, the hindfoot), and values that no recording
of a child gives, are answered as the majority row answers them. `childgait explain` lists what was measured, and when.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGETS
from childgait.gait.scoring import bands_of
from childgait.models.majority import prior_logit

DEGREES = 5.0  # an error of a joint angle read from a picture
UNITS = {"HL": 0.25, "FCL": 0.005, "TLT": 0.05}  # of items in other units; see gait/scoring.py
SUREST = 4.0  # no logit beyond it: a single measurement is never surer than 98 %


class Rules:
    features = "measured"

    def fit(self, features: NDArray[np.float64], atypical: NDArray[np.float32], seed: int) -> dict[str, NDArray]:
        return {"prior": prior_logit(atypical)}

    def predict(self, state: dict[str, NDArray], features: NDArray[np.float64]) -> NDArray[np.float64]:
        outside = np.stack([beyond_band(features[:, n], target.code) for n, target in enumerate(TARGETS)], axis=1)
        return np.where(np.isnan(features), state["prior"][None], np.clip(outside, -SUREST, SUREST))


def beyond_band(values: NDArray[np.float64], code: str) -> NDArray[np.float64]:
    """How far values lie outside an item's typical band, in units of reading; negative inside, 0 at the edge."""
    bands = bands_of(code)
    return np.maximum(bands.zero_low - values, values - bands.zero_high) / UNITS.get(code, DEGREES)
