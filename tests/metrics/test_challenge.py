"""The challenge's second and whole metric against scikit-learn and by hand."""

from __future__ import annotations

import math
import random

import pytest
from sklearn.metrics import accuracy_score, f1_score

from childgait.metrics.challenge import subtype_score, whole_score

CLASSES = ("WNL", "1", "2", "3", "4")


@pytest.mark.parametrize("seed", range(3))
def test_the_second_metric_is_scikit_learns(seed: int) -> None:
    draw = random.Random(seed)
    truth, predicted = ([draw.choice(CLASSES) for _ in range(18)] for _ in range(2))
    expected = (accuracy_score(truth, predicted) + f1_score(truth, predicted, average="macro")) / 2
    assert subtype_score(predicted, truth) == pytest.approx(expected)


def test_the_whole_metric_is_the_mean_of_both() -> None:
    assert subtype_score(CLASSES, CLASSES) == 1
    assert subtype_score(["1", "1"], ["1", "2"]) == pytest.approx((0.5 + (2 / 3 + 0) / 2) / 2)
    assert math.isnan(subtype_score([], []))
    assert whole_score(0.80542, 1.0) == pytest.approx(0.90271)
