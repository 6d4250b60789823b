"""ST-GCN: graph convolution over the joints of a frame, convolution over time, ten blocks.

Origin: Yan, Xiong, Lin, "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition" (AAAI 2018):
batch norm over joints and channels, neighbours in three parts (the joint itself, those nearer to the body's centre, those
farther out), temporal kernel 9, channels ×4 → ×3 at double → ×3 at four times the width, stride 2 at blocks 5 and 8. Our
graph has 23 joints (body and feet), its centre between the hips. Learned edge weights as in the original.

Reads Batch.points; yields logits (B, 34).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.domain.skeleton import BONES, INDEX, POINTS
from childgait.models.batch import Batch, InputName
from childgait.models.dense_heads import ClipFeatures, steps_from_maps
from childgait.models.heads import set_prior_bias
from childgait.models.points import CHANNELS, body_centred

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
    """(3, 23, 23): for each joint its share from itself, from neighbours nearer the hips, and from those farther out."""
    size = len(POINTS)
    edges = torch.zeros(size, size)
    for first, second in (*BONES, *HEAD_BONES):
        edges[INDEX[first], INDEX[second]] = edges[INDEX[second], INDEX[first]] = 1
    hops = _hops(edges, [INDEX[name] for name in CENTRES])
    whole = edges + torch.eye(size)
    shares = whole / whole.sum(dim=0, keepdim=True)
    nearer = hops[:, None] < hops[None, :]  # the neighbour (row) is nearer than the joint (column)
    farther = hops[:, None] > hops[None, :]
    level = ~(nearer | farther)
    return torch.stack([shares * level, shares * nearer, shares * farther])


def _hops(edges: Tensor, centres: list[int]) -> Tensor:
    hops = torch.full((len(edges),), torch.inf)
    hops[centres] = 0
    for distance in range(1, len(edges)):
        reached = (edges[hops == distance - 1].sum(dim=0) > 0) & hops.isinf()
        hops[reached] = distance
    assert not hops.isinf().any(), "a joint hangs on no bone"
    return hops


@dataclass(frozen=True)
class StgcnSettings:
    width: int  # channels of the first blocks; 64 in the original
    temporal_kernel: int  # odd
    dropout: float


class Block(nn.Module):
    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, dropout: float, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.spread = nn.Conv2d(channels_in, channels * parts, 1)
        self.edge_weight = nn.Parameter(torch.ones(parts, len(POINTS), len(POINTS)))
        self.over_time = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, (kernel, 1), (stride, 1), (kernel // 2, 0)),
            nn.BatchNorm2d(channels),
            nn.Dropout(dropout),
        )
        same = channels_in == channels and stride == 1
        self.shortcut: nn.Module = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(channels_in, channels, 1, (stride, 1)), nn.BatchNorm2d(channels))
        )

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """(B, C, T, V) and (parts, V, V) to (B, C', T', V)."""
        spread = self.spread(x).unflatten(1, (self.parts, -1))
        gathered = torch.einsum("bpctv,pvw->bctw", spread, graph * self.edge_weight)
        return torch.relu(self.over_time(gathered) + self.shortcut(x))


class Stgcn(nn.Module):
    inputs: frozenset[InputName] = frozenset({"points"})
    graph: Tensor

    def __init__(self, settings: StgcnSettings) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("graph", partitioned_graph())
        width = settings.width
        outputs = [width] * 4 + [2 * width] * 3 + [4 * width] * 3
        strides = [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]
        inputs = [CHANNELS, *outputs[:-1]]
        self.data_norm = nn.BatchNorm1d(CHANNELS * len(POINTS))
        self.blocks = nn.ModuleList(
            Block(before, after, settings.temporal_kernel, stride, settings.dropout, len(self.graph))
            for before, after, stride in zip(inputs, outputs, strides, strict=True)
        )
        self.out_width = outputs[-1]
        self.head: nn.Module = nn.Linear(self.out_width, len(TARGETS))

    def set_prior_bias(self, prior: Tensor) -> None:
        """Begin at each target's share of atypical children."""
        set_prior_bias(self.head, prior)

    def maps(self, batch: Batch) -> Tensor:
        """(B, C, T / 4, 23): what the last block sees, joint by joint."""
        assert batch.points is not None
        x = body_centred(batch.points)
        clips, channels, time, joints = x.shape
        flat = x.permute(0, 3, 1, 2).reshape(clips, joints * channels, time)
        x = self.data_norm(flat).reshape(clips, joints, channels, time).permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x, self.graph)
        return x

    def answer(self, maps: Tensor, batch: Batch) -> Tensor:
        return self.head(maps.mean(dim=(2, 3)))

    def forward(self, batch: Batch) -> Tensor:
        return self.answer(self.maps(batch), batch)

    @property
    def feature_width(self) -> int:
        return self.out_width

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """The mean over joints and time, and over the joints of each time step."""
        assert batch.points is not None
        over_joints = self.maps(batch).mean(dim=3).transpose(1, 2)
        return ClipFeatures(over_joints.mean(dim=1), steps_from_maps(over_joints, batch.points.shape[1]))

    def replace_head(self, head: nn.Module) -> None:
        """Let `head` predict the items from clip features (B, feature_width)."""
        self.head = head


def from_settings(settings: Any, pixels: int) -> Stgcn:
    chosen = settings.skeleton
    return Stgcn(StgcnSettings(chosen.width, chosen.temporal_kernel, chosen.dropout))
