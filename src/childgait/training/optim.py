"""What is minimised, and by which steps: masked loss, positive weights, layer-wise decay, warm-up and cosine, freezing.

The optimizer, the schedule and the moving average are timm's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from childgait.models.network import Network
    from childgait.params import Finetune


def positive_weights(atypical: NDArray[np.float32], cap: float) -> NDArray[np.float32]:
    """(34,) typical over atypical among (N, 34) training children, within 1/cap … cap; 1 where a class is missing."""
    positives = np.nansum(atypical, axis=0)
    negatives = np.sum(~np.isnan(atypical), axis=0) - positives
    both = (positives > 0) & (negatives > 0)
    ratio = np.where(both, negatives / np.maximum(positives, 1), 1.0)
    return np.clip(ratio, 1 / cap, cap).astype(np.float32)


def weighted_shares(atypical: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """(34,) what a network without an opinion should answer: the share of atypical cells as the loss weighs them."""
    positives = np.nansum(atypical, axis=0) + 1
    negatives = np.sum(atypical == 0, axis=0) + 1
    return (positives * weights / (positives * weights + negatives)).astype(np.float32)


def loss_of_clips(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """(B,) binary cross-entropy, the mean over the targets that a clip knows; 0 for a clip that knows none.

    A clip counts as one whatever its view shows, so that the twelve sagittal items do not outweigh the five coronal.
    """
    known = ~torch.isnan(labels)
    truth = torch.where(known, labels, torch.zeros_like(labels))
    each = functional.binary_cross_entropy_with_logits(logits.float(), truth, pos_weight=weights, reduction="none")
    return (each * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)


def make_optimizer(network: Network, settings: Finetune) -> torch.optim.Optimizer:
    """AdamW, no decay on biases and norms; the rate shrinks by `layer_decay` with every layer below the head.

    The network is where it will learn: on a GPU a step is one kernel a group, not ten a parameter.
    """
    from timm.optim import create_optimizer_v2

    has_layers = network.group_matcher() is not None
    return create_optimizer_v2(
        network,
        opt="adamw",
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.999),
        layer_decay=settings.layer_decay if has_layers and settings.layer_decay < 1 else None,
        foreach=False,
        fused=next(network.parameters()).is_cuda,
    )


def make_schedule(optimizer: torch.optim.Optimizer, settings: Finetune, steps_an_epoch: int) -> Any:
    """Warm-up from 0, then half a cosine, a step at a time; it knows its place from the step's number alone."""
    from timm.scheduler import CosineLRScheduler

    warm_up = settings.warmup_epochs * steps_an_epoch
    return CosineLRScheduler(
        optimizer,
        t_initial=max(settings.epochs * steps_an_epoch - warm_up, 1),
        lr_min=settings.min_learning_rate,
        warmup_t=warm_up,
        warmup_lr_init=0.0,
        warmup_prefix=True,
        t_in_epochs=False,
    )


def in_item_head(parameter: str) -> bool:
    """Whether a parameter belongs to the item head; the measures that a head reads are pre-trained, not its own."""
    return parameter.startswith("head.") and ".measures." not in parameter


def set_train_mode(network: Network, settings: Finetune) -> None:
    """Training mode; below a head that learns alone, features stay as in inference (no dropout, no running means)."""
    network.train()
    if settings.tune == "head":
        for name, part in network.named_children():
            if name != "head":
                part.eval()


def freeze_for_epoch(network: Network, settings: Finetune, epoch: int) -> int:
    """Set which parameters learn in this epoch; the number of those that do.

    The first `freeze_layers` layers never learn; in the first `freeze_epochs` epochs only the last layer (the head).
    With `tune: head` the item head alone learns, with `partial` the upper half of the layers, too.
    """
    learning = 0
    names = [name for name, _ in network.named_parameters()]
    depths = {name: network.layer_of(name) for name in names}
    deepest = max((depth for depth in depths.values() if depth is not None), default=0)
    lowest = settings.freeze_layers
    if settings.tune == "partial" and not lowest:
        lowest = (deepest + 1) // 2
    for name, parameter in network.named_parameters():
        depth = depths[name]
        frozen = depth is not None and (depth < lowest or (epoch < settings.freeze_epochs and depth < deepest))
        if settings.tune == "head":
            frozen = not in_item_head(name)
        parameter.requires_grad_(not frozen)
        if frozen:
            parameter.grad = None
        learning += parameter.numel() * (not frozen)
    return learning
