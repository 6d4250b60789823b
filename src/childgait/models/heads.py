"""The last layer of a network of the registry: where it begins, and another question in its place.

Every network ends in one linear layer that answers the 34 items.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.models.item_heads import MeasuresHead


def set_prior_bias(last: nn.Module, prior: Tensor, keep: float = 0.1) -> None:
    """Let it answer nearly each target's share of atypical children at first; `keep` is what stays of its weights."""
    if isinstance(last, MeasuresHead):
        last.set_prior_bias(prior)
        return
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.mul_(keep)
        last.bias.copy_(torch.logit(prior.clamp(0.01, 0.99)))


def last_layer(head: nn.Module) -> nn.Module:
    """What yields the logits: the measures head where there is one, else the last linear layer."""
    measures = [part for part in head.modules() if isinstance(part, MeasuresHead)]
    return measures[0] if measures else [part for part in head.modules() if isinstance(part, nn.Linear)][-1]


def reset_classifier(network: nn.Module, count: int) -> None:
    """Replace the layer of 34 answers, in place, by a fresh one of `count`."""
    for name, part in network.named_modules():
        if isinstance(part, MeasuresHead):
            owner, _, own_name = name.rpartition(".")
            network.get_submodule(owner).register_module(own_name, part.with_outputs(count))
            return
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
