"""The input of a model: a batch of clips with the parts that the model reads."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from torch import Tensor

from childgait.models.tokens import Packed

InputName = Literal["frames", "masks", "silhouettes", "points", "features"]


@dataclass
class Batch:
    """B clips of T frames. A model names the inputs it consumes; the loader leaves the others None.

    A model with a `packing` (models/tokens.py) gets its pixels as `packed`, and `frames` and `masks` stay None.
    """

    size: int  # B
    frames: Tensor | None = None  # uint8 (B, T, S, S, 3) RGB; prompted where the model is
    masks: Tensor | None = None  # bool (B, T, S, S), true where the child is
    silhouettes: Tensor | None = None  # uint8 (B, T, 64, columns), 255 inside the child; vision/silhouette_crops.py
    rectangles: Tensor | None = None  # float32 (B, T, 4): left, top, width, height of each silhouette in the clip
    points: Tensor | None = None  # float32 (B, T, 23, 3): x, y in pixels of the crop, score; score 0 where unknown
    features: Tensor | None = None  # float32 (B, F): gait features of the whole clip, NaN where missing
    packed: Packed | None = None  # the patches that are kept, of all clips in one row
    labels: Tensor | None = None  # float32 (B, 34) 0 or 1, NaN where unknown or not to be seen in this view
    rows: Tensor | None = None  # int64 (B,) row of the part table each clip comes from
    windows: Tensor | None = None  # int64 (B,) first frame of the window in its video's clip
    teacher: Batch | None = None  # the same windows as a teacher reads them (training/distillation.py)
    filled: int = 0  # tokens of `packed` without enough mask pixels, kept only to reach min_tokens

    def _each(self, method: str, *arguments: Any, **options: Any) -> Batch:
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        changed: dict[str, Any] = {
            name: getattr(value, method)(*arguments, **options)
            for name, value in held.items()
            if isinstance(value, Tensor | Packed)
        }
        if self.teacher is not None:
            changed["teacher"] = self.teacher._each(method, *arguments, **options)
        return replace(self, **changed)

    def to(self, device: str) -> Batch:
        return self._each("to", device, non_blocking=True)

    def pin_memory(self) -> Batch:  # a DataLoader with pin_memory=True calls this
        return self._each("pin_memory")
