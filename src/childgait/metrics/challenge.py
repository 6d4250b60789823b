"""The score of the public keypoint challenge of the ChildGait cohort."""

from __future__ import annotations

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
