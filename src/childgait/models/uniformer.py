"""UniFormer: local convolution in the first two stages, global attention in the last two.

Origin: Li et al., "UniFormer: Unified Transformer for Efficient Spatiotemporal Representation Learning" (ICLR 2022),
the small model: 3, 4, 8 and 3 blocks of 64, 128, 320 and 512 channels. A block of the first two stages mixes 5 x 5 x 5
places by a depthwise convolution, one of the last two attends to all places; every block begins with a depthwise
convolution that encodes position. Attention heads are 64 channels wide. `width` is the number of channels of the first
stage. Without the original's stochastic depth.

Reads Batch.frames; yields logits (B, 34). No published weights are read.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from childgait.models.frames import FrameNetwork, PooledHead

if TYPE_CHECKING:
    from childgait.params import Cnn, Finetune

BLOCKS, TIMES = (3, 4, 8, 3), (1, 2, 5, 8)  # per stage: number of blocks; channels over the width
HEAD = 64  # channels of an attention head
STRIDES = ((2, 4, 4), (1, 2, 2), (1, 2, 2), (1, 2, 2))  # per stage: frames and pixels that become one place
STAGES = ("stage1", "stage2", "stage3", "stage4")


class LocalBlock(nn.Module):
    """Position encoding, depthwise mixing of 5 x 5 x 5 places, then an MLP per place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.position = nn.Conv3d(channels, channels, 3, padding=1, groups=channels)
        self.mix = nn.Sequential(
            nn.BatchNorm3d(channels),
            nn.Conv3d(channels, channels, 1),
            nn.Conv3d(channels, channels, 5, padding=2, groups=channels),
            nn.Conv3d(channels, channels, 1),
        )
        self.mlp = nn.Sequential(
            nn.BatchNorm3d(channels),
            nn.Conv3d(channels, 4 * channels, 1),
            nn.GELU(),
            nn.Conv3d(4 * channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position(x)
        x = x + self.mix(x)
        return x + self.mlp(x)


class GlobalBlock(nn.Module):
    """Position encoding, self-attention over all places of the clip, then an MLP per place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(channels // HEAD, 1)
        self.position = nn.Conv3d(channels, channels, 3, padding=1, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position(x)
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(tokens)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        tokens = tokens + self.out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        tokens = tokens + self.mlp(tokens)
        return tokens.transpose(1, 2).unflatten(2, x.shape[2:])


class Downsample(nn.Module):
    """Strided convolution, then a norm over channels. Windows overlap in time where time is strided, too."""

    def __init__(self, channels_in: int, channels: int, stride: tuple[int, int, int]) -> None:
        super().__init__()
        time = 3 if stride[0] == 2 else 1
        self.conv = nn.Conv3d(channels_in, channels, (time, *stride[1:]), stride, padding=(time // 2, 0, 0))
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x).movedim(1, -1)).movedim(-1, 1)


def make_trunk(width: int) -> nn.Sequential:
    """Return the trunk: (B, 3, T, S, S) to (B, 8 width, T / 2, S / 32, S / 32)."""
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    channels_in = 3
    for name, blocks, times, stride in zip(STAGES, BLOCKS, TIMES, STRIDES, strict=True):
        channels = times * width
        kind = LocalBlock if name in ("stage1", "stage2") else GlobalBlock
        layers: list[nn.Module] = [Downsample(channels_in, channels, stride), *(kind(channels) for _ in range(blocks))]
        if name == STAGES[-1]:
            layers.append(nn.BatchNorm3d(channels))
        stages[name] = nn.Sequential(*layers)
        channels_in = channels
    return nn.Sequential(stages)


class Uniformer(FrameNetwork):
    """UniFormer-S."""

    stages = STAGES

    def __init__(self, settings: Cnn) -> None:
        channels = TIMES[-1] * settings.width
        super().__init__(make_trunk(settings.width), PooledHead(channels, settings.dropout), channels)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Uniformer:
        return cls(settings.cnn)
