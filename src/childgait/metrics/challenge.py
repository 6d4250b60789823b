"""The score of the public keypoint challenge of the ChildGait cohort."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from childgait.metrics.cells import round_value
from childgait.metrics.run_metrics import ChallengeScore
from childgait.metrics.scores import Array


def challenge_score(probability: Array, truth: NDArray[np.floating]) -> ChallengeScore:
    """Compute the challenge's first metric: half accuracy, half 1 - RMSE of the child's total over 34.

    `probability` is calibrated: items are called at 0.5, and the total is the rounded sum of the probabilities.
    """
    complete = ~(np.isnan(truth) | np.isnan(probability)).any(axis=1)
    if not complete.any():
        return ChallengeScore(value=None, reason="no child has all 34 items scored and seen")
    predicted, observed = probability[complete] >= 0.5, truth[complete] == 1
    accuracy = float((predicted == observed).mean())
    totals = np.round(probability[complete].sum(axis=1))
    rmse = float(np.sqrt(np.mean((totals - observed.sum(axis=1)) ** 2.0)))
    return ChallengeScore(
        value=round_value((accuracy + 1 - rmse / truth.shape[1]) / 2),
        accuracy=round_value(accuracy),
        rmse_of_total=round_value(rmse),
        children=int(complete.sum()),
    )


def subtype_score(predicted: Sequence[str], truth: Sequence[str]) -> float:
    """Compute the challenge's second metric, S2: half accuracy, half the mean F1 of the classes, over children's sides.

    F1 is averaged over the classes that occur in truth or prediction.
    """
    assert len(predicted) == len(truth), "one prediction per side"
    if not truth:
        return float("nan")
    from sklearn.metrics import accuracy_score, f1_score

    return float(accuracy_score(truth, predicted) + f1_score(truth, predicted, average="macro")) / 2


def whole_score(items: float, subtypes: float) -> float:
    """Compute the challenge's whole metric, S = (S1 + S2) / 2.

    The tracks share children: an S2 from a model that has read their item labels is a leak (docs/COVERAGE.md).
    """
    return (items + subtypes) / 2
