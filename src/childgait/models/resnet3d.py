"""3D ResNet-18 and R(2+1)D-18: convolutions over space and time, whole or factorised.

Origin: Hara et al., "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?" (CVPR 2018) and Tran et
al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (CVPR 2018), as torchvision builds them
(torchvision.models.video, BSD-3); its blocks and names are used, so that its Kinetics-400 weights load. `width` is the
number of channels of the first stage: 64 as published, few for a CPU.

Reads Batch.frames; yields logits (B, 34).
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn
from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D, Conv3DSimple

from childgait.models.frames import FrameNetwork, PooledHead, load_trunk

if TYPE_CHECKING:
    from childgait.params import Cnn, Finetune

STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")
DEEPEST = 8  # times the width of the first stage


def make_stem(whole: bool, width: int) -> nn.Sequential:
    """Return the first convolution, 3 frames by 7 by 7 pixels, spatial stride 2; factorised with 45 channels between at
    64."""
    if whole:
        layers: list[nn.Module] = [nn.Conv3d(3, width, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)]
    else:
        between = max(45 * width // 64, 1)
        layers = [
            nn.Conv3d(3, between, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
            nn.BatchNorm3d(between),
            nn.ReLU(),
            nn.Conv3d(between, width, (3, 1, 1), padding=(1, 0, 0), bias=False),
        ]
    return nn.Sequential(*layers, nn.BatchNorm3d(width), nn.ReLU())


def make_stage(kind: Any, channels_in: int, channels: int, stride: int) -> nn.Sequential:
    """Return two residual blocks; a stride of 2 halves time and space in the first."""
    shortcut = None
    if stride != 1 or channels_in != channels:
        shortcut = nn.Sequential(
            nn.Conv3d(channels_in, channels, 1, kind.get_downsample_stride(stride), bias=False),
            nn.BatchNorm3d(channels),
        )
    return nn.Sequential(
        BasicBlock(channels_in, channels, kind, stride, shortcut), BasicBlock(channels, channels, kind)
    )


def make_trunk(whole: bool, width: int) -> nn.Sequential:
    """Return the trunk: (B, 3, T, S, S) to (B, 8 width, T / 8, S / 16, S / 16)."""
    kind = Conv3DSimple if whole else Conv2Plus1D
    stages = [make_stem(whole, width)]
    for number in range(4):
        channels_in, channels = width * 2 ** max(number - 1, 0), width * 2**number
        stages.append(make_stage(kind, channels_in, channels, stride=1 if number == 0 else 2))
    trunk = nn.Sequential(OrderedDict(zip(STAGES, stages, strict=True)))
    for part in trunk.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return trunk


class Resnet3d(FrameNetwork):
    """A trunk whose published weights load."""

    stages = STAGES

    def load_published(self, path: Path, sha256: str) -> None:
        load_trunk(self, path, sha256)


class R3d18(Resnet3d):
    """3D ResNet-18."""

    def __init__(self, settings: Cnn) -> None:
        channels = DEEPEST * settings.width
        super().__init__(make_trunk(whole=True, width=settings.width), PooledHead(channels, settings.dropout), channels)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> R3d18:
        return cls(settings.cnn)


class R2plus1d(Resnet3d):
    """R(2+1)D-18."""

    def __init__(self, settings: Cnn) -> None:
        channels = DEEPEST * settings.width
        super().__init__(
            make_trunk(whole=False, width=settings.width), PooledHead(channels, settings.dropout), channels
        )

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> R2plus1d:
        return cls(settings.cnn)
