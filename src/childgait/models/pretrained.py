"""Checkpoints of pre-training on synthetic walks: one safetensors file and its JSON description beside it.

The file holds the network without its item head, the measures' head and the scale of the measures; floating-point
weights are bf16, which halves the file and costs nothing measurable after fine-tuning. The description states what the
network read and what it was trained on; a study whose settings differ is refused, because the weights would still
load and silently mean something else (another frame step, another drawing).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.files.pretrained import NetworkInputs, PretrainingDescription, read_description, study_values
from childgait.models.checkpoints import check_state
from childgait.models.dense_heads import PretrainingModel
from childgait.models.item_heads import MeasuresHead

if TYPE_CHECKING:
    from childgait.models.network import Network
    from childgait.params import Finetune


@dataclass(frozen=True)
class Pretrained:
    """A checkpoint in memory."""

    path: Path
    description: PretrainingDescription
    tensors: dict[str, Tensor]


def describe_network(network: Network, settings: Finetune, pixels: int, frame_step: int) -> NetworkInputs:
    """Return all settings that shape the network or its input, by the keys of files.pretrained.SETTINGS."""
    keys = {"frames", "frame_step", "head_hidden"}
    if network.packing is not None:
        keys |= {"pixels", "size", "prompt", "prune", "positions"}
        if settings.encoder.prompt == "drawn":
            keys.add("drawing")
    elif "frames" in network.inputs:
        keys |= {"pixels", "cnn_width"}
    else:
        keys |= {"skeleton_width", "temporal_kernel", "skeleton_extra", "skeleton_attention"}
    return study_values(keys, settings, pixels) | {"frame_step": frame_step}


def tensors_of(model: PretrainingModel, measure_scale: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint: `network.…`, and with a scale of the measures `measures.…` and `scale.…`."""
    network = {f"network.{name}": value for name, value in model.network.trunk_state().items()}
    head = model.heads.measures.state_dict() if measure_scale else {}
    measures = {f"measures.{name}": value for name, value in head.items()}
    halved = {
        name: value.to(torch.bfloat16) if value.dtype == torch.float32 else value
        for name, value in (network | measures).items()
    }
    scale = {f"scale.{name}": torch.from_numpy(np.asarray(value, np.float32)) for name, value in measure_scale.items()}
    return {name: value.detach().cpu().contiguous() for name, value in (halved | scale).items()}


def read_pretrained(weights: Path) -> Pretrained:
    """Read a checkpoint; fail if its sha256 is not that of its description."""
    from childgait.models.checkpoints import read_state

    if not weights.is_file():
        raise StepError(f"there is no checkpoint {weights}", hint="run the stage pretrain, or check finetune.weights")
    description = read_description(weights)
    digest = sha256(weights)
    if digest != description.sha256:
        raise StepError(
            f"{weights} has the sha256 {digest}, its description {description.sha256}",
            hint="the two files are of two runs: restore both, or pre-train again",
        )
    return Pretrained(weights, description, read_state(weights))


def load_pretrained(network: Network, checkpoint: Pretrained) -> None:
    """Fill everything but the item head; a measures head gets the pre-trained one and starts at the guide's bands."""
    state = {name: value.float() if value.is_floating_point() else value for name, value in checkpoint.tensors.items()}
    own = network.trunk_state()
    loaded = _part(state, "network.")
    hint = "it is of another network; pre-train this one (pretrain.models)"
    check_state(checkpoint.path, loaded, own, type(network).__name__, hint)
    network.load_state_dict(loaded, strict=False)
    heads = [part for part in network.modules() if isinstance(part, MeasuresHead)]
    measures = _part(state, "measures.")
    for head in heads:
        if not measures:
            raise StepError(
                f"{checkpoint.path} has no measures' head, which finetune.head: measures reads",
                hint="pre-train again, or set finetune.head to linear or mlp",
            )
        head.measures.load_state_dict(measures)
        head.start_at_bands(state["scale.measure_mean"], state["scale.measure_deviation"])


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
