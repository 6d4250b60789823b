"""Cells as the report shows them: which metrics have a value at the size of a real cohort, and which interval holds."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from childgait.metrics.scores import METRICS, measure, sigmoid
from childgait.metrics.target_cells import (
    TARGETS_WITHOUT_INTERVAL,
    Predictions,
    cells_of_groups,
    cells_of_target,
    measure_values,
    targets_of,
)

HALF = np.full(34, 0.5)


def simulate(children: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of 34 independent items: a target's coverage does not depend on other targets."""
    truth = (rng.normal(size=(children, 34)) > 0.4).astype(float)
    return truth - 0.5 + rng.normal(size=truth.shape), truth


def true_values(metrics: list[str]) -> dict[str, np.ndarray]:
    """Every metric per target, over many children."""
    parts = []
    for seed in range(4):
        logits, truth = simulate(3000, np.random.default_rng([7, seed]))
        ones = np.ones((1, len(truth)))
        parts.append(measure(sigmoid(logits), truth, ones, thresholds=HALF, bins=10, balanced=False))
    return {metric: np.mean([values[metric][0] for values in parts], axis=0) for metric in metrics}


@pytest.mark.slow
def test_every_interval_that_is_shown_covers_at_27_children() -> None:
    """At least .93 of single targets, for each metric with an interval (statistics D6)."""
    shown = [metric for metric in METRICS if metric not in ("ece", *TARGETS_WITHOUT_INTERVAL)]
    true, rng = true_values(shown), np.random.default_rng(3)
    covered: dict[str, list[bool]] = defaultdict(list)
    for _ in range(30):
        logits, truth = simulate(27, rng)
        values = measure_values(Predictions(truth, [sigmoid(logits)]), HALF, 10, balanced=False, intervals=True)
        for t, cells in enumerate(targets_of(values).values()):
            for metric, cell in cells.items():
                if cell.low is not None and cell.high is not None:
                    covered[metric].append(cell.low <= true[metric][t] <= cell.high)
    assert set(covered) == set(shown)
    assert all(np.mean(hits) >= 0.93 for hits in covered.values()), {
        name: np.mean(hits) for name, hits in covered.items()
    }


def test_calibration_error_is_shown_from_200_children_on() -> None:
    """Over fewer children it is mostly noise, also of a perfectly calibrated model (statistics D7)."""
    for children, shown in ((110, False), (240, True)):
        logits, truth = simulate(children, np.random.default_rng(1))
        values = measure_values(Predictions(truth, [sigmoid(logits)]), HALF, 10, balanced=False, intervals=False)
        cells = [cells_of_target(values, 0, intervals=False)["ece"], cells_of_groups(values)["overall"]["ece"]]
        assert [cell.value is not None for cell in cells] == [shown, shown]
        assert shown or all("mostly noise" in str(cell.reason) for cell in cells)
