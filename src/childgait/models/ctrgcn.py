"""CTR-GCN: graph convolution whose graph is refined per channel and per clip.

Origin: Chen et al., "Channel-wise Topology Refinement Graph Convolution for Skeleton-Based Action Recognition" (ICCV
2021, arXiv 2107.12213): ten blocks of 64 x 4, 128 x 3, 256 x 3 channels, stride 2 at blocks 5 and 8; three learned
graphs shared by all channels, each corrected per pair of joints and channel by the difference of two projections;
four temporal branches (dilations 1 and 2, maximum, none). Published input: 25 joints in space, 64 frames; here 23
joints with five channels. The corrections' factors start at 0.01, in the original at 0. Published: SGD 0.1, 65
epochs; here the schedule of all rows.

Size at width 64 without the head: 1.43 M parameters and 1.76 G operations for 64 frames (models/cost.py); no
published size was found.
Reads Batch.points; yields logits (B, 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.domain.skeleton import POINTS
from childgait.models.batch import Batch, InputName
from childgait.models.dense_heads import ClipFeatures, steps_from_maps
from childgait.models.network import Network
from childgait.models.point_inputs import PointInputs
from childgait.models.stgcn import partitioned_graph

if TYPE_CHECKING:
    from childgait.params import Finetune, Skeleton

REDUCTION = 8  # of the channels that correct the graph
FIRST_CORRECTION = 8  # channels that correct the graph of the first block
DILATIONS = (1, 2)
TIME_KERNEL = 5


class RefinedGraph(nn.Module):
    """Graph convolution by one learned graph, corrected per channel: (B, C, T, V) to (B, C', T, V)."""

    def __init__(self, channels_in: int, channels: int, graph: Tensor, narrow: int = FIRST_CORRECTION) -> None:
        super().__init__()
        self.graph = nn.Parameter(graph.clone())
        self.to_row, self.to_column = nn.Conv2d(channels_in, narrow, 1), nn.Conv2d(channels_in, narrow, 1)
        self.correct = nn.Conv2d(narrow, channels, 1)
        self.project = nn.Conv2d(channels_in, channels, 1)
        self.factor = nn.Parameter(torch.tensor(0.01))

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.to_row(x).mean(dim=2), self.to_column(x).mean(dim=2)
        difference = torch.tanh(rows[:, :, :, None] - columns[:, :, None, :])  # (B, narrow, V, V)
        graph = self.graph + self.factor * self.correct(difference)
        return torch.einsum("bctv,bcvw->bctw", self.project(x), graph)


class GraphLayer(nn.Module):
    """The sum of three refined graphs, batch norm, and a shortcut."""

    def __init__(self, channels_in: int, channels: int, graphs: Tensor, narrow: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(RefinedGraph(channels_in, channels, graph, narrow) for graph in graphs)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.constant_(self.norm.weight, 1e-6)
        self.shortcut: nn.Module = nn.Identity()
        if channels_in != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels, 1), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        total = torch.stack([part(x) for part in self.parts]).sum(dim=0)
        return torch.relu(self.norm(total) + self.shortcut(x))


def temporal_branch(channels: int, branch: int, narrow: int, stride: int) -> nn.Sequential:
    """Return branch 0 or 1 (dilated convolutions), 2 (maximum) or 3 (1 x 1)."""
    if branch == 3:
        return nn.Sequential(nn.Conv2d(channels, narrow, 1, (stride, 1)), nn.BatchNorm2d(narrow))
    first = [nn.Conv2d(channels, narrow, 1), nn.BatchNorm2d(narrow), nn.ReLU(inplace=True)]
    if branch == 2:
        last: nn.Module = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
    else:
        dilation = DILATIONS[branch]
        padding = (TIME_KERNEL - 1) // 2 * dilation
        last = nn.Conv2d(narrow, narrow, (TIME_KERNEL, 1), (stride, 1), (padding, 0), (dilation, 1))
    return nn.Sequential(*first, last, nn.BatchNorm2d(narrow))


class Block(nn.Module):
    """Refined graph convolution, four temporal branches, shortcut: (B, C, T, V) to (B, C', T / stride, V)."""

    def __init__(self, channels_in: int, channels: int, stride: int, graphs: Tensor, *, residual: bool = True) -> None:
        super().__init__()
        correction = max(channels_in // REDUCTION, 1) if residual else FIRST_CORRECTION  # the first has no residual
        self.over_joints = GraphLayer(channels_in, channels, graphs, correction)
        narrow = channels // 4
        self.over_time = nn.ModuleList(temporal_branch(channels, branch, narrow, stride) for branch in range(4))
        self.shortcut: nn.Module | None = nn.Identity() if residual else None
        if residual and (channels_in != channels or stride != 1):
            self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels, 1, (stride, 1)), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        spatial = self.over_joints(x)
        joined = torch.cat([branch(spatial) for branch in self.over_time], dim=1)
        return torch.relu(joined if self.shortcut is None else joined + self.shortcut(x))


class SkeletonNetwork(Network):
    """Joints through a trunk of maps (B, C, t, V), mean over joints and time, linear head."""

    inputs: frozenset[InputName] = frozenset({"points"})

    def __init__(self, feature_width: int, dropout: float) -> None:
        super().__init__()
        self.feature_width = feature_width
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(feature_width, len(TARGETS)))

    def logits_from_maps(self, maps: Tensor, batch: Batch) -> Tensor:
        return self.head(self.features(maps))

    def features(self, maps: Tensor) -> Tensor:
        """Return the head's input (B, feature_width)."""
        return maps.mean(dim=(2, 3))

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """Return the head's input of the clip, and of each time step."""
        maps = self.maps(batch)
        assert batch.points is not None
        per_step = maps.transpose(1, 2).flatten(0, 1)[:, :, None]
        steps = self.features(per_step).unflatten(0, (batch.size, -1))
        return ClipFeatures(self.features(maps), steps_from_maps(steps, batch.points.shape[1]))


class Ctrgcn(SkeletonNetwork):
    """CTR-GCN."""

    def __init__(self, settings: Skeleton) -> None:
        width = settings.width
        super().__init__(4 * width, settings.dropout)
        outputs = [width] * 4 + [2 * width] * 3 + [4 * width] * 3
        strides = [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]
        graphs = partitioned_graph()
        self.points = PointInputs(settings)
        self.data_norm = nn.BatchNorm1d(self.points.channels * len(POINTS))
        self.blocks = nn.Sequential(
            *(
                Block(channels_in, channels, stride, graphs, residual=number > 0)
                for number, (channels_in, channels, stride) in enumerate(
                    zip([self.points.channels, *outputs[:-1]], outputs, strides, strict=True)
                )
            )
        )

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Ctrgcn:
        return cls(settings.skeleton)

    def maps(self, batch: Batch) -> Tensor:
        """Return the output of the last block, (B, 4 width, T / 4, 23)."""
        assert batch.points is not None
        return self.blocks(normalise_joints(self.data_norm, self.points(batch.points)))


def normalise_joints(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """Apply a batch norm over joints and channels to (B, C, T, V)."""
    flat = x.permute(0, 3, 1, 2).flatten(1, 2)
    return norm(flat).unflatten(1, (x.shape[3], x.shape[1])).permute(0, 2, 3, 1)
