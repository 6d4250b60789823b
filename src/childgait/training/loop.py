"""How a network learns: epochs of steps, each step summed over small batches and over processes.

Reads windows (training/windows.py) and the params' finetune section; yields the weights and the learning curve. Nothing
here depends on how a step is cut: each small batch draws its random numbers from (seed, epoch, step, batch) and its
loss is divided by the clips of the whole step. So a run gives the same numbers on one process or several, and a run
that was killed ends with the same bytes as one that was not.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from childgait.training.batchnorm import Norms
from childgait.training.distributed import Group
from childgait.training.optim import (
    freeze_for_epoch,
    loss_of_clips,
    make_optimizer,
    make_schedule,
    set_train_mode,
)
from childgait.training.order import POOL_CURVES, Visits, autocast, derive_seed, steps_of
from childgait.training.windows import worker_options

if TYPE_CHECKING:
    from childgait.params import Finetune
    from childgait.training.mean_teacher import MeanTeacher

log = logging.getLogger("childgait")

Judge = Callable[[nn.Module], dict[str, float]]  # validation_loss and whatever else is worth a curve

OnEpoch = Callable[[dict[str, float], dict[str, float]], None]  # the curve's row; what differs between runs (speed)


@dataclass(frozen=True)
class Outcome:
    weights: dict[str, Tensor]
    history: list[dict[str, float]]
    kept_epoch: int  # 1 is the first


def train(
    network: Network,
    windows: Dataset[Any],
    collate: Callable[[list[Any]], Batch],
    positive_weights: NDArray[np.float32],
    judge: Judge,
    settings: Finetune,
    *,
    seed: int,
    group: Group,
    save_as: Path,
    fingerprint: str,
    on_epoch: OnEpoch,
    name_of: Callable[[int], str] = str,
    pool: MeanTeacher | None = None,
) -> Outcome:
    """Train to the end, from the checkpoint where there is one of this very run."""
    network.to(group.device)
    weights = torch.from_numpy(positive_weights).to(group.device)
    visits = Visits(len(windows), settings.batch_size, settings.micro_batch_size, seed, group)  # type: ignore[arg-type]
    loader = DataLoader(
        windows,
        batch_sampler=visits,
        collate_fn=collate,
        pin_memory=group.device != "cpu",
        **worker_options(settings.workers),
    )
    optimizer = make_optimizer(network, settings)
    schedule = make_schedule(optimizer, settings, visits.steps)
    average = _average_of(network, settings, teaches=pool is not None)
    state = checkpoint.State(network, optimizer, None if average is None else average.module)
    checkpoint.restore(save_as, state, fingerprint)
    bar, norms = Progress(settings.epochs, state.epoch, group), Norms(network, group)
    while not _is_over(state, settings):
        epoch = state.epoch
        began = time.monotonic()
        row = {"epoch": float(epoch + 1), "learning_rate": 0.0, "loss": 0.0, "gradient": 0.0}
        row["learning"] = float(freeze_for_epoch(network, settings, epoch))
        visits.epoch = epoch
        if pool is not None:
            pool.begin(epoch, visits.steps)
            row |= dict.fromkeys(POOL_CURVES, 0.0)
        steps = steps_of(loader, visits)
        for step, (clips, batches) in enumerate(steps):
            row["learning_rate"] = _set_rate(schedule, epoch * visits.steps + step)
            total = _gradients(network, batches, clips, weights, settings, norms, (seed, epoch, step))
            if pool is not None:
                total = torch.cat([total, pool.add_gradients(network, state.ema_network(), step, norms)])
            loss, *told = _share(network, total, group, clips, (epoch, step), name_of)
            row["gradient"] = max(row["gradient"], _clip(network, settings.clip_norm))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if (
                average is not None
            ):  # a teacher is no average of a few steps: it starts as the network and keeps its decay
                average.update(network, step=None if pool is not None else epoch * visits.steps + step)
            row["loss"] += loss / visits.steps
            for name, value in zip(POOL_CURVES, told, strict=False):
                row[name] += value / visits.steps
        seconds = time.monotonic() - began
        row |= judge(state.ema_network()) if group.leads else {"validation_loss": 0.0}
        row["validation_loss"] = group.agree(row["validation_loss"])
        _end_epoch(state, row, settings)
        if group.leads:
            on_epoch(row, {"clips_a_second": visits.count / seconds, "seconds_an_epoch": time.monotonic() - began})
            bar.show(row)
            if _is_over(state, settings) or state.epoch % settings.checkpoint_epochs == 0:
                checkpoint.save(save_as, state, fingerprint)
    if state.epoch < settings.epochs:
        log.info("stopped after epoch %d: no better validation loss for %d epochs", state.epoch, settings.patience)
    chosen = state.best if settings.checkpoint == "best" and state.best else state.ema_network().state_dict()
    kept = state.best_epoch if settings.checkpoint == "best" else state.epoch
    return Outcome({name: value.detach().cpu() for name, value in chosen.items()}, state.history, kept or state.epoch)


def _gradients(
    network: Network,
    batches: Iterator[tuple[int, Batch]],
    clips: list[int],
    weights: Tensor,
    settings: Finetune,
    norms: Norms,
    place: tuple[int, int, int],
) -> Tensor:
    """Add up the step's gradients over this process's small batches; (1,) their part of the step's loss."""
    set_train_mode(network, settings)
    device = norms.group.device
    total = torch.zeros(1, device=device)
    norms.begin(math.ceil(len(clips) / settings.micro_batch_size))
    for number, batch in batches:
        torch.manual_seed(derive_seed(*place, number))
        moved = batch.to(device)
        assert moved.labels is not None
        with autocast(settings, device), norms.of_batch(number):
            logits = network(moved)
        loss = loss_of_clips(logits, moved.labels, weights).sum() / len(clips)
        if (penalty := network.head_penalty()) is not None:  # once per step, in shares of its clips
            loss = loss + penalty * moved.size / len(clips)
        loss.backward()
        total += loss.detach()
    norms.take_up()
    return total


def _share(
    network: Network,
    total: Tensor,
    group: Group,
    clips: list[int],
    place: tuple[int, int],
    name_of: Callable[[int], str],
) -> list[float]:
    """Sum gradients and losses over the processes; the losses, the labelled clips' first."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learning:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    group.sum([total, *(parameter.grad for parameter in learning if parameter.grad is not None)])
    losses: list[float] = total.tolist()
    if not all(math.isfinite(value) for value in losses):
        named = ", ".join(sorted({name_of(clip) for clip in clips})[:8])
        raise StepError(
            f"the loss became {losses[0]} in epoch {place[0] + 1}, step {place[1] + 1}, on {named}",
            hint="lower finetune.learning_rate or clip_norm, or look at those clips",
        )
    return losses


def _clip(network: Network, norm: float) -> float:
    """The gradient's length, shortened to `norm` where it is longer."""
    return float(nn.utils.clip_grad_norm_(network.parameters(), norm if norm > 0 else math.inf))


def _set_rate(schedule: Any, update: int) -> float:
    schedule.step_update(update)
    return max(group["lr"] for group in schedule.optimizer.param_groups)


def _average_of(network: Network, settings: Finetune, *, teaches: bool) -> Any:
    """The moving average of the weights; where it teaches, with the teacher's own decay from the first step on."""
    from timm.utils import ModelEmaV3

    at_once = next(network.parameters()).is_cuda  # few kernels for all parameters
    if teaches:
        return ModelEmaV3(network, decay=settings.mean_teacher.decay, foreach=at_once)
    if settings.ema_decay == 0:
        return None
    return ModelEmaV3(network, decay=settings.ema_decay, use_warmup=True, foreach=at_once)


def _is_over(state: checkpoint.State, settings: Finetune) -> bool:
    """Whether the last epoch is done, also in a run that is taken up."""
    waited = state.epoch - (state.best_epoch or 0)
    return state.epoch == settings.epochs or bool(
        settings.patience and state.best_epoch and waited >= settings.patience
    )


def _end_epoch(state: checkpoint.State, row: dict[str, float], settings: Finetune) -> None:
    """Note the epoch, and remember the best."""
    if math.isnan(row["validation_loss"]) and (settings.checkpoint == "best" or settings.patience):
        raise StepError(
            "no validation child has a known answer, so no epoch can be called the best",
            hint="give the validation part children with scores (split.csv), "
            "or set finetune.checkpoint to last and patience to 0",
        )
    state.epoch += 1
    state.history.append(row)
    best = min(range(state.epoch), key=lambda index: (state.history[index]["validation_loss"], index)) + 1
    if best != state.best_epoch:
        state.best_epoch = best
        if settings.checkpoint == "best":
            state.best = {name: value.detach().clone() for name, value in state.ema_network().state_dict().items()}


class Progress:
    """A bar on a terminal, a line a minute in a log."""

    def __init__(self, epochs: int, done: int, group: Group) -> None:
        from tqdm import tqdm

        self.epochs, self.told = epochs, 0.0
        self.bar = tqdm(total=epochs, initial=done, unit="epoch", disable=not (group.leads and sys.stderr.isatty()))

    def show(self, row: dict[str, float]) -> None:
        said = {key: f"{row[key]:.3f}" for key in ("loss", "validation_loss")}
        self.bar.set_postfix(said, refresh=False)
        self.bar.update()
        last = row["epoch"] == self.epochs
        if self.bar.disable and (last or time.monotonic() - self.told > 60):
            self.told = time.monotonic()
            log.info("epoch %d of %d: %s", row["epoch"], self.epochs, ", ".join(f"{k} {v}" for k, v in said.items()))
        if last:
            self.bar.close()
