"""What defines each network on silhouettes, and its published size."""

from typing import Any

import pytest
import torch

from childgait.models.batch import Batch
from childgait.models.gait_resnet import CosineLinear
from childgait.models.gaitpart import FocalConvolutions
from childgait.models.network import Network
from childgait.models.registry import MODELS, settings_of
from childgait.models.strips import StripNetwork, pool_strips
from childgait.models.swingait import WINDOW, WindowBlock, from_windows, shifted_neighbours, to_windows
from support.small_study import settings

NAMES = (
    "gaitset",
    "gaitpart",
    "gaitgl",
    "gaitbase",
    "sconet",
    "deepgaitv2",
    "deepgaitv2_2d",
    "deepgaitv2_3d",
    "swingait",
)
PUBLISHED = {  # learned numbers without the class head and its batch norm, at the published width
    ("gaitset", 32): 2_594_592,
    ("gaitpart", 32): 1_204_000,
    ("gaitgl", 32): 2_490_209,
    ("gaitbase", 64): 6_994_112,
    ("deepgaitv2", 64): 13_195_968,
}


def build(name: str, **silhouette: Any) -> StripNetwork:
    overrides = {name: {"silhouette": silhouette}} if silhouette else {}
    torch.manual_seed(0)
    network: Network = MODELS[name].build(settings_of(MODELS[name], settings(overrides=overrides)), 64)
    assert isinstance(network, StripNetwork)
    return network.eval()


def walk(frames: int = 6, columns: int = 44, seed: int = 0) -> Batch:
    random = torch.Generator().manual_seed(seed)
    shape = (2, frames, 64, columns)
    return Batch(size=2, silhouettes=torch.randint(0, 256, shape, generator=random, dtype=torch.uint8))


def in_order(batch: Batch, order: list[int]) -> Batch:
    assert batch.silhouettes is not None
    return Batch(size=batch.size, silhouettes=batch.silhouettes[:, order])


@pytest.mark.parametrize(("name", "width"), PUBLISHED)
def test_sizes_are_the_published_ones(name: str, width: int) -> None:
    blocks = {"blocks": [1, 4, 4, 1]} if name == "deepgaitv2" else {}
    network = build(name, width=width, **blocks)
    counted = sum(value.numel() for key, value in network.named_parameters() if not key.startswith(("head.", "norm.")))
    assert counted == PUBLISHED[name, width]


def test_the_rows_have_the_published_numbers_of_strips() -> None:
    strips = {name: build(name).strips for name in ("gaitset", "gaitpart", "gaitgl", "gaitbase", "swingait")}
    assert strips == {"gaitset": 62, "gaitpart": 16, "gaitgl": 64, "gaitbase": 16, "swingait": 15}


@pytest.mark.parametrize("name", NAMES)
def test_only_sets_of_frames_ignore_their_order(name: str) -> None:
    network, batch = build(name), walk()
    with torch.inference_mode():
        logits, other = network(batch), network(in_order(batch, [3, 0, 5, 1, 4, 2]))
    ignores_order = name in ("gaitset", "gaitbase", "sconet", "deepgaitv2_2d")
    assert torch.allclose(logits, other, atol=1e-5) == ignores_order


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("columns", [32, 44])
def test_strips_add_up_to_the_logits(name: str, columns: int) -> None:
    network, batch = build(name, columns=columns), walk(4, columns)
    _, last = network.classifier()
    assert isinstance(last, torch.nn.Linear)
    with torch.inference_mode():
        parts = network.strip_logits(batch)
        assert parts.shape == (2, network.strips, 34)
        torch.testing.assert_close(parts.sum(dim=1) + last.bias, network(batch), atol=1e-4, rtol=1e-4)


def test_a_strip_is_its_mean_plus_its_maximum() -> None:
    maps = torch.arange(16.0).view(1, 1, 8, 2)
    assert pool_strips(maps, (1, 4)).flatten().tolist() == [7.5 + 15, 1.5 + 3, 5.5 + 7, 9.5 + 11, 13.5 + 15]


def test_a_focal_convolution_keeps_bands_apart() -> None:
    torch.manual_seed(0)
    layers = FocalConvolutions(2, 3, bands=4)
    maps = torch.randn(1, 2, 16, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(layers(maps)[:, :, 4:8].sum(), maps)
    assert gradient[:, :, 4:8].any()
    assert not gradient[:, :, :4].any()
    assert not gradient[:, :, 8:].any()


def test_windows_can_be_undone_and_a_shift_joins_no_opposite_edges() -> None:
    shape = (6, 15, 10)
    tokens = torch.arange(2 * 900.0).view(2, *shape, 1)
    assert torch.equal(from_windows(to_windows(tokens), shape), tokens)
    assert shifted_neighbours(shape, (0, 0, 0), 6).all()
    may = shifted_neighbours(shape, tuple(part // 2 for part in WINDOW), 6)
    assert may[0].all(), "the first window has moved over no edge"
    place = torch.stack(torch.meshgrid(*map(torch.arange, shape), indexing="ij"), dim=-1)
    rolled = place.roll([-(part // 2) for part in WINDOW], (0, 1, 2))
    windows = to_windows(rolled[None].flatten(0, 0))[0]
    near = (windows[:, :, None] - windows[:, None, :]).abs() < torch.tensor(WINDOW)
    assert torch.equal(may, near.all(dim=-1))


@pytest.mark.parametrize("shifted", [False, True])
def test_padded_frames_do_not_reach_the_others(shifted: bool) -> None:
    torch.manual_seed(0)
    block, tokens = WindowBlock(32, shifted=shifted), torch.randn(1, 6, 15, 10, 32)
    other = tokens.clone()
    other[:, 5:] = torch.randn(1, 1, 15, 10, 32)
    with torch.inference_mode():
        torch.testing.assert_close(block(tokens, 5)[:, :5], block(other, 5)[:, :5])
        assert not torch.allclose(block(tokens, 6)[:, :5], block(other, 6)[:, :5])


def test_sconet_classifies_by_cosines() -> None:
    network, batch = build("sconet"), walk()
    _, last = network.classifier()
    assert isinstance(last, CosineLinear)
    with torch.inference_mode():
        logits = network(batch)
        last.weight.mul_(7)
        torch.testing.assert_close(network(batch), logits)
    network.reset_classifier(3)
    assert network(batch).shape == (2, 3)
    assert isinstance(network.classifier()[1], CosineLinear)
