"""Spatial hierarchical pooling: mean plus maximum over grids of cells at three resolutions.

Origin: the AGRM description (Bioengineering 13(3):272, 2026), which leaves details open; chosen here are: grids of 1,
2 x 2 and 4 x 4 cells; mean plus maximum per cell; the mean of that over time; a linear map of each cell to `PARTS` x
width numbers, all concatenated. AGRM's own row has it; with `finetune.pooling: hierarchical` any network whose maps lie
on a grid of pixels has it in place of its own pooling.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from childgait.domain.evgs import TARGETS

LEVELS = (1, 2, 4)  # cells per side
PARTS = 4  # numbers per cell, times the width: 256 as published


class HierarchicalPooling(nn.Module):
    """(B, C, T, H, W) to (B, parts x cells of all levels)."""

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(channels, parts) for _ in LEVELS)

    @staticmethod
    def cells(maps: Tensor, level: int) -> Tensor:
        """Return (B, level², C): mean plus maximum per cell and frame, then the mean over time."""
        frames = maps.transpose(1, 2).flatten(0, 1)  # (B * T, C, H, W)
        pooled = functional.adaptive_avg_pool2d(frames, level) + functional.adaptive_max_pool2d(frames, level)
        over_time = pooled.unflatten(0, (maps.shape[0], maps.shape[2])).mean(dim=1)
        return over_time.flatten(2).transpose(1, 2)

    def forward(self, maps: Tensor) -> Tensor:
        parts = [project(self.cells(maps, level)) for project, level in zip(self.projections, LEVELS, strict=True)]
        return torch.cat(parts, dim=1).flatten(1)


def hierarchical_head(channels: int, width: int, dropout: float) -> nn.Sequential:
    """Return hierarchical pooling of maps (B, `channels`, T, H, W), dropout and the classifier of the 34 targets."""
    parts = PARTS * width
    last = nn.Linear(parts * sum(level**2 for level in LEVELS), len(TARGETS))
    return nn.Sequential(HierarchicalPooling(channels, parts), nn.Dropout(dropout), last)
