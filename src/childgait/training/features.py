"""Numbers of a child for models that read a table: one function a set of features, found by name.

Each reads a part table and the clips of its videos, and yields (children, F) in the order of `children_of`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

    from childgait.files.clips import Clip

    Features = Callable[[pl.DataFrame, dict[str, Clip]], NDArray[np.float64]]


def children_of(part: pl.DataFrame) -> list[str]:
    return sorted(part["subject"].unique())


def none(part: pl.DataFrame, clips: dict[str, Clip]) -> NDArray[np.float64]:
    return np.zeros((len(children_of(part)), 0))


def number(part: pl.DataFrame, clips: dict[str, Clip]) -> NDArray[np.float64]:
    """A number that tells a child from another and means nothing."""
    return np.array([[zlib.crc32(subject.encode())] for subject in children_of(part)], dtype=np.float64)


def age_sex(part: pl.DataFrame, clips: dict[str, Clip]) -> NDArray[np.float64]:
    """Age (the middle of childhood where unknown), whether it is unknown, female, male."""
    people = part.unique("subject").sort("subject")
    age = people["age_years"].to_numpy().astype(float)
    sex = people["sex"].to_numpy()
    return np.stack([np.where(np.isnan(age), 9.0, age), np.isnan(age), sex == "female", sex == "male"], axis=1).astype(
        float
    )


def measured(part: pl.DataFrame, clips: dict[str, Clip]) -> NDArray[np.float64]:
    from childgait.training.gait_features import measured

    return measured(part, clips)


def kinematics(part: pl.DataFrame, clips: dict[str, Clip]) -> NDArray[np.float64]:
    from childgait.training.gait_features import kinematics

    return kinematics(part, clips)


FEATURES: dict[str, Features] = {
    "none": none,
    "number": number,
    "age_sex": age_sex,
    "measured": measured,
    "kinematics": kinematics,
}

READS: dict[str, tuple[str, ...]] = {  # what each set of features needs to know of a child
    "none": (),
    "number": (),
    "age_sex": ("age", "sex"),
    "measured": ("points",),
    "kinematics": ("points",),
}


def labels_of_children(part: pl.DataFrame) -> NDArray[np.float32]:
    """(children, 34): 1 atypical, 0 typical, NaN unknown or seen from no view the child was filmed from."""
    from childgait.files.parts import atypical_of

    return answers_of_children(part, atypical_of(part))


def answers_of_children(part: pl.DataFrame, answers: NDArray[np.float32]) -> NDArray[np.float32]:
    """(children, K) of (rows, K): 1 or 0 as the child's rows say, NaN where none of them does."""
    subjects = part["subject"].to_numpy()
    rows = [answers[subjects == subject] for subject in children_of(part)]
    return np.stack(
        [np.where(np.isnan(r).all(axis=0), np.nan, np.nanmax(np.nan_to_num(r, nan=-1), axis=0)) for r in rows]
    )
