"""Heads of pre-training on synthetic walks: joint curves, gait phase and points per time step, measures per clip.

A network gives its features as `ClipFeatures` (method `clip_features`): one vector per clip, as its item head reads it,
and, where its feature maps keep a time axis, one per time step of two frames, which no convolution over time has mixed
into one number. Dense targets at every time step are what an encoder starts to learn from; 34 items per clip are not.

Reads ClipFeatures; yields `DensePrediction`, all of it in standard deviations from the mean over the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from childgait.domain.evgs import TARGETS
from childgait.domain.skeleton import POINTS

if TYPE_CHECKING:
    from childgait.models.batch import Batch
    from childgait.models.network import Network

FRAMES_PER_STEP = 2  # of a dense target, as VideoMAE's tubelets
CURVES = 28  # joint curves: 14 of the left limb, then 14 of the right
PHASES = 4  # cosine and sine of the gait phase of both limbs
COORDINATES = 2 * len(POINTS)


@dataclass(frozen=True)
class ClipFeatures:
    """The features of B clips, before any head."""

    clip: Tensor  # (B, W)
    steps: Tensor | None  # (B, T / 2, W); None where the feature maps have no time axis
    known: Tensor | None = None  # bool (B, T / 2), false where a time step has no token; None: all known


@dataclass(frozen=True)
class DensePrediction:
    """Standardised predictions; the first three are None for a network without a time axis."""

    curves: Tensor | None  # (B, T / 2, 28)
    phases: Tensor | None  # (B, T / 2, 4)
    points: Tensor | None  # (B, T / 2, 23, 2)
    measures: Tensor  # (B, 34)
    known: Tensor | None  # as in ClipFeatures


def steps_from_maps(maps: Tensor, frames: int) -> Tensor | None:
    """Interpolate (B, t, W) to (B, T / 2, W), linearly in time; None where only one time step is left."""
    if maps.shape[1] < 2:
        return None
    steps = frames // FRAMES_PER_STEP
    if maps.shape[1] == steps:
        return maps
    if maps.shape[1] == FRAMES_PER_STEP * steps:
        return maps.unflatten(1, (steps, FRAMES_PER_STEP)).mean(dim=2)
    return functional.interpolate(maps.transpose(1, 2), size=steps, mode="linear", align_corners=False).transpose(1, 2)


def make_measures_head(width: int, hidden: int) -> nn.Sequential:
    """Return an MLP from a clip's features to the 34 measures."""
    head = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, len(TARGETS)))
    nn.init.trunc_normal_(head[2].weight, std=0.01)  # type: ignore[arg-type]
    nn.init.zeros_(head[2].bias)  # type: ignore[arg-type]
    return head


class DenseHeads(nn.Module):
    """One linear layer per time step, one MLP per clip."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.steps = nn.Linear(width, CURVES + PHASES + COORDINATES)
        self.measures = make_measures_head(width, hidden)

    def forward(self, features: ClipFeatures) -> DensePrediction:
        measures = self.measures(features.clip).float()
        if features.steps is None:
            return DensePrediction(None, None, None, measures, None)
        curves, phases, points = self.steps(self.norm(features.steps)).float().split([CURVES, PHASES, COORDINATES], -1)
        return DensePrediction(curves, phases, points.unflatten(-1, (len(POINTS), 2)), measures, features.known)


class PretrainingModel(nn.Module):
    """A network of the registry under dense heads."""

    def __init__(self, network: Network, hidden: int) -> None:
        super().__init__()
        self.network = network
        self.heads = DenseHeads(network.feature_width, hidden)

    def forward(self, batch: Batch) -> DensePrediction:
        return self.heads(self.network.clip_features(batch))


def mean_over_steps(tokens: Tensor, step: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Average (N, W) tokens per time step; return (count, W) and which of the `count` steps have a token."""
    total = tokens.new_zeros(count, tokens.shape[1]).index_add(0, step, tokens)
    tokens_of = torch.bincount(step, minlength=count)
    return total / tokens_of.clamp(min=1)[:, None], tokens_of > 0
