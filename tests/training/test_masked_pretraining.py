"""Masked reconstruction: which tokens are hidden and reconstructed, what the loss compares, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from childgait.models.masked_decoder import MaskedDecoder, draw_masks, normalised_pixels, select
from childgait.models.tokens import Packed, pack
from childgait.models.videomae import SIZES, VideoMAE, VideoMAESettings
from childgait.params import Masking

GRID = (4, 4, 4)  # 8 frames of 64 pixels
MASKING = Masking(encoder_ratio=0.75, decoder_ratio=0.5, decoder_depth=1)


def encoder() -> VideoMAE:
    torch.manual_seed(0)
    return VideoMAE(VideoMAESettings(SIZES["tiny"], 8, 64, 0, 0.0, 0.0, "separable"))


def packed(seed: int = 0, lengths: tuple[int, ...] = (64, 20, 7)) -> Packed:
    """Clips with all tokens, with some, and with very few."""
    rng = np.random.default_rng(seed)
    index = [torch.from_numpy(np.sort(rng.choice(64, length, replace=False))) for length in lengths]
    pixels = [torch.from_numpy(rng.integers(0, 255, (length, 2 * 16 * 16 * 3)).astype(np.uint8)) for length in lengths]
    return pack(pixels, index)


def test_tubes_are_hidden_whole_and_half_of_them_is_reconstructed() -> None:
    clip = packed(lengths=(64,))
    masks = draw_masks(clip, GRID, MASKING, np.random.default_rng(0))
    visible = masks.visible.reshape(4, 16)
    assert (visible == visible[0]).all()  # the same places at all times
    assert visible[0].sum() == 4
    assert not (masks.visible & masks.targets).any()
    decoded = [draw_masks(clip, GRID, MASKING, np.random.default_rng(seed)).targets.sum() for seed in range(200)]
    assert np.mean(decoded) == pytest.approx(0.5 * 48, rel=0.05)


def test_the_reconstructed_cells_run_over_time() -> None:
    """Every hidden place is reconstructed at half of the times, other places of a cell at other times."""
    masking = Masking(encoder_ratio=0.9, decoder_ratio=0.5, decoder_depth=1)
    masks = draw_masks(packed(lengths=(64,)), GRID, masking, np.random.default_rng(1))
    hidden = ~masks.visible.reshape(4, 16)[0]
    targets = masks.targets.reshape(4, 16)
    assert (targets[:, hidden].sum(axis=0) == 2).all()
    assert (targets[0] != targets[1]).any()


def test_every_clip_keeps_a_token_and_the_draw_is_of_the_seed() -> None:
    for seed in range(50):
        clips = packed(seed, lengths=(64, 2, 1, 9))
        masks = draw_masks(clips, GRID, MASKING, np.random.default_rng(seed))
        assert min(select(clips, masks.visible).lengths) > 0
        again = draw_masks(clips, GRID, MASKING, np.random.default_rng(seed))
        assert (masks.targets == again.targets).all()


def test_selected_tokens_keep_their_places() -> None:
    clips = packed()
    chosen = np.arange(91) % 3 == 0
    part = select(clips, chosen)
    assert (part.index == clips.index[chosen]).all()
    assert (part.patches == clips.patches[chosen]).all()
    assert sum(part.lengths) == int(part.offsets[-1]) == chosen.sum()
    assert (torch.bincount(part.clip) == torch.tensor(part.lengths)).all()


def test_targets_are_normalised_per_patch_and_colour() -> None:
    pixels = normalised_pixels(packed().patches).unflatten(1, (-1, 3))
    assert torch.allclose(pixels.mean(dim=1), torch.zeros(91, 3), atol=1e-5)
    assert torch.allclose(pixels.var(dim=1), torch.ones(91, 3), atol=1e-3)


def test_hidden_pixels_reach_no_prediction() -> None:
    """The loss reads hidden patches as targets only: with equal targets, other hidden patches change nothing."""
    clips, network = packed(), encoder()
    decoder = MaskedDecoder(network, 1)
    masks = draw_masks(clips, GRID, MASKING, np.random.default_rng(0))
    loss = decoder(network, clips, masks)
    clips.patches[torch.from_numpy(~masks.visible & ~masks.targets)] = 0
    assert torch.equal(loss, decoder(network, clips, masks))
    clips.patches[torch.from_numpy(masks.visible)] = 0
    assert not torch.equal(loss, decoder(network, clips, masks))


def test_it_learns_to_reconstruct_a_repeated_picture() -> None:
    network = encoder()
    decoder = MaskedDecoder(network, 1)
    clips = packed()
    clips.patches[:] = (torch.arange(clips.patches.shape[1]) % 96).to(torch.uint8)
    optimizer = torch.optim.AdamW([*network.parameters(), *decoder.parameters()], lr=1e-3)
    losses = []
    for step in range(30):
        loss = decoder(network, clips, draw_masks(clips, GRID, MASKING, np.random.default_rng(step)))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]
