"""The age-and-sex row: what could be told without looking at the gait at all.

Logistic regression a target on age and sex (scikit-learn), both classes weighing the same, so that it competes on
balanced accuracy. Where the training children have one class only, it answers as the majority row does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.models.majority import prior_logit


class AgeSex:
    features = "age_sex"

    def fit(self, features: NDArray[np.float64], atypical: NDArray[np.float32], seed: int) -> dict[str, NDArray]:
        from sklearn.linear_model import LogisticRegression

        mean, spread = features.mean(axis=0), features.std(axis=0)
        scaled = (features - mean) / np.where(spread > 0, spread, 1)
        weights, bias = np.zeros((atypical.shape[1], features.shape[1])), prior_logit(atypical)
        for target, column in enumerate(atypical.T):
            known = ~np.isnan(column)
            if len(np.unique(column[known])) == 2:
                fitted = LogisticRegression(class_weight="balanced").fit(scaled[known], column[known])
                weights[target], bias[target] = fitted.coef_[0], fitted.intercept_[0]
        return {"mean": mean, "spread": np.where(spread > 0, spread, 1), "weights": weights, "bias": bias}

    def predict(self, state: dict[str, NDArray], features: NDArray[np.float64]) -> NDArray[np.float64]:
        return (features - state["mean"]) / state["spread"] @ state["weights"].T + state["bias"]
