"""BiggerGait, small form: the tokens of several layers of a frozen vision transformer, read by one gait network.

Origin: Ye et al., "BiggerGait: Unlocking Gait Recognition with Layer-wise Representations from Large Vision Models"
(NeurIPS 2025, arXiv 2505.18132): person crops of 448 x 224 through DINOv2-small; the tokens of its layers normalised
together; per layer two 1 x 1 convolutions to 16 channels, resized to 64 x 32, times the person's mask; a gait network
per layer (one basic block per stage, strides 1, 2, 1, 1), 32 strips. Published: 12 layers with a gait network each,
110.3 M learned parameters, 22 M frozen; the mask is predicted from the last layer; triplet loss and cross-entropy,
SGD 0.1. Small form: the last `frozen.layers` layers, one gait network for all, 16 strips, the clip's own mask, the
loss and the schedule of all rows. The middle half of the columns of a clip's square is read, which keeps the
published 2 : 1.

Size with four layers of DINOv2-small at width 64, without the head: 77,008 per layer as published, 13.6 M learned in
all, 22 M frozen; 97 G operations for two frames (models/cost.py).
Reads Batch.frames and Batch.masks; yields logits (B, 34). Weights: finetune.weights, else random.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from childgait.models.batch import Batch, InputName
from childgait.models.frozen_vit import load_weights, make_vit, normalise_frames
from childgait.models.gait_resnet import NUMBERS_PER_STRIP, make_trunk
from childgait.models.strips import StripNetwork, pool_strips

if TYPE_CHECKING:
    from childgait.params import Finetune

MAP = (64, 32)  # rows and columns of the gait network's input
CHANNELS = 16  # of the gait network's input
STRIDES = (1, 2, 1, 1)


class TokenProjection(nn.Module):
    """Tokens of one layer as a map of CHANNELS values from 0 to 1: (N, C, h, w) to (N, CHANNELS, 64, 32)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(width, affine=False),
            nn.Conv2d(width, width // 2, 1),
            nn.BatchNorm2d(width // 2, affine=False),
            nn.GELU(),
            nn.Conv2d(width // 2, CHANNELS, 1),
        )
        self.norm = nn.BatchNorm2d(CHANNELS, affine=False)

    def forward(self, tokens: Tensor) -> Tensor:
        resized = functional.interpolate(self.layers(tokens), MAP, mode="bilinear", align_corners=False)
        return torch.sigmoid(self.norm(resized))


def middle_columns(pictures: Tensor) -> Tensor:
    """Return the middle half of the last axis."""
    quarter = pictures.shape[-1] // 4
    return pictures[..., quarter : pictures.shape[-1] - quarter]


class Biggergait(StripNetwork):
    """BiggerGait with one gait network for all layers."""

    inputs: frozenset[InputName] = frozenset({"frames", "masks"})

    def __init__(self, settings: Finetune) -> None:
        frozen = settings.frozen
        strips, width = frozen.layers * sum(self.bins), NUMBERS_PER_STRIP * frozen.width
        super().__init__(8 * frozen.width, width, settings.silhouette, strips=strips)
        self.layers = frozen.layers
        self.map_channels = 8 * frozen.width * self.layers
        self.size = (frozen.pixels, frozen.pixels // 2)
        self.encoder_name = frozen.encoder
        self.encoder = make_vit(frozen.encoder, self.size)
        self.projections = nn.ModuleList(TokenProjection(self.encoder.embed_dim) for _ in range(self.layers))
        self.gait = make_trunk(frozen.width, (1, 1, 1, 1), "2d", STRIDES, channels_in=CHANNELS)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Biggergait:
        return cls(settings)

    def train(self, mode: bool = True) -> Biggergait:
        """Set the mode of everything but the frozen transformer."""
        super().train(mode)
        self.encoder.eval()
        return self

    def load_published(self, path: Path, sha256: str) -> None:
        """Load the frozen transformer's weights."""
        load_weights(self.encoder, self.encoder_name, path, sha256)

    def tokens(self, frames: Tensor) -> Tensor:
        """Return (layers, N, C, h, w): the tokens of the last layers, normalised together, of frames (N, S, S, 3)."""
        cropped = middle_columns(frames.movedim(3, 1)).movedim(1, 3)
        with torch.no_grad():
            pixels = normalise_frames(cropped, self.size, self.encoder)
            maps = self.encoder.forward_intermediates(pixels, indices=self.layers, intermediates_only=True)
            joined = torch.cat(maps, dim=1).movedim(1, 3)
            normalised = functional.layer_norm(joined, joined.shape[-1:]).movedim(3, 1)
        return normalised.unflatten(1, (self.layers, -1)).transpose(0, 1)

    def maps(self, batch: Batch) -> Tensor:
        """Return the gait network's output per layer, one after the other, at its place in the clip's square.

        (B, layers x 8 width, T, 32, 32); the outer columns are not read and hold zeros.
        """
        assert batch.frames is not None
        assert batch.masks is not None
        clips, time = batch.frames.shape[:2]
        masks = middle_columns(batch.masks.flatten(0, 1)[:, None].float())
        masks = (functional.interpolate(masks, MAP, mode="bilinear", align_corners=False, antialias=True) > 0.5).float()
        tokens = self.tokens(batch.frames.flatten(0, 1))
        inputs = [masks * project(layer) for project, layer in zip(self.projections, tokens, strict=True)]
        of_layers = [self.gait(one.unflatten(0, (clips, time)).transpose(1, 2)) for one in inputs]
        maps = torch.cat(of_layers, dim=1)
        return functional.pad(maps, (maps.shape[4] // 2, maps.shape[4] // 2))

    def strips_of_clip(self, maps: Tensor) -> Tensor:
        return self.by_layer(maps.amax(dim=2))

    def strips_over_time(self, maps: Tensor) -> Tensor:
        frames = maps.transpose(1, 2).flatten(0, 1)
        return self.by_layer(frames).unflatten(0, (maps.shape[0], maps.shape[2])).transpose(1, 2)

    def by_layer(self, maps: Tensor) -> Tensor:
        """Return the strips of every layer, (N, 8 width, layers x bins), from (N, layers x 8 width, h, w)."""
        strips = pool_strips(middle_columns(maps), self.bins).unflatten(1, (self.layers, -1))
        return strips.transpose(1, 2).flatten(2)
