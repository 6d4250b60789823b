"""Class weights and optimisation: layer-wise learning rates, warm-up and cosine, freezing.

The optimizer, the schedule and the moving average are timm's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from childgait.domain.evgs import MIRRORED
from childgait.errors import StepError
from childgait.training.losses import effective_number

if TYPE_CHECKING:
    from childgait.models.network import Network
    from childgait.params import Finetune


def class_counts(
    atypical: NDArray[np.float32], flip: float = 0.0, mirrored: Sequence[int] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the numbers of typical and of atypical scores per target that training shows, of (N, 34) children.

    A mirrored clip gives each limb's labels to the other limb's targets: with the flip's probability a target is
    trained on the other limb's children, so that its class shares are a mixture of both limbs'.
    """
    negatives, positives = np.sum(atypical == 0, axis=0), np.sum(atypical == 1, axis=0)
    if mirrored is None:  # targets other than the items have no sides, unless stated
        mirrored = MIRRORED if atypical.shape[1] == len(MIRRORED) else range(atypical.shape[1])
    other = list(mirrored)
    return (1 - flip) * negatives + flip * negatives[other], (1 - flip) * positives + flip * positives[other]


def positive_weights(
    atypical: NDArray[np.float32],
    cap: float,
    flip: float = 0.0,
    beta: float | None = None,
    mirrored: Sequence[int] | None = None,
) -> NDArray[np.float32]:
    """Return (34,) typical over atypical of (N, 34) children, from 1/cap to cap; 1 where a class is missing.

    With `beta` the ratio is that of the classes' effective numbers of children (loss class_balanced).
    """
    negatives, positives = class_counts(atypical, flip, mirrored)
    both = (positives > 0) & (negatives > 0)
    if beta is not None:
        negatives, positives = effective_number(negatives, beta), effective_number(positives, beta)
    ratio = np.where(both, negatives / np.where(both, positives, 1), 1.0)
    return np.clip(ratio, 1 / cap, cap).astype(np.float32)


def class_prior(
    atypical: NDArray[np.float32],
    weights: NDArray[np.float32],
    flip: float = 0.0,
    mirrored: Sequence[int] | None = None,
) -> NDArray[np.float32]:
    """Return (34,) the class prior per target: the share of atypical scores under the loss's weights."""
    negatives, positives = class_counts(atypical, flip, mirrored)
    weighted = (positives + 1) * weights
    return (weighted / (weighted + negatives + 1)).astype(np.float32)


def make_optimizer(network: Network, settings: Finetune) -> torch.optim.Optimizer:
    """Return AdamW without decay on biases and norms; each layer below the head has `layer_decay` times the rate above.

    The network is on its device already: on a GPU a step is one kernel per group, not ten per parameter.
    """
    from timm.optim import create_optimizer_v2

    decay = settings.layer_decay if settings.layer_decay < 1 and network.group_matcher() is not None else None
    return create_optimizer_v2(
        network,
        opt="adamw",
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.999),
        layer_decay=decay,
        foreach=False,
        fused=next(network.parameters()).is_cuda,
    )


def make_schedule(optimizer: torch.optim.Optimizer, settings: Finetune, steps_per_epoch: int) -> Any:
    """Return linear warm-up from 0, then half a cosine, per step; the rate depends on the step's number alone."""
    from timm.scheduler import CosineLRScheduler

    warm_up = settings.warmup_epochs * steps_per_epoch
    return CosineLRScheduler(
        optimizer,
        t_initial=max(settings.epochs * steps_per_epoch - warm_up, 1),
        lr_min=settings.min_learning_rate,
        warmup_t=warm_up,
        warmup_lr_init=0.0,
        warmup_prefix=True,
        t_in_epochs=False,
    )


def in_item_head(parameter: str) -> bool:
    """Return whether a parameter belongs to the item head; the pre-trained measures that a head reads do not."""
    return parameter.startswith("head.") and ".measures." not in parameter


def set_train_mode(network: Network, settings: Finetune) -> None:
    """Set training mode; below a head that is trained alone, features stay as in inference (no dropout)."""
    network.train()
    if settings.tune == "head":
        for name, part in network.named_children():
            if name != "head":
                part.eval()


def _check_stages(stages: list[int], depths: set[int]) -> None:
    """Refuse stages that the network does not have."""
    if unknown := sorted(set(stages) - depths):
        there = f"layers 0 to {max(depths)}" if depths else "no numbered layers"
        raise StepError(
            f"finetune.freeze_stages names {unknown[0]}, but the network has {there}",
            hint="set finetune.freeze_stages to [], or set it for one model in finetune.overrides",
        )


def freeze_for_epoch(network: Network, settings: Finetune, epoch: int) -> int:
    """Set which parameters are trained in this epoch; return their number.

    The first `freeze_layers` layers and those of `freeze_stages` are always frozen; in the first `freeze_epochs` epochs
    all but the last one (the head). With `tune: head` the item head alone is trained, with `partial` the upper half of
    the layers, too.
    """
    trained = 0
    names = [name for name, _ in network.named_parameters()]
    depths = {name: network.layer_of(name) for name in names}
    deepest = max((depth for depth in depths.values() if depth is not None), default=0)
    _check_stages(settings.freeze_stages, {depth for depth in depths.values() if depth is not None})
    lowest = settings.freeze_layers
    if settings.tune == "partial" and not lowest:
        lowest = (deepest + 1) // 2
    for name, parameter in network.named_parameters():
        depth = depths[name]
        early = epoch < settings.freeze_epochs
        frozen = depth is not None and (
            depth < lowest or depth in settings.freeze_stages or (early and depth < deepest)
        )
        if settings.tune == "head":
            frozen = not in_item_head(name)
        parameter.requires_grad_(not frozen)
        if frozen:
            parameter.grad = None
        trained += parameter.numel() * (not frozen)
    if not trained:
        raise StepError(
            f"finetune's freeze_layers, freeze_stages and freeze_epochs leave nothing to train in epoch {epoch + 1}",
            hint="leave the deepest layer (the head) out of finetune.freeze_stages",
        )
    return trained
