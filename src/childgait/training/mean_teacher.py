"""Mean teacher for unlabelled clips: the moving average of the trained network predicts their targets.

Origin: Tarvainen and Valpola, "Mean teachers are better role models" (2017, arXiv 1703.01780), as AGRM uses it
(Bioengineering 13(3):272, 2026): the teacher sees a weakly augmented view of a clip, the student a strongly augmented
one of the same. The student's loss is the squared difference of their probabilities (both classes) and, where
predictions are confident, the cross-entropy with the teacher's prediction as a pseudo-label. Both terms have the
weight that `ramp` gives; both are taken over the items that the clip's view shows.

Reads clips of a pool of their own and a network with its average; adds to the network's gradients. No score is read
here. Which clips may be in the pool is decided and checked in the step and its rule: never a test child's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
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
from childgait.training.batchnorm import RunningStatistics
from childgait.training.distributed import Group
from childgait.training.losses import atypical_logits, loss_of_clips
from childgait.training.order import MicroBatchSampler, StepClips, autocast, derive_seed, steps_of
from childgait.training.windows import Sample, Windows, collate, starts_of, worker_options

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3

    from childgait.params import Finetune
    from childgait.params import MeanTeacher as Settings

_STREAM = 1  # part of the pool's seeds, so that labelled and unlabelled clips draw independent random numbers


def ramp(epoch: int, settings: Settings) -> float:
    """Return the weight of the pool's loss: 0 in the supervised epochs, then linear in the epoch up to `weight`."""
    return 0.0 if epoch < settings.supervised_epochs else settings.weight * min(epoch / settings.ramp_epochs, 1.0)


def pool_losses(
    student: Tensor, teacher: Tensor, visible: Tensor, weights: Tensor, settings: Settings
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (B,) each: the consistency loss, the pseudo-label loss, the share of items with a pseudo-label.

    `student` and `teacher` are logits (B, 34), or (B, 68) of an ordinal model, of which those of "atypical" are used;
    `visible` (B, 34) is true where the clip's view shows the item.
    """
    student, teacher = atypical_logits(student), atypical_logits(teacher)
    target, own = teacher.float().sigmoid().detach(), student.float().sigmoid()
    items = visible.sum(dim=1).clamp(min=1)
    consistency = (2 * (target - own) ** 2 * visible).sum(dim=1) / items  # of both classes, which differ alike
    label = target > 0.5
    confident = visible & (torch.maximum(target, 1 - target) > settings.confidence)
    if settings.sure == "both":
        confident &= (torch.maximum(own, 1 - own) > settings.confidence) & ((own > 0.5) == label)
    labels = torch.where(confident, label.float(), torch.nan)
    return consistency, loss_of_clips(student, labels, weights), (confident.sum(dim=1) / items).detach()


class TwoViews(Dataset[tuple[Sample, Sample]]):
    """Per clip the teacher's view and the student's view. Both are mirrored or neither, so that left stays left."""

    def __init__(self, windows: Windows, flip: float, settings: Settings) -> None:
        self.windows, self.settings = windows, settings
        self.weak = Augmentation(flip=flip, scale=0.0, shift=settings.weak_shift, colour=0.0, time=0.0)
        self.strong = Augmentation(
            flip=0.0, scale=settings.scale, shift=settings.shift, colour=settings.colour, time=settings.time
        )

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
        jitter = self.settings.jitter_frames
        shifted = int(np.clip(start + rng.integers(-jitter, jitter + 1), 0, starts[-1]))
        strong = replace(strong, flip=weak.flip)
        corrupt = make_corruption(self.settings, rng)
        return self.windows.sample(row, start, weak), self.windows.sample(row, shifted, strong, corrupt)


def make_corruption(settings: Settings, rng: np.random.Generator) -> Callable[[Window], Window]:
    """Draw noise on the colours and a rectangle to erase in pixels, mask and points, the same in every frame."""
    sides, corner, key = rng.random(2) * settings.erase, rng.random(2), int(rng.integers(2**32))

    def corrupt(window: Window) -> Window:
        size = window.size
        high, wide = (round(float(side) * size) for side in sides)
        top, left = int(corner[0] * (size - high + 1)), int(corner[1] * (size - wide + 1))
        frames, masks, points = window.frames, window.masks, window.points
        if frames is not None:
            noise = np.random.default_rng(key).normal(0, 255 * settings.noise, frames.shape)
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

    return corrupt


def collate_pairs(pairs: list[tuple[Sample, Sample]]) -> tuple[Batch, Batch]:
    """Return one batch of the teacher's views and one of the student's."""
    weak, strong = zip(*pairs, strict=True)
    return collate(list(weak)), collate(list(strong))


class PoolSampler(MicroBatchSampler):
    """Yields as many steps as the labelled clips have; the pool's clips are repeated, in a new order each time."""

    steps_per_epoch = 0

    def plan(self) -> list[StepClips]:
        count, repetition = self.steps_per_epoch * self.batch_size, 0
        order: list[int] = []
        while len(order) < count:
            rng = np.random.default_rng([self.seed, self.epoch, repetition, _STREAM])
            order += rng.permutation(self.count).tolist()
            repetition += 1
        return [self.divide(order[start : start + self.batch_size]) for start in range(0, count, self.batch_size)]


class UnlabelledPool:
    """The pool's part of training. This base class has no clips: it is plain supervised training."""

    curves: tuple[str, ...] = ()  # names of the losses that `add_gradients` returns

    def make_ema(self, network: Network, settings: Finetune) -> ModelEmaV3 | None:
        """Return the moving average of the weights that is validated; None: the network itself is."""
        from timm.utils import ModelEmaV3

        if settings.ema_decay == 0:
            return None
        return ModelEmaV3(network, decay=settings.ema_decay, use_warmup=True, foreach=_is_on_gpu(network))

    def ema_step(self, update: int) -> int | None:
        """Return the update's number for the warm-up of the average's decay."""
        return update

    def begin_epoch(self, epoch: int, steps: int) -> None:
        """Begin an epoch of this many steps."""

    def add_gradients(self, student: Network, teacher: nn.Module, step: int, statistics: RunningStatistics) -> Tensor:
        """Add the gradients of the pool's loss; return this process's part of the step's `curves`."""
        return torch.zeros(0, device=statistics.group.device)

    def facts(self, labelled_clips: int) -> dict[str, int]:
        """Return what the model's description contains of the pool."""
        return {}


class MeanTeacher(UnlabelledPool):
    """Unlabelled clips whose targets the moving average of the network predicts."""

    curves = ("consistency", "pseudo_loss", "accepted")  # two losses, the share of items with a pseudo-label

    def __init__(
        self, views: TwoViews, weights: NDArray[np.float32], settings: Finetune, seed: int, group: Group
    ) -> None:
        self.settings, self.seed, self.group = settings, seed, group
        self.weights = torch.from_numpy(weights).to(group.device)
        batch_size = settings.mean_teacher.batch_size
        self.sampler = PoolSampler(len(views), batch_size, settings.micro_batch_size, seed, group)
        self.loader: DataLoader[Any] = DataLoader(
            views,
            batch_sampler=self.sampler,
            collate_fn=collate_pairs,
            pin_memory=group.device != "cpu",
            **worker_options(settings.workers),
        )
        self.epoch, self.loss_weight = 0, 0.0
        self.steps: Iterator[tuple[list[int], Iterator[tuple[int, tuple[Batch, Batch]]]]] = iter(())

    def make_ema(self, network: Network, settings: Finetune) -> ModelEmaV3:
        return make_teacher(network, settings)

    def ema_step(self, update: int) -> None:
        return None

    def begin_epoch(self, epoch: int, steps: int) -> None:
        self.epoch, self.loss_weight = epoch, ramp(epoch, self.settings.mean_teacher)
        self.sampler.epoch, self.sampler.steps_per_epoch = epoch, steps
        self.steps = steps_of(self.loader, self.sampler) if self.loss_weight > 0 else iter(())

    def add_gradients(self, student: Network, teacher: nn.Module, step: int, statistics: RunningStatistics) -> Tensor:
        total = torch.zeros(len(self.curves), device=self.group.device)
        if self.loss_weight == 0:
            return total
        clips, batches = next(self.steps)
        statistics.begin_step(math.ceil(len(clips) / self.settings.micro_batch_size))
        for number, (weak, strong) in batches:
            torch.manual_seed(derive_seed(self.seed, self.epoch, step, number, _STREAM))
            weak, strong = weak.to(self.group.device), strong.to(self.group.device)
            assert strong.labels is not None
            with autocast(self.settings, self.group.device):
                with torch.no_grad():
                    target = teacher(weak)
                with statistics.of_batch(number):
                    own = student(strong)
            visible = ~torch.isnan(strong.labels)
            losses = torch.stack(pool_losses(own, target, visible, self.weights, self.settings.mean_teacher))
            (self.loss_weight * losses[:2].sum() / len(clips)).backward()
            total += losses.detach().sum(dim=1) / len(clips)
        statistics.end_step()
        return total

    def facts(self, labelled_clips: int) -> dict[str, int]:
        return {"labelled_clips": labelled_clips, "pool_clips": self.sampler.count}


def make_teacher(network: nn.Module, settings: Finetune) -> ModelEmaV3:
    """Return the teacher: it starts as the network and has its own decay from the first step on."""
    from timm.utils import ModelEmaV3

    return ModelEmaV3(network, decay=settings.mean_teacher.decay, foreach=_is_on_gpu(network))


def _is_on_gpu(network: nn.Module) -> bool:
    """Return whether the average is updated by few kernels for all parameters (foreach)."""
    return next(network.parameters()).is_cuda


def visible_items_by_view(atypical: NDArray[np.float32], views: list[str]) -> dict[str, NDArray[np.float32]]:
    """Return per view of the labelled clips (34,): 0 for an item that any of them shows, NaN for the others."""
    by_view = {}
    for view in sorted(set(views)):
        rows = np.array([one == view for one in views])
        by_view[view] = np.where(np.isnan(atypical[rows]).all(axis=0), np.nan, 0.0).astype(np.float32)
    return by_view
