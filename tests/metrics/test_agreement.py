"""Agreement between judges, against hand-worked cases."""

import numpy as np
import pytest

from childgait.metrics.agreement import exact_agreement, icc, weighted_kappa


def test_weighted_kappa_by_hand() -> None:
    # observed disagreement (0 + 1 + 0 + 4)/4; expected over all 16 pairs of margins: (0,1,2,2) against (0,2,2,0).
    first, second = [0, 1, 2, 2], [0, 2, 2, 0]
    expected = np.mean([(a - b) ** 2 for a in first for b in second])
    assert weighted_kappa(first, second).value == pytest.approx(1 - (5 / 4) / expected)


def test_a_coefficient_without_variation_is_none_with_a_reason() -> None:
    assert weighted_kappa([0, 0], [0, 0]).value is None
    assert "one and the same" in (weighted_kappa([0, 0], [0, 0]).reason or "")
    assert icc([1, 2], [1, 2]).reason == "fewer than three cases scored by both"
    assert exact_agreement([np.nan], [1]).value is None


def test_icc_of_shrout_and_fleiss() -> None:
    # The published example's first two judges: (9, 2), (6, 1), (8, 4), (7, 1), (10, 5), (6, 2).
    first, second = np.array([9, 6, 8, 7, 10, 6.0]), np.array([2, 1, 4, 1, 5, 2.0])
    grand = np.concatenate([first, second]).mean()
    rows = 2 * np.sum(((first + second) / 2 - grand) ** 2) / 5
    columns = 6 * ((first.mean() - grand) ** 2 + (second.mean() - grand) ** 2)
    error = (np.sum((first - grand) ** 2 + (second - grand) ** 2) - rows * 5 - columns) / 5
    assert icc(first, second).value == pytest.approx((rows - error) / (rows + error + 2 * (columns - error) / 6))
    assert icc(first, second).value < 0.2  # the order is kept, but one judge gives five points less
    assert icc(first, first).value == pytest.approx(1.0)


def test_cases_scored_by_one_only_are_left_out() -> None:
    assert exact_agreement([0, 1, np.nan], [0, 0, 1]).cases == 2
