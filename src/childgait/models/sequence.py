"""Plain sequence networks on keypoints: GRU and LSTM (two layers, bidirectional) and a TCN.

Origin: the usual recurrent baselines; the TCN after Bai, Kolter, Koltun, "An Empirical Evaluation of Generic
Convolutional and Recurrent Networks for Sequence Modeling" (2018, arXiv 1803.01271): dilated residual blocks, dilation
doubling. Unlike the original it is not causal, because a walk is scored after it has ended.

Reads Batch.points; yields logits (B, 34).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.domain.skeleton import POINTS
from childgait.models.batch import Batch, InputName
from childgait.models.dense_heads import ClipFeatures, steps_from_maps
from childgait.models.network import Network
from childgait.models.point_inputs import PointInputs

if TYPE_CHECKING:
    from childgait.params import Finetune, Skeleton


MakeTrunk = Callable[[int], nn.Module]  # from the numbers per frame


class SequenceNetwork(Network):
    """Normalised frames through `trunk` (B, T, F) -> (B, T, width), mean over time, linear head."""

    inputs: frozenset[InputName] = frozenset({"points"})
    maps_are_inputs = True

    def __init__(self, settings: Skeleton, make_trunk: MakeTrunk, width: int) -> None:
        super().__init__()
        self.points = PointInputs(settings)
        numbers = self.points.channels * len(POINTS)
        trunk = make_trunk(numbers)
        self.norm = nn.BatchNorm1d(numbers)
        self.trunk = trunk
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(width, len(TARGETS))
        self.feature_width = width

    def maps(self, batch: Batch) -> Tensor:
        """Return the centred and scaled joints and their extras, (B, C, T, 23)."""
        assert batch.points is not None
        return self.points(batch.points)

    def frame_features(self, maps: Tensor) -> Tensor:
        """Return the trunk's output per frame, (B, T, width)."""
        frames = maps.permute(0, 1, 3, 2).flatten(1, 2)  # (B, C * 23, T)
        return self.trunk(self.norm(frames).transpose(1, 2))

    def logits_from_maps(self, maps: Tensor, batch: Batch) -> Tensor:
        return self.head(self.dropout(self.frame_features(maps).mean(dim=1)))

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """Return the mean over frames, and over every two of them."""
        features = self.frame_features(self.maps(batch))
        return ClipFeatures(features.mean(dim=1), steps_from_maps(features, features.shape[1]))


class RecurrentTrunk(nn.Module):
    """Two bidirectional recurrent layers, (B, T, F) to (B, T, 2 width)."""

    def __init__(self, kind: type[nn.GRU] | type[nn.LSTM], numbers: int, width: int, dropout: float) -> None:
        super().__init__()
        self.cells = kind(numbers, width, num_layers=2, batch_first=True, bidirectional=True, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.cells(x)[0]


class TemporalBlock(nn.Module):
    """Two dilated convolutions over time with a residual connection, (B, C, T) to (B, C', T)."""

    def __init__(self, channels_in: int, channels: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        padding = (kernel - 1) // 2 * dilation

        def layer(channels_before: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv1d(channels_before, channels, kernel, padding=padding, dilation=dilation),
                nn.BatchNorm1d(channels),
                nn.ReLU(),
                nn.Dropout(dropout),
            )

        self.layers = nn.Sequential(layer(channels_in), layer(channels))
        self.shortcut: nn.Module = nn.Identity() if channels_in == channels else nn.Conv1d(channels_in, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layers(x) + self.shortcut(x))


class TcnTrunk(nn.Module):
    """Blocks of doubling dilation, (B, T, F) to (B, T, width)."""

    def __init__(self, numbers: int, width: int, kernel: int, dropout: float, levels: int = 4) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(TemporalBlock(numbers if n == 0 else width, width, kernel, 2**n, dropout) for n in range(levels))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x.transpose(1, 2)).transpose(1, 2)


class Gru(SequenceNetwork):
    """Bidirectional GRU."""

    def __init__(self, settings: Skeleton) -> None:
        def make_trunk(numbers: int) -> RecurrentTrunk:
            return RecurrentTrunk(nn.GRU, numbers, settings.width, settings.dropout)

        super().__init__(settings, make_trunk, 2 * settings.width)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Gru:
        return cls(settings.skeleton)


class Lstm(SequenceNetwork):
    """Bidirectional LSTM."""

    def __init__(self, settings: Skeleton) -> None:
        def make_trunk(numbers: int) -> RecurrentTrunk:
            return RecurrentTrunk(nn.LSTM, numbers, settings.width, settings.dropout)

        super().__init__(settings, make_trunk, 2 * settings.width)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Lstm:
        return cls(settings.skeleton)


class Tcn(SequenceNetwork):
    """Temporal convolutional network."""

    def __init__(self, settings: Skeleton) -> None:
        def make_trunk(numbers: int) -> TcnTrunk:
            return TcnTrunk(numbers, settings.width, settings.temporal_kernel, settings.dropout)

        super().__init__(settings, make_trunk, settings.width)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Tcn:
        return cls(settings.skeleton)
