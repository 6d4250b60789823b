"""GaitGL: three-dimensional convolutions over the whole silhouette and over its height bands.

Origin: Lin, Zhang, Yu, "Gait Recognition via Effective Global-Local Feature Representation and Local Temporal
Aggregation" (ICCV 2021), in its form for CASIA-B: one convolution, time divided by 3, three layers that each have a
global and a local branch (8 height bands), sums in the first two, both branches kept in the last; 64 rows pooled by a
generalised mean. Published width 32, 128 numbers per row, Adam, triplet and cross-entropy on identity; here the loss
and the schedule are those of all rows.

Size at width 32 without the head: 2.49 M parameters as published. 25 G operations for 30 frames of 64 x 44
(models/cost.py); no published count was found.
Reads Batch.silhouettes; yields logits (B, 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from childgait.models.batch import Batch
from childgait.models.strips import StripNetwork, initialise_convolutions

if TYPE_CHECKING:
    from childgait.params import Finetune, Silhouette

BANDS = 8
TIME_STRIDE = 3
ROWS = 64  # 32 of the global branch, 32 of the local one


class GlobalLocal(nn.Module):
    """A convolution on the whole map and one on its height bands, each with leaky ReLU."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.of_whole = nn.Conv3d(channels_in, channels, 3, padding=1, bias=False)
        self.of_bands = nn.Conv3d(channels_in, channels, 3, padding=1, bias=False)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return both branches (B, C', T, h, w) of maps (B, C, T, h, w)."""
        apart = maps.unflatten(3, (BANDS, -1)).movedim(3, 1).flatten(0, 1)
        local = self.of_bands(apart).unflatten(0, (len(maps), BANDS)).movedim(1, 3).flatten(3, 4)
        return functional.leaky_relu(self.of_whole(maps)), functional.leaky_relu(local)


class Gaitgl(StripNetwork):
    """GaitGL."""

    def __init__(self, settings: Silhouette) -> None:
        width = settings.width
        super().__init__(4 * width, 4 * width, settings, strips=ROWS)
        self.first = nn.Conv3d(1, width, 3, padding=1, bias=False)
        self.local_time = nn.Conv3d(width, width, (TIME_STRIDE, 1, 1), (TIME_STRIDE, 1, 1), bias=False)
        self.layer1 = GlobalLocal(width, 2 * width)
        self.layer2 = GlobalLocal(2 * width, 4 * width)
        self.layer3 = GlobalLocal(4 * width, 4 * width)
        self.map_channels = 8 * width  # both branches
        self.power = nn.Parameter(torch.tensor(6.5))  # of the generalised mean over a row
        initialise_convolutions(self)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Gaitgl:
        return cls(settings.silhouette)

    def maps(self, batch: Batch) -> Tensor:
        """Return the last layer's branches, one after the other: (B, 2 C, T / 3, 32, columns / 2)."""
        maps = functional.leaky_relu(self.first(self.pixels(batch)))
        missing = -maps.shape[2] % TIME_STRIDE  # the last frame is repeated up to a multiple of the stride
        maps = torch.cat([maps, maps[:, :, -1:].expand(-1, -1, missing, -1, -1)], dim=2)
        maps = functional.leaky_relu(self.local_time(maps))
        maps = functional.max_pool3d(torch.add(*self.layer1(maps)), (1, 2, 2))
        maps = torch.add(*self.layer2(maps))
        return torch.cat(self.layer3(maps), dim=1)

    def pool_hierarchically(self, settings: Finetune) -> None:
        """Replace the generalised mean of rows as well, which is GaitGL's own pooling."""
        super().pool_hierarchically(settings)
        del self.power

    def rows(self, maps: Tensor) -> Tensor:
        """Return the generalised mean of every row of both branches, (N, C, 64), from (N, 2 C, 32, w)."""
        stacked = torch.cat(maps.chunk(2, dim=1), dim=2)
        return stacked.clamp(min=1e-4).pow(self.power).mean(dim=3).pow(1 / self.power)

    def strips_of_clip(self, maps: Tensor) -> Tensor:
        return self.rows(maps.amax(dim=2))

    def strips_over_time(self, maps: Tensor) -> Tensor:
        frames = maps.transpose(1, 2).flatten(0, 1)
        return self.rows(frames).unflatten(0, (maps.shape[0], maps.shape[2])).transpose(1, 2)
