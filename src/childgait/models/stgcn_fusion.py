"""ST-GCN and gait features (numbers measured on the walk) as two streams, joined by cross-attention.

Origin: the ST-GCN and clinical gait features description (arXiv 2603.22371, 2026): Grad-CAM on a trained ST-GCN gives
the importance of each joint, features measured on important joints are selected, and the two streams attend to each
other. The description gives neither widths nor heads nor the list of features; ours are chosen here and in params.
Features are selected in the training fold (training/joint_importance.py) and kept in `selected`.

`join` is the ablation: `cross` and `concat` have both streams, `features` the gait features alone; `skeleton` is the
ST-GCN itself, to the last byte. Reads Batch.points and Batch.features; yields logits (B, 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from childgait.domain.evgs import TARGETS
from childgait.gait.feature_names import NAMES
from childgait.models.batch import Batch, InputName
from childgait.models.network import Network
from childgait.models.stgcn import Stgcn

if TYPE_CHECKING:
    from childgait.params import Finetune, Fusion, Skeleton

FEATURES = 2 * len(NAMES)  # of the left limb, then of the right
LARGEST = 5.0  # standard deviations; larger values are clamped to this


class CrossAttention(nn.Module):
    """Residual cross-attention: `queries` attend to `context`."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_queries, self.norm_context = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q, self.to_kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        q = self.to_q(self.norm_queries(queries)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.to_kv(self.norm_context(context)).chunk(2, -1)
        )
        attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return queries + self.dropout(self.out(attended))


class Layer(nn.Module):
    """One transformer layer: self-attention, then an MLP per token."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = CrossAttention(width, heads, dropout)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.attention(x, x)
        return x + self.mlp(x)


class FeatureTokens(nn.Module):
    """One token per selected feature: its standardised value times a learned vector, plus a learned position.

    A missing value has a learned vector of its own.
    """

    selected: Tensor
    median: Tensor
    deviation: Tensor

    def __init__(self, count: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("selected", torch.arange(count))  # indices of a limb's features, left then right
        self.register_buffer("median", torch.zeros(count))  # of the training clips
        self.register_buffer("deviation", torch.ones(count))
        self.value = nn.Parameter(torch.empty(count, width))
        self.position = nn.Parameter(torch.empty(count, width))
        self.missing = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.value, std=width**-0.5)
        nn.init.normal_(self.position, std=width**-0.5)
        self.layers = nn.Sequential(Layer(width, heads, dropout), Layer(width, heads, dropout))

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, count, width) from (B, FEATURES), NaN where missing."""
        values = (features[:, self.selected] - self.median) / self.deviation
        present = ~values.isnan()
        values = values.nan_to_num(nan=0.0).clamp(-LARGEST, LARGEST)[..., None]
        tokens = torch.where(present[..., None], values * self.value, self.missing)
        return self.layers(tokens + self.position)


class StgcnFusion(Network):
    """The two streams and a head on their means."""

    takes_other_heads = False

    def __init__(self, fusion: Fusion, skeleton: Skeleton) -> None:
        super().__init__()
        assert fusion.join != "skeleton", "that is the ST-GCN itself"
        self.join = fusion.join
        width = fusion.heads * max(2 * skeleton.width // fusion.heads, 1)
        count = FEATURES if fusion.choose == "all" else max(round(fusion.keep_share * FEATURES), 1)
        self.tokens = FeatureTokens(count, width, fusion.heads, skeleton.dropout)
        if self.join != "features":
            self.skeleton = Stgcn(skeleton)
            del self.skeleton.head  # the classifier of both streams replaces it
            self.narrow = nn.Linear(self.skeleton.feature_width, width)
        if self.join == "cross":
            self.features_to_joints = CrossAttention(width, fusion.heads, skeleton.dropout)
            self.joints_to_features = CrossAttention(width, fusion.heads, skeleton.dropout)
        self.feature_width = width if self.join == "features" else 2 * width
        self.head = nn.Sequential(
            nn.LayerNorm(self.feature_width),
            nn.Linear(self.feature_width, width),
            nn.GELU(),
            nn.Dropout(skeleton.dropout),
            nn.Linear(width, len(TARGETS)),
        )

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Network:
        if settings.fusion.join == "skeleton":
            return Stgcn(settings.skeleton)
        return cls(settings.fusion, settings.skeleton)

    @property
    def inputs(self) -> frozenset[InputName]:
        return frozenset({"features"} if self.join == "features" else {"points", "features"})

    def maps(self, batch: Batch) -> Tensor:
        """Return the output of the ST-GCN's last block, (B, C, T / 4, 23). With `features` alone there is none."""
        return self.skeleton.maps(batch)

    def _features(self, maps: Tensor | None, batch: Batch) -> Tensor:
        """Return (B, feature_width), the mean of each stream."""
        assert batch.features is not None
        tokens = self.tokens(batch.features)
        if maps is None:
            return tokens.mean(dim=1)
        joints = self.narrow(maps.flatten(2).transpose(1, 2))  # one token per joint and time step
        if self.join == "cross":
            tokens, joints = self.features_to_joints(tokens, joints), self.joints_to_features(joints, tokens)
        return torch.cat([tokens.mean(dim=1), joints.mean(dim=1)], dim=1)

    def logits_from_maps(self, maps: Tensor, batch: Batch) -> Tensor:
        return self.head(self._features(maps, batch))

    def forward(self, batch: Batch) -> Tensor:
        return self.head(self._features(None if self.join == "features" else self.maps(batch), batch))
