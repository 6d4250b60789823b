"""Net benefit and sample sizes against hand-worked cases."""

import numpy as np
import pytest

from childgait.metrics.decision import children_for_precision, decision_curve


def test_net_benefit_by_hand() -> None:
    p, y = np.array([[0.9, 0.6, 0.3, 0.1, np.nan]]), np.array([[1.0, 0, 1, 0, 1]])
    rows = {row.threshold: row for row in decision_curve(p, y)}
    assert rows[0.5].model == pytest.approx(1 / 4 - 1 / 4)
    assert rows[0.2].model == pytest.approx(2 / 4 - 0.25 * 1 / 4)
    assert rows[0.2].everyone == pytest.approx(0.5 - 0.25 * 0.5)
    assert decision_curve(p, np.full_like(y, np.nan)) == []


def test_a_calibrated_model_never_loses_to_both_defaults() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(1, 2, (4000, 1))
    truth = (rng.random(p.shape) < p).astype(float)
    assert all(row.model > max(row.everyone, 0) - 0.01 for row in decision_curve(p, truth))


def test_rare_items_need_hundreds_of_children() -> None:
    assert children_for_precision(0.8, 0.1, 0.14) == 440
    assert children_for_precision(0.8, 0.1, 0.10) == 615
