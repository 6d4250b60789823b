"""Horizontal pyramid pooling, and the contract of networks on silhouettes.

A map's height is cut into equal bins; a bin's feature is its mean plus its maximum (Fu et al., "Horizontal Pyramid
Matching for Person Re-identification", AAAI 2019, arXiv 1804.05275; in gait: GaitSet, arXiv 1811.06186). Every strip
has its own linear map. The published networks end in identity classes on unit vectors, one matrix per strip; here one
linear layer on all strips predicts the items, which is the sum of one layer per strip, so `strip_logits` shows which
height a logit comes from.

Reads Batch.silhouettes; yields logits (B, 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.models.batch import Batch, InputName
from childgait.models.dense_heads import ClipFeatures, steps_from_maps
from childgait.models.hierarchical_pooling import hierarchical_head
from childgait.models.network import Network

if TYPE_CHECKING:
    from childgait.params import Finetune, Silhouette


def pool_strips(maps: Tensor, bins: tuple[int, ...]) -> Tensor:
    """Return (B, C, sum of bins) from maps (B, C, h, w): mean plus maximum per bin; each divides h."""
    flat = [maps.unflatten(2, (count, -1)).flatten(3) for count in bins]
    return torch.cat([strips.mean(dim=3) + strips.amax(dim=3) for strips in flat], dim=2)


class SeparateLinear(nn.Module):
    """One matrix per strip, without bias: (B, C, P) to (B, D, P)."""

    def __init__(self, strips: int, width_in: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(strips, width_in, width))
        for matrix in self.weight:
            nn.init.xavier_uniform_(matrix)

    def forward(self, strips: Tensor) -> Tensor:
        return torch.einsum("bcp,pcd->bdp", strips, self.weight)


class StripNetwork(Network):
    """Silhouettes through a trunk, maximum over time, strips, one linear map per strip, linear head."""

    inputs: frozenset[InputName] = frozenset({"silhouettes"})
    bins: tuple[int, ...] = (16,)

    def __init__(self, channels: int, width: int, settings: Silhouette, strips: int | None = None) -> None:
        super().__init__()
        self.strips, self.width = strips or sum(self.bins), width
        self.map_channels = channels  # of `maps`
        self.head_reads_maps = False
        self.separate = SeparateLinear(self.strips, channels, width)
        self.feature_width = self.strips * width
        self.norm = nn.BatchNorm1d(self.feature_width)
        self.head = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(self.feature_width, len(TARGETS)))

    def pixels(self, batch: Batch) -> Tensor:
        """Return the silhouettes (B, 1, T, 64, columns) from 0 to 1."""
        assert batch.silhouettes is not None
        return batch.silhouettes[:, None].float() / 255

    def strips_over_time(self, maps: Tensor) -> Tensor:
        """Return (B, C, t, P) from maps (B, C, t, h, w)."""
        frames = maps.transpose(1, 2).flatten(0, 1)
        return pool_strips(frames, self.bins).unflatten(0, (maps.shape[0], maps.shape[2])).transpose(1, 2)

    def strips_of_clip(self, maps: Tensor) -> Tensor:
        """Return (B, C, P): the strips of the maximum over time."""
        return pool_strips(maps.amax(dim=2), self.bins)

    def features(self, maps: Tensor) -> Tensor:
        """Return the head's input (B, D P): normalised strips."""
        return self.norm(self.separate(self.strips_of_clip(maps)).flatten(1))

    def logits_from_maps(self, maps: Tensor, batch: Batch) -> Tensor:
        return self.head(maps if self.head_reads_maps else self.features(maps))

    def pool_hierarchically(self, settings: Finetune) -> None:
        """Replace strips and head; `clip_features` and `strip_logits`, which read strips, no longer exist."""
        width, dropout = settings.silhouette.width, settings.silhouette.dropout
        self.head = hierarchical_head(self.map_channels, width, dropout)
        self.head_reads_maps, self.takes_other_heads = True, False
        del self.separate, self.norm

    def strip_logits(self, batch: Batch) -> Tensor:
        """Return what each strip adds to the logits, (B, P, 34); with the head's bias they sum to the logits."""
        return self.logits_by_strip(self.features(self.maps(batch)))

    def logits_by_strip(self, features: Tensor) -> Tensor:
        """Return what each strip of features (B, D P) adds to the logits, (B, P, 34)."""
        _, last = self.classifier()
        assert isinstance(last, nn.Linear)
        by_strip = features.unflatten(1, (self.width, self.strips))
        return torch.einsum("bdp,odp->bpo", by_strip, last.weight.unflatten(1, (self.width, self.strips)))

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """Return the strips of the clip, and of each time step without the batch norm."""
        maps = self.maps(batch)
        over_time = self.strips_over_time(maps)
        frames = over_time.transpose(1, 2).flatten(0, 1)
        steps = self.separate(frames).flatten(1).unflatten(0, (maps.shape[0], -1))
        pictures = batch.frames if batch.silhouettes is None else batch.silhouettes
        assert pictures is not None
        return ClipFeatures(self.features(maps), steps_from_maps(steps, pictures.shape[1]))


def initialise_convolutions(network: nn.Module) -> None:
    """Draw the weights of all convolutions by Xavier's rule: without batch norm in the trunk, scale must be kept."""
    for part in network.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            nn.init.xavier_uniform_(part.weight)


def convolve_frames(layers: nn.Module, maps: Tensor) -> Tensor:
    """Apply layers on (N, C, h, w) to every frame of maps (B, C, T, h, w)."""
    clips, time = maps.shape[0], maps.shape[2]
    return layers(maps.transpose(1, 2).flatten(0, 1)).unflatten(0, (clips, time)).transpose(1, 2)
