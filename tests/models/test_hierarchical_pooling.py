"""`finetune.pooling: hierarchical` gives any network with maps on a grid AGRM's pooling, and refuses the others."""

from __future__ import annotations

import pytest
import torch

from childgait.domain.evgs import TARGETS
from childgait.errors import StepError
from childgait.models.batch import Batch
from childgait.models.frames import FrameNetwork
from childgait.models.hierarchical_pooling import HierarchicalPooling
from childgait.models.network import Network
from childgait.models.registry import MODELS, settings_of
from support.small_study import SIZE, settings

FRAME_NETWORKS = ("r3d18", "r2plus1d", "c3d", "uniformer")
STRIP_NETWORKS = ("gaitset", "gaitpart", "gaitgl", "gaitbase", "sconet", "deepgaitv2", "swingait")


def build(name: str, **changes: object) -> Network:
    torch.manual_seed(0)
    model = MODELS[name]
    return model.build(settings_of(model, settings(pooling="hierarchical", **changes)), SIZE)


@pytest.mark.parametrize("name", [*FRAME_NETWORKS, *STRIP_NETWORKS])
def test_every_network_on_a_grid_takes_it_and_learns_all_its_weights(name: str) -> None:
    network = build(name)
    frames = torch.randint(0, 255, (2, 4, SIZE, SIZE, 3), dtype=torch.uint8)
    silhouettes = torch.randint(0, 2, (2, 4, 64, 44), dtype=torch.uint8) * 255
    logits = network(Batch(size=2, frames=frames, silhouettes=silhouettes))
    assert logits.shape == (2, len(TARGETS))
    logits.square().sum().backward()
    assert all(value.grad is not None for value in network.parameters()), "a process group waits for every gradient"
    assert any(isinstance(part, HierarchicalPooling) for part in network.modules())


def test_it_shows_where_in_the_picture_something_is_and_the_mean_does_not() -> None:
    pooled, plain = build("r3d18").eval(), MODELS["r3d18"].build(settings(), SIZE).eval()
    assert isinstance(pooled, FrameNetwork)
    maps = torch.randn(1, pooled.feature_width, 2, 4, 4)
    moved = maps.roll(2, dims=4)
    batch = Batch(size=1)
    assert torch.allclose(plain.logits_from_maps(maps, batch), plain.logits_from_maps(moved, batch), atol=1e-5)
    assert (pooled.logits_from_maps(maps, batch) - pooled.logits_from_maps(moved, batch)).abs().max() > 1e-3


def test_cells_are_mean_plus_maximum_per_frame_then_the_mean_over_time() -> None:
    maps = torch.tensor([[1.0, 3.0], [5.0, 7.0]])[None, None, None].repeat(1, 1, 2, 1, 1)
    maps[0, 0, 1] *= 2  # of the second frame
    whole, quarters = (HierarchicalPooling.cells(maps, level).flatten().tolist() for level in (1, 2))
    assert whole == [((4 + 7) + (8 + 14)) / 2]
    assert quarters == [3.0, 9.0, 15.0, 21.0]  # a cell of one pixel: twice its value, 1.5 times over both frames


def test_r3d18_with_it_is_the_network_of_agrm() -> None:
    agrm = MODELS["agrm"].build(settings(), SIZE)
    assert {name: value.shape for name, value in build("r3d18").state_dict().items()} == {
        name: value.shape for name, value in agrm.state_dict().items()
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("agrm", "which agrm has of its own"),
        ("stgcn", "the maps of Stgcn lie on no grid of pixels"),
        ("childgait_video", "the maps of ChildGaitVideo lie on no grid of pixels"),
    ],
)
def test_where_it_makes_no_sense_one_sentence_refuses_it(name: str, words: str) -> None:
    with pytest.raises(StepError, match=words):
        build(name)


def test_another_head_would_replace_it() -> None:
    with pytest.raises(StepError, match=r"pooling is hierarchical, but head is linear"):
        settings_of(MODELS["r3d18"], settings(overrides={"r3d18": {"pooling": "hierarchical", "head": "linear"}}))
    with pytest.raises(StepError, match=r"overrides\.rules\.pooling has no effect"):
        settings_of(MODELS["rules"], settings(overrides={"rules": {"pooling": "hierarchical"}}))
