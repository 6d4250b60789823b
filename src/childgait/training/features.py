"""Features of a child for table models: one function per set of features, by name.

Each reads a part table and the clips of its videos, and yields (children, F) in the order of `children_of`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.files.parts import children_of

if TYPE_CHECKING:
    import polars as pl

    from childgait.files.clips import Clip
    from childgait.files.parts import Part
    from childgait.models.table import TableModel
    from childgait.params import Finetune

    Features = Callable[[pl.DataFrame, dict[str, Clip]], NDArray[np.float64]]


def none(part: pl.DataFrame, clips: dict[str, Clip]) -> NDArray[np.float64]:
    return np.zeros((len(children_of(part)), 0))


def number(part: pl.DataFrame, clips: dict[str, Clip]) -> NDArray[np.float64]:
    """Return a number per child that differs between children and carries no information."""
    return np.array([[zlib.crc32(subject.encode())] for subject in children_of(part)], dtype=np.float64)


def age_sex(part: pl.DataFrame, clips: dict[str, Clip]) -> NDArray[np.float64]:
    """Return age in years (9, the middle of childhood, where unknown), whether it is unknown, female, male."""
    people = part.unique("subject").sort("subject")
    age = people["age_years"].to_numpy().astype(float)
    sex = people["sex"].to_numpy()
    return np.stack([np.where(np.isnan(age), 9.0, age), np.isnan(age), sex == "female", sex == "male"], axis=1).astype(
        float
    )


def measured(part: pl.DataFrame, clips: dict[str, Clip]) -> NDArray[np.float64]:
    from childgait.gait.features import item_values

    return item_values(part, clips)


def kinematics(part: pl.DataFrame, clips: dict[str, Clip]) -> NDArray[np.float64]:
    from childgait.gait.features import kinematics

    return kinematics(part, clips)


FEATURES: dict[str, Features] = {
    "none": none,
    "number": number,
    "age_sex": age_sex,
    "measured": measured,
    "kinematics": kinematics,
}

READS: dict[str, tuple[str, ...]] = {  # inputs of each set of features
    "none": (),
    "number": (),
    "age_sex": ("age", "sex"),
    "measured": ("points",),
    "kinematics": ("points",),
    "gei": ("masks",),
    "encoder": ("frames",),
}


def features_for(model: TableModel, part: Part, settings: Finetune) -> NDArray[np.float64]:
    """Return the model's features of a part, one row per child or per clip as its `unit` states."""
    if model.unit == "clip":
        from childgait.training.clip_features import CLIP_FEATURES

        return CLIP_FEATURES[model.features](part.clips, settings)
    return FEATURES[model.features](part.table, {clip.video: clip for clip in part.clips})
