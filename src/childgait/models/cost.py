"""Cost of a network: its parameters, and the operations per clip.

Reads a network and a batch as its loader gives it; yields numbers that depend on neither the machine nor its load. An
operation is a multiplication or an addition of a matrix product, convolution or attention (a multiply-add is two); what
else is computed (norms, activations, the drawing of skeletons) is small beside them and is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from childgait.models.batch import Batch


@dataclass(frozen=True)
class Cost:
    parameters: int
    operations: int  # per clip, forward; the mean over the batch, whose clips may keep different numbers of patches


def cost(network: nn.Module, batch: Batch) -> Cost:
    """Count parameters and operations, on the CPU: torch's counter does not know all kernels of a GPU."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    was_training = network.training
    network.eval()
    # The fused recurrent kernel of oneDNN hides its products from the counter.
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        network(batch)
    network.train(was_training)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Cost(parameters, round(counter.get_total_flops() / batch.size))
