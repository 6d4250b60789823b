"""Affinity contrast: clips against prototypes of items, in which items that occur together repel each other less.

Origin: the idea of affinity contrast of ACLNet (firework8/ACLNet; skeleton action recognition), which contrasts a
sample with prototypes of classes and joins the classes that are commonly mistaken for each other. Here a clip has 34
items of two classes instead of one class of many, so the choices are ours: one trainable prototype per item and one for
"nothing atypical"; the affinity of two items is the Jaccard index of the training children who are atypical in them;
a clip belongs to its atypical items with weight 1, and to its typical items with `affinity` times their mean affinity
to the atypical ones. With `affinity: 0` it is a plain contrast against the prototypes.

Reads what the network's classifier reads; yields a loss per clip, which does not depend on the other clips of a batch.
The projection and the prototypes are trained with the network and not kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from childgait.domain.evgs import MIRRORED, TARGETS

if TYPE_CHECKING:
    from childgait.params import Contrast


def item_affinity(atypical: NDArray[np.float32], flip: float = 0.0) -> NDArray[np.float32]:
    """Return (34, 34) the Jaccard index of every two targets over (N, 34) children whose scores of both are known.

    With `flip` a child counts as its mirror image with that share, as training shows it. The diagonal is 1.
    """
    known, positive = ~np.isnan(atypical), atypical == 1
    both = positive.T.astype(float) @ positive
    either = positive.T.astype(float) @ known + known.T.astype(float) @ positive - both
    other = list(MIRRORED)
    both, either = ((1 - flip) * one + flip * one[np.ix_(other, other)] for one in (both, either))
    affinity = np.where(either > 0, both / np.where(either > 0, either, 1), 0.0)
    np.fill_diagonal(affinity, 1.0)
    return affinity.astype(np.float32)


class ItemContrast(nn.Module):
    """The loss with its trainable projection and prototypes."""

    affinity: Tensor

    def __init__(self, width: int, affinity: NDArray[np.float32], settings: Contrast) -> None:
        super().__init__()
        self.settings = settings
        self.projection = nn.Linear(width, settings.width, bias=False)
        self.prototypes = nn.Parameter(torch.randn(len(TARGETS) + 1, settings.width))  # the last: nothing atypical
        self.register_buffer("affinity", torch.from_numpy(affinity).clone().fill_diagonal_(0))

    def memberships(self, labels: Tensor) -> Tensor:
        """Return (B, 35) how much a clip belongs to each prototype, in shares of 1; 0 where no score is known.

        `labels` (B, 34) are 0 if typical, above 0 if atypical, NaN if unknown.
        """
        atypical, typical = (labels > 0).float(), (labels == 0).float()
        count = atypical.sum(dim=1, keepdim=True)
        neighbours = atypical @ self.affinity / count.clamp(min=1)
        items = atypical + self.settings.affinity * neighbours * typical
        nothing = ((count == 0) & (typical.sum(dim=1, keepdim=True) > 0)).float()
        weights = torch.cat([items, nothing], dim=1)
        return weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-6)

    def forward(self, embedding: Tensor, labels: Tensor) -> Tensor:
        """Return (B,) cross-entropy of the memberships and the softmax over the prototypes of known items."""
        clips = functional.normalize(self.projection(embedding.float()), dim=1)
        prototypes = functional.normalize(self.prototypes, dim=1)
        cosines = clips @ prototypes.T / self.settings.temperature
        unknown = functional.pad(torch.isnan(labels), (0, 1), value=False)
        logs = torch.log_softmax(cosines.masked_fill(unknown, -torch.inf), dim=1).masked_fill(unknown, 0)
        return -(self.memberships(labels) * logs).sum(dim=1)
