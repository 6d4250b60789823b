"""ChildGait-Video: VideoMAE v2 on the child's patches, with the skeleton drawn on them, and a small head.

Origin: the ChildGait-Video description (dataset card and project page of the ChildGait cohort): kinematic prompting
(joints and limbs drawn on the frames), mask-guided token pruning, VideoMAE v2, an MLP head with 34 outputs. With
both switches off it is plain VideoMAE v2 under the same head, which is its baseline.

Reads a Batch with `packed` patches; yields logits (B, 34) in the order of gait.evgs.TARGETS.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.errors import StepError
from childgait.models.batch import Batch, InputName
from childgait.models.dense_heads import ClipFeatures, mean_over_steps
from childgait.models.heads import set_prior_bias
from childgait.models.tokens import Packing, Prune
from childgait.models.videomae import SIZES, TUBELET, Positions, VideoMAE, VideoMAESettings

Prompt = Literal["none", "drawn"]


@dataclass(frozen=True)
class ChildGaitVideoSettings:
    """All of it plain values, so that it can be written beside the weights."""

    size: str  # of SIZES
    frames: int
    pixels: int
    prompt: Prompt
    prune: Prune
    min_foreground: float
    dilate_pixels: int
    min_tokens: int
    drop_path: float
    head_hidden: int
    head_dropout: float
    positions: Positions = "interpolated"


class ChildGaitVideo(nn.Module):
    maps_are_inputs = True

    def __init__(self, settings: ChildGaitVideoSettings) -> None:
        super().__init__()
        self.settings = settings
        size = SIZES[settings.size]
        self.encoder = VideoMAE(
            VideoMAESettings(size, settings.frames, settings.pixels, 0, settings.drop_path, 0.0, settings.positions)
        )
        first, last = nn.Linear(size.width, settings.head_hidden), nn.Linear(settings.head_hidden, len(TARGETS))
        self.head = nn.Sequential(first, nn.GELU(), nn.Dropout(settings.head_dropout), last)
        nn.init.trunc_normal_(first.weight, std=0.02)
        nn.init.zeros_(first.bias)
        nn.init.trunc_normal_(last.weight, std=0.001)  # starts at no opinion, or at the prior (set_prior_bias)
        nn.init.zeros_(last.bias)

    @property
    def inputs(self) -> frozenset[InputName]:
        """What the loader reads for this model; it hands the pixels over packed."""
        wanted: set[InputName] = {"frames"}
        if self.settings.prompt == "drawn":
            wanted.add("points")
        if self.settings.prune == "mask":
            wanted.add("masks")
        return frozenset(wanted)

    @property
    def prompted(self) -> bool:
        return self.settings.prompt == "drawn"

    @property
    def packing(self) -> Packing:
        own = self.settings
        patch = SIZES[own.size].patch
        return Packing(TUBELET, patch, own.prune, own.min_foreground, own.dilate_pixels, own.min_tokens)

    def set_prior_bias(self, prior: Tensor) -> None:
        """Begin at each target's share of atypical children."""
        set_prior_bias(self.head[-1], prior, keep=1)

    @property
    def feature_width(self) -> int:
        return SIZES[self.settings.size].width

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """The mean over a clip's tokens, and over those of each time step, of which pruning may leave none."""
        assert batch.packed is not None, "the loader packs for this model: give it model.packing"
        packed, (steps, rows, columns) = batch.packed, self.encoder.grid
        x = self.encoder.tokens(packed)
        step = packed.clip * steps + packed.index // (rows * columns)
        means, known = mean_over_steps(x, step, batch.size * steps)
        return ClipFeatures(
            self.encoder.pool(x, packed), means.unflatten(0, (-1, steps)), known.unflatten(0, (-1, steps))
        )

    def replace_head(self, head: nn.Module) -> None:
        """Let `head` predict the items from clip features (B, feature_width)."""
        self.head = nn.Sequential(head)

    def maps(self, batch: Batch) -> Tensor:
        """(N, P): the colours of the kept patches, normalised."""
        assert batch.packed is not None, "the loader packs for this model: give it model.packing"
        return self.encoder.normalise(batch.packed.patches)

    def answer(self, maps: Tensor, batch: Batch) -> Tensor:
        assert batch.packed is not None
        return self.head(self.encoder.features(replace(batch.packed, patches=maps)))

    def forward(self, batch: Batch) -> Tensor:
        assert batch.packed is not None, "the loader packs for this model: give it model.packing"
        return self.head(self.encoder.features(batch.packed))

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """For timm's layer decay: patch embedding 0, block i at i + 1, norm and head last, at the full rate."""
        return {"stem": r"^encoder\.patch_embed", "blocks": [(r"^encoder\.blocks\.(\d+)", None)]}

    def layer_of(self, parameter: str) -> int:
        """The layer that a parameter's learning rate decays by, of 0 ... depth + 1."""
        part = parameter.split(".")
        if part[:2] == ["encoder", "patch_embed"]:
            return 0
        return int(part[2]) + 1 if part[:2] == ["encoder", "blocks"] else len(self.encoder.blocks) + 1


def from_settings(settings: Any, pixels: int) -> ChildGaitVideo:
    """From params' finetune section; `pixels` is the side of the prepared clips."""
    chosen = settings.encoder.model_dump()
    try:
        return ChildGaitVideo(ChildGaitVideoSettings(frames=settings.frames, pixels=pixels, **chosen))
    except ValueError as error:
        raise StepError(
            f"the encoder {chosen['size']!r} cannot read clips of {settings.frames} frames and {pixels} pixels: {error}",
            hint="change finetune.frames, finetune.encoder.size or prepare_clips.size in params.yaml",
        ) from None
