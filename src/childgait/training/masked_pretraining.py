"""Masked reconstruction within pre-training: its loss per step, and its loss on held-out windows with fixed masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from childgait.errors import StepError
from childgait.models.batch import Batch
from childgait.models.childgait_video import ChildGaitVideo
from childgait.models.masked_decoder import MaskedDecoder, draw_masks
from childgait.training.precision import Precision, autocast_context

if TYPE_CHECKING:
    from childgait.models.dense_heads import PretrainingModel
    from childgait.models.network import Network
    from childgait.models.videomae import VideoMAE
    from childgait.params import Masking

_MASKS = 1  # part of the seeds, so that masks and windows draw independent random numbers


class NoTargets:
    """In place of dense targets, where a method has none."""

    def to(self, device: str, *, non_blocking: bool = False) -> NoTargets:
        return self

    def pin_memory(self) -> NoTargets:
        return self


def encoder_of(network: Network) -> VideoMAE:
    """Return the encoder whose tokens can be masked."""
    if not isinstance(network, ChildGaitVideo):
        raise StepError(
            f"pretrain.method masks patches, but {type(network).__name__} has none",
            hint="set pretrain.method to dense, or name a network of the VideoMAE family in pretrain.models",
        )
    return network.encoder


def masked_loss(
    model: PretrainingModel, decoder: MaskedDecoder, batch: Batch, masking: Masking, device: str, seeds: list[int]
) -> Tensor:
    """Return the reconstruction loss of a batch on the CPU, with masks drawn from `seeds`."""
    encoder = encoder_of(model.network)
    assert batch.packed is not None
    masks = draw_masks(batch.packed, encoder.grid, masking, np.random.default_rng([*seeds, _MASKS]))
    return decoder(encoder, batch.packed.to(device), masks)


def make_masked_validator(
    batches: Iterable[tuple[Batch, Any]],
    decoder: MaskedDecoder,
    masking: Masking,
    *,
    seed: int,
    device: str,
    precision: Precision,
) -> Callable[[PretrainingModel], dict[str, float]]:
    """Return a function from the model to its reconstruction loss; windows and masks are the same each time."""

    def validate(model: PretrainingModel) -> dict[str, float]:
        model.eval()
        decoder.eval()
        losses, windows = [], []
        for number, (clips, _) in enumerate(batches):
            with torch.inference_mode(), autocast_context(precision, device):
                losses.append(float(masked_loss(model, decoder, clips, masking, device, [seed, number])))
            windows.append(clips.size)
        return {"validation_masked": float(np.average(losses, weights=windows))}

    return validate
