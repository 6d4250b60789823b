"""The state of a training run in one safetensors file: weights, moving average, optimizer, history. No pickle.

The file is written as a whole or not at all, and is resumed only by the same run: `fingerprint` stands for its data,
params and code. Random numbers need no state here, because every draw is seeded by its epoch and step.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from childgait.files.atomic import atomic_outputs
from childgait.files.hashes import sha256, sha256_of_text
from childgait.params import Finetune

log = logging.getLogger("childgait")


@dataclass
class State:
    """The values that change during training."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: nn.Module | None  # the network with the moving average of the weights (EMA), if there is one
    epoch: int = 0  # epochs that are done
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None
    best: dict[str, Tensor] = field(default_factory=dict)  # its weights, if params keep the best epoch

    def ema_network(self) -> nn.Module:
        """Return the network that is validated and kept."""
        return self.network if self.average is None else self.average


def _tensors(state: State) -> dict[str, Tensor]:
    """Return all tensors of the state, by prefixed name."""
    tensors = {f"network.{name}": value for name, value in state.network.state_dict().items()}
    if state.average is not None:
        tensors |= {f"average.{name}": value for name, value in state.average.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in state.best.items()}
    for number, slots in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in slots.items()}
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def save(path: Path, state: State, fingerprint: str) -> None:
    """Write the state."""
    from safetensors.torch import save_file

    place = {
        "fingerprint": fingerprint,
        "epoch": state.epoch,
        "history": state.history,
        "best_epoch": state.best_epoch,
    }
    with atomic_outputs([path]) as partial:
        save_file(_tensors(state), partial[path], metadata={"place": json.dumps(place)})


def restore(path: Path, state: State, fingerprint: str) -> None:
    """Resume from the file; a file of another run, or a damaged one, is logged and not used."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return
    try:
        with safe_open(path, framework="pt") as stream:
            place = json.loads(stream.metadata()["place"])
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        log.warning("the checkpoint %s cannot be read (%s): training starts from the beginning", path, error)
        return
    if place["fingerprint"] != fingerprint:
        log.info("the checkpoint %s is of other data, params or code: training starts from the beginning", path)
        return
    _load(state, tensors)
    state.epoch, state.history, state.best_epoch = place["epoch"], place["history"], place["best_epoch"]
    log.info("resumed from %s after epoch %d", path, state.epoch)


def _load(state: State, tensors: dict[str, Tensor]) -> None:
    def part(name: str) -> dict[str, Tensor]:
        return {key.removeprefix(name + "."): value for key, value in tensors.items() if key.startswith(name + ".")}

    state.network.load_state_dict(part("network"))
    if state.average is not None:
        state.average.load_state_dict(part("average"))
    state.best = part("best")
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in part("optimizer").items():
        number, name = key.split(".", 1)
        slots.setdefault(int(number), {})[name] = value
    param_groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": slots, "param_groups": param_groups})


def run_fingerprint(
    name: str,
    fold: str,
    seed: int,
    settings: Finetune,
    tables: list[Path],
    clips: list[Path],
    pretrained: list[Path] | None,
    code: dict[str, str],
) -> str:
    """Return a hash of model, settings, data and code, which a checkpoint must have to be resumed."""
    arrays = sorted(
        path for clip in clips for path in clip.parent.glob(clip.name.removesuffix(".clip.json") + ".*.npy")
    )
    stamps = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in arrays]
    inputs = [
        name,
        fold,
        seed,
        settings.of_run().model_dump(mode="json"),
        [sha256(p) for p in [*tables, *clips, *(pretrained or [])]],
        stamps,
        code,
    ]
    return sha256_of_text(json.dumps(inputs, sort_keys=True))
