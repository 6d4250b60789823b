"""A classifier by cosines of strips of features: the head of ScoNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

COSINE_SCALE = 16


class CosineLinear(nn.Linear):
    """Mean over strips of COSINE_SCALE times the cosine of a strip's feature and its class weight, plus a bias."""

    def __init__(self, strips: int, width: int, outputs: int) -> None:
        super().__init__(strips * width, outputs)
        self.strips, self.width = strips, width

    def forward(self, input: Tensor) -> Tensor:
        """Return (B, outputs) from (B, width x strips)."""
        features = functional.normalize(input.unflatten(1, (self.width, self.strips)), dim=1)
        weights = functional.normalize(self.weight.unflatten(1, (self.width, self.strips)), dim=1)
        cosines = torch.einsum("bdp,odp->bo", features, weights) / self.strips
        return COSINE_SCALE * cosines + self.bias
