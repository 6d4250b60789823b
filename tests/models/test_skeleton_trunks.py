"""What defines each skeleton trunk, and its size at the published width."""

from typing import Any

import pytest
import torch

from childgait.domain.skeleton import INDEX
from childgait.models.batch import Batch
from childgait.models.ctrgcn import Ctrgcn, RefinedGraph
from childgait.models.gaitgraph2 import bone_distances, branches_of, neighbour_graphs, parents
from childgait.models.gaitmixer import LongConvolution
from childgait.models.points import CHANNELS, body_centred
from childgait.models.registry import MODELS, settings_of
from childgait.models.stgcn import partitioned_graph
from support.small_study import PARAMS, settings

NAMES = ("ctrgcn", "gaitgraph2", "gaitmixer", "gaitformer")
SIZES = {"ctrgcn": 1_428_930, "gaitgraph2": 277_970, "gaitmixer": 122_982, "gaitformer": 169_542}


def build(name: str, width: int = 16) -> Any:
    skeleton = {**PARAMS["finetune"]["skeleton"], "width": width, "dropout": 0.0}
    torch.manual_seed(0)
    return MODELS[name].build(settings_of(MODELS[name], settings(skeleton=skeleton)), 64).eval()


def walk(frames: int = 64) -> Batch:
    random = torch.Generator().manual_seed(0)
    points = torch.rand((2, frames, 23, 3), generator=random) * 40 + 10
    points[..., 2] = 0.9
    return Batch(size=2, points=points)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_at_the_published_width(name: str) -> None:
    network = build(name, width=32 if name in ("gaitmixer", "gaitformer") else 64)
    counted = sum(value.numel() for key, value in network.named_parameters() if not key.startswith("head."))
    assert counted == SIZES[name]


@pytest.mark.parametrize("name", NAMES)
def test_time_and_order_of_frames_matter(name: str) -> None:
    network, batch = build(name), walk(16)
    assert batch.points is not None
    with torch.inference_mode():
        shuffled = Batch(size=2, points=batch.points[:, torch.randperm(16, generator=torch.Generator().manual_seed(1))])
        assert not torch.allclose(network(batch), network(shuffled), atol=1e-4)
        assert network.maps(batch).shape[::3] == (2, 23)


def test_without_correction_a_refined_graph_is_the_shared_one() -> None:
    graph = partitioned_graph()[0]
    layer = RefinedGraph(CHANNELS, 4, graph)
    x = torch.randn(2, CHANNELS, 6, 23)
    with torch.inference_mode():
        refined = layer(x)
        layer.factor.zero_()
        shared = layer(x)
        torch.testing.assert_close(shared, torch.einsum("bctv,vw->bctw", layer.project(x), graph))
        assert not torch.allclose(refined, shared)


def test_graphs_are_refined_per_clip_but_clips_do_not_mix() -> None:
    network, batch = build("ctrgcn"), walk()
    assert isinstance(network, Ctrgcn)
    assert batch.points is not None
    with torch.inference_mode():
        alone = network(Batch(size=1, points=batch.points[1:]))
        torch.testing.assert_close(network(batch)[1:], alone, atol=1e-5, rtol=1e-5)


def test_bones_lead_from_the_hips_and_neighbours_are_counted_in_bones() -> None:
    parent, distance = parents(), bone_distances()
    assert parent[INDEX["left_knee"]] == INDEX["left_hip"]
    assert parent[INDEX["left_ankle"]] == INDEX["left_knee"]
    assert parent[INDEX["left_hip"]] == INDEX["left_hip"]
    assert distance[INDEX["left_hip"], INDEX["left_ankle"]] == 2
    graphs = neighbour_graphs()
    assert graphs[2, INDEX["left_hip"], INDEX["left_ankle"]] > 0
    assert not graphs[1, INDEX["left_hip"], INDEX["left_ankle"]]
    assert graphs.sum(dim=1).max() == pytest.approx(1)


def test_a_vertical_thigh_has_a_right_angle_to_the_first_axis() -> None:
    points = torch.zeros(1, 4, 23, 3)
    points[..., 2] = 0.9
    points[:, :, [INDEX["left_knee"], INDEX["right_knee"]], 1] = 8.0
    points[:, :, [INDEX["left_shoulder"], INDEX["right_shoulder"]], 1] = -10.0
    places, velocities, bones = branches_of(body_centred(points), torch.tensor(parents()))
    assert places.shape == velocities.shape == bones.shape == (1, 5, 4, 23)
    thigh = bones[0, :, 0, INDEX["left_knee"]]
    assert thigh.tolist() == pytest.approx([0, 0.8, 0.9, torch.pi / 2, 0], abs=2e-3)
    assert not velocities[:, :4].any()


@pytest.mark.parametrize("frames", [4, 15, 16, 64])
def test_a_long_convolution_keeps_short_windows(frames: int) -> None:
    layer = LongConvolution(2, 3, 0.0, reflect=True)
    assert layer(torch.randn(1, 2, frames)).shape == (1, 3, frames)
