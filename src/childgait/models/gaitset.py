"""GaitSet: the frames of a walk as a set without order.

Origin: Chao et al., "GaitSet: Regarding Gait as a Set for Cross-View Gait Recognition" (AAAI 2019, arXiv 1811.06186):
six convolutions per frame; the maximum over frames after every block feeds a second column with its own copies of
blocks 2 and 3; 31 strips of each column. Published width 32, 256 numbers per strip, SGD, triplet loss on the child's
identity; here the loss and the schedule are those of all rows.

Size at width 32 without the head: 2.59 M parameters as published (0.56 M of them in the convolutions). 6.5 G
operations for 30 frames of 64 x 44 (models/cost.py); no published count was found.
Reads Batch.silhouettes; yields logits (B, 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from childgait.models.batch import Batch
from childgait.models.dense_heads import ClipFeatures
from childgait.models.strips import StripNetwork, convolve_frames, initialise_convolutions, pool_strips

if TYPE_CHECKING:
    from childgait.params import Finetune, Silhouette

NUMBERS_PER_STRIP = 8  # times the width: 256 as published


def convolutions(channels_in: int, channels: int, first_kernel: int = 3) -> nn.Sequential:
    """Return two convolutions with leaky ReLU, (N, C, h, w) to (N, C', h, w)."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, first_kernel, padding=first_kernel // 2, bias=False),
        nn.LeakyReLU(inplace=True),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.LeakyReLU(inplace=True),
    )


class Gaitset(StripNetwork):
    """GaitSet; its maps have one time step, because the maximum over frames is taken in the trunk."""

    bins = (16, 8, 4, 2, 1)

    def __init__(self, settings: Silhouette) -> None:
        width = settings.width
        super().__init__(4 * width, NUMBERS_PER_STRIP * width, settings, strips=2 * sum(self.bins))
        self.map_channels = 8 * width  # both columns
        self.block1 = nn.Sequential(convolutions(1, width, first_kernel=5), nn.MaxPool2d(2))
        self.block2 = nn.Sequential(convolutions(width, 2 * width), nn.MaxPool2d(2))
        self.block3 = convolutions(2 * width, 4 * width)
        self.global2 = nn.Sequential(convolutions(width, 2 * width), nn.MaxPool2d(2))
        self.global3 = convolutions(2 * width, 4 * width)
        initialise_convolutions(self)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Gaitset:
        return cls(settings.silhouette)

    def columns(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the maps of every frame (B, C, T, h, w), and of the set before its last sum (B, C, h, w)."""
        first = convolve_frames(self.block1, self.pixels(batch))
        second = convolve_frames(self.block2, first)
        third = convolve_frames(self.block3, second)
        of_set = self.global2(first.amax(dim=2))
        return third, self.global3(of_set + second.amax(dim=2))

    def maps(self, batch: Batch) -> Tensor:
        """Return the maps of both columns, one after the other: (B, 2 C, 1, 16, columns / 4)."""
        frames, of_set = self.columns(batch)
        pooled = frames.amax(dim=2)
        return torch.cat([pooled, of_set + pooled], dim=1)[:, :, None]

    def strips_of_clip(self, maps: Tensor) -> Tensor:
        return torch.cat([pool_strips(column, self.bins) for column in maps[:, :, 0].chunk(2, dim=1)], dim=2)

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """Return the strips of the set, and of every two frames (their maps in both columns)."""
        frames, of_set = self.columns(batch)
        pairs = frames.unflatten(2, (-1, 2)).amax(dim=3)
        per_step = torch.cat([pairs, pairs + of_set[:, :, None]], dim=1).transpose(1, 2)
        strips = self.strips_of_clip(per_step.flatten(0, 1)[:, :, None])
        steps = self.separate(strips).flatten(1).unflatten(0, (len(frames), -1))
        pooled = frames.amax(dim=2)
        maps = torch.cat([pooled, of_set + pooled], dim=1)[:, :, None]
        return ClipFeatures(self.features(maps), steps)
