"""Which patches are kept, against a count by hand; what is in the row of packed tokens."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from childgait.models.tokens import Kept, Packing, cut, grid_of, kept_tokens, pack, pack_clips, patches_of


def by_hand(masks, packing):
    """Pixel by pixel, in plain Python."""
    frames, side = len(masks), len(masks[0])
    reach, counts = packing.dilate_pixels, {}
    for t, y, x in np.ndindex(*grid_of(frames, side, packing.tubelet, packing.patch)):
        count = 0
        for v in range(y * packing.patch, (y + 1) * packing.patch):
            for u in range(x * packing.patch, (x + 1) * packing.patch):
                near = masks[
                    t * packing.tubelet : (t + 1) * packing.tubelet,
                    max(v - reach, 0) : v + reach + 1,
                    max(u - reach, 0) : u + reach + 1,
                ]
                count += bool(near.any())
        counts[t, y, x] = count
    order = sorted(counts)
    passing = [at for at in order if counts[at] > 0 and counts[at] / packing.patch**2 >= packing.min_foreground]
    middle = (side / packing.patch - 1) / 2
    by_rank = sorted(order, key=lambda at: (-counts[at], (at[1] - middle) ** 2 + (at[2] - middle) ** 2, at))
    filled = max(min(packing.min_tokens, len(order)) - len(passing), 0)
    selected = by_rank[: len(passing) + filled] if filled else passing
    return sorted(order.index(at) for at in selected), filled


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.bool_, (4, 12, 12), elements=st.booleans(), fill=st.just(False)),
    st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.5, 1.0]),
    st.integers(0, 2),
    st.integers(1, 12),
)
def test_kept_tokens_are_those_counted_by_hand(masks, share, dilate, least):
    packing = Packing(2, 4, "mask", share, dilate, least)
    kept = kept_tokens(masks, packing)
    index, filled = by_hand(masks, packing)
    assert kept.index.tolist() == index
    assert kept.filled == filled


def test_either_frame_of_a_tubelet_counts():
    masks = np.zeros((4, 32, 32), bool)
    masks[1, :16, :16] = True  # the second frame of the first tubelet
    packing = Packing(2, 16, "mask", 0.5, 0, 1)
    assert kept_tokens(masks, packing).index.tolist() == [0]
    masks[2, 20, 20] = True
    assert kept_tokens(masks, Packing(2, 16, "mask", 0.0, 0, 1)).index.tolist() == [0, 7]


def test_an_empty_mask_keeps_the_middle_and_says_how_many():
    kept = kept_tokens(np.zeros((4, 64, 64), bool), Packing(2, 16, "mask", 0.1, 2, 8))
    assert kept.filled == 8
    assert kept.index.tolist() == [5, 6, 9, 10, 21, 22, 25, 26]


def test_a_patch_is_its_pixels():
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)[:, :, :32]
    packing = Packing(2, 16, "none", 0, 0, 1)
    patches = patches_of(frames, np.array([0, 3, 6]), packing)
    assert (patches[1].reshape(2, 16, 16, 3) == frames[:2, 16:, 16:]).all()
    assert (patches[2].reshape(2, 16, 16, 3) == frames[2:, 16:, :16]).all()
    _, kept = cut(frames, None, packing)
    assert kept.index.tolist() == list(range(8))


def test_packed_rows_know_their_clip():
    frames = np.zeros((2, 2, 32, 32, 3), np.uint8)
    masks = np.zeros((2, 2, 32, 32), bool)
    masks[0, :, :16] = True
    masks[1, :, 20:22, 20:22] = True
    packed = pack_clips(frames, masks, Packing(2, 16, "mask", 0.01, 0, 1))
    assert packed.lengths == (2, 1)
    assert packed.index.tolist() == [0, 1, 3]
    assert packed.clip.tolist() == [0, 0, 1]
    assert packed.offsets.tolist() == [0, 2, 3]
    assert packed.offsets.dtype == torch.int32


def test_a_clip_without_tokens_is_refused():
    with pytest.raises(AssertionError, match="without tokens"):
        pack([torch.zeros(0, 6, dtype=torch.uint8)], [torch.zeros(0, dtype=torch.int64)])


@pytest.mark.parametrize(
    ("frames", "pixels", "message"), [(15, 64, "15 frames"), (16, 60, "60 pixels"), (0, 64, "0 frames")]
)
def test_what_does_not_divide_is_said(frames, pixels, message):
    with pytest.raises(ValueError, match=message):
        grid_of(frames, pixels, 2, 16)


def test_counting_does_not_overflow():
    kept = kept_tokens(np.ones((2, 512, 512), bool), Packing(2, 256, "mask", 1.0, 0, 1))
    assert kept == Kept(kept.index, 0)
    assert math.prod(grid_of(2, 512, 2, 256)) == len(kept.index)
