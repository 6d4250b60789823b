"""Baseline on age and sex: how much can be predicted without the gait.

One logistic regression per target on age and sex (scikit-learn), both classes weighted equally, so that it competes on
balanced accuracy. Where the training children have one class only, it predicts as the majority baseline does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.models.majority import prior_logit
from childgait.models.table import Arrays, Floats, TableModel, balancing_weights


class AgeSex(TableModel):
    """Logistic regression on age, unknown age, female, male."""

    features = "age_sex"

    def fit(self, features: Floats, atypical: NDArray[np.float32], seed: int) -> Arrays:
        from sklearn.linear_model import LogisticRegression

        mean, deviation = features.mean(axis=0), features.std(axis=0)
        deviation = np.where(deviation > 0, deviation, 1)
        scaled = (features - mean) / deviation
        weights, bias = np.zeros((atypical.shape[1], features.shape[1])), prior_logit(atypical)
        for target, labels in enumerate(atypical.T):
            known = ~np.isnan(labels)
            if len(np.unique(labels[known])) == 2:
                fitted = LogisticRegression(class_weight="balanced").fit(scaled[known], labels[known])
                weights[target], bias[target] = fitted.coef_[0], fitted.intercept_[0]
        return {"mean": mean, "spread": deviation, "weights": weights, "bias": bias}

    def positive_weights(self, atypical: NDArray[np.float32]) -> Floats:
        return balancing_weights(atypical)

    def predict(self, weights: Arrays, features: Floats) -> Floats:
        logits = (features - weights["mean"]) / weights["spread"] @ weights["weights"].T + weights["bias"]
        return np.asarray(logits)
