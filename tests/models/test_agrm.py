"""Hierarchical pooling equals plain loops over frames and cells; AGRM's row is taught by a mean teacher."""

from __future__ import annotations

import pytest
import torch

from childgait.models.hierarchical_pooling import LEVELS, HierarchicalPooling
from childgait.models.registry import MODELS, settings_of
from support.small_study import settings


@pytest.mark.parametrize("level", LEVELS)
def test_cells_are_those_of_plain_loops(level: int) -> None:
    maps = torch.randn(2, 3, 5, 8, 8)
    result = HierarchicalPooling.cells(maps, level)
    side = 8 // level
    for clip in range(2):
        for channel in range(3):
            for row in range(level):
                for column in range(level):
                    total = 0.0
                    for frame in range(5):
                        cell = maps[
                            clip, channel, frame, row * side : (row + 1) * side, column * side : (column + 1) * side
                        ]
                        total += float(cell.mean() + cell.max())
                    assert float(result[clip, row * level + column, channel]) == pytest.approx(total / 5, abs=1e-5)


def test_every_cell_reaches_the_answer() -> None:
    pooling = HierarchicalPooling(6, 4)
    maps = torch.randn(1, 6, 2, 7, 7, requires_grad=True)
    out = pooling(maps)
    assert out.shape == (1, 4 * 21)
    (gradient,) = torch.autograd.grad(out.sum(), maps)
    assert (gradient.abs().sum(dim=(0, 1)) > 0).all()


def test_the_row_is_taught_by_its_average_and_its_baseline_is_not() -> None:
    assert settings_of(MODELS["agrm"], settings()).mean_teacher.pool == "training"
    assert settings_of(MODELS["r3d18"], settings()).mean_teacher.pool == "none"
