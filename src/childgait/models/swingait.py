"""SwinGait: convolutions on silhouettes, then window attention over space and time.

Origin: Fan et al., "Exploring Deep Models for Practical Gait Recognition" (2023, arXiv 2303.03301), after Liu et al.,
"Video Swin Transformer" (CVPR 2022, arXiv 2106.13230): DeepGaitV2's stem, 2D stage and one pseudo-3D stage; maps
resized to 30 x 20; patches of 1 x 2 x 2; two stages of attention in windows of 3 frames x 3 x 5 patches, every second
block in shifted windows; a linear layer between the stages in place of patch merging; 15 strips. Published: width 64,
blocks 1, 1, 2, 2 (1, 4, 4, 2 for large sets), stochastic depth 0.1, AdamW, from the weights of a trained DeepGaitV2;
the published size is not public. Here: no stochastic depth, random initial weights, the loss and the schedule of all
rows.

Size at width 64, blocks 1, 1, 2, 2, without the head: 10.5 M parameters; 99 G operations for 30 frames
(models/cost.py).
Reads Batch.silhouettes; yields logits (B, 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from childgait.models.batch import Batch
from childgait.models.gait_resnet import NUMBERS_PER_STRIP, make_trunk
from childgait.models.strips import StripNetwork

if TYPE_CHECKING:
    from childgait.params import Finetune, Silhouette

MAP = (30, 20)  # rows and columns before the patches
WINDOW = (3, 3, 5)  # frames, rows, columns; 15 x 10 patches are 5 x 2 windows
TOKENS = WINDOW[0] * WINDOW[1] * WINDOW[2]
HEAD_WIDTH = 16  # of an attention head: 16 heads at width 256 as published


def relative_places() -> Tensor:
    """Return (TOKENS, TOKENS): the row of the bias table of each pair of tokens of a window."""
    axes = [torch.arange(count) for count in WINDOW]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    apart = places[:, :, None] - places[:, None, :] + torch.tensor(WINDOW).view(3, 1, 1) - 1
    return (apart[0] * (2 * WINDOW[1] - 1) + apart[1]) * (2 * WINDOW[2] - 1) + apart[2]


def to_windows(x: Tensor) -> Tensor:
    """Return (B, windows, TOKENS, C) from (B, T, H, W, C)."""
    for axis, count in zip((1, 3, 5), WINDOW, strict=True):
        x = x.unflatten(axis, (-1, count))
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6).flatten(1, 3)


def from_windows(x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Invert `to_windows` for `shape` (T, H, W)."""
    counts = [whole // part for whole, part in zip(shape, WINDOW, strict=True)]
    x = x.unflatten(2, WINDOW).unflatten(1, counts)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).flatten(5, 6).flatten(3, 4).flatten(1, 2)


def shifted_neighbours(shape: tuple[int, int, int], shift: tuple[int, int, int], frames: int) -> Tensor:
    """Return bool (windows, TOKENS, TOKENS): pairs that may attend to each other.

    A shift by a cyclic roll joins opposite edges in one window; frames past `frames` are padding.
    """
    region = torch.zeros(shape, dtype=torch.long)
    for axis, (count, part, step) in enumerate(zip(shape, WINDOW, shift, strict=True)):
        place = torch.arange(count)
        of_axis = (place >= count - part).long() + (place >= count - step).long() if step else torch.zeros_like(place)
        region = 3 * region + of_axis.view([-1 if a == axis else 1 for a in range(3)])
    is_padding = (torch.arange(shape[0]).roll(-shift[0]) >= frames).view(-1, 1, 1).expand(shape)
    region = 2 * region + is_padding
    tokens = to_windows(region[None, ..., None])[0, :, :, 0]
    return tokens[:, :, None] == tokens[:, None, :]


class WindowBlock(nn.Module):
    """Attention in windows, then an MLP per token, each normalised first and added to its input."""

    relative: Tensor

    def __init__(self, width: int, shifted: bool) -> None:
        super().__init__()
        self.heads, self.shifted = max(width // HEAD_WIDTH, 1), shifted
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        pairs = (2 * WINDOW[0] - 1) * (2 * WINDOW[1] - 1) * (2 * WINDOW[2] - 1)
        self.bias = nn.Parameter(torch.zeros(pairs, self.heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        self.register_buffer("relative", relative_places(), persistent=False)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Return (B, T, H, W, C) from the same shape, whose frames past `frames` are padding."""
        x = x + self.attend(self.norm1(x), frames)
        return x + self.mlp(self.norm2(x))

    def attend(self, x: Tensor, frames: int) -> Tensor:
        time, rows, columns = x.shape[1:4]
        shape = (time, rows, columns)
        shift = (0, 0, 0)
        if self.shifted:  # an axis of a single window is not shifted
            time_shift, row_shift, column_shift = (
                part // 2 if whole > part else 0 for whole, part in zip(shape, WINDOW, strict=True)
            )
            shift = (time_shift, row_shift, column_shift)
        x = x.roll([-step for step in shift], (1, 2, 3))
        windows = to_windows(x)
        q, k, v = self.to_qkv(windows).unflatten(3, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        bias = self.bias[self.relative].permute(2, 0, 1)  # (heads, TOKENS, TOKENS)
        may = shifted_neighbours(shape, shift, frames).to(x.device)
        mask = bias[None].masked_fill(~may[:, None], -torch.inf)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[None].to(q.dtype))
        joined = self.project(mixed.transpose(2, 3).flatten(3))
        return from_windows(joined, shape).roll(shift, (1, 2, 3))


class Swingait(StripNetwork):
    """SwinGait-3D."""

    bins = (15,)

    def __init__(self, settings: Silhouette) -> None:
        width, blocks = settings.width, settings.blocks
        super().__init__(8 * width, NUMBERS_PER_STRIP * width, settings)
        self.convolutions = make_trunk(width, blocks[:2], "p3d")
        self.patches = nn.Conv3d(2 * width, 4 * width, (1, 2, 2), (1, 2, 2))
        self.patch_norm = nn.LayerNorm(4 * width)
        self.stage3 = nn.ModuleList(WindowBlock(4 * width, shifted=n % 2 == 1) for n in range(blocks[2]))
        self.widen = nn.Sequential(nn.LayerNorm(4 * width), nn.Linear(4 * width, 8 * width, bias=False))
        self.stage4 = nn.ModuleList(WindowBlock(8 * width, shifted=n % 2 == 1) for n in range(blocks[3]))
        self.last_norm = nn.LayerNorm(8 * width)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Swingait:
        return cls(settings.silhouette)

    def maps(self, batch: Batch) -> Tensor:
        """Return the last stage's tokens as maps, (B, 8 width, T, 15, 10)."""
        maps = self.convolutions(self.pixels(batch))
        frames = maps.shape[2]
        maps = functional.interpolate(maps, (frames, *MAP), mode="trilinear", align_corners=False)
        x = self.patch_norm(self.patches(maps).movedim(1, 4))
        x = functional.pad(x, (0, 0, 0, 0, 0, 0, 0, -frames % WINDOW[0]))
        for block in self.stage3:
            x = block(x, frames)
        x = self.widen(x)
        for block in self.stage4:
            x = block(x, frames)
        return self.last_norm(x[:, :frames]).movedim(4, 1)
