"""Trains a network on a stream of painted synthetic walks, with dense targets that the generator knows.

Loss with unit weights: per time step the standardised joint curves, the gait phase (cosine, sine) and the standardised
points; per clip the standardised measures that the view shows, clipped to their 1st and 99th percentile (a drop foot's
stray value must not outweigh a hundred children). Masked reconstruction of patches is another loss of unit weight, or
the only one (pretrain.method). No item score reaches the network.

One warm-up and one cosine over the whole budget. Each step draws its random numbers from (seed, step), the stream from
(seed, epoch, index), so a killed run ends with the same bytes as one that was not (on a CPU of the same kind).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from childgait.errors import StepError
from childgait.models.batch import Batch
from childgait.models.dense_heads import DensePrediction, PretrainingModel
from childgait.models.masked_decoder import MaskedDecoder
from childgait.training import checkpoint
from childgait.training.masked_pretraining import masked_loss
from childgait.training.precision import autocast_context
from childgait.training.windows import worker_options

if TYPE_CHECKING:
    from childgait.models.network import Network
    from childgait.params import Pretrain

log = logging.getLogger("childgait")

LOSSES = ("curves", "phases", "points", "measures")
FARTHEST = 4.0  # standard deviations; a curve farther out counts as this far
BETAS = (0.9, 0.98)
LEAST_RATE = 1e-6  # where the cosine ends

Visit = tuple[int, int]  # epoch, index
OnRound = Callable[[dict[str, float], float], None]  # a row of the history; windows per second


class Targets(Protocol):
    """Dense targets of B windows, as tensors."""

    curves: Tensor  # (B, T / 2, 28) degrees
    phases: Tensor  # (B, T / 2, 4)
    points: Tensor  # (B, T / 2, 23, 2) in shares of the square
    measures: Tensor  # (B, 34) degrees and shares
    visible: Tensor  # bool (B, 34), which measures the view shows


class Stream(Protocol):
    """What pre-training needs of a dataset of synthetic windows."""

    def __len__(self) -> int: ...

    def child_of(self, index: int) -> int: ...


def ignore_round(row: dict[str, float], speed: float) -> None:
    """Do nothing after a round."""


Collate = Callable[[list[Any]], tuple[Batch, Any]]


@dataclass(frozen=True)
class DenseScale:
    """Means and standard deviations over the stream, and the measures' clipping bounds."""

    curve_mean: NDArray[np.float32]  # (28,)
    curve_deviation: NDArray[np.float32]
    point_mean: NDArray[np.float32]  # (23, 2)
    point_deviation: NDArray[np.float32]
    measure_mean: NDArray[np.float32]  # (34,)
    measure_deviation: NDArray[np.float32]
    measure_low: NDArray[np.float32]  # 1st percentile
    measure_high: NDArray[np.float32]  # 99th percentile

    def tensors(self, device: str) -> dict[str, Tensor]:
        return {
            name: torch.as_tensor(np.asarray(value, np.float32), device=device) for name, value in vars(self).items()
        }


def standardised(targets: Targets, scale: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the targets in the units that the heads predict."""
    curves = (targets.curves - scale["curve_mean"]) / scale["curve_deviation"]
    clipped = torch.minimum(torch.maximum(targets.measures, scale["measure_low"]), scale["measure_high"])
    return {
        "curves": curves.clamp(-FARTHEST, FARTHEST),
        "phases": targets.phases,
        "points": (targets.points - scale["point_mean"]) / scale["point_deviation"],
        "measures": (clipped - scale["measure_mean"]) / scale["measure_deviation"],
    }


def dense_losses(prediction: DensePrediction, truth: dict[str, Tensor], visible: Tensor) -> dict[str, Tensor]:
    """Return the mean squared errors by kind of target; a network without a time axis has only the measures'."""
    losses = {}
    for name in ("curves", "phases", "points"):
        predicted = getattr(prediction, name)
        if predicted is None:
            continue
        error = (predicted - truth[name]).square().flatten(2).mean(dim=2)
        if prediction.known is None:
            losses[name] = error.mean()
        else:
            losses[name] = (error * prediction.known).sum() / prediction.known.sum().clamp(min=1)
    squared = (prediction.measures - truth["measures"]).square() * visible
    losses["measures"] = squared.sum() / visible.sum().clamp(min=1)
    return losses


def learning_rate_at(step: int, steps: int, warmup: int, peak: float) -> float:
    """Linear warm-up, then half a cosine down to nearly nothing at the last step."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(steps - warmup, 1)
    return max(peak * 0.5 * (1 + math.cos(math.pi * share)), LEAST_RATE)


class WalkVisits(Sampler[list[Visit]]):
    """The batches of steps `first` to `last`: every window of an epoch once, in an order drawn from (seed, epoch)."""

    def __init__(self, count: int, batch_size: int, first: int, last: int, seed: int) -> None:
        self.count, self.batch_size, self.first, self.last, self.seed = count, batch_size, first, last, seed

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[Visit]]:
        epoch, order = -1, np.empty(0, int)
        for step in range(self.first, self.last):
            batch = []
            for visit in range(step * self.batch_size, (step + 1) * self.batch_size):
                if visit // self.count != epoch:
                    epoch = visit // self.count
                    order = np.random.default_rng([self.seed, epoch]).permutation(self.count)
                batch.append((epoch, int(order[visit % self.count])))
            yield batch


@dataclass(frozen=True)
class Plan:
    """The steps of a run."""

    steps: int  # in all
    warmup: int
    round_steps: int  # between two validations

    @classmethod
    def of(cls, settings: Pretrain) -> Plan:
        steps = max(settings.windows // settings.batch_size, 1)
        return cls(
            steps,
            settings.warmup_windows // settings.batch_size,
            max(settings.validation_every // settings.batch_size, 1),
        )

    def end_of_round(self, number: int) -> int:
        return min((number + 1) * self.round_steps, self.steps)

    def rounds(self) -> int:
        return math.ceil(self.steps / self.round_steps)


def make_optimizer(model: nn.Module, settings: Pretrain) -> torch.optim.Optimizer:
    """AdamW without decay on biases and norms."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=BETAS, fused=True)


def freeze_item_head(network: Network) -> None:
    """Exclude the item head: no item label is there to train it."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not name.startswith("head."))


def pretrain_network(
    model: PretrainingModel,
    stream: Dataset[Any],
    validate: Callable[[PretrainingModel], dict[str, float]],
    scale: DenseScale | None,
    settings: Pretrain,
    *,
    collate: Collate,
    decoder: MaskedDecoder | None = None,
    save_as: Path,
    fingerprint: str,
    on_round: OnRound = ignore_round,
) -> list[dict[str, float]]:
    """Train to the end, from the checkpoint of this very run if there is one; one history row per validation.

    `scale` is that of the dense targets and `decoder` that of masked reconstruction; None: the method is not used.
    """
    model.to(settings.device)
    freeze_item_head(model.network)
    plan, tensors = Plan.of(settings), None if scale is None else scale.tensors(settings.device)
    trained = nn.ModuleDict({"model": model})
    if decoder is not None:
        trained["decoder"] = decoder.to(settings.device)
    optimizer = make_optimizer(trained, settings)
    names = ("loss", *(LOSSES if scale is not None else ()), *(("masked",) if decoder is not None else ()))
    state = checkpoint.State(trained, optimizer, None)
    checkpoint.restore(save_as, state, fingerprint)
    batches = iter(_loader(stream, plan, state.epoch, settings, collate))
    while state.epoch < plan.rounds():
        began = time.monotonic()
        first, last = state.epoch * plan.round_steps, plan.end_of_round(state.epoch)
        sums = dict.fromkeys(names, 0.0)
        rate = 0.0
        for step in range(first, last):
            rate = learning_rate_at(step, plan.steps, plan.warmup, settings.learning_rate)
            for group in optimizer.param_groups:
                group["lr"] = rate
            for name, value in _step(model, decoder, optimizer, next(batches), tensors, settings, step).items():
                sums[name] += value / (last - first)
        speed = (last - first) * settings.batch_size / (time.monotonic() - began)
        row = {"windows": float(last * settings.batch_size), "learning_rate": rate, **sums, **validate(model)}
        state.epoch += 1
        state.history.append(row)
        on_round(row, speed)
        checkpoint.save(save_as, state, fingerprint)
        log.info(
            "pretrain: %d of %d windows, loss %.3f, %.0f windows/s",
            row["windows"],
            plan.steps * settings.batch_size,
            row["loss"],
            speed,
        )
    return state.history


def _loader(stream: Dataset[Any], plan: Plan, rounds_done: int, settings: Pretrain, collate: Collate) -> Any:
    first = min(rounds_done * plan.round_steps, plan.steps)
    visits = WalkVisits(len(stream), settings.batch_size, first, plan.steps, settings.seed)  # type: ignore[arg-type]
    pinned = settings.device != "cpu"
    return DataLoader(
        stream, batch_sampler=visits, collate_fn=collate, pin_memory=pinned, **worker_options(settings.workers)
    )


def _step(
    model: PretrainingModel,
    decoder: MaskedDecoder | None,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Batch, Any],
    scale: dict[str, Tensor] | None,
    settings: Pretrain,
    step: int,
) -> dict[str, float]:
    """Take one optimizer step; return the losses before it."""
    model.train()
    torch.manual_seed(int(np.random.SeedSequence([settings.seed, step]).generate_state(1, np.uint64)[0] >> 1))
    losses = {} if scale is None else _dense_step(model, batch, scale, settings)
    trained = [*model.parameters(), *(decoder.parameters() if decoder is not None else ())]
    if decoder is not None:
        decoder.train()
        with autocast_context(settings.precision, settings.device):
            seeds = [settings.seed, step]
            losses["masked"] = masked_loss(model, decoder, batch[0], settings.masking, settings.device, seeds)
    loss = torch.stack(list(losses.values())).sum()
    loss.backward()
    nn.utils.clip_grad_norm_(trained, settings.clip_norm or math.inf)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise StepError(
            f"the loss became {value} in step {step + 1} of pre-training",
            hint="lower pretrain.learning_rate, or set pretrain.clip_norm",
        )
    return {"loss": value} | {name: float(part.detach()) for name, part in losses.items()}


def _dense_step(
    model: PretrainingModel, batch: tuple[Batch, Any], scale: dict[str, Tensor], settings: Pretrain
) -> dict[str, Tensor]:
    """Return the losses of the dense targets."""
    clips, targets = batch[0].to(settings.device), batch[1].to(settings.device)
    with autocast_context(settings.precision, settings.device):
        prediction = model(clips)
    return dense_losses(prediction, standardised(targets, scale), targets.visible)
