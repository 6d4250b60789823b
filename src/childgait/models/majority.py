"""Majority baseline: per target the class of most training children, with their share as the probability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.models.table import Arrays, Floats, TableModel


class Majority(TableModel):
    """The same logits for every child."""

    features = "none"

    def fit(self, features: Floats, atypical: NDArray[np.float32], seed: int) -> Arrays:
        return {"logit": prior_logit(atypical)}

    def predict(self, weights: Arrays, features: Floats) -> Floats:
        return np.repeat(weights["logit"][None], len(features), axis=0)


def prior_logit(atypical: NDArray[np.float32]) -> Floats:
    """Return (34,) the log odds of atypical among (N, 34) training children, with one child added to each class."""
    positives, known = np.nansum(atypical, axis=0), np.sum(~np.isnan(atypical), axis=0)
    return np.log((positives + 1) / (known - positives + 1)).astype(np.float64)
