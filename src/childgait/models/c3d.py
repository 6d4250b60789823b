"""C3D: eight convolutions of 3 x 3 x 3, five poolings, two wide linear layers; no normalisation.

Origin: Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks" (ICCV 2015): channels 64, 128,
256 twice, 512 four times; the first pooling does not pool over time; linear layers of 4096 with dropout. `width` is the
number of channels of the first convolution; all other widths scale with it. On windows shorter than 16 frames the
poolings stop at one frame.

Reads Batch.frames; yields logits (B, 34). Published weights exist in several forms, so none is read.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.models.frames import FrameNetwork

if TYPE_CHECKING:
    from childgait.params import Cnn, Finetune

CHANNELS = {"conv1": 1, "conv2": 2, "conv3a": 4, "conv3b": 4, "conv4a": 8, "conv4b": 8, "conv5a": 8, "conv5b": 8}
POOLING_AFTER = {"conv1": (1, 2, 2), "conv2": (2, 2, 2), "conv3b": (2, 2, 2), "conv4b": (2, 2, 2)}  # fifth: in the head
WIDE = 64  # units of a wide layer, times the width


def make_trunk(width: int) -> nn.Sequential:
    """Return the trunk: (B, 3, T, S, S) to (B, 8 width, T / 8, S / 16, S / 16)."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    channels_in = 3
    for name, times in CHANNELS.items():
        convolution = nn.Conv3d(channels_in, times * width, 3, padding=1)
        layers: list[nn.Module] = [convolution, nn.ReLU()]
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        assert convolution.bias is not None
        nn.init.zeros_(convolution.bias)
        if name in POOLING_AFTER:
            layers.append(nn.MaxPool3d(POOLING_AFTER[name], ceil_mode=True))
        parts[name] = nn.Sequential(*layers)
        channels_in = times * width
    return nn.Sequential(parts)


def fifth_pooling() -> nn.MaxPool3d:
    return nn.MaxPool3d(2, padding=(0, 1, 1), ceil_mode=True)


def make_head(inputs: int, width: int, dropout: float) -> nn.Sequential:
    """Return the head: the fifth pooling, two wide layers, the classifier."""
    wide = WIDE * width
    return nn.Sequential(
        fifth_pooling(),
        nn.Flatten(),
        nn.Linear(inputs, wide),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(wide, wide),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(wide, len(TARGETS)),
    )


class C3d(FrameNetwork):
    """C3D for clips of `frames` frames and `pixels` pixels, which set the size of its first wide layer."""

    stages = tuple(CHANNELS)

    def __init__(self, settings: Cnn, frames: int, pixels: int) -> None:
        width = settings.width
        with torch.no_grad(), torch.device("meta"):
            maps: Tensor = make_trunk(width)(torch.zeros(1, 3, frames, pixels, pixels))
            inputs = fifth_pooling()(maps).numel()
        super().__init__(make_trunk(width), make_head(inputs, width, settings.dropout), maps.shape[1])

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> C3d:
        return cls(settings.cnn, settings.frames, pixels)
