"""params.yaml, closed and typed: one section a step, in running order, every number that anyone may change.

An unknown, missing or out-of-range key stops the run before anything is planned, and says: section, key, what was
found, what is allowed, the nearest valid name.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from childgait.errors import StepError


class Section(BaseModel):
    """A section of params.yaml. Every key must be there: a default hidden in code is a number nobody sees."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Cohort(Section):
    """Where the recordings are."""

    root: str  # a folder in the release's layout
    pose_layout: Literal["coco17", "halpe26", "body25", "wholebody133", "goliath308"]
    modality: Literal["video", "keypoints"]  # keypoints: a cohort without a single video
    exclude: dict[str, str]  # video name: the reason why it stays out
    annotations: str  # folder of regions.csv, cleared.csv, selections.csv, corrections.csv: what a person decides


class Synthesize(Section):
    """The demo cohort."""

    subjects: int = Field(ge=2)
    seed: int = Field(ge=0)
    width: int = Field(ge=64, le=1920)
    height: int = Field(ge=64, le=1080)


class Register(Section):
    """What each recording is."""

    expected_rate: float = Field(gt=0, le=1000)  # frames a second that the recordings should have; another is noted
    rate_tolerance: float = Field(ge=0, lt=0.5)  # share by which a frame interval may differ before the rate is called variable


class Deidentify(Section):
    """Nobody recognisable."""

    backends: list[Literal["centerface", "retinaface", "sam3"]] = Field(min_length=1)  # what they find is united
    retinaface_weights: str  # an ONNX file with its sidecar FILE.json (vision/faces.py); empty: not used
    retinaface_sha256: str
    sam3_weights: str  # a folder with model.safetensors, as transformers saves SAM 3; empty: not used
    sam3_sha256: str
    sam3_prompts: list[str]  # what SAM 3 is to cover: heads, badges, wall charts
    look_seconds: float = Field(ge=0, le=0.25)  # time between two looks for faces; 0: at every frame
    longest_side: int = Field(ge=320, le=4096)  # pixels; larger frames are shrunk for CenterFace
    birth_score: float = Field(gt=0, le=1)  # from which a face begins a track
    keep_score: float = Field(gt=0, le=1)  # ... and continues one
    keypoint_score: float = Field(ge=0, le=1)  # below it a delivered keypoint says nothing
    moving_difference: int = Field(ge=1, le=255)  # grey levels by which a pixel must change to be part of a silhouette
    silhouette_height: float = Field(gt=0, le=1)  # of the picture, from which what moves may be a person
    bridge_seconds: float = Field(ge=0, le=2)  # a gap so long is filled in a straight line
    extend_seconds: float = Field(ge=0, le=2)  # a track's ends are held for so long
    person_seconds: float = Field(ge=0, le=10)  # a track so long is a person, who must have a head in every frame
    most_whole: float = Field(ge=0, le=1)  # share of frames with somebody covered whole, above which a person must decide
    style: Literal["mosaic", "solid"]
    cells: int = Field(ge=1, le=8)  # across the short side of a cover
    margin: float = Field(ge=0, le=1)  # added to every side of a head
    smooth_seconds: float = Field(ge=0, le=1)  # of a cover's path (sigma)
    growth: float = Field(ge=1, le=4)  # by which a head may grow before its cover gets a new size
    lossless: bool  # false: a smaller copy for delivery, whose pixels differ a little between machines
    crf: int = Field(ge=0, le=40)  # quality of the lossy copy
    seed: int = Field(ge=0)  # of the order in which a cover's cells are dealt out


class Segment(Section):
    """The child in every frame."""

    backend: Literal["classical", "sam3"]


class EstimatePose(Section):
    """Where the keypoints come from."""

    backend: Literal["delivered", "sapiens2"]


class RefinePose(Section):
    """Keypoints worth trusting."""

    min_score: float = Field(ge=0, le=1)


class PrepareClips(Section):
    """Child-centred frames that a network reads."""

    size: int = Field(ge=32, le=512, multiple_of=8)  # pixels a side of the crop; the encoder's patch must divide it
    rate: float = Field(gt=0, le=120)  # frames a second
    margin: float = Field(ge=0, le=2)  # of the longer side of the child's box, added to the crop's side
    smoothing_seconds: float = Field(gt=0, le=2)  # within which the crop's path is a straight line
    min_inside: float = Field(ge=0, le=1)  # share of the keypoints that must be inside the crop


class Gate(Section):
    """Limits of the data gates: a row beyond one is named; `quality.py` says which stop the study."""

    shortest_seconds: float = Field(ge=0, le=60)  # of a recording
    odd_rate_share: float = Field(ge=0, le=1)  # by which a recording's rate may differ from the cohort's median
    least_points_known: float = Field(ge=0, le=1)  # share of a clip's keypoints that have a position
    least_points_inside: float = Field(ge=0, le=1)  # share of a clip's keypoints inside the crop
    least_child_share: float = Field(ge=0, le=1)  # share of a clip's pixels that are child
    most_child_share: float = Field(ge=0, le=1)
    most_empty_masks: float = Field(ge=0, le=1)  # share of a clip's frames without the child
    least_scored_share: float = Field(ge=0, le=1)  # share of a child's 34 items that have a score
    fewest_children: int = Field(ge=1)  # in a part of a fold


class BuildLabels(Section):
    """34 items a child, ordinal and binary."""

    scale: Literal["ordinal", "binary"]  # ordinal: 0, 1, 2; binary: 0, 1, as the public challenge's file
    rater: str  # whose scores are the labels where several people scored; "" for entries that name nobody
    views: dict[str, list[Literal["forward", "backward", "left", "right"]]] | Literal["registry"]


class SplitSubjects(Section):
    """Who trains, who validates, who tests."""

    seed: int = Field(ge=0)
    folds: int = Field(ge=2)  # the children outside the hold-out test are divided into so many
    holdout: float = Field(gt=0, lt=0.9)  # share of children who only ever test
    validation: float = Field(gt=0, lt=0.9)  # share of the others who validate


class Finetune(Section):
    """How a network learns."""

    models: list[str]
    seeds: list[int]


class Evaluate(Section):
    """How it is judged."""

    views: int = Field(ge=1)
    bootstrap: int = Field(ge=0)


SECTIONS: dict[str, type[Section]] = {
    "cohort": Cohort, "synthesize": Synthesize, "register": Register, "deidentify": Deidentify, "segment": Segment,
    "estimate_pose": EstimatePose, "refine_pose": RefinePose, "prepare_clips": PrepareClips, "gate": Gate,
    "build_labels": BuildLabels, "split_subjects": SplitSubjects, "finetune": Finetune, "evaluate": Evaluate,
}  # fmt: skip
NAME_OF: dict[type[Section], str] = {model: name for name, model in SECTIONS.items()}

S = TypeVar("S", bound=Section)


def read_params(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StepError(f"there is no {path}", hint="run from the repository's root, or give --params") from None
    except yaml.YAMLError as error:
        raise StepError(f"{path} is not YAML: {' '.join(str(error).split())}", hint="mend that line") from None
    if not isinstance(values, dict):
        raise StepError(f"{path} holds {type(values).__name__}, not sections", hint="restore it from git") from None
    return values


def load_params(path: Path) -> dict[str, Section]:
    """The whole file, every section checked; all problems are told at once."""
    values = read_params(path)
    problems = []
    for name in values:
        if name not in SECTIONS and name != "preset":
            problems.append(f"section {name!r} is unknown{_near(name, SECTIONS)}")
    loaded = {}
    for name, model in SECTIONS.items():
        if name not in values:
            problems.append(f"section {name!r} is missing")
            continue
        try:
            loaded[name] = model.model_validate(values[name])
        except ValidationError as error:
            problems += [_problem(name, model, detail) for detail in error.errors()]
    if problems:
        raise StepError(f"{path}: " + "; ".join(problems), hint="params.py lists what each section holds")
    return loaded


def load_section(path: Path, model: type[S]) -> S:
    """One section, as a step gets it. The whole file is checked: a typo anywhere stops the run before it plans."""
    section = load_params(path)[NAME_OF[model]]
    assert isinstance(section, model)
    return section


def _near(name: str, valid: Any) -> str:
    near = difflib.get_close_matches(str(name), list(valid), n=1)
    return f" (nearest valid name: {near[0]!r})" if near else f" (valid: {', '.join(valid)})"


def _problem(section: str, model: type[Section], detail: Any) -> str:
    """One sentence of a validation error: section, key, found, allowed."""
    key = ".".join(str(part) for part in detail["loc"])
    where = f"{section}.{key}" if key else section
    if detail["type"] == "extra_forbidden":
        return f"{where} is no key of this section{_near(str(detail['loc'][-1]), model.model_fields)}"
    if detail["type"] == "missing":
        return f"{where} is missing"
    return f"{where} is {detail['input']!r}, but {detail['msg'][0].lower()}{detail['msg'][1:]}"
