"""GaitPart: convolutions that see one height band, and short-term motion of every body part.

Origin: Fan et al., "GaitPart: Temporal Part-based Model for Gait Recognition" (CVPR 2020): GaitSet's six
convolutions, those of blocks 2 and 3 on 4 and 8 height bands apart; 16 strips per frame; per strip two temporal
branches (mean plus maximum over 3 and over 5 frames, times a gate), summed, maximum over time. Published width 32,
128 numbers per strip, Adam, triplet loss on identity; here the loss and the schedule are those of all rows.

Size at width 32 without the head: 1.20 M parameters as published. 6.4 G operations for 30 frames of 64 x 44
(models/cost.py); no published count was found.
Reads Batch.silhouettes; yields logits (B, 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from childgait.models.batch import Batch
from childgait.models.dense_heads import ClipFeatures, steps_from_maps
from childgait.models.gaitset import convolutions
from childgait.models.strips import StripNetwork, convolve_frames, initialise_convolutions

if TYPE_CHECKING:
    from childgait.params import Finetune, Silhouette

SQUEEZE = 4  # of the temporal branches


class FocalConvolutions(nn.Module):
    """Two convolutions with the same weights on `bands` height bands, none of which sees its neighbour."""

    def __init__(self, channels_in: int, channels: int, bands: int) -> None:
        super().__init__()
        self.bands = bands
        self.layers = convolutions(channels_in, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (N, C', h, w) from (N, C, h, w); h is a multiple of `bands`."""
        apart = maps.unflatten(2, (self.bands, -1)).transpose(1, 2).flatten(0, 1)
        return self.layers(apart).unflatten(0, (len(maps), self.bands)).transpose(1, 2).flatten(2, 3)


class GatedPooling(nn.Module):
    """Mean plus maximum over `frames` frames, times a gate of two convolutions over time; weights per strip."""

    def __init__(self, strips: int, channels: int, frames: int, last_kernel: int) -> None:
        super().__init__()
        self.frames = frames
        narrow = max(channels // SQUEEZE, 1)
        self.gate = nn.Sequential(
            nn.Conv1d(strips * channels, strips * narrow, 3, padding=1, groups=strips, bias=False),
            nn.LeakyReLU(inplace=True),
            nn.Conv1d(
                strips * narrow, strips * channels, last_kernel, padding=last_kernel // 2, groups=strips, bias=False
            ),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, P C, T) from (B, P C, T)."""
        reach = self.frames // 2
        mean = functional.avg_pool1d(x, self.frames, 1, reach)
        return (mean + functional.max_pool1d(x, self.frames, 1, reach)) * torch.sigmoid(self.gate(x))


class Gaitpart(StripNetwork):
    """GaitPart."""

    def __init__(self, settings: Silhouette) -> None:
        width = settings.width
        channels = 4 * width
        super().__init__(channels, channels, settings)
        self.trunk = nn.Sequential(
            convolutions(1, width, first_kernel=5),
            nn.MaxPool2d(2),
            FocalConvolutions(width, 2 * width, bands=4),
            nn.MaxPool2d(2),
            FocalConvolutions(2 * width, channels, bands=8),
        )
        self.short = GatedPooling(self.strips, channels, frames=3, last_kernel=1)
        self.long = GatedPooling(self.strips, channels, frames=5, last_kernel=3)
        initialise_convolutions(self)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Gaitpart:
        return cls(settings.silhouette)

    def maps(self, batch: Batch) -> Tensor:
        """Return the maps of every frame, (B, C, T, 16, columns / 4)."""
        return convolve_frames(self.trunk, self.pixels(batch))

    def motion(self, maps: Tensor) -> Tensor:
        """Return the short-term motion of every part, (B, C, T, P)."""
        strips = self.strips_over_time(maps).permute(0, 3, 1, 2)  # (B, P, C, T)
        flat = strips.flatten(1, 2)
        return (self.short(flat) + self.long(flat)).unflatten(1, strips.shape[1:3]).permute(0, 2, 3, 1)

    def strips_of_clip(self, maps: Tensor) -> Tensor:
        return self.motion(maps).amax(dim=2)

    def pool_hierarchically(self, settings: Finetune) -> None:
        """Replace the motion of parts as well, which is a part of GaitPart's own pooling."""
        super().pool_hierarchically(settings)
        del self.short, self.long

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """Return the strips of the clip, and of every two frames."""
        maps = self.maps(batch)
        frames = self.motion(maps).transpose(1, 2).flatten(0, 1)
        steps = self.separate(frames).flatten(1).unflatten(0, (len(maps), -1))
        return ClipFeatures(self.features(maps), steps_from_maps(steps, maps.shape[2]))
