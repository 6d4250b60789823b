"""The majority row: for every target the answer that most training children have, with their share as probability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Majority:
    features = "none"

    def fit(self, features: NDArray[np.float64], atypical: NDArray[np.float32], seed: int) -> dict[str, NDArray]:
        return {"logit": prior_logit(atypical)}

    def predict(self, state: dict[str, NDArray], features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.repeat(state["logit"][None], len(features), axis=0)


def prior_logit(atypical: NDArray[np.float32]) -> NDArray[np.float64]:
    """(34,) log odds of atypical among (N, 34) training children, one more of each added so that none is infinite."""
    positives, known = np.nansum(atypical, axis=0), np.sum(~np.isnan(atypical), axis=0)
    return np.log((positives + 1) / (known - positives + 1)).astype(np.float64)
