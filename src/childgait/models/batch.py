"""What a model is given: a batch of clips, each part of it there only if the model asked for it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from torch import Tensor

Ingredient = Literal["frames", "masks", "points", "features"]


@dataclass
class Batch:
    """B clips of T frames. A model names the ingredients it consumes; the loader leaves the others None."""

    size: int  # B
    frames: Tensor | None = None  # uint8 (B, T, S, S, 3) RGB; prompted where the model is
    masks: Tensor | None = None  # bool (B, T, S, S), true where the child is
    points: Tensor | None = None  # float32 (B, T, 23, 3): x, y in pixels of the crop, score
    features: Tensor | None = None  # float32 (B, F)
    labels: Tensor | None = None  # float32 (B, 34) 0 or 1, NaN where unknown or not to be seen in this view
    rows: Tensor | None = None  # int64 (B,) row of the part table each clip comes from

    def to(self, device: str) -> Batch:
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(
            self,
            **{name: value.to(device, non_blocking=True) for name, value in moved.items() if isinstance(value, Tensor)},
        )
