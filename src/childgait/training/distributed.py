"""The processes that train together: one by itself, or those that torchrun started, by its environment.

Gradients are summed, not averaged, in one flat buffer: the loss is already divided by the clips of the whole step, so
two processes with half of the clips each give the numbers of one process with all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from childgait.errors import StepError


@dataclass(frozen=True)
class Group:
    """This process among those that train together."""

    rank: int
    world: int
    device: str

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes."""
        return self.rank == 0

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Sum each tensor over all processes, in place."""
        if self.world == 1:
            return
        parts = list(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in parts])
        torch.distributed.all_reduce(flat)
        for tensor, total in zip(parts, flat.split([tensor.numel() for tensor in parts]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def broadcast(self, number: float) -> float:
        """Return the leading process's number in every process."""
        if self.world == 1:
            return number
        value = torch.tensor([number], dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(value, src=0)
        return float(value)


def join_group(device: str) -> Group:
    """Join the processes that torchrun started; a single process joins none."""
    if device == "cuda" and not torch.cuda.is_available():
        raise StepError("finetune.device is cuda, but torch finds no GPU here", hint="set finetune.device to cpu")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Group(0, 1, device)
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Group(torch.distributed.get_rank(), world, device)


def leave_group(group: Group) -> None:
    if group.world > 1:
        torch.distributed.destroy_process_group()
