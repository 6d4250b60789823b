"""The coin row: a toss for every child and target, the same whenever the same seed tosses for the same child."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGETS


class Coin:
    features = "number"  # tells children apart, says nothing about them

    def fit(self, features: NDArray[np.float64], atypical: NDArray[np.float32], seed: int) -> dict[str, NDArray]:
        return {"seed": np.array([seed], dtype=np.int64)}

    def predict(self, state: dict[str, NDArray], features: NDArray[np.float64]) -> NDArray[np.float64]:
        seed = int(state["seed"][0])
        tosses = [np.random.default_rng([seed, int(number)]).normal(size=len(TARGETS)) for number in features[:, 0]]
        return np.stack(tosses)
