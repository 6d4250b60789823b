"""What networks on whole frames share: input normalisation, a trunk with a head, and strict reading of published
weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.models.batch import Batch, InputName
from childgait.models.dense_heads import ClipFeatures, steps_from_maps
from childgait.models.hierarchical_pooling import hierarchical_head
from childgait.models.network import LayerPatterns, Network

if TYPE_CHECKING:
    from childgait.params import Finetune

# Kinetics-400, RGB of 0 to 1 (torchvision)
MEAN = (0.43216, 0.394666, 0.37645)
DEVIATION = (0.22803, 0.22145, 0.216989)


class FrameNetwork(Network):
    """A trunk of convolutions over space and time, (B, 3, T, S, S) to (B, C, t, h, w), and a head on its output."""

    inputs: frozenset[InputName] = frozenset({"frames"})
    stages: tuple[str, ...] = ()  # of `trunk`, in order, for layer-wise learning rates and freezing
    mean: Tensor
    deviation: Tensor

    def __init__(self, trunk: nn.Module, head: nn.Module, feature_width: int) -> None:
        super().__init__()
        self.trunk, self.head, self.feature_width = trunk, head, feature_width
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(3, 1, 1, 1), persistent=False)
        self.register_buffer("deviation", 255 * torch.tensor(DEVIATION).view(3, 1, 1, 1), persistent=False)

    def pixels(self, batch: Batch) -> Tensor:
        """Return the normalised frames (B, 3, T, S, S)."""
        assert batch.frames is not None
        return ((batch.frames.permute(0, 4, 1, 2, 3) - self.mean) / self.deviation).contiguous()

    def maps(self, batch: Batch) -> Tensor:
        """Return the output of the last convolution, (B, C, t, h, w)."""
        return self.trunk(self.pixels(batch))

    def logits_from_maps(self, maps: Tensor, batch: Batch) -> Tensor:
        return self.head(maps)

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """Return the mean over the maps, and over those of each time step."""
        maps = self.maps(batch)
        assert batch.frames is not None
        over_space = maps.mean(dim=(3, 4)).transpose(1, 2)
        return ClipFeatures(over_space.mean(dim=1), steps_from_maps(over_space, batch.frames.shape[1]))

    def replace_head(self, head: nn.Module) -> None:
        self.head = nn.Sequential(MeanOverMaps(), head)

    def pool_hierarchically(self, settings: Finetune) -> None:
        self.head = hierarchical_head(self.feature_width, settings.cnn.width, settings.cnn.dropout)

    def group_matcher(self, coarse: bool = False) -> LayerPatterns:
        """Return timm's patterns: the stages in order, the head last, at the full learning rate."""
        return {
            "stem": rf"^trunk\.{self.stages[0]}",
            "blocks": [(rf"^trunk\.{s}", (n,)) for n, s in enumerate(self.stages)],
        }

    def layer_of(self, parameter: str) -> int:
        part = parameter.split(".")
        return self.stages.index(part[1]) if part[0] == "trunk" else len(self.stages)


def load_trunk(network: FrameNetwork, path: Path, expected_sha256: str) -> None:
    """Load the trunk from a state dict with torchvision's names; only the file's own classifier (`fc.`) is left out."""
    from childgait.models.checkpoints import check_checkpoint, check_state, read_state

    check_checkpoint(path, expected_sha256)
    state = {name.removeprefix("module."): value for name, value in read_state(path).items()}
    trunk_state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    expected = network.trunk.state_dict()
    hint = "give torchvision's weights of the same network, and set finetune.cnn.width to 64, as published"
    check_state(path, trunk_state, expected, type(network).__name__, hint)
    network.trunk.load_state_dict(trunk_state)


class MeanOverMaps(nn.Module):
    """(B, C, t, h, w) to (B, C)."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(3, 4)).mean(dim=2)


class PooledHead(nn.Module):
    """The usual head: mean over space and time, dropout, a linear layer."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, len(TARGETS))

    def forward(self, maps: Tensor) -> Tensor:
        return self.linear(self.dropout(maps.mean(dim=(2, 3, 4))))
