"""Masked reconstruction for VideoMAE's encoder: token masks, and the decoder that pre-training discards.

Origin: VideoMAE V2 (Wang et al., CVPR 2023): the encoder gets a tenth of the tokens, whole columns in time (tube
masking, ratio 0.9); the decoder reconstructs half of the hidden ones, chosen by running cells of 2 x 2 patches (dual
masking, ratio 0.5); the target is each patch's pixels, normalised per colour. Written anew from that description.

With pruning only the child's tokens take part: masks are drawn over the columns that have kept tokens.
Reads `Packed` tokens with uint8 pixels; yields the mean squared error over the reconstructed tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from childgait.models.tokens import Packed
from childgait.models.videomae import Block, Size, VideoMAE, positions

if TYPE_CHECKING:
    from childgait.params import Masking

HEAD_WIDTH = 32  # of the decoder's attention heads
CELL = 4  # patches of a running cell, two by two


@dataclass(frozen=True)
class TokenMasks:
    """Which of N packed tokens the encoder gets, and which ones the decoder reconstructs; none is both."""

    visible: NDArray[np.bool_]
    targets: NDArray[np.bool_]


def draw_masks(packed: Packed, grid: tuple[int, int, int], masking: Masking, rng: np.random.Generator) -> TokenMasks:
    """Draw the masks of each clip of a batch; the tokens must be on the CPU."""
    index = packed.index.numpy()
    ends = np.cumsum(packed.lengths)
    clips = [_masks_of_clip(tokens, grid, masking, rng) for tokens in np.split(index, ends[:-1])]
    visible, targets = zip(*clips, strict=True)
    return TokenMasks(np.concatenate(visible), np.concatenate(targets))


def _masks_of_clip(
    index: NDArray[np.int64], grid: tuple[int, int, int], masking: Masking, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw tubes for the encoder and running cells for the decoder; every clip keeps a visible token."""
    _, rows, columns = grid
    time, place = np.divmod(index, rows * columns)
    places = np.unique(place)
    visible_columns = max(round((1 - masking.encoder_ratio) * len(places)), 1)
    visible = np.isin(place, rng.choice(places, visible_columns, replace=False))
    start = int(rng.integers(CELL))
    if visible.all():  # one column only: its later half is hidden
        visible = np.arange(len(index)) < max(len(index) // 2, 1)
    row, column = np.divmod(place, columns)
    turn = (row % 2 * 2 + column % 2 - start - time) % CELL
    targets = ~visible & (turn >= round(masking.decoder_ratio * CELL))
    return visible, targets if targets.any() else ~visible


def select(packed: Packed, chosen: NDArray[np.bool_]) -> Packed:
    """Return some of the tokens, in the same order; every clip must keep one."""
    ends = np.cumsum(packed.lengths)
    lengths = tuple(int(part.sum()) for part in np.split(chosen, ends[:-1]))
    assert min(lengths) > 0, "a clip without tokens"
    rows = torch.from_numpy(np.flatnonzero(chosen)).to(packed.index.device)
    offsets = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32, device=packed.offsets.device)
    return Packed(packed.patches[rows], packed.index[rows], packed.clip[rows], offsets, lengths)


def normalised_pixels(patches: Tensor) -> Tensor:
    """Return uint8 patches (N, P) with mean 0 and deviation 1 per patch and colour, as VideoMAE's targets."""
    pixels = (patches.float() / 255).unflatten(1, (-1, 3))
    deviation = pixels.var(dim=1, unbiased=True, keepdim=True).sqrt() + 1e-6
    return ((pixels - pixels.mean(dim=1, keepdim=True)) / deviation).flatten(1)


class MaskedDecoder(nn.Module):
    """A narrow transformer over the encoder's tokens and mask tokens, with one linear layer to pixels."""

    position: Tensor

    def __init__(self, encoder: VideoMAE, depth: int) -> None:
        super().__init__()
        wide = encoder.settings.size
        width = wide.width // 2
        size = Size(width, depth, width // HEAD_WIDTH, 4 * width, wide.patch)
        self.norm_encoder = nn.LayerNorm(wide.width, eps=1e-6)
        self.encoder_to_decoder = nn.Linear(wide.width, width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.blocks = nn.ModuleList(Block(size, 0.0) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, encoder.mean.numel())
        table, _ = positions(width, wide.patch, encoder.grid, encoder.settings.positions)
        self.register_buffer("position", table, persistent=False)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, encoder: VideoMAE, packed: Packed, masks: TokenMasks) -> Tensor:
        """Return the reconstruction loss of a batch."""
        encoded = self.encoder_to_decoder(self.norm_encoder(encoder.tokens(select(packed, masks.visible)))).float()
        part = select(packed, masks.visible | masks.targets)
        is_target = masks.targets[masks.visible | masks.targets]
        visible = torch.from_numpy(np.flatnonzero(~is_target)).to(encoded.device)
        hidden = torch.from_numpy(np.flatnonzero(is_target)).to(encoded.device)
        x = self.mask_token.float().expand(len(is_target), -1).index_copy(0, visible, encoded)
        x = x + self.position[part.index]
        for block in self.blocks:
            x = block(x, part)
        predicted = self.head(self.norm(x[hidden])).float()
        return (predicted - normalised_pixels(part.patches[hidden])).square().mean()
