"""The contract of a table model: it reads one row of features per child, and its weights are plain arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from childgait.params import Finetune

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]  # weights by name, as a safetensors file holds them


class TableModel(ABC):
    """Base class of every table model in the registry."""

    features: str  # a name in training/features.py
    unit: Literal["child", "clip"] = "child"  # what a row of features is of

    @classmethod
    def from_settings(cls, settings: Finetune) -> TableModel:
        """Return the model with the settings of params' finetune section."""
        return cls()

    @abstractmethod
    def fit(self, features: Floats, atypical: NDArray[np.float32], seed: int) -> Arrays:
        """Return the weights fitted to (N, F) features and (N, 34) labels, NaN where unknown."""

    @abstractmethod
    def predict(self, weights: Arrays, features: Floats) -> Floats:
        """Return logits (N, 34) for (N, F) features."""

    def positive_weights(self, atypical: NDArray[np.float32]) -> Floats | None:
        """Return (34,) the weights of atypical scores that `fit` gives to these labels; None: all 1."""
        return None


def balancing_weights(atypical: NDArray[np.float32]) -> Floats:
    """Return typical over atypical scores per target, as balanced sample weights amount to; 1 where a class is
    missing."""
    negatives, positives = np.sum(atypical == 0, axis=0), np.sum(atypical == 1, axis=0)
    both = (positives > 0) & (negatives > 0)
    return np.where(both, negatives / np.where(both, positives, 1), 1.0)
