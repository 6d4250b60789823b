"""UniFormer as published: places, channels and numbers of each stage; near blocks see near, the others everything."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from childgait.models.batch import Batch
from childgait.models.registry import MODELS, settings_of
from childgait.models.uniformer import BLOCKS, GlobalBlock, LocalBlock, make_trunk
from support.small_study import PARAMS, settings


def test_at_full_width_it_is_the_small_one() -> None:
    """With a head of 400 classes 21.4 million parameters and 41.8 thousand million operations, as published."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        trunk = make_trunk(64)
        x, shapes = torch.zeros(1, 3, 16, 224, 224), []
        for stage in trunk:
            x = stage(x)
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [(64, 8, 56, 56), (128, 8, 28, 28), (320, 8, 14, 14), (512, 8, 7, 7)]
    assert [sum(isinstance(part, LocalBlock | GlobalBlock) for part in stage) for stage in trunk] == list(BLOCKS)
    assert round((sum(p.numel() for p in trunk.parameters()) + 513 * 400) / 1e6, 1) == 21.4
    assert counter.get_total_flops() / 2e9 == pytest.approx(41.8, rel=0.01)  # multiply-adds, as published


@pytest.mark.parametrize(("kind", "reach"), [(LocalBlock, 2 + 1), (GlobalBlock, 8)])
def test_what_a_place_sees(kind: type[torch.nn.Module], reach: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 8, 1, 1, 17, requires_grad=True)
    (gradient,) = torch.autograd.grad(kind(8).eval()(x)[0, :, 0, 0, 8].sum(), x)
    seen = gradient[0].abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert (seen.min().item(), seen.max().item()) == (8 - reach, 8 + reach)


def test_layers_are_numbered_and_small_clips_pass() -> None:
    run_settings = settings_of(MODELS["uniformer"], settings(cnn={**PARAMS["finetune"]["cnn"], "width": 4}))
    network = MODELS["uniformer"].build(run_settings, 32).eval()
    assert {network.layer_of(name) for name, _ in network.named_parameters()} == {0, 1, 2, 3, 4}
    assert network(Batch(2, frames=torch.zeros(2, 4, 32, 32, 3, dtype=torch.uint8))).shape == (2, 34)
