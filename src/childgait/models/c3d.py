"""C3D: eight convolutions of 3 by 3 by 3, five poolings, two wide layers; no norms.

Origin: Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks" (ICCV 2015): channels 64, 128, 256
twice, 512 four times; the first pooling leaves time alone; wide layers of 4096 with dropout. `width` is the channels of
the first convolution, and everything goes with it. On windows shorter than 16 frames the poolings stop at one frame.

Reads Batch.frames; yields logits (B, 34). There is no one form of published weights, so none is read.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.models.frames import FrameNetwork

CHANNELS = {"conv1": 1, "conv2": 2, "conv3a": 4, "conv3b": 4, "conv4a": 8, "conv4b": 8, "conv5a": 8, "conv5b": 8}
POOLED_AFTER = {
    "conv1": (1, 2, 2),
    "conv2": (2, 2, 2),
    "conv3b": (2, 2, 2),
    "conv4b": (2, 2, 2),
}  # the fifth: the head's
WIDE = 64  # times the width


def trunk_of(width: int) -> nn.Sequential:
    """(B, 3, T, S, S) to (B, 8 width, T / 8, S / 16, S / 16)."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    before = 3
    for name, times in CHANNELS.items():
        layers: list[nn.Module] = [nn.Conv3d(before, times * width, 3, padding=1), nn.ReLU()]
        nn.init.kaiming_normal_(layers[0].weight, nonlinearity="relu")  # type: ignore[arg-type]
        nn.init.zeros_(layers[0].bias)  # type: ignore[arg-type]
        if name in POOLED_AFTER:
            layers.append(nn.MaxPool3d(POOLED_AFTER[name], ceil_mode=True))
        parts[name] = nn.Sequential(*layers)
        before = times * width
    return nn.Sequential(parts)


def fifth_pooling() -> nn.MaxPool3d:
    return nn.MaxPool3d(2, padding=(0, 1, 1), ceil_mode=True)


def head_of(cells: int, width: int, dropout: float) -> nn.Sequential:
    """The fifth pooling, two wide layers, the answer."""
    wide = WIDE * width
    return nn.Sequential(
        fifth_pooling(),
        nn.Flatten(),
        nn.Linear(cells, wide),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(wide, wide),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(wide, len(TARGETS)),
    )


class C3d(FrameNetwork):
    stages = tuple(CHANNELS)


def c3d(settings: Any, pixels: int) -> C3d:
    """The wide layers' size follows from what is left of the clip."""
    chosen = settings.cnn
    with torch.no_grad(), torch.device("meta"):
        left: Tensor = trunk_of(chosen.width)(torch.zeros(1, 3, settings.frames, pixels, pixels))
        cells = fifth_pooling()(left).numel()
    return C3d(trunk_of(chosen.width), head_of(cells, chosen.width, chosen.dropout))
