"""AGRM's network: a 3D ResNet-18 whose last pooling looks at the picture at several finenesses.

Origin: the AGRM description (Bioengineering 13(3):272, 2026): 3D ResNet-18, spatial hierarchical pooling, a fully connected
layer; taught by a mean teacher (training/mean_teacher.py), which this row switches on. What the description leaves open is
chosen here: cells of 1, 2 by 2 and 4 by 4; mean and maximum of a cell are added; their mean over time is taken; a linear
map of each cell to `PARTS` numbers, all beside each other.

Reads Batch.frames; yields logits (B, 34).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from childgait.domain.evgs import TARGETS
from childgait.models.resnet3d import DEEPEST, Resnet3d, trunk_of

LEVELS = (1, 2, 4)  # cells a side
PARTS = 4  # numbers a cell, times the width: 256 as published


class HierarchicalPooling(nn.Module):
    """(B, C, T, H, W) to (B, parts x cells of all levels)."""

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(nn.Linear(channels, parts) for _ in LEVELS)

    @staticmethod
    def cells(maps: Tensor, level: int) -> Tensor:
        """(B, level², C): mean plus maximum of each cell in each frame, then the mean over time."""
        flat = maps.transpose(1, 2).flatten(0, 1)  # a frame each
        pooled = functional.adaptive_avg_pool2d(flat, level) + functional.adaptive_max_pool2d(flat, level)
        over_time = pooled.unflatten(0, (maps.shape[0], maps.shape[2])).mean(dim=1)
        return over_time.flatten(2).transpose(1, 2)

    def forward(self, maps: Tensor) -> Tensor:
        parts = [narrow(self.cells(maps, level)) for narrow, level in zip(self.narrow, LEVELS, strict=True)]
        return torch.cat(parts, dim=1).flatten(1)


def agrm(settings: Any, pixels: int) -> Resnet3d:
    chosen = settings.cnn
    parts = PARTS * chosen.width
    pooling = HierarchicalPooling(DEEPEST * chosen.width, parts)
    answer = nn.Linear(parts * sum(level**2 for level in LEVELS), len(TARGETS))
    return Resnet3d(trunk_of(True, chosen.width), nn.Sequential(pooling, nn.Dropout(chosen.dropout), answer))
