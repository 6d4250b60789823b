"""Another question for a network of the registry: the same trunk, another last layer.

Every network ends in one linear layer that answers the 34 items; here it is replaced by one that answers `count` others.
"""

from __future__ import annotations

from torch import nn

from childgait.gait.evgs import TARGETS


def ask_instead(network: nn.Module, count: int) -> None:
    """Replace the layer of 34 answers, in place, by a fresh one of `count`."""
    last = [name for name, part in network.named_modules() if isinstance(part, nn.Linear) and part.out_features == len(TARGETS)]
    assert len(last) == 1, f"{type(network).__name__} has {len(last)} layers of {len(TARGETS)} answers"
    owner, _, name = last[0].rpartition(".")
    old = network.get_submodule(last[0])
    assert isinstance(old, nn.Linear)
    network.get_submodule(owner).register_module(name, nn.Linear(old.in_features, count))
