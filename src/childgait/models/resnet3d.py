"""3D ResNet-18 and R(2+1)D-18: convolutions over space and time, whole or in two parts.

Origin: Hara et al. (2018) and Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (CVPR
2018), as torchvision builds them (torchvision.models.video, BSD-3); its blocks and names are used, so that its Kinetics-400
weights load. `width` is the channels of the first stage: 64 as published, few for a CPU.

Reads Batch.frames; yields logits (B, 34).
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

from torch import nn
from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D, Conv3DSimple

from childgait.models.frames import FrameNetwork, Pooled, load_published

STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")
DEEPEST = 8  # times the width of the first stage


def stem_of(whole: bool, width: int) -> nn.Sequential:
    """The first convolution, 3 frames by 7 by 7 pixels, every second pixel; in two parts with 45 channels between at 64."""
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


def stage_of(kind: Any, before: int, after: int, stride: int) -> nn.Sequential:
    """Two blocks; the first halves time and space, but in the first stage."""
    shortcut = None
    if stride != 1 or before != after:
        shortcut = nn.Sequential(
            nn.Conv3d(before, after, 1, kind.get_downsample_stride(stride), bias=False), nn.BatchNorm3d(after)
        )
    return nn.Sequential(BasicBlock(before, after, kind, stride, shortcut), BasicBlock(after, after, kind))


def trunk_of(whole: bool, width: int) -> nn.Sequential:
    """(B, 3, T, S, S) to (B, 8 width, T / 8, S / 16, S / 16)."""
    kind = Conv3DSimple if whole else Conv2Plus1D
    stages = [stem_of(whole, width)]
    for number in range(4):
        before, after = width * 2 ** max(number - 1, 0), width * 2**number
        stages.append(stage_of(kind, before, after, stride=1 if number == 0 else 2))
    trunk = nn.Sequential(OrderedDict(zip(STAGES, stages, strict=True)))
    for part in trunk.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return trunk


class Resnet3d(FrameNetwork):
    stages = STAGES

    def load_published(self, path: Path, sha256: str) -> None:
        load_published(self, path, sha256)


def r3d18(settings: Any, pixels: int) -> Resnet3d:
    chosen = settings.cnn
    return Resnet3d(trunk_of(True, chosen.width), Pooled(DEEPEST * chosen.width, chosen.dropout))


def r2plus1d(settings: Any, pixels: int) -> Resnet3d:
    chosen = settings.cnn
    return Resnet3d(trunk_of(False, chosen.width), Pooled(DEEPEST * chosen.width, chosen.dropout))
