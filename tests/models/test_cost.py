"""The cost of a network is what can be counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from childgait.models.batch import Batch
from childgait.models.cost import cost


class Toy(nn.Module):
    """A linear layer, a convolution or recurrent cells on (B, 6) features."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, batch: Batch) -> torch.Tensor:
        assert batch.features is not None
        given = batch.features[:, None] if isinstance(self.part, nn.Conv1d) else batch.features
        if isinstance(self.part, nn.LSTM):
            return self.part(batch.features[:, :, None])[0]
        return self.part(given)


@pytest.mark.parametrize(
    ("part", "operations"),
    [
        (nn.Linear(6, 34), 2 * 6 * 34),
        (nn.Conv1d(1, 4, 3, padding=1), 2 * 6 * 3 * 4),
        (nn.LSTM(1, 5, batch_first=True), 2 * 6 * (1 + 5) * 4 * 5),
    ],
    ids=["linear", "convolution", "recurrent"],
)
@pytest.mark.parametrize("clips", [1, 3])
def test_operations_are_those_of_one_clip(part: nn.Module, operations: int, clips: int) -> None:
    network = Toy(part).train()
    result = cost(network, Batch(clips, features=torch.zeros(clips, 6)))
    assert result.operations == operations
    assert result.parameters == sum(p.numel() for p in part.parameters())
    assert network.training
