"""Heads that predict the 34 items from a clip's features, in place of a network's own (params finetune.head).

`measures` has three numbers per item on the measure that pre-training taught the network to predict (a joint angle, a
share): logit = bias + slope * v + curvature * v². The square allows a typical band in the middle. With some 60
training children a fresh MLP over-fits; so few numbers do not. They start where the guide puts the edges of the typical
band, so that a cohort of a dozen children is scored by the bands rather than by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from childgait.domain.evgs import CODES, LIMBS, TARGETS
from childgait.errors import StepError
from childgait.gait.scoring import bands_of
from childgait.models.dense_heads import make_measures_head

if TYPE_CHECKING:
    from childgait.models.network import Network
    from childgait.params import Finetune

Head = Literal["mlp", "linear", "measures"]

# Coefficients are stored as a tenth: an optimizer step of one learning rate moves them by ten, so that the few hundred
# steps of a small cohort reach them from zero at the rate that suits a network.
STEP = 10.0
ITEMS_OF_LIMB = len(TARGETS) // 2
EDGE_SLOPE = 2.0  # of the logit at an edge of the typical band, per standard deviation of the measure
FARTHEST_EDGE = 4.0  # an edge farther from the mean, in standard deviations, is crossed by nobody


class MeasuresHead(nn.Module):
    """Maps (B, W) features to (B, 34) logits through the predicted measures.

    The coefficients of an item's two limbs are the pair's mean plus and minus half their difference. Training adds
    `limb_penalty` to the loss, which shrinks the differences: both limbs of a child are scored by one rule, but
    cameras and raters may differ between them. With `shared` there are no differences at all.
    """

    def __init__(self, width: int, hidden: int, limb_ridge: float, *, shared: bool) -> None:
        super().__init__()
        self.measures = make_measures_head(width, hidden)
        self.limb_ridge = limb_ridge
        self.bias = nn.Parameter(torch.zeros(len(TARGETS)))
        self.pair_mean = nn.Parameter(torch.zeros(2, ITEMS_OF_LIMB))  # slope, curvature
        self.half_difference = None if shared else nn.Parameter(torch.zeros(2, ITEMS_OF_LIMB))
        self.severe: nn.Parameter | None = None  # (3, 34) bias, slope, curvature of score 2 given an atypical score

    def coefficients(self) -> Tensor:
        """Return (2, 34): slope and curvature per target, left limb first."""
        if self.half_difference is None:
            return STEP * torch.cat([self.pair_mean, self.pair_mean], dim=1)
        return STEP * torch.cat([self.pair_mean + self.half_difference, self.pair_mean - self.half_difference], dim=1)

    def forward(self, features: Tensor) -> Tensor:
        measures = self.measures(features).float()
        slope, curvature = self.coefficients()
        logits = STEP * self.bias + slope * measures + curvature * measures.square()
        if self.severe is None:
            return logits
        bias, slope, curvature = STEP * self.severe
        return torch.cat([logits, bias + slope * measures + curvature * measures.square()], dim=1)

    def make_ordinal(self) -> None:
        """Add the logits of score 2 given an atypical score, by coefficients of their own per target."""
        self.severe = nn.Parameter(torch.zeros(3, len(TARGETS)))

    def set_prior_bias(self, prior: Tensor) -> None:
        """Start at each target's share of atypical children, whatever the measures are.

        An ordinal head's prior (68,) ends in the shares of score 2 among atypical scores.
        """
        biases = torch.logit(prior.clamp(0.01, 0.99)) / STEP
        with torch.no_grad():
            self.bias.copy_(biases[: len(TARGETS)])
            if self.severe is not None:
                self.severe.zero_()
                self.severe[0].copy_(biases[len(TARGETS) :])
            self.pair_mean.zero_()
            if self.half_difference is not None:
                self.half_difference.zero_()

    def start_at_bands(self, mean: Tensor, deviation: Tensor) -> None:
        """Start at the guide's bands; `mean` and `deviation` (34,) turn a prediction into the measure's own unit."""
        bands = [bands_of(code) for _ in LIMBS for code in CODES]
        edges = np.array([[band.zero_low, band.zero_high] for band in bands])
        scaled = (edges - mean.double().numpy()[:, None]) / deviation.double().numpy()[:, None]
        bias, slope, curvature = torch.from_numpy(coefficients_of_bands(*scaled.T)).float() / STEP
        left, right = torch.stack([slope, curvature]).split(ITEMS_OF_LIMB, dim=1)
        with torch.no_grad():
            self.bias.copy_(bias)
            self.pair_mean.copy_((left + right) / 2)
            if self.half_difference is not None:
                self.half_difference.copy_((left - right) / 2)

    def limb_penalty(self) -> Tensor:
        """Return the loss term that pulls both limbs of an item towards their mean."""
        if self.half_difference is None:
            return self.bias.new_zeros(())
        return self.limb_ridge * (STEP * self.half_difference).square().sum()

    def with_outputs(self, count: int) -> nn.Sequential:
        """Return a new linear layer of `count` outputs on the measures, for other targets than the items."""
        return nn.Sequential(self.measures, nn.Linear(len(TARGETS), count))


def coefficients_of_bands(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return bias, slope and curvature (3, N) of logits that are 0 at the edges `low`, `high` of typical bands.

    The logit is negative inside a band. Where only one edge is within reach, it is linear through that edge.
    """
    reached_low, reached_high = (np.abs(edge) < FARTHEST_EDGE for edge in (low, high))
    both = reached_low & reached_high
    nearest_is_high = np.abs(high) < np.abs(low)
    sign = np.where(nearest_is_high, EDGE_SLOPE, -EDGE_SLOPE)
    linear = np.stack([-sign * np.where(nearest_is_high, high, low), sign, np.zeros_like(low)])
    with np.errstate(invalid="ignore", divide="ignore"):  # of infinite edges, which `both` leaves out
        curvature = EDGE_SLOPE / (high - low)
        quadratic = np.stack([curvature * low * high, -curvature * (low + high), curvature])
    return np.where(both, quadratic, linear)


def install_head(network: Network, settings: Finetune, model: str) -> None:
    """Replace the network's own head by that of finetune.head."""
    if not network.takes_other_heads:
        raise StepError(
            f"finetune.head is {settings.head}, but {model} joins two streams in a head of its own",
            hint=f"set finetune.overrides.{model}.head to mlp",
        )
    width = network.feature_width
    head: nn.Module = nn.Linear(width, len(TARGETS))
    if settings.head == "measures":
        shared = settings.limbs == "shared"
        head = MeasuresHead(width, settings.encoder.head_hidden, settings.limb_ridge, shared=shared)
    network.replace_head(head)
