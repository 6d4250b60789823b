"""VideoMAE v2's video transformer on packed tokens: plain when every token is kept, cheaper when few are.

Origin: VideoMAE V2 (Wang et al., CVPR 2023; github.com/OpenGVLab/VideoMAEv2, models/modeling_finetune.py at 29eab1e,
MIT). Written anew from its description; parameters carry the official names, so that published weights load
(checkpoints.py), and the features equal the official ones when every token is kept.

What decides that compatibility: fixed sinusoids over the flat token number; biases on q and v but none on k; LayerNorm
with epsilon 1e-6; exact GELU; mean over tokens first, then `fc_norm`; ImageNet mean and deviation on RGB of 0 to 1.

Reads `Packed` tokens of B clips (tokens.py); yields features (B, width) or logits (B, outputs). Everything but
attention runs on the one row of tokens; attention stays within each clip. Under bf16 autocast the residual stream
stays float32.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from timm.layers import Mlp
from torch import Tensor, nn
from torch.nn import functional

from childgait.models.tokens import Packed, grid_of

log = logging.getLogger(__name__)

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, RGB
TUBELET = 2
OFFICIAL_FRAMES, OFFICIAL_PIXELS = 16, 224

Positions = Literal["interpolated", "separable"]

# A CPU pads clips to the longest where that costs at most this many times their tokens, and where clips are short:
# the batched products of a long clip no longer fit the cache, and a loop over clips is as fast.
PADDED_SHARE, PADDED_LONGEST = 1.6, 256


@dataclass(frozen=True)
class Size:
    width: int
    depth: int
    heads: int
    hidden: int  # of the MLP
    patch: int


SIZES: dict[str, Size] = {
    "tiny": Size(192, 4, 3, 768, 16),  # our own, for runs without a GPU; nobody publishes weights for it
    "small": Size(384, 12, 6, 1536, 16),
    "base": Size(768, 12, 12, 3072, 16),
    "large": Size(1024, 24, 16, 4096, 16),
    "huge": Size(1280, 32, 16, 5120, 16),
    "giant": Size(1408, 40, 16, 6144, 14),
}


@dataclass(frozen=True)
class VideoMAESettings:
    size: Size
    frames: int  # T, a multiple of 2
    pixels: int  # S, a multiple of the patch
    outputs: int  # of the official linear head; 0: features only
    drop_path: float  # of the last block; block 0 has none, linear between
    head_dropout: float
    positions: Positions = "interpolated"  # of a grid that no published weights know


def sinusoids(count: int, width: int) -> Tensor:
    """Return the official table: one row per flat token number, sine in even columns, cosine in odd ones; float64."""
    column = torch.arange(width, dtype=torch.float64)
    angle = torch.arange(count, dtype=torch.float64)[:, None] / 10000 ** (2 * (column // 2) / width)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos())


def separable(width: int, grid: tuple[int, int, int], temperature: float = 50.0) -> Tensor:
    """Return (tokens, width): sines and cosines of time, height and width, a third of the columns each.

    A linear layer can read a token's place from it, which it cannot from a table of flat token numbers. The temperature
    suits axes of some ten tokens; 10000 is for sequences of hundreds.
    """
    third = width // 3 // 2 * 2
    widths = (third, third, width - 2 * third)
    axes = []
    for axis, (count, columns) in enumerate(zip(grid, widths, strict=True)):
        frequencies = temperature ** (-torch.arange(columns // 2, dtype=torch.float64) / (columns / 2))
        angle = torch.arange(count, dtype=torch.float64)[:, None] * frequencies
        shape = [count if other == axis else 1 for other in range(3)]
        axes.append(torch.cat([angle.sin(), angle.cos()], dim=1).view(*shape, columns).expand(*grid, columns))
    return torch.cat(axes, dim=-1).flatten(0, 2).float()


def positions(
    width: int, patch: int, grid: tuple[int, int, int], other: Positions = "interpolated"
) -> tuple[Tensor, str]:
    """Return one row per token of the grid, and which kind of positions they are.

    Published weights know the table of 16 frames of 224 pixels. Another grid gets that table interpolated linearly in
    time, height and width (a fresh table would give every token the number of another place), or, for weights that are
    trained here, a separable table.
    """
    official = grid_of(OFFICIAL_FRAMES, OFFICIAL_PIXELS, TUBELET, patch)
    if grid != official and other == "separable":
        return separable(width, grid), "separable"
    table = sinusoids(official[0] * official[1] * official[2], width)
    if grid == official:
        return table.float(), "official"
    volume = table.T.reshape(1, width, *official)
    resized = functional.interpolate(volume, size=grid, mode="trilinear", align_corners=False)
    how = f"interpolated from {'x'.join(map(str, official))} to {'x'.join(map(str, grid))} tokens"
    return resized.reshape(width, -1).T.contiguous().float(), how


def attend(qkv: Tensor, packed: Packed) -> Tensor:
    """Compute attention within each clip, from (N, 3, heads, width of a head) to (N, heads, width of a head).

    Half precision on CUDA has a kernel for clips of different lengths. A CPU pads short clips to the longest; for long
    ones a loop over clips is the fastest exact way (nested tensors and one block-diagonal mask measured slower).
    """
    assert sum(packed.lengths) == qkv.shape[0], (packed.lengths, qkv.shape)
    if qkv.is_cuda and qkv.dtype in (torch.bfloat16, torch.float16):
        return attend_at_once(qkv, packed)
    # Each head's rows are brought together: the kernel reads them many times, and the copy costs less than it saves.
    if len(set(packed.lengths)) == 1:  # nothing ragged: all clips in one call
        q, k, v = qkv.unflatten(0, (len(packed.lengths), -1)).permute(2, 0, 3, 1, 4).contiguous()
        return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(0, 1)
    if not qkv.is_cuda and padding_pays(packed.lengths):
        return attend_padded(qkv, packed)
    each = []
    for clip in qkv.split(packed.lengths):
        q, k, v = clip.permute(1, 2, 0, 3).contiguous()[:, None]
        each.append(functional.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1))
    return torch.cat(each)


def padding_pays(lengths: tuple[int, ...]) -> bool:
    """Decide whether one padded product is faster on a CPU than a loop over clips."""
    longest = max(lengths)
    return longest <= PADDED_LONGEST and longest * len(lengths) < PADDED_SHARE * sum(lengths)


def attend_padded(qkv: Tensor, packed: Packed) -> Tensor:
    """Pad all clips to the longest and attend in one masked product; equal to the loop up to rounding.

    Plain products instead of the fused kernel: its backward is slow on a CPU for sequences this short.
    """
    clips, longest = len(packed.lengths), max(packed.lengths)
    starts = packed.offsets[:-1].long()
    place = torch.arange(qkv.shape[0], device=qkv.device) - starts[packed.clip] + packed.clip * longest
    mask = qkv.new_full((clips * longest,), float("-inf")).index_fill(0, place, 0.0).view(clips, 1, 1, longest)
    padded = qkv.new_zeros(clips * longest, *qkv.shape[1:]).index_copy(0, place, qkv)
    q, k, v = padded.unflatten(0, (clips, longest)).permute(2, 0, 3, 1, 4).unbind(0)
    weights = torch.softmax((q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5 + mask, dim=-1)
    return (weights.to(v.dtype) @ v).transpose(1, 2).flatten(0, 1)[place]


def attend_at_once(qkv: Tensor, packed: Packed) -> Tensor:
    """Return the attention kernel for clips of different lengths; None where there is none."""
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (part.contiguous() for part in qkv.unbind(1))
    longest = max(packed.lengths)
    # The offsets end at N exactly: rows beyond them would get uninitialised gradients.
    together = varlen_attn(q, k, v, packed.offsets, packed.offsets, longest, longest)
    assert isinstance(together, Tensor)
    return together


class Attention(nn.Module):
    uncompiled: Callable[[Tensor, Packed], Tensor] | None = None  # `attend` kept out of torch.compile

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))  # a bias on k would cancel in the softmax
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, packed: Packed) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        qkv = functional.linear(x, self.qkv.weight, bias).unflatten(1, (3, self.heads, -1))
        return self.proj((self.uncompiled or attend)(qkv, packed).flatten(1))


class DropPath(nn.Module):
    """Drops a branch for whole clips: one draw per clip, repeated for its tokens."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor, packed: Packed) -> Tensor:
        if not self.training or self.rate == 0:
            return branch
        kept = torch.rand(len(packed.lengths), device=branch.device) >= self.rate
        scale = kept.to(branch.dtype) / (1 - self.rate)
        return branch * scale[packed.clip, None]


class Block(nn.Module):
    def __init__(self, size: Size, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(size.width, eps=1e-6)
        self.attn = Attention(size.width, size.heads)
        self.norm2 = nn.LayerNorm(size.width, eps=1e-6)
        self.mlp = Mlp(size.width, size.hidden)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, packed: Packed) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x), packed), packed)
        return x + self.drop_path(self.mlp(self.norm2(x)), packed)


class PatchEmbed(nn.Module):
    """Applies the official Conv3d as a linear layer to the kept patches (its stride is its kernel)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        kernel = (TUBELET, size.patch, size.patch)
        self.proj = nn.Conv3d(3, size.width, kernel, stride=kernel)

    def forward(self, patches: Tensor) -> Tensor:
        weight = self.proj.weight.permute(0, 2, 3, 4, 1).flatten(1)  # as patches lie: frame, y, x, colour
        return functional.linear(patches, weight, self.proj.bias)


class VideoMAE(nn.Module):
    position: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, settings: VideoMAESettings) -> None:
        super().__init__()
        self.settings = settings
        size = settings.size
        self.grid = grid_of(settings.frames, settings.pixels, TUBELET, size.patch)
        self.patch_embed = PatchEmbed(size)
        rates = (settings.drop_path * block / max(size.depth - 1, 1) for block in range(size.depth))
        self.blocks = nn.ModuleList(Block(size, rate) for rate in rates)
        self.fc_norm = nn.LayerNorm(size.width, eps=1e-6)
        self.head_dropout = nn.Dropout(settings.head_dropout)
        self.head = nn.Linear(size.width, settings.outputs) if settings.outputs else nn.Identity()
        table, self.positions_are = positions(size.width, size.patch, self.grid, settings.positions)
        if self.positions_are != "official":
            log.info("positions are %s", self.positions_are)
        # Computed, not learned, and in no checkpoint: so it is no part of the state either.
        self.register_buffer("position", table, persistent=False)
        pixels = TUBELET * size.patch**2  # a number for each of a patch's, as rows of three compute slowly
        self.register_buffer("mean", 255 * torch.tensor(MEAN).repeat(pixels), persistent=False)
        self.register_buffer("deviation", 255 * torch.tensor(DEVIATION).repeat(pixels), persistent=False)
        self.apply(_initialise)
        if settings.outputs:
            assert isinstance(self.head, nn.Linear)
            self.head.weight.data.mul_(0.001)  # as the official training script: starts at no opinion

    def normalise(self, patches: Tensor) -> Tensor:
        """Convert uint8 colours to the range that the weights were trained on."""
        return patches.float().sub_(self.mean).div_(self.deviation)

    def tokens(self, packed: Packed) -> Tensor:
        """Return (N, width) after the last block."""
        patches = self.normalise(packed.patches) if packed.patches.dtype == torch.uint8 else packed.patches
        # Positions by original number, in float32 also under autocast, so the residual stream is float32 throughout.
        x = self.patch_embed(patches).float() + self.position[packed.index]
        for block in self.blocks:
            x = block(x, packed)
        return x

    def features(self, packed: Packed) -> Tensor:
        """Return (B, width): the mean over each clip's kept tokens, then the norm."""
        return self.pool(self.tokens(packed), packed)

    def pool(self, x: Tensor, packed: Packed) -> Tensor:
        total = x.new_zeros(len(packed.lengths), x.shape[1]).index_add(0, packed.clip, x)
        return self.fc_norm(total / packed.offsets.diff()[:, None])

    def forward(self, packed: Packed) -> Tensor:
        return self.head(self.head_dropout(self.features(packed)))


def compile_blocks(encoder: VideoMAE, backend: str = "inductor") -> None:
    """Compile the blocks except attention, whose clip lengths would be compiled again with every batch."""
    for block in encoder.blocks:
        assert isinstance(block, Block)
        block.attn.uncompiled = torch.compiler.disable(attend)
        block.compile(dynamic=True, backend=backend)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
