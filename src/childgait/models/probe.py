"""Linear probes: one logistic regression per target on fixed numbers of every clip.

`gei` reads the mean silhouette of a clip, the gait energy image of Han and Bhanu, "Individual Recognition Using Gait
Energy Image" (IEEE TPAMI 2006, doi 10.1109/TPAMI.2006.38): the floor for every network on silhouettes. `linear_probe`
reads the features of a frozen encoder (training/clip_features.py): what an encoder knows of gait before it is
fine-tuned.

Reads (clips, F) features and labels; yields logits (clips, 34). Both classes are weighted equally; where the training
clips have one class only, the logit is the prior, as of the majority baseline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from childgait.models.majority import prior_logit
from childgait.models.table import Arrays, Floats, TableModel, balancing_weights

if TYPE_CHECKING:
    from childgait.params import Finetune


class Probe(TableModel):
    """Ridge-penalised logistic regression on standardised features, scaled to one unit of variance per clip."""

    unit: Literal["child", "clip"] = "clip"

    def __init__(self, penalty: float) -> None:
        self.penalty = penalty

    @classmethod
    def from_settings(cls, settings: Finetune) -> Probe:
        return cls(settings.frozen.penalty)

    def fit(self, features: Floats, atypical: NDArray[np.float32], seed: int) -> Arrays:
        from sklearn.linear_model import LogisticRegression

        mean, deviation = features.mean(axis=0), features.std(axis=0)
        deviation = np.where(deviation > 1e-6, deviation, np.inf) * np.sqrt(features.shape[1])  # constants do not count
        scaled = (features - mean) / deviation
        weights, bias = np.zeros((atypical.shape[1], features.shape[1])), prior_logit(atypical)
        for target, labels in enumerate(atypical.T):
            known = ~np.isnan(labels)
            if len(np.unique(labels[known])) == 2:
                model = LogisticRegression(C=1 / self.penalty, class_weight="balanced", max_iter=1000)
                fitted = model.fit(scaled[known], labels[known])
                weights[target], bias[target] = fitted.coef_[0], fitted.intercept_[0]
        return {"mean": mean, "weights": weights / deviation, "bias": bias}

    def positive_weights(self, atypical: NDArray[np.float32]) -> Floats:
        return balancing_weights(atypical)

    def predict(self, weights: Arrays, features: Floats) -> Floats:
        return np.asarray((features - weights["mean"]) @ weights["weights"].T + weights["bias"])


class Gei(Probe):
    """Probe on the mean silhouette."""

    features = "gei"


class LinearProbe(Probe):
    """Probe on the features of a frozen encoder."""

    features = "encoder"
