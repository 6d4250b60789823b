"""AGRM's network: a 3D ResNet-18 with spatial pooling at three resolutions.

Origin: the AGRM description (Bioengineering 13(3):272, 2026): 3D ResNet-18, spatial hierarchical pooling, a fully
connected layer; trained with a mean teacher (training/mean_teacher.py), which the registry's row switches on.

Reads Batch.frames; yields logits (B, 34).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from childgait.errors import StepError
from childgait.models.hierarchical_pooling import hierarchical_head
from childgait.models.resnet3d import DEEPEST, Resnet3d, make_trunk

if TYPE_CHECKING:
    from childgait.params import Cnn, Finetune


class Agrm(Resnet3d):
    """3D ResNet-18 with hierarchical pooling."""

    def __init__(self, settings: Cnn) -> None:
        channels = DEEPEST * settings.width
        head = hierarchical_head(channels, settings.width, settings.dropout)
        super().__init__(make_trunk(whole=True, width=settings.width), head, channels)

    @classmethod
    def from_settings(cls, settings: Finetune, pixels: int) -> Agrm:
        return cls(settings.cnn)

    def pool_hierarchically(self, settings: Finetune) -> None:
        raise StepError(
            "finetune.pooling is hierarchical, which agrm has of its own",
            hint="set finetune.overrides.agrm.pooling to own",
        )
