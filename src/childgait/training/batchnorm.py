"""What batch norms remember, the same for any number of processes.

A batch norm keeps a running mean and spread of the small batches it has seen, and judges by them. Each process sees
only its own small batches of a step, so they are shared, and every process takes all of them up in the batches' order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from childgait.training.distributed import Group


class Norms:
    """The batch norms of a network that several processes teach; one process alone needs no help."""

    def __init__(self, network: nn.Module, group: Group) -> None:
        found = [
            module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats
        ]
        self.norms, self.group = found if group.world > 1 else [], group
        self.before: list[Tensor] = []
        self.counts: list[Tensor] = []  # of small batches ever seen
        self.seen: list[Tensor] = []  # (batches, channels) beside each of `before`

    def running(self) -> list[Tensor]:
        return [kept for norm in self.norms for kept in (norm.running_mean, norm.running_var) if kept is not None]

    def counted(self) -> list[Tensor]:
        return [norm.num_batches_tracked for norm in self.norms if norm.num_batches_tracked is not None]

    def begin(self, batches: int) -> None:
        """A step of so many small batches, those of all processes together."""
        self.before = [kept.clone() for kept in self.running()]
        self.counts = [count + batches for count in self.counted()]
        self.seen = [kept.new_zeros(batches, len(kept)) for kept in self.before]

    @contextmanager
    def of_batch(self, number: int) -> Iterator[None]:
        """Within it the network sees small batch `number` of the step."""
        shares = [norm.momentum for norm in self.norms]
        for norm in self.norms:
            norm.momentum = 1.0  # what is remembered afterwards is this batch alone
        yield
        for norm, share in zip(self.norms, shares, strict=True):
            norm.momentum = share
        for seen, kept in zip(self.seen, self.running(), strict=True):
            seen[number] = kept

    def take_up(self) -> None:
        """All of the step's small batches, as one process would have met them."""
        if not self.norms:
            return
        self.group.sum(self.seen)
        shares = [norm.momentum for norm in self.norms for _ in ("mean", "variance")]
        for kept, value, seen, share in zip(self.running(), self.before, self.seen, shares, strict=True):
            assert share is not None, "a mean over all batches ever is not what any network here keeps"
            for batch in seen:
                value = (1 - share) * value + share * batch
            kept.copy_(value)
        for count, reached in zip(self.counted(), self.counts, strict=True):
            count.copy_(reached)
