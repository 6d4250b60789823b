"""GaitGraph2: a residual graph network on places, velocities and bones.

Origin: Teepe et al., "Towards a Deeper Understanding of Skeleton-based Gait Recognition" (CVPR workshops 2022, arXiv
2204.07855): three branches of five numbers per joint (place and its offset from the nose; velocity over one and two
frames; bone vector and its two angles), 5 to 64 to 32 channels each, joined to 96, then 128 and 256 (stride 2);
bottlenecks of reduction 8, neighbours up to 3 bones away, temporal kernel 9, a learned weight per edge; 128 numbers
per clip. Published input: 17 joints, 60 frames, one fixed length per recording; supervised contrast over batches of
768, AdamW 5e-3. Here: 23 joints, lengths in trunk lengths, the loss and the schedule of all rows.

Size at width 64 without the head: 0.28 M parameters and 0.51 G operations for 60 frames (models/cost.py); no
published size was found.
Reads Batch.points; yields logits (B, 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from childgait.domain.skeleton import BONES, INDEX, POINTS
from childgait.models.batch import Batch
from childgait.models.ctrgcn import SkeletonNetwork
from childgait.models.points import body_centred
from childgait.models.stgcn import CENTRES, HEAD_BONES

if TYPE_CHECKING:
    from childgait.params import Finetune, Skeleton

REACH = 3  # bones to the farthest neighbour
REDUCTION = 8  # of a bottleneck
BRANCH_CHANNELS = 5
NOSE = INDEX["nose"]


def bone_distances() -> Tensor:
    """Return (23, 23), the number of bones between joints."""
    size = len(POINTS)
    distance = torch.full((size, size), torch.inf)
    distance.fill_diagonal_(0)
    for first, second in (*BONES, *HEAD_BONES):
        distance[INDEX[first], INDEX[second]] = distance[INDEX[second], INDEX[first]] = 1
    for middle in range(size):
        distance = torch.minimum(distance, distance[:, middle, None] + distance[None, middle, :])
    return distance


def parents() -> list[int]:
    """Return per joint its neighbour nearest to the hips; a hip is its own."""
    distance = bone_distances()
    to_hips = distance[[INDEX[name] for name in CENTRES]].amin(dim=0)
    nearest = torch.where(distance == 1, to_hips[None, :], torch.inf).argmin(dim=1)
    return torch.where(to_hips == 0, torch.arange(len(POINTS)), nearest).tolist()


def neighbour_graphs() -> Tensor:
    """Return (REACH + 1, 23, 23): per distance the normalised graph of the joints that far apart."""
    distance = bone_distances()
    graphs = torch.stack([(distance == hops).float() for hops in range(REACH + 1)])
    return graphs / graphs.sum(dim=1, keepdim=True).clamp(min=1)


def branches_of(x: Tensor, parent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return places, velocities and bones, each (B, 5, T, 23), from `body_centred` joints."""
    place, velocity, score = x[:, :2], x[:, 2:4], x[:, 4:]
    two_frames = velocity.clone()
    two_frames[:, :, 1:] += velocity[:, :, :-1]
    bone = place - place[..., parent]
    known = score * score[..., parent] > 0
    bone = torch.where(known, bone, torch.zeros_like(bone))
    length = bone.norm(dim=1, keepdim=True).clamp(min=1e-4)
    angles = torch.arccos((bone / length).clamp(-1 + 1e-6, 1 - 1e-6))
    return (
        torch.cat([place, score, place - place[..., NOSE, None]], dim=1),
        torch.cat([velocity, two_frames, score], dim=1),
        torch.cat([bone, score, angles], dim=1),
    )


class GraphConvolution(nn.Module):
    """Sum over neighbour distances: (B, C, T, V) to (B, C', T, V), with a learned weight per edge."""

    graphs: Tensor

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("graphs", neighbour_graphs(), persistent=False)
        self.spread = nn.Conv2d(channels_in, channels * (REACH + 1), 1)
        self.edge_weight = nn.Parameter(torch.ones_like(self.graphs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum(
            "bpctv,pvw->bctw", self.spread(x).unflatten(1, (REACH + 1, -1)), self.graphs * self.edge_weight
        )


class ResidualBlock(nn.Module):
    """Graph, then temporal convolution, each in a bottleneck where `bottleneck`; shortcuts where `residual`."""

    def __init__(
        self, channels_in: int, channels: int, stride: int, kernel: int, *, bottleneck: bool, residual: bool = True
    ) -> None:
        super().__init__()
        narrow = max(channels // REDUCTION, 1) if bottleneck else channels
        time = nn.Conv2d(narrow, narrow, (kernel, 1), (stride, 1), (kernel // 2, 0))
        if bottleneck:
            spatial: list[nn.Module] = [nn.Conv2d(channels_in, narrow, 1), nn.BatchNorm2d(narrow), nn.ReLU()]
            spatial += [GraphConvolution(narrow, narrow), nn.BatchNorm2d(narrow), nn.ReLU()]
            spatial += [nn.Conv2d(narrow, channels, 1), nn.BatchNorm2d(channels)]
            temporal: list[nn.Module] = [nn.Conv2d(channels, narrow, 1), nn.BatchNorm2d(narrow), nn.ReLU()]
            temporal += [time, nn.BatchNorm2d(narrow), nn.ReLU(), nn.Conv2d(narrow, channels, 1)]
        else:
            spatial, temporal = [GraphConvolution(channels_in, channels), nn.BatchNorm2d(channels)], [time]
        self.spatial = nn.Sequential(*spatial)
        self.temporal = nn.Sequential(*temporal, nn.BatchNorm2d(channels))
        self.shortcut: nn.Module | None = None
        if residual:
            self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels, 1, (stride, 1)), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C', T / stride, V) from (B, C, T, V)."""
        y = self.temporal(torch.relu(self.spatial(x)))
        return torch.relu(y if self.shortcut is None else y + self.shortcut(x))


class Gaitgraph2(SkeletonNetwork):
    """GaitGraph2 with its ResGCN trunk."""

    parent: Tensor

    def __init__(self, settings: Skeleton) -> None:
        width, kernel = settings.width, settings.temporal_kernel
        super().__init__(2 * width, settings.dropout)
        self.register_buffer("parent", torch.tensor(parents()), persistent=False)

        def branch() -> nn.Sequential:
            return nn.Sequential(
                nn.BatchNorm2d(BRANCH_CHANNELS),
                ResidualBlock(BRANCH_CHANNELS, width, 1, kernel, bottleneck=False, residual=False),
                ResidualBlock(width, width // 2, 1, kernel, bottleneck=True),
            )

        self.branches = nn.ModuleList(branch() for _ in range(3))
        self.trunk = nn.Sequential(
            ResidualBlock(3 * (width // 2), 2 * width, 2, kernel, bottleneck=True),
            ResidualBlock(2 * width, 4 * width, 2, kernel, bottleneck=True),
        )
        self.embed = nn.Linear(4 * width, 2 * width)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Gaitgraph2:
        return cls(settings.skeleton)

    def maps(self, batch: Batch) -> Tensor:
        """Return the output of the last block, (B, 4 width, T / 4, 23)."""
        assert batch.points is not None
        parts = branches_of(body_centred(batch.points), self.parent)
        joined = torch.cat([branch(part) for branch, part in zip(self.branches, parts, strict=True)], dim=1)
        return self.trunk(joined)

    def features(self, maps: Tensor) -> Tensor:
        return self.embed(maps.mean(dim=(2, 3)))
