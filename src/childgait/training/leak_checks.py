"""Checks against leaks of children: between the parts of a split, and from training into evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.errors import StepError
from childgait.files.model_description import ModelDescription, PretrainingSummary

if TYPE_CHECKING:
    import polars as pl

    from childgait.files.parts import Part


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


def check_parts(parts: dict[str, Part]) -> None:
    """Check against a leak: no child is in both parts, and both parts are of one split."""
    children = {name: set(part.table["subject"]) for name, part in parts.items()}
    if both := sorted(children["train"] & children["validation"]):
        raise StepError(f"child {both[0]} is in train and in validation", hint="run split_subjects again")
    hashes = {part.table["split_hash"][0] for part in parts.values()}
    if len(hashes) != 1:
        raise StepError("the train and validation tables are of two splits", hint="run split_subjects again")


def check_not_pretrained_on(
    checkpoint: Path | str, summary: PretrainingSummary | None, children: Iterable[str]
) -> None:
    """Check that no child of a run was among the children without scores that its checkpoint was pre-trained on."""
    known = set(summary.get("subjects", [])) if summary else set()
    if both := sorted(known & set(children)):
        raise StepError(
            f"child {both[0]} is in a part of this fold, but {checkpoint} was pre-trained on the child's clips",
            hint="run pretrain again: it uses only children in no part of any fold",
        )


def check_pool(children: set[str], assignment: Path | None) -> None:
    """Check that no child of the mean teacher's pool is in a part of a fold, so that no run tests it."""
    from childgait.files.split import assigned_children

    if not children:
        return
    if assignment is None:
        raise StepError(
            "--unlabelled needs --assignment",
            hint="give data/split_subjects/subjects.csv, which has every child's part",
        )
    placed = assigned_children(assignment)
    if both := sorted(children & placed.keys()):
        raise StepError(
            f"child {both[0]} is in the unlabelled pool, but is {placed[both[0]]}",
            hint="the pool is for children in no part of any fold; a test child must never be in it",
        )
