"""The contract of a network: all that training, prediction and explanation may use of it.

A network turns a Batch into logits (B, 34) in two parts: `maps` gives its last spatial representation (or its input),
`logits_from_maps` the rest; training/gradcam.py differentiates between the two. Everything else has a default here, so
a new network states only how it differs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.errors import StepError
from childgait.models.batch import Batch, InputName
from childgait.models.cosine_linear import CosineLinear
from childgait.models.dense_heads import ClipFeatures
from childgait.models.item_heads import MeasuresHead

if TYPE_CHECKING:
    from childgait.models.tokens import Packing
    from childgait.params import Finetune

# timm's patterns of parameter names, by group of layers; a pair also gives the layer's number.
LayerPatterns = dict[str, str | list[tuple[str, tuple[int, ...] | None]]]


COMPILER = "inductor"  # backend of torch.compile


class Network(nn.Module):
    """Base class of every network in the registry. Its last layer is a linear layer with one output per target."""

    head: nn.Module  # its last linear layer, or its MeasuresHead, is the classifier
    feature_width: int  # of `clip_features`
    takes_other_heads = True  # false: streams meet in the network's own head, so it has no `clip_features`
    maps_are_inputs = False  # true: explained by |gradient x input|; false: by Grad-CAM
    prior_weight_scale = 0.1  # factor on the classifier's weights when its bias is set to the prior

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Network:
        """Return the untrained network. `pixels` is the side of the clips."""
        raise NotImplementedError

    # --- inputs -----------------------------------------------------------------------------------------------------

    @property
    def inputs(self) -> frozenset[InputName]:
        """Names of the parts of a Batch that the network reads; the loader leaves the others None."""
        raise NotImplementedError

    @property
    def prompted(self) -> bool:
        """Whether the loader draws the skeleton on the frames."""
        return False

    @property
    def packing(self) -> Packing | None:
        """How the loader cuts frames into patches; None: whole frames."""
        return None

    # --- computation ------------------------------------------------------------------------------------------------

    def maps(self, batch: Batch) -> Tensor:
        """Return the representation that is explained: (B, C, t, ...), or (N, P) for packed patches."""
        raise NotImplementedError

    def logits_from_maps(self, maps: Tensor, batch: Batch) -> Tensor:
        """Return logits (B, outputs) from what `maps` returned for the same batch."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> Tensor:
        return self.logits_from_maps(self.maps(batch), batch)

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """Return one vector of `feature_width` numbers per clip and, if there is a time axis, per time step."""
        raise NotImplementedError

    def trunk_state(self) -> dict[str, Tensor]:
        """Return the tensors of everything but the head, by name."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("head.")}

    # --- head -------------------------------------------------------------------------------------------------------

    def replace_head(self, head: nn.Module) -> None:
        """Predict the targets by `head`, which reads (B, feature_width)."""
        self.head = head

    def pool_hierarchically(self, settings: Finetune) -> None:
        """Replace the network's pooling and head by spatial hierarchical pooling and a linear layer."""
        raise StepError(
            f"finetune.pooling is hierarchical, but the maps of {type(self).__name__} lie on no grid of pixels",
            hint="set finetune.pooling to own for it; networks on whole frames or silhouettes have such maps",
        )

    def classifier(self) -> tuple[str, nn.Module]:
        """Return the layer that yields the logits, and its name: a MeasuresHead, else the head's last linear layer."""
        parts = [(f"head.{name}".rstrip("."), part) for name, part in self.head.named_modules()]
        measures = [(name, part) for name, part in parts if isinstance(part, MeasuresHead)]
        return measures[0] if measures else [(name, part) for name, part in parts if isinstance(part, nn.Linear)][-1]

    def with_features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the logits and the numbers (B, W) that the classifier reads to give them."""
        features: list[Tensor] = []
        _, last = self.classifier()
        handle = last.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
        try:
            logits = self(batch)
        finally:
            handle.remove()
        return logits, features[0]

    def classifier_width(self) -> int:
        """Return W, the numbers per clip that the classifier reads."""
        _, last = self.classifier()
        if isinstance(last, MeasuresHead):
            last = last.measures[0]
        assert isinstance(last, nn.Linear)
        return last.in_features

    def set_prior_bias(self, prior: Tensor) -> None:
        """Set the classifier's bias to the class prior (outputs,) and shrink its weights."""
        _, last = self.classifier()
        if isinstance(last, MeasuresHead):
            last.set_prior_bias(prior)
            return
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight.mul_(self.prior_weight_scale)
            last.bias.copy_(torch.logit(prior.clamp(0.01, 0.99)))

    def reset_classifier(self, outputs: int) -> None:
        """Replace the classifier of 34 targets, in place, by a fresh one with `outputs` outputs."""
        name, last = self.classifier()
        if isinstance(last, MeasuresHead):
            fresh: nn.Module = last.with_outputs(outputs)
        else:
            assert isinstance(last, nn.Linear)
            before = (len(TARGETS), 2 * len(TARGETS))
            assert last.out_features in before, f"{type(self).__name__}.{name} has {last.out_features} outputs"
            fresh = nn.Linear(last.in_features, outputs)
        owner, _, attribute = name.rpartition(".")
        self.get_submodule(owner).register_module(attribute, fresh)

    def make_ordinal(self) -> None:
        """Give each target a second output after all first ones: the logit of score 2 given an atypical score.

        The first outputs keep their weights. The second start at zero, or as the first where the head normalises its
        weights (a vector of zeros has no direction). No random number is drawn.
        """
        _, last = self.classifier()
        if isinstance(last, MeasuresHead):
            last.make_ordinal()
            return
        assert isinstance(last, nn.Linear)
        weight, bias = last.weight.detach(), last.bias.detach()
        with torch.random.fork_rng(devices=[]):
            self.reset_classifier(2 * len(TARGETS))
        _, fresh = self.classifier()
        assert isinstance(fresh, nn.Linear)
        second = weight if isinstance(last, CosineLinear) else torch.zeros_like(weight)
        with torch.no_grad():
            fresh.weight.copy_(torch.cat([weight, second]))
            fresh.bias.copy_(torch.cat([bias, torch.zeros_like(bias)]))

    def head_penalty(self) -> Tensor | None:
        """Return the head's own term of the loss; None where it has none."""
        measures = [part for part in self.modules() if isinstance(part, MeasuresHead)]
        return measures[0].limb_penalty() if measures else None

    # --- optimisation -----------------------------------------------------------------------------------------------

    def group_matcher(self, coarse: bool = False) -> LayerPatterns | None:
        """Return timm's patterns of the layers, for layer-wise learning rates; None: one rate for all."""
        return None

    def layer_of(self, parameter: str) -> int | None:
        """Return the depth of a parameter, 0 for the first layer, for freezing; None: it is never frozen."""
        return None

    def compile_layers(self) -> None:
        """Compile the network by torch.compile, in place; its state keeps its names."""
        self.compile(backend=COMPILER)

    # --- published weights ------------------------------------------------------------------------------------------

    def load_published(self, path: Path, sha256: str) -> None:
        """Load a published checkpoint; stop without a change if the file does not fit."""
        raise StepError(
            f"{type(self).__name__} reads no published weights, but finetune.weights is {path}",
            hint="leave finetune.weights empty for this model (finetune.overrides does it for one model)",
        )
