"""GaitMixer and GaitFormer: attention over the joints of a frame, then long convolutions or attention over time.

Origin: Pinyoanuntapong et al., "GaitMixer: Skeleton-based Gait Representation Learning via Wide-spectrum Multi-axial
Mixer" (ICASSP 2023, arXiv 2210.15491), which defines both. Joints are projected to 32 channels with a learned
embedding per joint; four transformer blocks over the joints of each frame (8 heads, MLP x 2). GaitMixer: four blocks
over time of a depthwise convolution of 31 frames and a pointwise one, 32 to 32, 64, 128, 256 channels, mean, linear
256 to 128. GaitFormer: four transformer blocks over time per joint with a class token, joints side by side, linear to
128. Published input: 17 joints, 60 frames, x and y; triplet loss on mined pairs, Adam 6e-3 with one cycle, 300
epochs. Here: 23 joints, coordinates about the hips with their velocity and score, normalised per joint, the loss and
the schedule of all rows.

`finetune.skeleton.width` is the width per joint, 32 as published. Sizes there without the head: GaitMixer 0.12 M
parameters and 0.25 G operations for 60 frames, GaitFormer 0.17 M and 0.24 G (models/cost.py); no published sizes were
found.
Reads Batch.points; yields logits (B, 34).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from childgait.domain.skeleton import POINTS
from childgait.models.batch import Batch
from childgait.models.ctrgcn import SkeletonNetwork, normalise_joints
from childgait.models.dense_heads import ClipFeatures, steps_from_maps
from childgait.models.point_inputs import PointInputs

if TYPE_CHECKING:
    from childgait.params import Finetune, Skeleton

LAYERS = 4
HEADS = 8
LONG_KERNEL = 31  # frames
MLP_RATIO = 2
MAX_FRAMES = 128  # of a window


class TransformerBlock(nn.Module):
    """Self-attention, then an MLP per token, each normalised first and added to its input: (N, tokens, width)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.heads = max(count for count in range(1, HEADS + 1) if width % count == 0)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, MLP_RATIO * width), nn.GELU(), nn.Linear(MLP_RATIO * width, width), nn.Dropout(dropout)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.project(attended))
        return x + self.mlp(self.norm2(x))


def transformer(width: int, dropout: float) -> nn.Sequential:
    """Return four pre-norm transformer blocks, with as many of the 8 heads as divide the width."""
    return nn.Sequential(*(TransformerBlock(width, dropout) for _ in range(LAYERS)))


class JointMixer(nn.Module):
    """Transformer over the joints of each frame: (B, C, T, V) to (B, T, V, width)."""

    def __init__(self, channels: int, width: int, dropout: float) -> None:
        super().__init__()
        self.data_norm = nn.BatchNorm1d(channels * len(POINTS))
        self.project = nn.Linear(channels, width)
        self.joint_embedding = nn.Parameter(torch.empty(len(POINTS), width))
        nn.init.trunc_normal_(self.joint_embedding, std=0.02)
        self.blocks = transformer(width, dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.project(normalise_joints(self.data_norm, x).permute(0, 2, 3, 1)) + self.joint_embedding
        return self.norm(self.blocks(tokens.flatten(0, 1))).unflatten(0, tokens.shape[:2])


class LongConvolution(nn.Module):
    """Depthwise convolution over 31 frames with a shortcut, then a pointwise one: (N, C, T) to (N, C', T)."""

    def __init__(self, channels_in: int, channels: int, dropout: float, *, reflect: bool) -> None:
        super().__init__()
        self.reflect = reflect
        self.depthwise = nn.Conv1d(channels_in, channels_in, LONG_KERNEL, groups=channels_in)
        self.norm1, self.norm2 = nn.BatchNorm1d(channels_in), nn.BatchNorm1d(channels)
        self.pointwise = nn.Conv1d(channels_in, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        reach = LONG_KERNEL // 2
        if self.reflect:  # a reflection needs more frames than it adds
            padded = functional.pad(x, (reach, reach), "reflect" if x.shape[2] > reach else "replicate")
        else:
            padded = functional.pad(x, (reach, reach))
        mixed = x + self.norm1(functional.gelu(self.depthwise(padded)))
        return self.dropout(self.norm2(functional.gelu(self.pointwise(mixed))))


class Gaitmixer(SkeletonNetwork):
    """GaitMixer."""

    def __init__(self, settings: Skeleton) -> None:
        width = settings.width
        super().__init__(4 * width, settings.dropout)
        self.points = PointInputs(settings)
        self.joints = JointMixer(self.points.channels, width, settings.dropout)
        channels = [width, width, 2 * width, 4 * width, 8 * width]
        self.time = nn.Sequential(
            *(
                LongConvolution(before, after, settings.dropout, reflect=number == 0)
                for number, (before, after) in enumerate(pairwise(channels))
            )
        )
        self.norm = nn.LayerNorm(8 * width)
        self.embed = nn.Linear(8 * width, 4 * width)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Gaitmixer:
        return cls(settings.skeleton)

    def maps(self, batch: Batch) -> Tensor:
        """Return the last temporal block's output, (B, 8 width, T, 23)."""
        assert batch.points is not None
        mixed = self.joints(self.points(batch.points))
        per_joint = mixed.permute(0, 2, 3, 1).flatten(0, 1)  # (B V, width, T)
        return self.time(per_joint).unflatten(0, (batch.size, -1)).permute(0, 2, 3, 1)

    def features(self, maps: Tensor) -> Tensor:
        return self.embed(self.norm(maps.mean(dim=(2, 3))))


class Gaitformer(SkeletonNetwork):
    """GaitFormer; its maps are the joints' tokens before attention over time."""

    def __init__(self, settings: Skeleton) -> None:
        width = settings.width
        super().__init__(4 * width, settings.dropout)
        self.points = PointInputs(settings)
        self.joints = JointMixer(self.points.channels, width, settings.dropout)
        self.class_token = nn.Parameter(torch.empty(1, width))
        self.time_embedding = nn.Parameter(torch.empty(MAX_FRAMES + 1, width))
        nn.init.trunc_normal_(self.class_token, std=0.02)
        nn.init.trunc_normal_(self.time_embedding, std=0.02)
        self.time = transformer(width, settings.dropout)
        self.norm = nn.LayerNorm(width * len(POINTS))
        self.embed = nn.Linear(width * len(POINTS), 4 * width)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Gaitformer:
        return cls(settings.skeleton)

    def maps(self, batch: Batch) -> Tensor:
        """Return the joints' tokens, (B, width, T, 23)."""
        assert batch.points is not None
        return self.joints(self.points(batch.points)).permute(0, 3, 1, 2)

    def over_time(self, maps: Tensor) -> Tensor:
        """Return the class token and the frames' tokens, joints side by side: (B, 1 + T, width x 23)."""
        per_joint = maps.permute(0, 3, 2, 1).flatten(0, 1)
        tokens = torch.cat([self.class_token.expand(len(per_joint), 1, -1), per_joint], dim=1)
        mixed = self.time(tokens + self.time_embedding[: tokens.shape[1]])
        return mixed.unflatten(0, (len(maps), -1)).permute(0, 2, 1, 3).flatten(2)

    def features(self, maps: Tensor) -> Tensor:
        return self.embed(self.norm(self.over_time(maps)[:, 0]))

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """Return the class token's features, and those of the frames' tokens."""
        tokens = self.embed(self.norm(self.over_time(self.maps(batch))))
        return ClipFeatures(tokens[:, 0], steps_from_maps(tokens[:, 1:], tokens.shape[1] - 1))
