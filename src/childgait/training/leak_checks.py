"""Is a trained model the one that was asked for, and may it judge these children? Read from its description
(model.json)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.errors import StepError

if TYPE_CHECKING:
    import polars as pl


def check_run(told: dict[str, Any], path: Path, name: str, fold: str, seed: int) -> None:
    if (told["model"], told["fold"], told["seed"]) != (name, fold, seed):
        raise StepError(
            f"{path} is {told['model']} {told['fold']}-{told['seed']}, not {name} {fold}-{seed}",
            hint="give the weights and the description of the same run",
        )


def check_split(told: dict[str, Any], model: Path, path: Path, table: pl.DataFrame) -> None:
    if (found := table["split_hash"][0]) != told["split_hash"]:
        raise StepError(
            f"{path} is of split {found[:12]}, but {model} was trained on split {told['split_hash'][:12]}",
            hint="run finetune again: children may have moved between the parts",
        )


def check_unseen(told: dict[str, Any], path: Path, children: Iterable[str], part: str = "test") -> None:
    """Nobody in the file `path` of this part was in another part when the model learnt."""
    for other, seen in told["children"].items():
        if other != part and (both := sorted(set(children) & set(seen))):
            raise StepError(
                f"{path} holds child {both[0]}, who was in {other} when the model learnt",
                hint="run split_subjects and finetune again",
            )
