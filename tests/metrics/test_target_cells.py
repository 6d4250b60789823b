"""Cells as the report shows them: which metrics have a value at the size of a real cohort, and which interval holds."""

from __future__ import annotations

import numpy as np

from childgait.metrics.scores import sigmoid
from childgait.metrics.target_cells import Predictions, cells_of_groups, cells_of_target, measure_values

HALF = np.full(34, 0.5)


def simulate(children: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of 34 items that share a severity, by a model whose errors share a part, too."""
    severity, error = rng.normal(size=(children, 1)), rng.normal(size=(children, 1))
    truth = (0.55 * severity + 0.835 * rng.normal(size=(children, 34)) > 0.4).astype(float)
    return truth - 0.5 + 0.55 * error + 0.835 * rng.normal(size=truth.shape), truth


def test_calibration_error_is_shown_from_200_children_on() -> None:
    """Over fewer children it is mostly noise, also of a perfectly calibrated model (statistics D7)."""
    for children, shown in ((110, False), (240, True)):
        logits, truth = simulate(children, np.random.default_rng(1))
        values = measure_values(Predictions(truth, [sigmoid(logits)]), HALF, 10, balanced=False, intervals=False)
        cells = [cells_of_target(values, 0, intervals=False)["ece"], cells_of_groups(values)["overall"]["ece"]]
        assert [cell.value is not None for cell in cells] == [shown, shown]
        assert shown or all("mostly noise" in str(cell.reason) for cell in cells)
