"""ST-GCN beside numbers of the walk, the two streams joined by attention across them.

Origin: the ST-GCN and clinical gait features description (arXiv 2603.22371, 2026): Grad-CAM on an ST-GCN that has learnt
before tells which joints count, numbers measured on those joints are taken, and the two streams look at each other. The
description gives neither widths nor heads nor the list of numbers; ours are chosen here and in params. Which numbers is
decided in the training fold (training/joint_importance.py) and kept in `chosen`.

`join` is the ablation: `cross` and `concat` have both streams, `features` the numbers alone; `skeleton` is the ST-GCN
itself, to the last byte. Reads Batch.points and Batch.features; yields logits (B, 34).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from childgait.domain.evgs import TARGETS
from childgait.gait.feature_names import NAMES
from childgait.models import stgcn
from childgait.models.batch import Batch, InputName
from childgait.models.heads import set_prior_bias

NUMBERS = 2 * len(NAMES)  # of the left limb, then of the right
FARTHEST = 5.0  # standard deviations; a number farther out counts as this far


class CrossAttention(nn.Module):
    """What `asking` tokens learn from `told` ones, added to them."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_asking, self.norm_told = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.tell, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, asking: Tensor, told: Tensor) -> Tensor:
        q = self.ask(self.norm_asking(asking)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.tell(self.norm_told(told)).chunk(2, -1)
        )
        found = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return asking + self.dropout(self.out(found))


class Layer(nn.Module):
    """Tokens look at each other, then each thinks for itself."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attend = CrossAttention(width, heads, dropout)
        self.think = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.attend(x, x)
        return x + self.think(x)


class NumberTokens(nn.Module):
    """A token for each chosen number: its value along a learnt direction, from a learnt place; or that it is missing."""

    chosen: Tensor
    middle: Tensor
    spread: Tensor

    def __init__(self, count: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("chosen", torch.arange(count))  # of a limb's numbers, left then right
        self.register_buffer("middle", torch.zeros(count))  # of the training clips
        self.register_buffer("spread", torch.ones(count))
        self.direction, self.place = nn.Parameter(torch.empty(count, width)), nn.Parameter(torch.empty(count, width))
        self.missing = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.direction, std=width**-0.5)
        nn.init.normal_(self.place, std=width**-0.5)
        self.layers = nn.Sequential(Layer(width, heads, dropout), Layer(width, heads, dropout))

    def forward(self, features: Tensor) -> Tensor:
        """(B, NUMBERS), NaN where missing, to (B, count, width)."""
        values = (features[:, self.chosen] - self.middle) / self.spread
        known = ~values.isnan()
        values = values.nan_to_num(nan=0.0).clamp(-FARTHEST, FARTHEST)[..., None]
        told = torch.where(known[..., None], values * self.direction, self.missing)
        return self.layers(told + self.place)


class StgcnFusion(nn.Module):
    def __init__(self, settings: Any) -> None:
        super().__init__()
        how, shape = settings.fusion, settings.skeleton
        assert how.join != "skeleton", "that is the ST-GCN itself"
        self.join = how.join
        width = how.heads * max(2 * shape.width // how.heads, 1)
        count = NUMBERS if how.choose == "all" else max(round(how.keep_share * NUMBERS), 1)
        self.numbers = NumberTokens(count, width, how.heads, shape.dropout)
        if self.join != "features":
            self.skeleton = stgcn.from_settings(settings, 0)
            del self.skeleton.head  # it answers through ours
            self.narrow = nn.Linear(self.skeleton.out_width, width)
        if self.join == "cross":
            self.numbers_ask = CrossAttention(width, how.heads, shape.dropout)
            self.joints_ask = CrossAttention(width, how.heads, shape.dropout)
        streams = 1 if self.join == "features" else 2
        self.head = nn.Sequential(
            nn.LayerNorm(streams * width),
            nn.Linear(streams * width, width),
            nn.GELU(),
            nn.Dropout(shape.dropout),
            nn.Linear(width, len(TARGETS)),
        )

    @property
    def inputs(self) -> frozenset[InputName]:
        return frozenset({"features"} if self.join == "features" else {"points", "features"})

    def set_prior_bias(self, prior: Tensor) -> None:
        """Begin at each target's share of atypical children."""
        set_prior_bias(self.head[-1], prior)

    def maps(self, batch: Batch) -> Tensor:
        """(B, C, T / 4, 23): what the ST-GCN's last block sees, joint by joint."""
        return self.skeleton.maps(batch)

    def answer(self, maps: Tensor | None, batch: Batch) -> Tensor:
        assert batch.features is not None
        numbers = self.numbers(batch.features)
        if maps is None:
            return self.head(numbers.mean(dim=1))
        joints = self.narrow(maps.flatten(2).transpose(1, 2))  # a token each joint and moment
        if self.join == "cross":
            numbers, joints = self.numbers_ask(numbers, joints), self.joints_ask(joints, numbers)
        return self.head(torch.cat([numbers.mean(dim=1), joints.mean(dim=1)], dim=1))

    def forward(self, batch: Batch) -> Tensor:
        return self.answer(None if self.join == "features" else self.maps(batch), batch)


def from_settings(settings: Any, pixels: int) -> StgcnFusion | stgcn.Stgcn:
    return stgcn.from_settings(settings, pixels) if settings.fusion.join == "skeleton" else StgcnFusion(settings)
