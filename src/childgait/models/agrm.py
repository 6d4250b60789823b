"""AGRM's network: a 3D ResNet-18 with spatial pooling at three resolutions.

Origin: the AGRM description (Bioengineering 13(3):272, 2026): 3D ResNet-18, spatial hierarchical pooling, a fully
connected layer; trained with a mean teacher (training/mean_teacher.py), which the registry's row switches on. The
description leaves details open; chosen here are: grids of 1, 2 x 2 and 4 x 4 cells; mean plus maximum per cell; the
mean of that over time; a linear map of each cell to `PARTS` x width numbers, all concatenated.

Reads Batch.frames; yields logits (B, 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from childgait.domain.evgs import TARGETS
from childgait.models.resnet3d import DEEPEST, Resnet3d, make_trunk

if TYPE_CHECKING:
    from childgait.params import Cnn, Finetune

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


class Agrm(Resnet3d):
    """3D ResNet-18 with hierarchical pooling."""

    def __init__(self, settings: Cnn) -> None:
        parts = PARTS * settings.width
        pooling = HierarchicalPooling(DEEPEST * settings.width, parts)
        last = nn.Linear(parts * sum(level**2 for level in LEVELS), len(TARGETS))
        trunk = make_trunk(whole=True, width=settings.width)
        super().__init__(trunk, nn.Sequential(pooling, nn.Dropout(settings.dropout), last), DEEPEST * settings.width)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Agrm:
        return cls(settings.cnn)
