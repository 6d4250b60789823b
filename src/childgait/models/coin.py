"""Random baseline: one draw per child and target, the same whenever seed and child are the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGETS
from childgait.models.table import Arrays, Floats, TableModel


class Coin(TableModel):
    """Normally distributed logits."""

    features = "number"  # differs between children and carries no information about them

    def fit(self, features: Floats, atypical: NDArray[np.float32], seed: int) -> Arrays:
        return {"seed": np.array([seed], dtype=np.int64)}

    def predict(self, weights: Arrays, features: Floats) -> Floats:
        seed = int(weights["seed"][0])
        draws = [np.random.default_rng([seed, int(number)]).normal(size=len(TARGETS)) for number in features[:, 0]]
        return np.stack(draws)
