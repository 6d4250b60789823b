"""The last layer of a network of the registry: where it begins, and another question in its place.

Every network ends in one linear layer that answers the 34 items.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGETS


def set_prior_bias(last: nn.Module, prior: Tensor, keep: float = 0.1) -> None:
    """Let it answer nearly each target's share of atypical children at first; `keep` is what stays of its weights."""
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.mul_(keep)
        last.bias.copy_(torch.logit(prior.clamp(0.01, 0.99)))


def reset_classifier(network: nn.Module, count: int) -> None:
    """Replace the layer of 34 answers, in place, by a fresh one of `count`."""
    last = [
        name
        for name, part in network.named_modules()
        if isinstance(part, nn.Linear) and part.out_features == len(TARGETS)
    ]
    assert len(last) == 1, f"{type(network).__name__} has {len(last)} layers of {len(TARGETS)} answers"
    owner, _, name = last[0].rpartition(".")
    old = network.get_submodule(last[0])
    assert isinstance(old, nn.Linear)
    network.get_submodule(owner).register_module(name, nn.Linear(old.in_features, count))
