"""The order of training: which clips form a batch, and which seed each micro-batch draws from.

Nothing depends on the number of processes: micro-batch k of a batch belongs to process k modulo their number and draws
from (seed, epoch, step, k).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Sampler

from childgait.training.distributed import Group

if TYPE_CHECKING:
    from childgait.params import Finetune

POOL_CURVES = ("consistency", "pseudo_loss", "accepted")  # of a mean teacher: two losses, the share of answers taken


class Visits(Sampler[list[tuple[int, int]]]):
    """An epoch's clips in a seeded order, cut into steps and these into small batches; this process's share of them.

    Small batch k of a step belongs to process k modulo their number, so a step is cut alike for any number of them.
    """

    def __init__(self, count: int, batch_size: int, micro_batch_size: int, seed: int, group: Group) -> None:
        self.count, self.a_step, self.at_once, self.seed, self.group = count, batch_size, micro_batch_size, seed, group
        self.epoch = 0

    @property
    def steps(self) -> int:
        return math.ceil(self.count / self.a_step)

    def plan(self) -> list[tuple[list[int], list[tuple[int, list[int]]]]]:
        """For every step, its clips, and this process's small batches with their number."""
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count).tolist()
        return [self.cut(order[start : start + self.a_step]) for start in range(0, self.count, self.a_step)]

    def cut(self, clips: list[int]) -> tuple[list[int], list[tuple[int, list[int]]]]:
        """A step's clips, and this process's small batches of them."""
        batches = [clips[i : i + self.at_once] for i in range(0, len(clips), self.at_once)]
        return clips, [(k, batch) for k, batch in enumerate(batches) if k % self.group.world == self.group.rank]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for _, mine in self.plan():
            for _, batch in mine:
                yield [(self.epoch, index) for index in batch]

    def __len__(self) -> int:
        return sum(len(mine) for _, mine in self.plan())


def steps_of(loader: Any, visits: Visits) -> Iterator[tuple[list[int], Iterator[tuple[int, Any]]]]:
    """An epoch's steps: the clips of each, and this process's small batches with their number."""
    batches = iter(loader)
    for clips, mine in visits.plan():
        yield clips, ((number, next(batches)) for number, _ in mine)


def autocast(settings: Finetune, device: str) -> Any:
    """bf16 autocast where params ask for it and the device has it."""
    if settings.precision == "bf16" and device.startswith("cuda"):
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def derive_seed(*numbers: int) -> int:
    """One seed of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
