"""Where checkpoints of pre-training lie: the repository's own, and the description beside each."""

from __future__ import annotations

from collections.abc import Collection
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from childgait.errors import StepError
from childgait.files.json_files import describe_problem

if TYPE_CHECKING:
    from childgait.files.model_description import PretrainingSummary
    from childgait.params import Finetune, Pretrain

SHIPPED = Path(__file__).parent.parent / "weights" / "pretrained"
SHIPPED_NAME = "shipped"  # of finetune.weights: the checkpoint of the repository for this model
SETTINGS = {  # of a description's `network`, and the key of params.yaml that must agree
    "pixels": "prepare_clips.size",
    "frames": "finetune.frames",
    "frame_step": "finetune.frame_step",
    "size": "finetune.encoder.size",
    "prompt": "finetune.encoder.prompt",
    "prune": "finetune.encoder.prune",
    "positions": "finetune.encoder.positions",
    "head_hidden": "finetune.encoder.head_hidden",
    "drawing": "finetune.drawing",
    "cnn_width": "finetune.cnn.width",
    "skeleton_width": "finetune.skeleton.width",
    "temporal_kernel": "finetune.skeleton.temporal_kernel",
    "skeleton_extra": "finetune.skeleton.extra",
    "skeleton_attention": "finetune.skeleton.attention",
}


NetworkInputs = dict[str, JsonValue]  # what shapes a network and what it reads, by the keys of SETTINGS


class PretrainingDescription(BaseModel):
    """What lies beside pre-trained weights; a checkpoint from elsewhere needs only the keys without a default."""

    model_config = ConfigDict(frozen=True)

    network: NetworkInputs
    seed: int
    children: int
    windows: int
    sha256: str
    model: str | None = None
    method: Literal["dense", "masked", "both"] = "dense"
    source: Literal["stream", "cohort"] = "stream"  # of the windows: painted synthetic walks, or the cohort's clips
    subjects: list[str] = []  # children of the cohort whose clips were used, held out or not
    parameters: int | None = None
    held_out_children: int | None = None
    targets: str | None = None
    settings: dict[str, JsonValue] | None = None  # the pretrain section, which may be of an earlier version
    code: str | None = None  # hash of the source files
    losses: dict[str, float | None] | None = None  # of the last round
    validation: dict[str, float | None] | None = None

    def write(self, path: Path) -> None:
        """Write the file."""
        from childgait.files.atomic import write_json

        write_json(path, self.model_dump())

    def summary(self) -> PretrainingSummary:
        """Return what the description of a model that starts from the checkpoint keeps of it."""
        summary: PretrainingSummary = {
            "children": self.children,
            "windows": self.windows,
            "seed": self.seed,
            "sha256": self.sha256,
            "method": self.method,
            "source": self.source,
        }
        return summary | {"subjects": self.subjects} if self.subjects else summary

    def words(self) -> str:
        """Describe the pre-training, as tables and reports name a row's start."""
        method = {"dense": "", "masked": " by masked reconstruction", "both": " by dense targets and masked patches"}
        children = {"stream": "synthetic children", "cohort": "children of the cohort without scores"}
        return (
            f"pre-trained{method[self.method]} on {self.children} {children[self.source]} "
            f"({self.windows} windows, seed {self.seed})"
        )


def check_source(params: Pretrain) -> None:
    """Check that the cohort's clips, which have no targets, are used by masked reconstruction alone."""
    if params.source == "cohort" and params.method != "masked":
        raise StepError(
            f"pretrain.source is cohort and pretrain.method {params.method}, but a video without scores has no targets",
            hint="set pretrain.method to masked, or pretrain.source to stream",
        )


def shipped_checkpoint(model: str) -> Path:
    """Return the repository's own checkpoint for a model."""
    path = SHIPPED / f"{model}.safetensors"
    if not path.is_file():
        there = ", ".join(sorted(one.stem for one in SHIPPED.glob("*.safetensors"))) or "none"
        raise StepError(
            f"finetune.weights is {SHIPPED_NAME} for {model}, but no checkpoint of it ships here (there are: {there})",
            hint=f"name {model} in pretrain.models, or leave finetune.weights empty for it (finetune.overrides)",
        )
    return path


def find_start(model: str, settings: Finetune) -> Path | None:
    """Return the checkpoint of pre-training that finetune.weights names; None: published weights, or none.

    Stops where the item head needs such a checkpoint and there is none.
    """
    if settings.weights == SHIPPED_NAME:
        return shipped_checkpoint(model)
    if settings.weights and description_of(Path(settings.weights)).is_file():
        return Path(settings.weights)
    if settings.head == "measures":
        raise StepError(
            f"finetune.head is measures, but {model} starts without a checkpoint that predicts them "
            f"(finetune.weights is {settings.weights!r})",
            hint=f"name {model} in pretrain.models, set finetune.weights to {SHIPPED_NAME}, or choose another head",
        )
    return None


def description_of(weights: Path) -> Path:
    """Return the path of a checkpoint's description."""
    return weights.with_suffix(".json")


def read_description(weights: Path) -> PretrainingDescription:
    """Read the description beside a checkpoint."""
    path = description_of(weights)
    try:
        return PretrainingDescription.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise StepError(
            f"{weights} has no description {path.name} beside it",
            hint="copy both files of the pre-trained checkpoint, or run the stage pretrain again",
        ) from None
    except ValidationError as error:
        missing = sorted(str(one["loc"][0]) for one in error.errors() if one["type"] == "missing")
        if missing:
            raise StepError(f"{path} lacks {', '.join(missing)}", hint="it is no description of pre-training") from None
        hint = "restore it from git, or pre-train again"
        raise StepError(f"{path}: {describe_problem(error)}", hint=hint) from None


def study_values(keys: Collection[str], finetune: Finetune, pixels: int) -> NetworkInputs:
    """Return the study's values of those keys of SETTINGS; `finetune` is the section as the model gets it."""
    values: NetworkInputs = {}
    for key, name in SETTINGS.items():
        if key not in keys:
            continue
        value: Any = pixels if key == "pixels" else attrgetter(name.removeprefix("finetune."))(finetune)
        values[key] = value.model_dump(mode="json") if key == "drawing" else value
    return values


def check_same_network(weights: Path, description: PretrainingDescription, study: NetworkInputs) -> None:
    """Refuse a checkpoint that was pre-trained on other inputs than `study`, the study's values by keys of SETTINGS."""
    before = description.network
    different = [
        f"{key.replace('_', ' ')} {_shown(before.get(key))} (the study's is {_shown(study.get(key))}, {name})"
        for key, name in SETTINGS.items()
        if before.get(key) != study.get(key)
    ]
    if different:
        raise StepError(
            f"{weights} was pre-trained with {'; '.join(different)}",
            hint="change those keys of params.yaml, or pre-train again with the study's settings (pretrain.models)",
        )


def _shown(value: JsonValue) -> str:
    if value is None:
        return "none"
    return ", ".join(f"{key}: {part}" for key, part in value.items()) if isinstance(value, dict) else str(value)
