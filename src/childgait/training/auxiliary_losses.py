"""Losses on what the classifier reads, beside the loss on the logits: a teacher's answers, and affinity contrast.

Their parts (a linear map to the teacher's features, the prototypes of the items) are trained within the network, as
`auxiliary`, so that optimizer, gradients over processes, moving average and checkpoints include them; a finished
run's weights do not contain them. Without either option nothing here is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from childgait.models.batch import Batch
from childgait.models.network import Network
from childgait.models.strips import StripNetwork
from childgait.training.contrast import ItemContrast
from childgait.training.distillation import (
    Teacher,
    align_parts,
    boundary_loss,
    check_strips,
    logits_by_part,
    softened_divergence,
)
from childgait.training.losses import atypical_logits

if TYPE_CHECKING:
    from childgait.params import Finetune

AUXILIARY = "auxiliary"  # name of the trainable parts within the network


class AuxiliaryLosses:
    """The sum of the losses that params switch on, each times its weight."""

    def __init__(
        self, network: Network, settings: Finetune, affinity: NDArray[np.float32], teacher: Teacher | None = None
    ) -> None:
        self.network, self.teacher = network, teacher
        self.distillation, self.contrast = settings.distillation, settings.contrast
        width, parts = network.classifier_width(), nn.ModuleDict()
        if self.contrast.weight > 0:
            parts["contrast"] = ItemContrast(width, affinity, self.contrast)
        if teacher is not None:
            if self.distillation.parts == "strips":
                check_strips(network, teacher.network)
            if self.distillation.boundary_weight > 0:
                parts["connector"] = nn.Linear(width, teacher.network.classifier_width())
        if parts:
            network.add_module(AUXILIARY, parts)

    def __call__(self, logits: Tensor, features: Tensor, labels: Tensor, batch: Batch) -> Tensor:
        """Return (B,) the loss per clip; `features` are what the classifier read to give `logits`."""
        losses = torch.zeros(len(logits), device=logits.device)
        if self.contrast.weight > 0:
            losses = losses + self.contrast.weight * self._part("contrast")(features, labels)
        if self.teacher is not None:
            assert batch.teacher is not None
            losses = losses + self._from_teacher(self.teacher, logits, features, ~torch.isnan(labels), batch.teacher)
        return losses

    def remove(self) -> None:
        """Remove the trainable parts from the network."""
        if hasattr(self.network, AUXILIARY):
            delattr(self.network, AUXILIARY)

    def _part(self, name: str) -> nn.Module:
        return cast(nn.ModuleDict, self.network.get_submodule(AUXILIARY))[name]

    def _from_teacher(self, teacher: Teacher, logits: Tensor, features: Tensor, known: Tensor, batch: Batch) -> Tensor:
        """Return (B,) divergence and boundary loss."""
        settings = self.distillation
        target, of_teacher = teacher.answer(batch)
        student = atypical_logits(logits)
        if settings.parts == "strips":
            assert isinstance(self.network, StripNetwork)
            assert isinstance(teacher.network, StripNetwork)
            student, target = align_parts(
                logits_by_part(self.network, features), logits_by_part(teacher.network, of_teacher)
            )
        losses = settings.weight * softened_divergence(student, target, known, settings.temperature)
        if settings.boundary_weight > 0:
            mapped = self._part("connector")(features.float())
            boundary = boundary_loss(mapped, teacher.standardise(of_teacher), settings.margin)
            losses = losses + settings.boundary_weight * boundary
        return losses


def without_auxiliary(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a network that a finished run keeps."""
    return {name: value for name, value in weights.items() if not name.startswith(f"{AUXILIARY}.")}
