"""The graph is a graph: every joint is averaged once over itself and its neighbours, parted by who is nearer
the hips."""

from __future__ import annotations

import torch

from childgait.domain.skeleton import BONES, INDEX, MIRRORED, POINTS
from childgait.models.batch import Batch
from childgait.models.stgcn import CENTRES, HEAD_BONES, Stgcn, partitioned_graph
from childgait.params import Skeleton
from support.stick_child import scored_points


def test_a_joint_receives_one_in_all() -> None:
    graph = partitioned_graph()
    assert graph.shape == (3, len(POINTS), len(POINTS))
    assert torch.allclose(graph.sum(dim=(0, 1)), torch.ones(len(POINTS)))
    assert (graph > 0).sum(dim=0).max() == 1  # a neighbour is in one part only
    edges = {frozenset((INDEX[a], INDEX[b])) for a, b in (*BONES, *HEAD_BONES)}
    result = {frozenset((int(a), int(b))) for a, b in graph.sum(dim=0).nonzero() if a != b}
    assert result == edges


def test_parts_are_itself_nearer_and_farther() -> None:
    alike, nearer, farther = partitioned_graph()
    assert (alike.diagonal() > 0).all()
    knee, hip, ankle = (INDEX[f"left_{name}"] for name in ("knee", "hip", "ankle"))
    assert nearer[hip, knee] > 0  # what the knee receives from the hip
    assert farther[ankle, knee] > 0
    assert nearer[:, [INDEX[name] for name in CENTRES]].sum() == 0


def test_left_and_right_are_alike_in_the_graph() -> None:
    graph, swap = partitioned_graph(), list(MIRRORED)
    assert torch.equal(graph[:, swap][:, :, swap], graph)


def test_width_and_time_go_as_published() -> None:
    settings = {"width": 8, "temporal_kernel": 9, "dropout": 0.0, "extra": [], "attention": "none"}
    network = Stgcn(Skeleton(**settings, moments_age=9.0, moments_rate=15.0)).eval()
    points = torch.from_numpy(scored_points(frames=40))
    maps = network.maps(Batch(1, points=points))
    assert maps.shape == (1, 32, 10, len(POINTS))
    assert [block.over_time[2].stride[0] for block in network.blocks] == [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]
    network.set_prior_bias(torch.full((34,), 0.25))
    assert torch.allclose(network.head.bias, torch.logit(torch.tensor(0.25)).expand(34))
