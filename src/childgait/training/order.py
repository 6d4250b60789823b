"""The order of training: which clips form a batch, and which seed each micro-batch draws from.

Nothing depends on the number of processes: micro-batch k of a batch belongs to process k modulo their number and draws
from (seed, epoch, step, k).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Sampler

from childgait.training.distributed import Group
from childgait.training.precision import autocast_context

if TYPE_CHECKING:
    from childgait.params import Finetune


@dataclass(frozen=True)
class StepClips:
    """The clips of one optimizer step, and the micro-batches of them that this process computes, by their number."""

    clips: list[int]
    micro_batches: list[tuple[int, list[int]]]


class MicroBatchSampler(Sampler[list[tuple[int, int]]]):
    """Yields this process's micro-batches of an epoch as (epoch, clip) pairs, in a seeded order. Set `epoch` before.

    Micro-batch k of a step belongs to process k modulo their number, so a step is divided alike for any number of them.
    """

    def __init__(self, count: int, batch_size: int, micro_batch_size: int, seed: int, group: Group) -> None:
        self.count, self.seed, self.group = count, seed, group
        self.batch_size, self.micro_batch_size = batch_size, micro_batch_size
        self.epoch = 0

    @property
    def steps(self) -> int:
        """Optimizer steps per epoch."""
        return math.ceil(self.count / self.batch_size)

    def plan(self) -> list[StepClips]:
        """Return the steps of the epoch."""
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count).tolist()
        return [self.divide(order[start : start + self.batch_size]) for start in range(0, self.count, self.batch_size)]

    def divide(self, clips: list[int]) -> StepClips:
        """Divide a step's clips into micro-batches and select this process's."""
        starts = range(0, len(clips), self.micro_batch_size)
        batches = [clips[start : start + self.micro_batch_size] for start in starts]
        own = [(k, batch) for k, batch in enumerate(batches) if k % self.group.world == self.group.rank]
        return StepClips(clips, own)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in self.plan():
            for _, batch in step.micro_batches:
                yield [(self.epoch, index) for index in batch]

    def __len__(self) -> int:
        return sum(len(step.micro_batches) for step in self.plan())


def steps_of(loader: Any, sampler: MicroBatchSampler) -> Iterator[tuple[list[int], Iterator[tuple[int, Any]]]]:
    """Yield an epoch's steps: the clips of each, and this process's loaded micro-batches with their number."""
    batches = iter(loader)
    for step in sampler.plan():
        yield step.clips, ((number, next(batches)) for number, _ in step.micro_batches)


def with_last(batches: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any, bool]]:
    """Yield each numbered micro-batch with whether it is the last, which is why one is read ahead."""
    previous = next(batches, None)
    while previous is not None:
        following = next(batches, None)
        yield *previous, following is None
        previous = following


def autocast(settings: Finetune, device: str) -> AbstractContextManager[Any]:
    """Return bf16 autocast where the settings, whose precision is resolved, state it."""
    assert settings.precision != "auto", "resolve_precision comes first"
    return autocast_context("bf16" if settings.precision == "bf16" else "fp32", device)


def derive_seed(*numbers: int) -> int:
    """Return one seed for several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
