"""The score by rule: each item's measured value against its typical band; nothing is learned but the band.

The bands are those of gait/scoring.py (from the score's reference guide; stand-ins of ours where the guide uses words).
The logit is the distance of the value from the typical band, in units of about one error of reading it off an image, so
that 0 is the band's edge. Items that keypoints do not show (rotations, the hindfoot), and values that no recording of a
child gives, are predicted as by the majority baseline. `childgait explain` lists what was measured, and when.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGETS
from childgait.gait.scoring import bands_of
from childgait.models.majority import prior_logit
from childgait.models.table import Arrays, Floats, TableModel

DEGREES = 5.0  # error of a joint angle read from an image
UNITS = {"HL": 0.25, "FCL": 0.005, "TLT": 0.05}  # of items in other units; see gait/scoring.py
LARGEST = 4.0  # logits are clipped to this: no single measurement is surer than 98 %


class Rules(TableModel):
    """Distance of measured values from the typical band."""

    features = "measured"

    def fit(self, features: Floats, atypical: NDArray[np.float32], seed: int) -> Arrays:
        return {"prior": prior_logit(atypical)}

    def predict(self, weights: Arrays, features: Floats) -> Floats:
        distance = np.stack([beyond_band(features[:, n], target.code) for n, target in enumerate(TARGETS)], axis=1)
        return np.where(np.isnan(features), weights["prior"][None], np.clip(distance, -LARGEST, LARGEST))


def beyond_band(values: Floats, code: str) -> Floats:
    """Return the signed distance of values from an item's typical band, in reading errors: negative inside, 0 at the
    edge."""
    bands = bands_of(code)
    return np.maximum(bands.zero_low - values, values - bands.zero_high) / UNITS.get(code, DEGREES)
