"""UniFormer: convolution among near places first, attention among all of them later.

Origin: Li et al., "UniFormer: Unified Transformer for Efficient Spatiotemporal Representation Learning" (ICLR 2022), the small
one: 3, 4, 8 and 3 blocks of 64, 128, 320 and 512 channels; in the first two stages a block mixes 5 by 5 by 5 places by a
convolution a channel, in the last two it attends to all places; every block opens with a convolution that tells where a place
is. Heads are 64 channels wide. `width` is the channels of the first stage. Without the original's stochastic depth.

Reads Batch.frames; yields logits (B, 34). No published weights are read.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from childgait.models.frames import FrameNetwork, Pooled

BLOCKS, TIMES = (3, 4, 8, 3), (1, 2, 5, 8)  # of each stage: blocks; channels over the width
HEAD = 64  # channels
CUTS = ((2, 4, 4), (1, 2, 2), (1, 2, 2), (1, 2, 2))  # frames and pixels that a stage makes one
STAGES = ("stage1", "stage2", "stage3", "stage4")


class Near(nn.Module):
    """Mixes each channel over the places around, then the channels of each place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.place = nn.Conv3d(channels, channels, 3, padding=1, groups=channels)
        self.mix = nn.Sequential(
            nn.BatchNorm3d(channels),
            nn.Conv3d(channels, channels, 1),
            nn.Conv3d(channels, channels, 5, padding=2, groups=channels),
            nn.Conv3d(channels, channels, 1),
        )
        self.think = nn.Sequential(
            nn.BatchNorm3d(channels),
            nn.Conv3d(channels, 4 * channels, 1),
            nn.GELU(),
            nn.Conv3d(4 * channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.place(x)
        x = x + self.mix(x)
        return x + self.think(x)


class Everywhere(nn.Module):
    """Every place attends to all places of the clip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(channels // HEAD, 1)
        self.place = nn.Conv3d(channels, channels, 3, padding=1, groups=channels)
        self.norm, self.qkv, self.out = (
            nn.LayerNorm(channels),
            nn.Linear(channels, 3 * channels),
            nn.Linear(channels, channels),
        )
        self.think = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.place(x)
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(tokens)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        tokens = tokens + self.out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        tokens = tokens + self.think(tokens)
        return tokens.transpose(1, 2).unflatten(2, x.shape[2:])


class Cut(nn.Module):
    """Several places become one, then a norm over channels. The first cut's windows overlap in time."""

    def __init__(self, before: int, after: int, size: tuple[int, int, int]) -> None:
        super().__init__()
        time = 3 if size[0] == 2 else 1
        self.join = nn.Conv3d(before, after, (time, *size[1:]), size, padding=(time // 2, 0, 0))
        self.norm = nn.LayerNorm(after)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.join(x).movedim(1, -1)).movedim(-1, 1)


def trunk_of(width: int) -> nn.Sequential:
    """(B, 3, T, S, S) to (B, 8 width, T / 2, S / 32, S / 32)."""
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    before = 3
    for name, blocks, times, size in zip(STAGES, BLOCKS, TIMES, CUTS, strict=True):
        channels = times * width
        kind = Near if name in ("stage1", "stage2") else Everywhere
        stages[name] = nn.Sequential(Cut(before, channels, size), *(kind(channels) for _ in range(blocks)))
        before = channels
    stages["stage4"].append(nn.BatchNorm3d(before))  # type: ignore[operator]
    return nn.Sequential(stages)


class Uniformer(FrameNetwork):
    stages = STAGES


def uniformer(settings: Any, pixels: int) -> Uniformer:
    chosen = settings.cnn
    return Uniformer(trunk_of(chosen.width), Pooled(TIMES[-1] * chosen.width, chosen.dropout))
