"""What networks on whole frames share: colours as their weights expect them, a head that starts at no opinion, and
published weights read strictly.

A network here is `maps(batch)` (B, C, t, h, w), what its last convolution sees, and `answer(maps, batch)` (B, 34), what it says
of it; whoever explains it (training/gradcam.py) stands between the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.errors import StepError
from childgait.models.batch import Batch, InputName
from childgait.models.dense_heads import ClipFeatures, steps_from_maps
from childgait.models.heads import last_layer, set_prior_bias

MEAN, DEVIATION = (
    (0.43216, 0.394666, 0.37645),
    (0.22803, 0.22145, 0.216989),
)  # Kinetics-400, RGB of 0 to 1 (torchvision)


class FrameNetwork(nn.Module):
    """A trunk of convolutions over space and time, and a head."""

    inputs: frozenset[InputName] = frozenset({"frames"})
    stages: tuple[str, ...] = ()  # of `trunk`, in order, for layer-wise learning rates and freezing
    mean: Tensor
    deviation: Tensor

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(3, 1, 1, 1), persistent=False)
        self.register_buffer("deviation", 255 * torch.tensor(DEVIATION).view(3, 1, 1, 1), persistent=False)

    def set_prior_bias(self, prior: Tensor) -> None:
        """Begin at each target's share of atypical children."""
        set_prior_bias(last_layer(self.head), prior)

    def pixels(self, batch: Batch) -> Tensor:
        """(B, 3, T, S, S), normalised."""
        assert batch.frames is not None
        return ((batch.frames.permute(0, 4, 1, 2, 3) - self.mean) / self.deviation).contiguous()

    def maps(self, batch: Batch) -> Tensor:
        return self.trunk(self.pixels(batch))

    def answer(self, maps: Tensor, batch: Batch) -> Tensor:
        return self.head(maps)

    def forward(self, batch: Batch) -> Tensor:
        return self.answer(self.maps(batch), batch)

    @property
    def feature_width(self) -> int:
        """Channels of the last feature map."""
        convolutions = [part for part in self.trunk.modules() if isinstance(part, nn.Conv3d)]
        return convolutions[-1].out_channels

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """The mean over the feature maps, and over each time step of theirs."""
        maps = self.maps(batch)
        assert batch.frames is not None
        over_space = maps.mean(dim=(3, 4)).transpose(1, 2)
        return ClipFeatures(over_space.mean(dim=1), steps_from_maps(over_space, batch.frames.shape[1]))

    def replace_head(self, head: nn.Module) -> None:
        """Let `head` predict the items from clip features (B, feature_width)."""
        self.head = nn.Sequential(MeanOverMaps(), head)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """For timm's layer decay: the stages in order, the head last, at the full rate."""
        return {
            "stem": rf"^trunk\.{self.stages[0]}",
            "blocks": [(rf"^trunk\.{s}", (n,)) for n, s in enumerate(self.stages)],
        }

    def layer_of(self, parameter: str) -> int:
        part = parameter.split(".")
        return self.stages.index(part[1]) if part[0] == "trunk" else len(self.stages)


def load_published(network: FrameNetwork, path: Path, expected_sha256: str) -> None:
    """Fill the trunk from a state dict under torchvision's names; only the file's own last layer is left aside."""
    from childgait.models.checkpoints import check_sha256, read_state

    check_sha256(path, expected_sha256)
    state = {name.removeprefix("module."): value for name, value in read_state(path).items()}
    found = {name: value for name, value in state.items() if not name.startswith("fc.")}
    wanted = network.trunk.state_dict()
    problems = [f"missing: {name}" for name in wanted if name not in found]
    problems += [f"unknown: {name}" for name in found if name not in wanted]
    problems += [
        f"{name} is {list(found[name].shape)}, not {list(value.shape)}"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]
    if problems:
        more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise StepError(
            f"{path} does not fit {type(network).__name__}: {'; '.join(problems[:4])}{more}",
            hint="give torchvision's weights of the same network, and set finetune.cnn.width to 64, as published",
        )
    network.trunk.load_state_dict(found)


class MeanOverMaps(nn.Module):
    """(B, C, t, h, w) to (B, C)."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(3, 4)).mean(dim=2)


class Pooled(nn.Module):
    """The usual head: the mean over space and time, dropout, a linear layer."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, len(TARGETS))

    def forward(self, maps: Tensor) -> Tensor:
        return self.linear(self.dropout(maps.mean(dim=(2, 3, 4))))
