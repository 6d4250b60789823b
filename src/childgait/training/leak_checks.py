"""Checks that a trained model is the one expected and was trained on none of the children it is evaluated on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.errors import StepError
from childgait.files.model_description import ModelDescription

if TYPE_CHECKING:
    import polars as pl


def check_run(description: ModelDescription, path: Path, name: str, fold: str, seed: int) -> None:
    """Check that the description `path` is of this model, fold and seed."""
    if (description.model, description.fold, description.seed) != (name, fold, seed):
        raise StepError(
            f"{path} is {description.model} {description.fold}-{description.seed}, not {name} {fold}-{seed}",
            hint="give the weights and the description of the same run",
        )


def check_split(description: ModelDescription, model: Path, path: Path, table: pl.DataFrame) -> None:
    """Check that the part table `path` is of the split that the model was trained on."""
    if (split_hash := table["split_hash"][0]) != description.split_hash:
        raise StepError(
            f"{path} is of split {split_hash[:12]}, but {model} was trained on split {description.split_hash[:12]}",
            hint="run finetune again: children may have moved between the parts",
        )


def check_children_unseen(
    description: ModelDescription, path: Path, children: Iterable[str], part: str = "test"
) -> None:
    """Check that no child of the file `path`, which is of this part, was in another part of the model's training."""
    for other, names in description.children.items():
        if other != part and (both := sorted(set(children) & set(names))):
            raise StepError(
                f"{path} contains child {both[0]}, who was in {other} when the model was trained",
                hint="run split_subjects and finetune again",
            )
