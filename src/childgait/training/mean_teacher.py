"""A teacher for clips whose scores nobody knows: the moving average of the network that learns.

Origin: Tarvainen and Valpola, "Mean teachers are better role models" (2017), as AGRM uses it (Bioengineering 13(3):272,
2026): the teacher judges a weakly changed view of a clip, the student a strongly changed one of the same; the student
is drawn to the teacher's probabilities (both classes' squared differences) and, where answers are sure, to them as
labels. Both terms have the weight `ramp` gives; both are only taken over the items that the clip's view shows.

Reads clips of a pool of their own and a network with its average; adds to the network's gradients. Nothing here knows a
score. Which clips may be in the pool is decided and checked in the step and its rule: never a test child's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from childgait.models.batch import Batch
from childgait.models.network import Network
from childgait.params import Augmentation
from childgait.training.augmentation import Window, draw_changes
from childgait.training.batchnorm import Norms
from childgait.training.distributed import Group
from childgait.training.optim import loss_of_clips
from childgait.training.order import POOL_CURVES, Visits, autocast, derive_seed, steps_of
from childgait.training.windows import Sample, Windows, collate, starts_of, worker_options

if TYPE_CHECKING:
    from childgait.params import Finetune
    from childgait.params import MeanTeacher as Settings

_STREAM = 1  # beside the numbers of labelled visits, so that neither moves the other's draws


def ramp(epoch: int, how: Settings) -> float:
    """The weight of the pool's loss: linear from 0 at the first epoch to `weight` after `ramp_epochs`; 0 before the
    pool comes in."""
    return 0.0 if epoch < how.supervised_epochs else how.weight * min(epoch / how.ramp_epochs, 1.0)


def teach(
    student: Tensor, teacher: Tensor, shown: Tensor, weights: Tensor, how: Settings
) -> tuple[Tensor, Tensor, Tensor]:
    """(B,) each: how far the student is from the teacher, its loss on what they are sure of, the share of such answers.

    `shown` (B, 34) is true where the clip's view shows the item.
    """
    theirs, own = teacher.float().sigmoid().detach(), student.float().sigmoid()
    seen = shown.sum(dim=1).clamp(min=1)
    apart = (2 * (theirs - own) ** 2 * shown).sum(dim=1) / seen  # of both classes' probabilities, which differ alike
    label = theirs > 0.5
    sure = shown & (torch.maximum(theirs, 1 - theirs) > how.confidence)
    if how.sure == "both":
        sure &= (torch.maximum(own, 1 - own) > how.confidence) & ((own > 0.5) == label)
    labels = torch.where(sure, label.float(), torch.nan)
    return apart, loss_of_clips(student, labels, weights), (sure.sum(dim=1) / seen).detach()


class TwoViews(Dataset[tuple[Sample, Sample]]):
    """Of every clip what the teacher sees and what the student sees. Both are mirrored or neither: left stays left."""

    def __init__(self, windows: Windows, flip: float, how: Settings) -> None:
        self.windows, self.how = windows, how
        self.weak = Augmentation(flip=flip, scale=0.0, shift=how.weak_shift, colour=0.0, time=0.0)
        self.strong = Augmentation(flip=0.0, scale=how.scale, shift=how.shift, colour=how.colour, time=how.time)

    def __len__(self) -> int:
        return len(self.windows.clips)

    def __getitem__(self, visit: tuple[int, int]) -> tuple[Sample, Sample]:
        epoch, row = visit
        rng = np.random.default_rng([self.windows.seed, epoch, row, _STREAM])
        starts = starts_of(
            self.windows.clips[row],
            self.windows.loading.frames,
            self.windows.anchor,
            self.windows.loading.frame_step,
        )
        start = int(starts[rng.integers(len(starts))])
        weak, strong = draw_changes(self.weak, rng), draw_changes(self.strong, rng)
        later = int(np.clip(start + rng.integers(-self.how.jitter_frames, self.how.jitter_frames + 1), 0, starts[-1]))
        strong = replace(strong, flip=weak.flip)
        rough = roughen_with(self.how, rng)
        return self.windows.sample(row, start, weak), self.windows.sample(row, later, strong, rough)


def roughen_with(how: Settings, rng: np.random.Generator) -> Any:
    """Noise on the colours, and a rectangle wiped out of pixels, mask and points alike, the same in every frame."""
    sides, corner, key = rng.random(2) * how.erase, rng.random(2), int(rng.integers(2**32))

    def roughen(window: Window) -> Window:
        size = window.size
        high, wide = (round(float(side) * size) for side in sides)
        top, left = int(corner[0] * (size - high + 1)), int(corner[1] * (size - wide + 1))
        frames, masks, points = window.frames, window.masks, window.points
        if frames is not None:
            noise = np.random.default_rng(key).normal(0, 255 * how.noise, frames.shape)
            frames = np.clip(frames + noise, 0, 255).astype(np.uint8)
            frames[:, top : top + high, left : left + wide] = 128
        if masks is not None:
            masks = masks.copy()
            masks[:, top : top + high, left : left + wide] = False
        if points is not None:
            points = points.copy()
            x, y = points[..., 0], points[..., 1]
            inside = (x >= left) & (x < left + wide) & (y >= top) & (y < top + high)
            points[inside] = (np.nan, np.nan, 0.0)
        return replace(window, frames=frames, masks=masks, points=points)

    return roughen


def collate_pairs(pairs: list[tuple[Sample, Sample]]) -> tuple[Batch, Batch]:
    weak, strong = zip(*pairs, strict=True)
    return collate(list(weak)), collate(list(strong))


class PoolVisits(Visits):
    """As many steps as the labelled clips have; the pool's clips go round, in a new order every time."""

    wanted = 0  # steps an epoch

    def plan(self) -> list[tuple[list[int], list[tuple[int, list[int]]]]]:
        needed, turn = self.wanted * self.a_step, 0
        order: list[int] = []
        while len(order) < needed:
            order += np.random.default_rng([self.seed, self.epoch, turn, _STREAM]).permutation(self.count).tolist()
            turn += 1
        return [self.cut(order[start : start + self.a_step]) for start in range(0, needed, self.a_step)]


class MeanTeacher:
    """The pool's part of every step. The teacher itself is the loop's moving average."""

    def __init__(
        self, views: TwoViews, weights: NDArray[np.float32], settings: Finetune, seed: int, group: Group
    ) -> None:
        self.settings, self.how, self.seed, self.group = settings, settings.mean_teacher, seed, group
        self.weights = torch.from_numpy(weights).to(group.device)
        self.visits = PoolVisits(len(views), self.how.batch_size, settings.micro_batch_size, seed, group)
        self.loader: DataLoader[Any] = DataLoader(
            views,
            batch_sampler=self.visits,
            collate_fn=collate_pairs,
            pin_memory=group.device != "cpu",
            **worker_options(settings.workers),
        )
        self.epoch, self.factor = 0, 0.0
        self.steps: Iterator[tuple[list[int], Iterator[tuple[int, tuple[Batch, Batch]]]]] = iter(())

    def begin(self, epoch: int, steps: int) -> None:
        self.epoch, self.factor = epoch, ramp(epoch, self.how)
        self.visits.epoch, self.visits.wanted = epoch, steps
        self.steps = steps_of(self.loader, self.visits) if self.factor > 0 else iter(())

    def add_gradients(self, student: Network, teacher: nn.Module, step: int, norms: Norms) -> Tensor:
        """(3,) what `POOL_CURVES` names, this process's share of the step; where the pool has no weight yet, zeros."""
        told = torch.zeros(len(POOL_CURVES), device=self.group.device)
        if self.factor == 0:
            return told
        clips, batches = next(self.steps)
        norms.begin(math.ceil(len(clips) / self.settings.micro_batch_size))
        for number, (weak, strong) in batches:
            torch.manual_seed(derive_seed(self.seed, self.epoch, step, number, _STREAM))
            weak, strong = weak.to(self.group.device), strong.to(self.group.device)
            assert strong.labels is not None
            with autocast(self.settings, self.group.device):
                with torch.no_grad():
                    theirs = teacher(weak)
                with norms.of_batch(number):
                    own = student(strong)
            each = torch.stack(teach(own, theirs, ~torch.isnan(strong.labels), self.weights, self.how))
            (self.factor * each[:2].sum() / len(clips)).backward()
            told += each.detach().sum(dim=1) / len(clips)
        norms.take_up()
        return told


def shown_by_view(atypical: NDArray[np.float32], views: list[str]) -> dict[str, NDArray[np.float32]]:
    """For each view of the labelled clips (34,): 0 for an item that any of them shows, NaN for the others."""
    found = {}
    for view in sorted(set(views)):
        rows = np.array([one == view for one in views])
        found[view] = np.where(np.isnan(atypical[rows]).all(axis=0), np.nan, 0.0).astype(np.float32)
    return found
