"""The run of another model of the same study that a network is distilled from (training/distillation.py)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.errors import StepError
from childgait.files.model_description import ModelDescription
from childgait.training.leak_checks import check_run, check_split

if TYPE_CHECKING:
    from childgait.files.parts import Part
    from childgait.params import Finetune
    from childgait.training.predict import TrainedModel


@dataclass(frozen=True)
class TeacherRun:
    """A trained network and the hash of its weights."""

    model: TrainedModel
    sha256: str

    def words(self) -> str:
        """Return its name, fold, seed and hash."""
        described = self.model.description
        return f"{described.model}, fold {described.fold}, seed {described.seed} (sha256 {self.sha256})"

    def other_children(self) -> dict[str, list[str]]:
        """Return the children beyond train and validation whose clips its training used, by part."""
        children = self.model.description.children
        return {part: names for part, names in children.items() if part not in ("train", "validation")}


def read_teacher(
    files: list[Path], settings: Finetune, fold: str, seed: int, table: Path, train: Part
) -> TeacherRun | None:
    """Read the teacher that params name from its weights and description; None where they name none.

    Stops where the run is of another model, fold, seed or split: it may have been trained on a test child.
    """
    from safetensors.numpy import load_file

    from childgait.files.hashes import sha256
    from childgait.training.predict import TrainedModel

    if not settings.distillation.teacher:
        return None
    by_ending = {path.suffix: path for path in files}
    if {*by_ending} != {".safetensors", ".json"}:
        raise StepError(
            f"finetune.distillation.teacher is {settings.distillation.teacher}, but --teacher has {len(files)} file(s)",
            hint="give weights.safetensors and model.json of its run of the same fold and seed",
        )
    weights, model = by_ending[".safetensors"], by_ending[".json"]
    description = ModelDescription.read(model)
    check_run(description, model, settings.distillation.teacher, fold, seed)
    check_split(description, model, table, train.table)
    return TeacherRun(TrainedModel(description, load_file(weights)), sha256(weights))
