"""Repeatability against simulated walks whose errors are known."""

import numpy as np
import pytest

from childgait.metrics.repeatability import repeatability


def test_the_standard_error_within_children_is_recovered() -> None:
    rng = np.random.default_rng(0)
    child = np.repeat(np.arange(400), 3)
    values = np.repeat(rng.normal(0, 4, 400), 3) + rng.normal(0, 2, 1200)
    result = repeatability(child.tolist(), values)
    assert result.sem == pytest.approx(2, rel=0.05)
    assert result.mdc95 == pytest.approx(1.96 * np.sqrt(2) * 2, rel=0.05)
    assert result.icc == pytest.approx(16 / 20, abs=0.03)


def test_single_walks_and_missing_values_carry_no_information() -> None:
    result = repeatability(["a", "a", "b", "c", "c"], [1.0, 3.0, 9.0, np.nan, 2.0])
    assert (result.children, result.walks, result.sem) == (1, 2, None)
    assert "fewer than two children" in str(result.reason)
    uneven = repeatability(["a", "a", "b", "b", "b"], [1.0, 1.0, 5.0, 5.0, 5.0])
    assert (uneven.sem, uneven.icc) == (0.0, 1.0)
