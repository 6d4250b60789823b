"""The training loop: epochs of optimizer steps, each summed over micro-batches and over processes.

Reads windows (training/windows.py) and the params' finetune section; yields the weights and the learning curve.
Nothing here depends on how a step is divided: each micro-batch draws its random numbers from (seed, epoch, step,
number) and its loss is divided by the clips of the whole step. So a run gives the same numbers on one process or
several, and a run that was killed ends with the same bytes as one that was not.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from childgait.errors import StepError
from childgait.models.batch import Batch
from childgait.models.network import Network
from childgait.training import checkpoint
from childgait.training.auxiliary_losses import AuxiliaryLosses, without_auxiliary
from childgait.training.batchnorm import RunningStatistics
from childgait.training.distributed import GradientSum, Group
from childgait.training.losses import TrainingLoss
from childgait.training.mean_teacher import UnlabelledPool
from childgait.training.optim import freeze_for_epoch, make_optimizer, make_schedule, set_train_mode
from childgait.training.order import MicroBatchSampler, autocast, derive_seed, steps_of, with_last
from childgait.training.windows import collate, worker_options

if TYPE_CHECKING:
    from childgait.params import Finetune

log = logging.getLogger("childgait")

Validator = Callable[[nn.Module], dict[str, float]]  # `validation_loss`, and other values for the learning curve

OnEpoch = Callable[[dict[str, float], dict[str, float]], None]  # the curve's row; what differs between runs (speed)


def ignore_epoch(row: dict[str, float], speed: dict[str, float]) -> None:
    """Do nothing after an epoch."""


@dataclass(frozen=True)
class Outcome:
    """A finished run."""

    weights: dict[str, Tensor]
    history: list[dict[str, float]]
    kept_epoch: int  # 1 is the first


@dataclass
class Epoch:
    """Values of one epoch: its last learning rate, mean losses, and the largest gradient norm.

    Losses and norms of the steps stay on the device until the epoch is done: reading them would hold up the next step.
    """

    number: int  # 0 is the first
    steps: int
    trained_parameters: int
    pool_losses: dict[str, float]
    learning_rate: float = 0.0
    loss: float = 0.0
    gradient: float = 0.0
    validation: dict[str, float] = field(default_factory=dict)
    pending: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # losses and gradient norm of each step
    clips: list[list[int]] = field(default_factory=list)  # of each step

    def add_step(self, losses: Tensor, gradient: Tensor, learning_rate: float, clips: list[int]) -> None:
        """Add one step; `losses` are that of the labelled clips, then those of the pool."""
        self.learning_rate = learning_rate
        self.pending.append((losses, gradient))
        self.clips.append(clips)

    def sum_steps(self, name_of: Callable[[int], str]) -> None:
        """Read the values of all steps; stop if a loss is not finite, naming the clips of the first such step."""
        losses: list[list[float]] = torch.stack([loss for loss, _ in self.pending]).tolist()
        norms: list[float] = torch.stack([norm for _, norm in self.pending]).tolist()
        self.pending.clear()
        for step, (values, norm) in enumerate(zip(losses, norms, strict=True)):
            self._check_finite(values, step, name_of)
            self.gradient = max(self.gradient, norm)
            self.loss += values[0] / self.steps
            for name, value in zip(self.pool_losses, values[1:], strict=True):
                self.pool_losses[name] += value / self.steps

    def _check_finite(self, losses: list[float], step: int, name_of: Callable[[int], str]) -> None:
        if all(math.isfinite(value) for value in losses):
            return
        names = ", ".join(sorted({name_of(clip) for clip in self.clips[step]})[:8])
        raise StepError(
            f"the loss became {losses[0]} in epoch {self.number + 1}, step {step + 1}, on {names}",
            hint="lower finetune.learning_rate or clip_norm, or look at those clips",
        )

    def row(self) -> dict[str, float]:
        """Return the row of the learning curve."""
        return {
            "epoch": float(self.number + 1),
            "learning_rate": self.learning_rate,
            "loss": self.loss,
            "gradient": self.gradient,
            "learning": float(self.trained_parameters),
            **self.pool_losses,
            **self.validation,
        }


class Trainer:
    """Trains a network on windows, alone or as one of several processes.

    An item of `windows` is one window, or with finetune.training_windows that many of one clip, which `collate` puts
    together.
    `validate` gives the values of the learning curve on the validation children, `pool` the unlabelled clips of a mean
    teacher, `auxiliary` losses on the features; `name_of` names a clip in an error.
    """

    def __init__(
        self,
        network: Network,
        windows: Dataset[Any],
        validate: Validator,
        settings: Finetune,
        *,
        positive_weights: NDArray[np.float32],
        seed: int,
        group: Group,
        pool: UnlabelledPool | None = None,
        auxiliary: AuxiliaryLosses | None = None,
        collate: Callable[[list[Any]], Batch] = collate,
        name_of: Callable[[int], str] = str,
    ) -> None:
        self.network, self.validate, self.settings = network.to(group.device), validate, settings
        self.seed, self.group, self.name_of = seed, group, name_of
        self.pool, self.auxiliary = pool or UnlabelledPool(), auxiliary
        self.loss = TrainingLoss(settings, torch.from_numpy(positive_weights).to(group.device))
        count: int = len(windows)  # type: ignore[arg-type]
        self.windows_per_clip = settings.training_windows
        micro_batch_size = settings.micro_batch_size // self.windows_per_clip  # clips, so that memory stays the same
        self.sampler = MicroBatchSampler(count, settings.batch_size, micro_batch_size, seed, group)
        self.loader = DataLoader(
            windows,
            batch_sampler=self.sampler,
            collate_fn=collate,
            pin_memory=group.device != "cpu",
            **worker_options(settings.workers),
        )
        self.optimizer = make_optimizer(network, settings)
        self.schedule = make_schedule(self.optimizer, settings, self.sampler.steps)
        self.ema = self.pool.make_ema(network, settings)
        self.state = checkpoint.State(network, self.optimizer, None if self.ema is None else self.ema.module)
        self.statistics = RunningStatistics(network, group)
        self.gradients = GradientSum([], group)
        if settings.compile:
            network.compile_layers()

    def run(self, save_as: Path, fingerprint: str, on_epoch: OnEpoch = ignore_epoch) -> Outcome:
        """Train to the end, from the checkpoint `save_as` if it is of the run that `fingerprint` identifies."""
        checkpoint.restore(save_as, self.state, fingerprint)
        progress = Progress(self.settings.epochs, self.state.epoch, self.group)
        while not self.is_over():
            began = time.monotonic()
            epoch = self.train_epoch()
            seconds = time.monotonic() - began
            self.end_epoch(epoch)
            if self.group.leads:
                speed = {
                    "clips_a_second": self.sampler.count / seconds,
                    "seconds_an_epoch": time.monotonic() - began,
                }
                on_epoch(epoch.row(), speed)
                progress.show(epoch.row())
                if self.is_over() or self.state.epoch % self.settings.checkpoint_epochs == 0:
                    checkpoint.save(save_as, self.state, fingerprint)
        if self.state.epoch < self.settings.epochs:
            log.info(
                "stopped after epoch %d: no better validation loss for %d epochs",
                self.state.epoch,
                self.settings.patience,
            )
        return self.outcome()

    def is_over(self) -> bool:
        """Return whether the last epoch is done, also in a run that was resumed."""
        state, settings = self.state, self.settings
        waited = state.epoch - (state.best_epoch or 0)
        return state.epoch == settings.epochs or bool(
            settings.patience and state.best_epoch and waited >= settings.patience
        )

    def train_epoch(self) -> Epoch:
        """Train for one epoch."""
        number, steps = self.state.epoch, self.sampler.steps
        trained = freeze_for_epoch(self.network, self.settings, number)
        epoch = Epoch(number, steps, trained, dict.fromkeys(self.pool.curves, 0.0))
        self.sampler.epoch = number
        self.pool.begin_epoch(number, steps)
        self.gradients.close()
        self.gradients = GradientSum([one for one in self.network.parameters() if one.requires_grad], self.group)
        for step, (clips, batches) in enumerate(steps_of(self.loader, self.sampler)):
            self.step(epoch, step, clips, batches)
        epoch.sum_steps(self.name_of)
        return epoch

    def step(self, epoch: Epoch, step: int, clips: list[int], batches: Iterator[tuple[int, Batch]]) -> None:
        """Update the weights once; `batches` are this process's micro-batches of `clips`."""
        update = epoch.number * epoch.steps + step
        learning_rate = self._set_learning_rate(update)
        loss = self._add_gradients(epoch.number, step, clips, batches)
        pool_losses = self.pool.add_gradients(self.network, self.state.ema_network(), step, self.statistics)
        losses = torch.cat([loss, pool_losses])
        self.group.sum([losses])
        self.gradients.finish()
        gradient = self._clip_gradient()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update(self.network, step=self.pool.ema_step(update))
        epoch.add_step(losses, gradient, learning_rate, clips)

    def end_epoch(self, epoch: Epoch) -> None:
        """Validate, add the epoch to the history, and keep its weights if they are the best."""
        epoch.validation = self.validate(self.state.ema_network())
        epoch.validation["validation_loss"] = self.group.broadcast(epoch.validation["validation_loss"])
        state, settings = self.state, self.settings
        if math.isnan(epoch.validation["validation_loss"]) and (settings.checkpoint == "best" or settings.patience):
            raise StepError(
                "no validation child has a known score, so no epoch can be the best",
                hint="give the validation part children with scores (split.csv), or set finetune.checkpoint to last "
                "and patience to 0",
            )
        state.epoch += 1
        state.history.append(epoch.row())
        best = min(range(state.epoch), key=lambda index: (state.history[index]["validation_loss"], index)) + 1
        if best != state.best_epoch:
            state.best_epoch = best
            if settings.checkpoint == "best":
                state.best = {name: value.detach().clone() for name, value in state.ema_network().state_dict().items()}

    def outcome(self) -> Outcome:
        """Return the weights that params select, of the last or the best epoch."""
        state, best = self.state, self.settings.checkpoint == "best"
        weights = state.best if best and state.best else state.ema_network().state_dict()
        epoch = state.best_epoch if best else state.epoch
        kept = without_auxiliary(weights)
        return Outcome(
            {name: value.detach().cpu() for name, value in kept.items()}, state.history, epoch or state.epoch
        )

    def _set_learning_rate(self, update: int) -> float:
        """Set the learning rate of an update; return the largest of all layers."""
        self.schedule.step_update(update)
        return max(group["lr"] for group in self.optimizer.param_groups)

    def _add_gradients(self, epoch: int, step: int, clips: list[int], batches: Iterator[tuple[int, Batch]]) -> Tensor:
        """Accumulate the step's gradients over this process's micro-batches; return (1,) their part of its loss."""
        set_train_mode(self.network, self.settings)
        total = torch.zeros(1, device=self.group.device)
        self.statistics.begin_step(math.ceil(len(clips) / self.sampler.micro_batch_size))
        for number, batch, is_last in with_last(batches):
            torch.manual_seed(derive_seed(self.seed, epoch, step, number))
            moved = batch.to(self.group.device)
            losses = self._losses_of_clips(moved, number)
            loss = losses.sum() / len(clips)
            if (penalty := self.network.head_penalty()) is not None:  # once per step, in shares of its clips
                loss = loss + penalty * len(losses) / len(clips)
            if is_last and not self.pool.curves:  # a pool adds its own gradients afterwards
                self.gradients.before_last_backward()
            loss.backward()
            total += loss.detach()
        if not self.pool.curves:
            self.gradients.send_rest()
        self.statistics.end_step()
        return total

    def _losses_of_clips(self, batch: Batch, number: int) -> Tensor:
        """Return (clips,) the loss of each clip of a micro-batch, auxiliary losses included."""
        assert batch.labels is not None
        features = None
        with autocast(self.settings, self.group.device), self.statistics.of_batch(number):
            if self.auxiliary is None:
                output = self.network(batch)
            else:
                output, features = self.network.with_features(batch)
        logits, labels = mean_over_windows(output, batch.labels, self.windows_per_clip)
        losses = self.loss(logits, labels)
        if self.auxiliary is not None and features is not None:
            features, _ = mean_over_windows(features, batch.labels, self.windows_per_clip)
            losses = losses + self.auxiliary(logits, features, labels, batch)
        return losses

    def _clip_gradient(self) -> Tensor:
        """Shorten the gradient to the largest norm that params allow; return its norm before."""
        largest = self.settings.clip_norm or math.inf
        return nn.utils.clip_grad_norm_(self.network.parameters(), largest)


def mean_over_windows(logits: Tensor, labels: Tensor, windows: int) -> tuple[Tensor, Tensor]:
    """Return the mean logits over the windows of each clip, which stand together, and the clip's labels."""
    if windows == 1:
        return logits, labels
    return logits.float().unflatten(0, (-1, windows)).mean(dim=1), labels[::windows]


class Progress:
    """Shows progress: a bar on a terminal, one line per minute in a log."""

    def __init__(self, epochs: int, done: int, group: Group) -> None:
        from tqdm import tqdm

        self.epochs, self.logged = epochs, 0.0
        self.bar = tqdm(total=epochs, initial=done, unit="epoch", disable=not (group.leads and sys.stderr.isatty()))

    def show(self, row: dict[str, float]) -> None:
        values = {key: f"{row[key]:.3f}" for key in ("loss", "validation_loss")}
        self.bar.set_postfix(values, refresh=False)
        self.bar.update()
        last = row["epoch"] == self.epochs
        if self.bar.disable and (last or time.monotonic() - self.logged > 60):
            self.logged = time.monotonic()
            losses = ", ".join(f"{key} {value}" for key, value in values.items())
            log.info("epoch %d of %d: %s", row["epoch"], self.epochs, losses)
        if last:
            self.bar.close()
