"""The processes that train together: one by itself, or those that torchrun started, by its environment.

Gradients are summed, not averaged: the loss is already divided by the clips of the whole step, so two processes with
half of the clips each give the numbers of one process with all of them. They are sent in buckets, those of the last
layers while the backward pass still computes the first ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from childgait.training.precision import check_gpu

TIMEOUT = timedelta(minutes=60)  # a process may wait for others that still load their first batch from a slow disk
BUCKET = 25 * 2**20  # bytes of gradients that are sent together, as in torch's DistributedDataParallel


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

    def sum_array(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of an array over all processes."""
        if self.world == 1:
            return array
        total = torch.from_numpy(array).to(self.device)
        torch.distributed.all_reduce(total)
        return np.asarray(total.cpu().numpy())

    def broadcast(self, number: float) -> float:
        """Return the leading process's number in every process."""
        if self.world == 1:
            return number
        value = torch.tensor([number], dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(value, src=0)
        return float(value)


@dataclass
class Bucket:
    """Parameters whose gradients are sent together, and the state of that."""

    parameters: list[nn.Parameter]
    waiting: int = 0  # gradients that the last backward pass of the step has still to add to
    flat: Tensor | None = None
    work: Any = None  # handle of the running sum

    def send(self) -> None:
        """Start to sum the gradients over the processes."""
        self.flat = torch.cat(
            [parameter.grad.reshape(-1) for parameter in self.parameters if parameter.grad is not None]
        )
        self.work = torch.distributed.all_reduce(self.flat, async_op=True)

    def receive(self) -> None:
        """Wait for the sums and write them into the gradients."""
        assert self.flat is not None
        self.work.wait()
        sizes = [parameter.numel() for parameter in self.parameters]
        for parameter, total in zip(self.parameters, self.flat.split(sizes), strict=True):
            assert parameter.grad is not None
            parameter.grad.copy_(total.view_as(parameter))
        self.flat = self.work = None


class GradientSum:
    """Sums the gradients of the trained parameters over all processes; with one process there is nothing to do.

    Buckets are filled from the last parameter to the first, as the backward pass does, and are sent in that order,
    which is the same in every process, also in one without a micro-batch in the step. A missing gradient counts as 0.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], group: Group) -> None:
        self.parameters, self.buckets = parameters, list[Bucket]()
        self.sent, self.overlaps = 0, False
        if group.world == 1:
            return
        filled = BUCKET
        for parameter in reversed(parameters):
            own = parameter.numel() * parameter.element_size()
            if filled + own > BUCKET:
                self.buckets.append(Bucket([]))
                filled = 0
            self.buckets[-1].parameters.append(parameter)
            filled += own
        self.handles = [
            parameter.register_post_accumulate_grad_hook(self._hook(bucket))
            for bucket in self.buckets
            for parameter in bucket.parameters
        ]

    def before_last_backward(self) -> None:
        """Send each bucket as soon as the backward pass that follows has added to all of its gradients."""
        self.overlaps = True
        for bucket in self.buckets:
            bucket.waiting = len(bucket.parameters)

    def send_rest(self) -> None:
        """Send the buckets that are not sent yet; collective operations that follow come last in every process."""
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in self.buckets[self.sent :]:
            bucket.send()
        self.sent = len(self.buckets)

    def finish(self) -> None:
        """Send what is not sent yet, and wait for all sums."""
        self.send_rest()
        for bucket in self.buckets:
            bucket.receive()
        self.sent, self.overlaps = 0, False

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self.handles if self.buckets else ():
            handle.remove()

    def _hook(self, bucket: Bucket) -> Any:
        def gradient_is_added(parameter: Tensor) -> None:
            if not self.overlaps:
                return
            bucket.waiting -= 1
            while self.sent < len(self.buckets) and self.buckets[self.sent].waiting == 0:
                self.buckets[self.sent].send()
                self.sent += 1

        return gradient_is_added


def join_group(device: str) -> Group:
    """Join the processes that torchrun started; a single process joins none."""
    check_gpu(device)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Group(0, 1, device)
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    on_gpu = device.startswith("cuda")
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo", timeout=TIMEOUT, device_id=torch.device(device) if on_gpu else None
    )
    return Group(torch.distributed.get_rank(), world, device)


def leave_group(group: Group) -> None:
    if group.world > 1:
        torch.distributed.destroy_process_group()
