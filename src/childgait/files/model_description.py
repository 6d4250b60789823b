"""The description of a trained model (model.json), which stands beside its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NotRequired

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from childgait.files.json_files import read_typed
from childgait.params import RunSettings


class Facts(TypedDict, total=False):
    """What training found out; which keys there are depends on the model."""

    pixels: int  # side of the clips; networks only, as the next two
    weights_from: str  # where the initial weights come from, in words
    parameters: int
    positive_weights: list[float]  # (34,) of atypical scores in the loss; absent where all are 1
    labelled_clips: int  # with a mean teacher
    pool_clips: int  # with a mean teacher
    teacher: str  # the run that it was distilled from, with the sha256 of its weights
    joints: dict[str, float]  # importance of each joint; stgcn_fusion
    numbers: list[str]  # selected gait features; stgcn_fusion
    learns: int  # fitted numbers of a table model
    importance: dict[str, dict[str, float]]  # per item the shares of the most important features; kinematic_trees


class PretrainingSummary(TypedDict):
    """The pre-training of the checkpoint that a model started from."""

    children: int
    windows: int
    seed: int
    sha256: str  # of the checkpoint
    method: NotRequired[Literal["dense", "masked", "both"]]
    source: NotRequired[Literal["stream", "cohort"]]
    subjects: NotRequired[list[str]]  # children of the cohort among them


class ModelDescription(BaseModel):
    """All that is known of a trained model but its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str  # name in the registry
    kind: Literal["network", "table"]
    remark: str
    fold: str
    seed: int
    settings: RunSettings  # as the model got them
    split_hash: str
    children: dict[str, list[str]]  # train, validation; with a mean teacher unlabelled; from the cohort pretraining
    clips: dict[str, int]  # number per part
    kept_epoch: int  # 1 is the first; 0 for a table model
    pretrained: PretrainingSummary | None = None
    facts: Facts

    def write(self, path: Path) -> None:
        """Write the file."""
        from childgait.files.atomic import write_json

        write_json(path, self.model_dump())

    @classmethod
    def read(cls, path: Path) -> ModelDescription:
        """Read the file; stop where it is not a description of a trained model."""
        return read_typed(
            path,
            cls,
            hint="it may be of another version of childgait: run finetune again, or give the model.json it wrote",
        )

    def children_of_training(self) -> set[str]:
        """Return every child whose clips training used, in any part."""
        return {child for names in self.children.values() for child in names}


class RunDescription(BaseModel):
    """The part of a model.json that the promises of a study need."""

    model_config = ConfigDict(frozen=True)

    split_hash: str
    children: dict[str, list[str]]  # by part: whom the model was trained or selected on

    @classmethod
    def read(cls, path: Path) -> RunDescription:
        """Read this part of the file."""
        return read_typed(path, cls, hint="run finetune again for this model")
