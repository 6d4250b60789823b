"""Two streams, joined or alone: what is missing is said, what is switched off is not there, one stream is ST-GCN
itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from childgait.gait.feature_names import NAMES
from childgait.models.batch import Batch
from childgait.models.registry import MODELS, settings_of
from childgait.models.stgcn import Stgcn
from childgait.models.stgcn_fusion import FEATURES, FeatureTokens, StgcnFusion
from support.small_study import PARAMS, settings
from support.stick_child import scored_points


def built(**how: Any) -> Any:
    fusion = {**PARAMS["finetune"]["fusion"], **how}
    torch.manual_seed(0)
    return MODELS["stgcn_fusion"].build(settings_of(MODELS["stgcn_fusion"], settings(fusion=fusion)), 112).eval()


def batch() -> Batch:
    points = torch.from_numpy(scored_points(frames=16))
    features = torch.randn(1, FEATURES, generator=torch.Generator().manual_seed(1))
    return Batch(1, points=points, features=features)


@pytest.mark.parametrize(
    ("join", "reads"),
    [("cross", "points features"), ("concat", "points features"), ("features", "features"), ("skeleton", "points")],
)
def test_each_switch_reads_what_it_needs_and_nothing_else(join: str, reads: str) -> None:
    network = built(join=join)
    assert network.inputs == set(reads.split())
    given = batch()
    for name in {"points", "features"} - set(reads.split()):
        setattr(given, name, None)
    assert network(given).shape == (1, 34)


def test_alone_the_skeleton_is_the_st_gcn_itself() -> None:
    network = built(join="skeleton")
    assert type(network) is Stgcn
    torch.manual_seed(0)
    plain = MODELS["stgcn"].build(settings_of(MODELS["stgcn"], settings()), 112)
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(("join", "crossed"), [("cross", True), ("concat", False)])
def test_only_the_cross_lets_one_stream_change_what_the_other_tells(join: str, crossed: bool) -> None:
    network: StgcnFusion = built(join=join)
    given, seen = batch(), []
    last = network.head[1]
    assert isinstance(last, torch.nn.Linear)
    half = last.in_features // 2
    network.head[0] = torch.nn.Identity()  # so that the halves stay apart
    last.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()[0, :half]))
    network(given)
    given.points = given.points.flip(1)  # type: ignore[union-attr]
    network(given)
    assert torch.allclose(seen[0], seen[1], atol=1e-6) != crossed


def test_a_missing_number_says_so_whatever_the_others_are() -> None:
    tokens = FeatureTokens(4, 8, 2, 0.0).eval()
    tokens.layers = torch.nn.Sequential()
    values = torch.tensor([[1.0, torch.nan, 1e9, -2.0] + [0.0] * (FEATURES - 4)])
    out = tokens(values)
    assert torch.isfinite(out).all()
    torch.nn.init.constant_(tokens.missing, 3.0)
    moved = (tokens(values) - out).abs().sum(dim=2)[0] > 0
    assert moved.tolist() == [False, True, False, False]
    assert torch.allclose(out[0, 2], 5 * tokens.value[2] + tokens.position[2])  # no farther than five deviations


def test_only_the_chosen_numbers_are_read() -> None:
    network: StgcnFusion = built(join="features", keep_share=0.1)
    count = round(0.1 * FEATURES)
    network.tokens.selected.copy_(torch.arange(FEATURES - count, FEATURES))
    features = torch.zeros(1, FEATURES, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(Batch(1, features=features)).sum(), features)
    assert (gradient[0] != 0).nonzero().flatten().tolist() == list(range(FEATURES - count, FEATURES))
    assert len(built(choose="all").tokens.selected) == FEATURES == 2 * len(NAMES)
