"""The description of a trained model (model.json), which stands beside its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import TypedDict

from childgait.errors import StepError


class Facts(TypedDict, total=False):
    """What training found out; which keys there are depends on the model."""

    pixels: int  # side of the clips; networks only, as the next three
    weights_from: str  # where the initial weights come from, in words
    parameters: int
    positive_weights: list[float]  # (34,) of the loss
    labelled_clips: int  # with a mean teacher
    pool_clips: int  # with a mean teacher
    joints: dict[str, float]  # importance of each joint; stgcn_fusion
    numbers: list[str]  # selected gait features; stgcn_fusion
    learns: int  # fitted numbers of a table model
    importance: dict[str, dict[str, float]]  # per item the shares of the most important features; kinematic_trees


class ModelDescription(BaseModel):
    """All that is known of a trained model but its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str  # name in the registry
    kind: Literal["network", "table"]
    remark: str
    fold: str
    seed: int
    settings: dict[str, Any]  # params' finetune section as the model got it, without the study's runs
    split_hash: str
    children: dict[str, list[str]]  # train, validation and, with a mean teacher, unlabelled
    clips: dict[str, int]  # number per part
    kept_epoch: int  # 1 is the first; 0 for a table model
    pretrained: dict[str, int | str] | None = None  # children, windows, seed and sha256 of the pre-training
    facts: Facts

    def write(self, path: Path) -> None:
        """Write the file."""
        from childgait.files.atomic import write_json

        write_json(path, self.model_dump())

    @classmethod
    def read(cls, path: Path) -> ModelDescription:
        """Read the file; stop where it is not a description of a trained model."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "the file"
            raise StepError(
                f"{path} is no description of a trained model: {key}: {first['msg'].lower()}",
                hint="give the model.json that finetune wrote, or run finetune again",
            ) from None

    def children_of_training(self) -> set[str]:
        """Return every child whose clips training used, in any part."""
        return {child for names in self.children.values() for child in names}
