"""ST-GCN: graph convolution over the joints of a frame, convolution over time, ten blocks.

Origin: Yan, Xiong, Lin, "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition" (AAAI
2018): batch norm over joints and channels, neighbours in three partitions (the joint itself, those nearer to the body's
centre, those farther out), temporal kernel 9, channels x4 -> x3 at double -> x3 at four times the width, stride 2 at
blocks 5 and 8. Our graph has 23 joints (body and feet), its centre between the hips. Learned edge weights as in the
original.

Reads Batch.points; yields logits (B, 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.domain.skeleton import BONES, INDEX, POINTS
from childgait.models.batch import Batch, InputName
from childgait.models.dense_heads import ClipFeatures, steps_from_maps
from childgait.models.network import Network
from childgait.models.point_inputs import PointInputs

if TYPE_CHECKING:
    from childgait.params import Finetune, Skeleton

HEAD_BONES = (
    ("nose", "left_eye"),
    ("nose", "right_eye"),
    ("left_eye", "left_ear"),
    ("right_eye", "right_ear"),
    ("nose", "left_shoulder"),
    ("nose", "right_shoulder"),
)
CENTRES = ("left_hip", "right_hip")


def partitioned_graph() -> Tensor:
    """Return (3, 23, 23): per joint (column) its share from itself, from neighbours nearer the hips, and
    farther out."""
    size = len(POINTS)
    edges = torch.zeros(size, size)
    for first, second in (*BONES, *HEAD_BONES):
        edges[INDEX[first], INDEX[second]] = edges[INDEX[second], INDEX[first]] = 1
    hops = _hops(edges, [INDEX[name] for name in CENTRES])
    with_self = edges + torch.eye(size)
    shares = with_self / with_self.sum(dim=0, keepdim=True)
    nearer = hops[:, None] < hops[None, :]  # the neighbour (row) is nearer than the joint (column)
    farther = hops[:, None] > hops[None, :]
    level = ~(nearer | farther)
    return torch.stack([shares * level, shares * nearer, shares * farther])


def _hops(edges: Tensor, centres: list[int]) -> Tensor:
    """Return (23,) the number of bones from each joint to the nearest centre."""
    hops = torch.full((len(edges),), torch.inf)
    hops[centres] = 0
    for distance in range(1, len(edges)):
        reached = (edges[hops == distance - 1].sum(dim=0) > 0) & hops.isinf()
        hops[reached] = distance
    assert not hops.isinf().any(), "a joint is connected to no bone"
    return hops


class Block(nn.Module):
    """Graph convolution, then convolution over time, with a residual connection."""

    def __init__(self, channels_in: int, channels: int, stride: int, partitions: int, settings: Skeleton) -> None:
        super().__init__()
        self.partitions = partitions
        kernel = settings.temporal_kernel
        self.spread = nn.Conv2d(channels_in, channels * partitions, 1)
        self.edge_weight = nn.Parameter(torch.ones(partitions, len(POINTS), len(POINTS)))
        self.over_time = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, (kernel, 1), (stride, 1), (kernel // 2, 0)),
            nn.BatchNorm2d(channels),
            nn.Dropout(settings.dropout),
        )
        self.shortcut: nn.Module = nn.Identity()
        if channels_in != channels or stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels, 1, (stride, 1)), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """Return (B, C', T', V) from (B, C, T, V) and the graph (partitions, V, V)."""
        spread = self.spread(x).unflatten(1, (self.partitions, -1))
        gathered = torch.einsum("bpctv,pvw->bctw", spread, graph * self.edge_weight)
        return torch.relu(self.over_time(gathered) + self.shortcut(x))


class Stgcn(Network):
    """ST-GCN with a linear head on the mean over joints and time."""

    inputs: frozenset[InputName] = frozenset({"points"})
    graph: Tensor

    def __init__(self, settings: Skeleton) -> None:
        super().__init__()
        self.register_buffer("graph", partitioned_graph())
        width = settings.width
        outputs = [width] * 4 + [2 * width] * 3 + [4 * width] * 3
        strides = [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]
        self.points = PointInputs(settings)
        inputs = [self.points.channels, *outputs[:-1]]
        self.data_norm = nn.BatchNorm1d(self.points.channels * len(POINTS))
        self.blocks = nn.ModuleList(
            Block(channels_in, channels, stride, len(self.graph), settings)
            for channels_in, channels, stride in zip(inputs, outputs, strides, strict=True)
        )
        self.feature_width = outputs[-1]
        self.head = nn.Linear(self.feature_width, len(TARGETS))

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Stgcn:
        return cls(settings.skeleton)

    def maps(self, batch: Batch) -> Tensor:
        """Return the output of the last block, joint by joint: (B, C, T / 4, 23)."""
        assert batch.points is not None
        x = self.points(batch.points)
        clips, channels, time, joints = x.shape
        flat = x.permute(0, 3, 1, 2).reshape(clips, joints * channels, time)
        x = self.data_norm(flat).reshape(clips, joints, channels, time).permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x, self.graph)
        return x

    def logits_from_maps(self, maps: Tensor, batch: Batch) -> Tensor:
        return self.head(maps.mean(dim=(2, 3)))

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """Return the mean over joints and time, and over the joints of each time step."""
        assert batch.points is not None
        over_joints = self.maps(batch).mean(dim=3).transpose(1, 2)
        return ClipFeatures(over_joints.mean(dim=1), steps_from_maps(over_joints, batch.points.shape[1]))
