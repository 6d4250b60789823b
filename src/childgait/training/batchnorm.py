"""Running statistics of batch norms, the same for any number of processes.

A batch norm keeps a running mean and variance of the micro-batches of its process, and inference uses them. In
training of several processes the statistics of all micro-batches of a step are shared, and every process updates its
running values with all of them in the order of the micro-batches. The forward pass stays per micro-batch (unlike
torch's SyncBatchNorm).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from childgait.training.distributed import Group


class RunningStatistics:
    """The running statistics of a network's batch norms; with one process there is nothing to share."""

    def __init__(self, network: nn.Module, group: Group) -> None:
        norms = [
            module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats
        ]
        self.norms, self.group = norms if group.world > 1 else [], group
        self.before: list[Tensor] = []  # values at the start of the step
        self.counts: list[Tensor] = []  # of all micro-batches so far
        self.of_batches: list[Tensor] = []  # (micro-batches, channels) for each of `before`

    def running(self) -> list[Tensor]:
        return [value for norm in self.norms for value in (norm.running_mean, norm.running_var) if value is not None]

    def counters(self) -> list[Tensor]:
        return [norm.num_batches_tracked for norm in self.norms if norm.num_batches_tracked is not None]

    def begin_step(self, micro_batches: int) -> None:
        """Begin a step of this many micro-batches over all processes."""
        self.before = [value.clone() for value in self.running()]
        self.counts = [count + micro_batches for count in self.counters()]
        self.of_batches = [value.new_zeros(micro_batches, len(value)) for value in self.before]

    @contextmanager
    def of_batch(self, number: int) -> Iterator[None]:
        """Record the statistics of micro-batch `number`, whose forward pass runs within the context."""
        momenta = [norm.momentum for norm in self.norms]
        for norm in self.norms:
            norm.momentum = 1.0  # the running values become those of this micro-batch alone
        yield
        for norm, momentum in zip(self.norms, momenta, strict=True):
            norm.momentum = momentum
        for rows, value in zip(self.of_batches, self.running(), strict=True):
            rows[number] = value

    def end_step(self) -> None:
        """Update the running values with all micro-batches of the step, as a single process would."""
        if not self.norms:
            return
        self.group.sum(self.of_batches)
        momenta = [norm.momentum for norm in self.norms for _ in ("mean", "variance")]
        for running, value, rows, momentum in zip(self.running(), self.before, self.of_batches, momenta, strict=True):
            assert momentum is not None, "no network here averages over all batches (momentum None)"
            for row in rows:
                value = (1 - momentum) * value + momentum * row
            running.copy_(value)
        for counter, count in zip(self.counters(), self.counts, strict=True):
            counter.copy_(count)
