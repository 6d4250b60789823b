"""Selection of a clip's patches, and packing of clips with different numbers of patches into one batch.

A token is a tubelet of 2 frames by 16 by 16 pixels. With pruning, a token stays when enough of it is child; the mask
decides, never the network, so the choice is the same on every machine. Kept patches of all clips stand in one row
(`Packed`): linear layers run on the row, attention within each clip, and the cost follows the tokens kept.

Reads numpy arrays of one clip (frames uint8 (T, S, S, 3), masks bool (T, S, S)); yields token numbers and patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Prune = Literal["none", "mask"]


@dataclass(frozen=True)
class Packing:
    """How clips are cut into tokens, and which tokens are kept."""

    tubelet: int  # frames per token
    patch: int  # pixels per side
    prune: Prune
    min_foreground: float  # share of the patch that is child in either frame; any pixel at all must be
    dilate_pixels: int  # the mask grows by this before counting: feet, floor contact and aids lie at its border
    min_tokens: int  # never fewer


@dataclass(frozen=True)
class Kept:
    """The kept tokens of one clip."""

    index: NDArray[np.int64]  # ascending; the position in the clip's full grid, time first
    filled: int  # how many are kept only to reach min_tokens


def grid_of(frames: int, pixels: int, tubelet: int, patch: int) -> tuple[int, int, int]:
    """Return the number of tokens along time, height and width; raise ValueError where they do not divide."""
    if frames % tubelet or frames < tubelet:
        raise ValueError(f"{frames} frames do not divide into tubelets of {tubelet}")
    if pixels % patch or pixels < patch:
        raise ValueError(f"{pixels} pixels do not divide into patches of {patch}")
    return frames // tubelet, pixels // patch, pixels // patch


def foreground(masks: NDArray[np.bool_], packing: Packing) -> NDArray[np.int64]:
    """Count the pixels of each token's patch that are child in either of its frames: int (t, h, w)."""
    t, h, w = grid_of(masks.shape[0], masks.shape[1], packing.tubelet, packing.patch)
    child = np.asarray(masks.reshape(t, packing.tubelet, *masks.shape[1:]).any(axis=1))
    if packing.dilate_pixels:
        import cv2

        side = 2 * packing.dilate_pixels + 1
        square = np.ones((side, side), np.uint8)
        child = np.stack([cv2.dilate(child[i].view(np.uint8), square) for i in range(t)])
    rows = child.reshape(t, h, packing.patch, w * packing.patch).sum(axis=2, dtype=np.uint16)
    return rows.reshape(t, h, w, packing.patch).sum(axis=3, dtype=np.int64)


def kept_tokens(masks: NDArray[np.bool_], packing: Packing) -> Kept:
    """Return the kept tokens of one clip.

    Where fewer than `min_tokens` pass, the most covered ones win; among equals the ones nearest the middle of the
    picture, where the crop holds the child, then the earlier. So a clip never goes without tokens, even where its
    mask is empty.
    """
    pixels = foreground(masks, packing)
    counts = pixels.reshape(-1)
    passing = np.flatnonzero((counts > 0) & (counts >= packing.min_foreground * packing.patch**2)).astype(np.int64)
    missing = min(packing.min_tokens, counts.size) - passing.size
    if missing <= 0:
        return Kept(passing, 0)
    _, h, w = pixels.shape
    _, y, x = np.indices(pixels.shape).reshape(3, -1)
    from_middle = (2 * y - h + 1) ** 2 + (2 * x - w + 1) ** 2
    order = np.lexsort((np.arange(counts.size), from_middle, -counts))
    return Kept(np.sort(order[: passing.size + missing]).astype(np.int64), int(missing))


def patches_of(frames: NDArray[np.uint8], index: NDArray[np.int64], packing: Packing) -> NDArray[np.uint8]:
    """Return the pixels of the kept tokens: uint8 (kept, tubelet * patch * patch * 3), ordered frame, y, x, colour."""
    size, p = packing.tubelet, packing.patch
    t, h, w = grid_of(frames.shape[0], frames.shape[1], size, p)
    tiles = frames.reshape(t, size, h, p, w, p, 3).transpose(0, 2, 4, 1, 3, 5, 6)
    return tiles[np.unravel_index(index, (t, h, w))].reshape(len(index), -1)


@dataclass
class Packed:
    """The kept tokens of B clips in one row of N."""

    patches: Tensor  # uint8 (N, P): pixels; or float32, already normalised
    index: Tensor  # int64 (N,): where each stands in its clip's full grid
    clip: Tensor  # int64 (N,): which clip it belongs to
    offsets: Tensor  # int32 (B + 1,): where each clip starts; the last equals N
    lengths: tuple[int, ...]  # tokens per clip, in Python, so that no GPU synchronisation is needed

    def _each(self, method: str, *arguments: Any, **options: Any) -> Packed:
        held = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "lengths"}
        return replace(self, **{name: getattr(value, method)(*arguments, **options) for name, value in held.items()})

    def to(self, device: str, *, non_blocking: bool = False) -> Packed:
        return self._each("to", device, non_blocking=non_blocking)

    def pin_memory(self) -> Packed:
        return self._each("pin_memory")


def pack(patches: Sequence[Tensor], index: Sequence[Tensor]) -> Packed:
    """Concatenate clips. A clip without tokens would have no mean, so it is an error."""
    lengths = tuple(len(one) for one in index)
    assert lengths, "a batch without clips"
    assert min(lengths) > 0, "a clip without tokens"
    assert [len(one) for one in patches] == list(lengths), "as many patches as positions"
    counts = torch.tensor(lengths)
    return Packed(
        patches=torch.cat(list(patches)),
        index=torch.cat(list(index)),
        clip=torch.repeat_interleave(torch.arange(len(lengths)), counts),
        offsets=torch.cat([torch.zeros(1, dtype=torch.int32), counts.cumsum(0).to(torch.int32)]),
        lengths=lengths,
    )


def cut(frames: NDArray[np.uint8], masks: NDArray[np.bool_] | None, packing: Packing) -> tuple[NDArray[np.uint8], Kept]:
    """Return one clip's kept patches and their positions."""
    if packing.prune == "none":
        tokens = int(np.prod(grid_of(frames.shape[0], frames.shape[1], packing.tubelet, packing.patch)))
        kept = Kept(np.arange(tokens, dtype=np.int64), 0)
    else:
        assert masks is not None, "pruning by mask needs masks"
        kept = kept_tokens(masks, packing)
    return patches_of(frames, kept.index, packing), kept


def pack_clips(frames: NDArray[np.uint8], masks: NDArray[np.bool_] | None, packing: Packing) -> Packed:
    """Pack whole clips (B, T, S, S, 3) with their masks, as the loader does."""
    pieces = [cut(clip, None if masks is None else masks[number], packing) for number, clip in enumerate(frames)]
    return pack(
        [torch.from_numpy(p) for p, _ in pieces], [torch.from_numpy(selection.index) for _, selection in pieces]
    )
