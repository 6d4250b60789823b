"""Losses over the known targets of clips: binary cross-entropy, focal, class-balanced weights, ordinal (CORN).

Origin: focal loss of Lin et al. (2017, arXiv 1708.02002); effective numbers of samples of Cui et al. (2019, arXiv
1901.05555); CORN of Shi, Cao and Raschka (2021, arXiv 2111.08851): an ordinal score of 0, 1 or 2 as two conditional
binary questions, whether it is at least 1, and whether it is 2 given that. The first has the class weights of the
binary loss, so that its probability is that of "atypical" whatever the loss; the second has none.

Each clip has the same weight whatever its view shows, so that the eleven sagittal items do not outweigh the six
coronal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from childgait.domain.evgs import TARGETS
from childgait.errors import StepError

if TYPE_CHECKING:
    from childgait.files.parts import Part
    from childgait.params import Finetune

QUESTIONS = 2  # of an ordinal target: at least 1; 2 given at least 1


def loss_of_clips(logits: Tensor, labels: Tensor, weights: Tensor, gamma: float = 0.0) -> Tensor:
    """Return (B,) binary cross-entropy, the mean over the known targets of a clip; 0 for a clip without any.

    `weights` are of atypical scores. With `gamma` it is the focal loss: each target's term is multiplied by the
    probability of the wrong class to that power.
    """
    known = ~torch.isnan(labels)
    truth = torch.where(known, labels, torch.zeros_like(labels))
    each = functional.binary_cross_entropy_with_logits(logits.float(), truth, pos_weight=weights, reduction="none")
    if gamma:
        each = each * torch.exp(gamma * functional.logsigmoid((1 - 2 * truth) * logits.float()))
    return (each * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)


def corn_loss(logits: Tensor, scores: Tensor, weights: Tensor) -> Tensor:
    """Return (B,) the ordinal loss of logits (B, 68) and scores (B, 34) of 0, 1 or 2, NaN where unknown.

    Both questions are divided by the clip's known targets, so that the first weighs the same in every clip, however
    many of its items are atypical and have a second one: else the probability of atypical would be biased.
    """
    targets = len(TARGETS)
    atypical = torch.where(torch.isnan(scores), scores, (scores > 0).float())
    first = loss_of_clips(logits[:, :targets], atypical, weights)
    severe = severe_of(scores)
    known = ~torch.isnan(severe)
    truth = torch.where(known, severe, torch.zeros_like(severe))
    second = functional.binary_cross_entropy_with_logits(logits[:, targets:].float(), truth, reduction="none")
    return first + (second * known).sum(dim=1) / (~torch.isnan(scores)).sum(dim=1).clamp(min=1)


def severe_of(scores: Tensor) -> Tensor:
    """Return whether atypical scores are 2: 1 or 0, NaN where the score is 0 or unknown."""
    return torch.where(scores > 0, (scores > 1).float(), torch.nan)


class TrainingLoss:
    """The loss that params select, of a network's logits and the labels that `training_labels` gives."""

    def __init__(self, settings: Finetune, weights: Tensor) -> None:
        self.weights, self.ordinal = weights, settings.loss == "corn"
        self.gamma = settings.focal_gamma if settings.loss == "focal" else 0.0

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return (B,) the loss per clip."""
        if self.ordinal:
            return corn_loss(logits, labels, self.weights)
        return loss_of_clips(logits, labels, self.weights, self.gamma)


def training_labels(part: Part, settings: Finetune) -> NDArray[np.float32]:
    """Return the labels (rows, targets) that the loss reads: scores of 0, 1 or 2 if ordinal, else atypical or not."""
    if settings.loss != "corn":
        return part.atypical
    if not (part.scores == QUESTIONS).any():
        raise StepError(
            "finetune.loss is corn, but no training child has a score of 2 on any item",
            hint="scores on a binary scale have no order to learn: set finetune.loss to bce, focal or class_balanced",
        )
    return part.scores


def atypical_logits(logits: Tensor) -> Tensor:
    """Return the logits (B, 34) of atypical, without those of an ordinal model's second question."""
    return logits[:, : len(TARGETS)] if logits.shape[1] == QUESTIONS * len(TARGETS) else logits


def effective_number(counts: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Return the effective number of samples of classes with these counts."""
    return np.asarray((1 - beta**counts) / (1 - beta))
