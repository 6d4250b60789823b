"""ChildGait-Video: VideoMAE v2 on the child's patches, with the skeleton drawn on the frames, and a small head.

Origin: the ChildGait-Video description (dataset card and project page of the ChildGait cohort): kinematic prompting
(joints and limbs drawn on the frames), mask-guided token pruning, VideoMAE v2, an MLP head with 34 outputs. With
both switches off it is plain VideoMAE v2 with the same head, which is its baseline.

Reads a Batch with `packed` patches; yields logits (B, 34) in the order of domain.evgs.TARGETS.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from childgait.domain.evgs import TARGETS
from childgait.errors import StepError
from childgait.models import network
from childgait.models.batch import Batch, InputName
from childgait.models.dense_heads import ClipFeatures, mean_over_steps
from childgait.models.network import LayerPatterns, Network
from childgait.models.tokens import Packed, Packing
from childgait.models.videomae import SIZES, TUBELET, VideoMAE, VideoMAESettings, compile_blocks

if TYPE_CHECKING:
    from childgait.params import Encoder, Finetune


class ChildGaitVideo(Network):
    """VideoMAE v2 with an MLP head, for windows of `frames` frames and `pixels` pixels per side."""

    maps_are_inputs = True
    prior_weight_scale = 1.0  # the head's last weights are small already

    def __init__(self, settings: Encoder, frames: int, pixels: int) -> None:
        super().__init__()
        self.settings = settings
        size = SIZES[settings.size]
        self.encoder = VideoMAE(VideoMAESettings(size, frames, pixels, 0, settings.drop_path, 0.0, settings.positions))
        self.feature_width = size.width
        first, last = nn.Linear(size.width, settings.head_hidden), nn.Linear(settings.head_hidden, len(TARGETS))
        self.head = nn.Sequential(first, nn.GELU(), nn.Dropout(settings.head_dropout), last)
        nn.init.trunc_normal_(first.weight, std=0.02)
        nn.init.zeros_(first.bias)
        nn.init.trunc_normal_(last.weight, std=0.001)  # initial logits are 0, or the prior's (set_prior_bias)
        nn.init.zeros_(last.bias)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> ChildGaitVideo:
        try:
            return cls(settings.encoder, settings.frames, pixels)
        except ValueError as error:
            raise StepError(
                f"the encoder {settings.encoder.size!r} cannot read clips of {settings.frames} frames and {pixels} "
                f"pixels: {error}",
                hint="change finetune.frames, finetune.encoder.size or prepare_clips.size in params.yaml",
            ) from None

    @property
    def inputs(self) -> frozenset[InputName]:
        """Parts of a clip that the loader reads for this network; it yields the pixels packed."""
        names: set[InputName] = {"frames"}
        if self.prompted:
            names.add("points")
        if self.settings.prune == "mask":
            names.add("masks")
        return frozenset(names)

    @property
    def prompted(self) -> bool:
        return self.settings.prompt == "drawn"

    @property
    def packing(self) -> Packing:
        return Packing(
            tubelet=TUBELET,
            patch=SIZES[self.settings.size].patch,
            prune=self.settings.prune,
            min_foreground=self.settings.min_foreground,
            dilate_pixels=self.settings.dilate_pixels,
            min_tokens=self.settings.min_tokens,
        )

    def _packed(self, batch: Batch) -> Packed:
        assert batch.packed is not None, "this network reads packed patches: give the loader its `packing`"
        return batch.packed

    def maps(self, batch: Batch) -> Tensor:
        """Return the normalised colours of the kept patches, (N, P)."""
        return self.encoder.normalise(self._packed(batch).patches)

    def logits_from_maps(self, maps: Tensor, batch: Batch) -> Tensor:
        return self.head(self.encoder.features(replace(self._packed(batch), patches=maps)))

    def clip_features(self, batch: Batch) -> ClipFeatures:
        """Return the mean over a clip's tokens, and over those of each time step, of which pruning may leave none."""
        packed, (steps, rows, columns) = self._packed(batch), self.encoder.grid
        x = self.encoder.tokens(packed)
        step = packed.clip * steps + packed.index // (rows * columns)
        means, known = mean_over_steps(x, step, batch.size * steps)
        return ClipFeatures(
            self.encoder.pool(x, packed), means.unflatten(0, (-1, steps)), known.unflatten(0, (-1, steps))
        )

    def replace_head(self, head: nn.Module) -> None:
        self.head = nn.Sequential(head)

    def forward(self, batch: Batch) -> Tensor:
        return self.head(self.encoder.features(self._packed(batch)))

    def compile_layers(self) -> None:
        compile_blocks(self.encoder, network.COMPILER)

    def group_matcher(self, coarse: bool = False) -> LayerPatterns:
        """Return timm's patterns: patch embedding 0, block i at i + 1, norm and head last, at the full learning
        rate."""
        return {"stem": r"^encoder\.patch_embed", "blocks": [(r"^encoder\.blocks\.(\d+)", None)]}

    def layer_of(self, parameter: str) -> int:
        part = parameter.split(".")
        if part[:2] == ["encoder", "patch_embed"]:
            return 0
        return int(part[2]) + 1 if part[:2] == ["encoder", "blocks"] else len(self.encoder.blocks) + 1

    def load_published(self, path: Path, sha256: str) -> None:
        """Load VideoMAE weights into the encoder."""
        from childgait.models.checkpoints import load_checkpoint

        load_checkpoint(self.encoder, path, sha256)
