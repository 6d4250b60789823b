"""GRU, LSTM and TCN see the whole window, both ways in time; order in time matters to them."""

from __future__ import annotations

import pytest
import torch

from childgait.models.batch import Batch
from childgait.models.registry import MODELS
from childgait.models.sequence import SequenceNetwork, TemporalBlock
from support.small_study import settings
from support.stick_child import scored_points

KINDS = ("gru", "lstm", "tcn")


def built(kind: str) -> SequenceNetwork:
    torch.manual_seed(0)
    return MODELS[kind].build(settings(), 112).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_can_move_every_answer(kind: str) -> None:
    network, points = built(kind), torch.from_numpy(scored_points(frames=24))
    points.requires_grad_()
    answers = network(Batch(1, points=points))
    assert answers.shape == (1, 34)
    (gradient,) = torch.autograd.grad(answers.sum(), points)
    assert (gradient.abs().sum(dim=(0, 2, 3)) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_walk_backwards_in_time_is_another_walk(kind: str) -> None:
    network, points = built(kind), torch.from_numpy(scored_points(frames=24))
    there, back = (network(Batch(1, points=each)) for each in (points, points.flip(1)))
    assert not torch.allclose(there, back, atol=1e-4)


def test_the_first_frame_is_seen_at_the_last_one() -> None:
    """What a GRU in both directions has and a pass in one would not: each end knows the other."""
    for kind in ("gru", "lstm"):
        network = built(kind)
        frames = torch.randn(1, 12, network.norm.num_features, requires_grad=True)
        seen = network.trunk(frames)
        for here, there in ((0, -1), (-1, 0)):
            (gradient,) = torch.autograd.grad(seen[0, here].sum(), frames, retain_graph=True)
            assert gradient[0, there].abs().sum() > 0


def test_a_block_of_the_tcn_keeps_the_length_and_reaches_as_far_as_it_is_dilated() -> None:
    block = TemporalBlock(4, 4, kernel=5, dilation=4, dropout=0.0).eval()
    x = torch.randn(1, 4, 64, requires_grad=True)
    out = block(x)
    assert out.shape == x.shape
    (gradient,) = torch.autograd.grad(out[0, :, 32].sum(), x)
    reached = gradient[0].abs().sum(dim=0).nonzero().flatten()
    assert reached.min() >= 32 - 16
    assert reached.max() <= 32 + 16
    assert reached.max() - reached.min() > 16
