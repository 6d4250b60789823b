"""Residual networks on silhouettes: GaitBase, ScoNet, and DeepGaitV2 with 2D, 3D and pseudo-3D convolutions.

Origin: Fan et al., "OpenGait: Revisiting Gait Recognition Toward Better Practicality" (CVPR 2023, arXiv 2211.06597):
GaitBase, one basic block per stage, 16 strips. Zhou et al., "Gait Patterns as Biomarkers: A Video-Based Approach for
Classifying Scoliosis" (MICCAI 2024, arXiv 2407.05726): ScoNet, GaitBase with a class per strip, averaged over strips.
Fan et al., "Exploring Deep Models for Practical Gait Recognition" (2023, arXiv 2303.03301): DeepGaitV2, whose stages
after the first convolve over time as well. Published: width 64, 256 numbers per strip, SGD 0.1, triplet loss on
identity and cross-entropy on cosines times 16; here the loss and the schedule are those of all rows, and only ScoNet
classifies by cosines.

Sizes at width 64 without the head: GaitBase and ScoNet 7.0 M parameters (4.90 M in the trunk), DeepGaitV2 P3D with
blocks 1, 4, 4, 1 13.2 M (11.10 M), with 1, 1, 1, 1 a trunk of 5.93 M; all as published. Operations for 30 frames of
64 x 44 (models/cost.py): GaitBase 71 G; DeepGaitV2 with blocks 1, 4, 4, 1: 2D 145 G, P3D 170 G, 3D 407 G; no
published counts were found. 2D and 3D have 9.33 M and 27.5 M parameters in the trunk.
Reads Batch.silhouettes; yields logits (B, 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from childgait.models.batch import Batch
from childgait.models.cosine_linear import COSINE_SCALE, CosineLinear
from childgait.models.strips import StripNetwork

if TYPE_CHECKING:
    from childgait.params import Finetune, Silhouette

Convolution = Literal["2d", "3d", "p3d"]
STRIDES = (1, 2, 2, 1)  # in space; time is never divided
NUMBERS_PER_STRIP = 4  # times the width: 256 as published


def convolve(channels_in: int, channels: int, kernel: tuple[int, int, int], stride: int = 1) -> nn.Conv3d:
    """Return a convolution without bias that keeps time and divides space by `stride`."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Conv3d(channels_in, channels, kernel, (1, stride, stride), padding, bias=False)


class TimeResidual(nn.Module):
    """A convolution over three frames, added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(convolve(channels, channels, (3, 1, 1)), nn.BatchNorm3d(channels))

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(self.layers(maps)) + maps


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut, (B, C, T, h, w) to (B, C', T, h / stride, w / stride)."""

    def __init__(self, channels_in: int, channels: int, stride: int, kind: Convolution) -> None:
        super().__init__()
        kernel = (3, 3, 3) if kind == "3d" else (1, 3, 3)
        self.layers = nn.Sequential(
            convolve(channels_in, channels, kernel, stride),
            nn.BatchNorm3d(channels),
            nn.ReLU(inplace=True),
            TimeResidual(channels) if kind == "p3d" else nn.Identity(),
            convolve(channels, channels, kernel),
            nn.BatchNorm3d(channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            shortcut = convolve(channels_in, channels, (1, 1, 1), stride)
            self.shortcut = nn.Sequential(shortcut, nn.BatchNorm3d(channels))

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(self.layers(maps) + self.shortcut(maps))


def make_stem(width: int, channels_in: int = 1) -> nn.Sequential:
    """Return the first convolution, per frame."""
    return nn.Sequential(convolve(channels_in, width, (1, 3, 3)), nn.BatchNorm3d(width), nn.ReLU(inplace=True))


def make_stage(channels_in: int, channels: int, stride: int, blocks: int, kind: Convolution) -> nn.Sequential:
    """Return residual blocks, the first of which divides space by `stride`."""
    first = BasicBlock(channels_in, channels, stride, kind)
    return nn.Sequential(first, *(BasicBlock(channels, channels, 1, kind) for _ in range(blocks - 1)))


def make_trunk(
    width: int, blocks: tuple[int, ...], kind: Convolution, strides: tuple[int, ...] = STRIDES, channels_in: int = 1
) -> nn.Module:
    """Return stem and stages, (B, 1, T, 64, w) to (B, 8 width, T, 16, w / 4); the first stage is always 2D."""
    channels = [width * 2**stage for stage in range(len(blocks))]
    stages = [
        make_stage(channels[max(stage - 1, 0)], channels[stage], strides[stage], count, "2d" if stage == 0 else kind)
        for stage, count in enumerate(blocks)
    ]
    trunk = nn.Sequential(make_stem(width, channels_in), *stages)
    for part in trunk.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return trunk


class GaitResnet(StripNetwork):
    """A residual trunk over 16 strips."""

    def __init__(self, settings: Silhouette, blocks: tuple[int, ...], kind: Convolution) -> None:
        super().__init__(8 * settings.width, NUMBERS_PER_STRIP * settings.width, settings)
        self.trunk = make_trunk(settings.width, blocks, kind)

    def maps(self, batch: Batch) -> Tensor:
        """Return the trunk's output, (B, 8 width, T, 16, columns / 4)."""
        return self.trunk(self.pixels(batch))


class Gaitbase(GaitResnet):
    """GaitBase."""

    def __init__(self, settings: Silhouette) -> None:
        super().__init__(settings, (1, 1, 1, 1), "2d")

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Gaitbase:
        return cls(settings.silhouette)


class Deepgaitv2(GaitResnet):
    """DeepGaitV2."""

    def __init__(self, settings: Silhouette) -> None:
        super().__init__(settings, settings.blocks, settings.convolution)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Deepgaitv2:
        return cls(settings.silhouette)


class Sconet(Gaitbase):
    """ScoNet: GaitBase that classifies every strip by cosines and averages over strips."""

    def __init__(self, settings: Silhouette) -> None:
        super().__init__(settings)
        _, last = self.classifier()
        assert isinstance(last, nn.Linear)
        classes = CosineLinear(self.strips, self.width, last.out_features)
        self.head = nn.Sequential(nn.Dropout(settings.dropout), classes)

    def reset_classifier(self, outputs: int) -> None:
        """Classify `outputs` targets by cosines, unless another head has replaced this one."""
        name, last = self.classifier()
        super().reset_classifier(outputs)
        if isinstance(last, CosineLinear):
            owner, _, attribute = name.rpartition(".")
            self.get_submodule(owner).register_module(attribute, CosineLinear(self.strips, self.width, outputs))

    def logits_by_strip(self, features: Tensor) -> Tensor:
        """Return what each strip adds to the logits, (B, P, 34): its cosines times COSINE_SCALE over the strips."""
        _, last = self.classifier()
        assert isinstance(last, CosineLinear)
        by_strip = functional.normalize(features.unflatten(1, (self.width, self.strips)), dim=1)
        weights = functional.normalize(last.weight.unflatten(1, (self.width, self.strips)), dim=1)
        return COSINE_SCALE * torch.einsum("bdp,odp->bpo", by_strip, weights) / self.strips
