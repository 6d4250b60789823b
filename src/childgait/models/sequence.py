"""Plain sequence networks on keypoints: GRU and LSTM (two layers, both directions) and a TCN.

Origin: the usual recurrent baselines; the TCN after Bai, Kolter, Koltun, "An Empirical Evaluation of Generic Convolutional
and Recurrent Networks for Sequence Modeling" (2018): dilated residual blocks, dilation doubling. Ours looks both ways in
time, since a walk is judged when it is over.

Reads Batch.points; yields logits (B, 34).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.domain.skeleton import POINTS
from childgait.models.batch import Batch, InputName
from childgait.models.dense_heads import ClipFeatures, steps_from_maps
from childgait.models.heads import set_prior_bias
from childgait.models.points import CHANNELS, body_centred

INPUTS = CHANNELS * len(POINTS)


class SequenceNetwork(nn.Module):
    """Normalised frames through `trunk` (B, T, F) -> (B, T, width), mean over time, linear head."""

    inputs: frozenset[InputName] = frozenset({"points"})
    maps_are_inputs = True

    def __init__(self, trunk: nn.Module, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(INPUTS)
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.feature_width = width
        self.head: nn.Module = nn.Linear(width, len(TARGETS))

    def set_prior_bias(self, prior: Tensor) -> None:
        """Begin at each target's share of atypical children."""
        set_prior_bias(self.head, prior)

    def maps(self, batch: Batch) -> Tensor:
        """(B, C, T, 23): the joints about the hips."""
        assert batch.points is not None
        return body_centred(batch.points)

    def answer(self, maps: Tensor, batch: Batch) -> Tensor:
        return self.head(self.dropout(self.frame_features(maps).mean(dim=1)))

    def frame_features(self, maps: Tensor) -> Tensor:
        """(B, T, width)."""
        frames = maps.permute(0, 1, 3, 2).flatten(1, 2)  # (B, C * 23, T)
        return self.trunk(self.norm(frames).transpose(1, 2))

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """The mean over frames, and over every two of them."""
        features = self.frame_features(self.maps(batch))
        return ClipFeatures(features.mean(dim=1), steps_from_maps(features, features.shape[1]))

    def replace_head(self, head: nn.Module) -> None:
        """Let `head` predict the items from clip features (B, feature_width)."""
        self.head = head

    def forward(self, batch: Batch) -> Tensor:
        return self.answer(self.maps(batch), batch)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.GRU] | type[nn.LSTM], width: int, dropout: float) -> None:
        super().__init__()
        self.cells = kind(INPUTS, width, num_layers=2, batch_first=True, bidirectional=True, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.cells(x)[0]


class TemporalBlock(nn.Module):
    def __init__(self, channels_in: int, channels: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        reach = (kernel - 1) // 2 * dilation

        def layer(before: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv1d(before, channels, kernel, padding=reach, dilation=dilation),
                nn.BatchNorm1d(channels),
                nn.ReLU(),
                nn.Dropout(dropout),
            )

        self.layers = nn.Sequential(layer(channels_in), layer(channels))
        self.shortcut: nn.Module = nn.Identity() if channels_in == channels else nn.Conv1d(channels_in, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layers(x) + self.shortcut(x))


class Tcn(nn.Module):
    def __init__(self, width: int, kernel: int, dropout: float, levels: int = 4) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(TemporalBlock(INPUTS if n == 0 else width, width, kernel, 2**n, dropout) for n in range(levels))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x.transpose(1, 2)).transpose(1, 2)


def gru(settings: Any, pixels: int) -> SequenceNetwork:
    chosen = settings.skeleton
    return SequenceNetwork(Recurrent(nn.GRU, chosen.width, chosen.dropout), 2 * chosen.width, chosen.dropout)


def lstm(settings: Any, pixels: int) -> SequenceNetwork:
    chosen = settings.skeleton
    return SequenceNetwork(Recurrent(nn.LSTM, chosen.width, chosen.dropout), 2 * chosen.width, chosen.dropout)


def tcn(settings: Any, pixels: int) -> SequenceNetwork:
    chosen = settings.skeleton
    return SequenceNetwork(Tcn(chosen.width, chosen.temporal_kernel, chosen.dropout), chosen.width, chosen.dropout)
