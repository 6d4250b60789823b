"""params.yaml, closed and typed: one section a step, in running order, every number that anyone may change.

An unknown, missing or out-of-range key stops the run before anything is planned, and says: section, key, what was
found, what is allowed, the nearest valid name.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

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

    @field_validator("root", "annotations")
    @classmethod
    def _without_blanks(cls, value: str) -> str:
        if not value or any(letter.isspace() for letter in value):
            raise ValueError(
                "a path without blanks is expected: steps are started by command lines (a link without any will do)"
            )
        return value


class Synthesize(Section):
    """The demo cohort."""

    subjects: int = Field(ge=2)
    seed: int = Field(ge=0)
    width: int = Field(ge=64, le=1920, multiple_of=2)
    height: int = Field(ge=64, le=1080, multiple_of=2)
    sessions: int = Field(ge=1, le=9)  # walks out and back, each seen by both cameras
    seconds: tuple[float, float]  # shortest and longest clip
    rates: list[Literal["59", "59.94", "60"]] = Field(min_length=1)  # frames a second, drawn per session
    crf: int = Field(ge=0, le=35)  # of the encoder; 0 is lossless
    loose: bool  # keypoints as a file a frame, as released; else one zip a video
    bystander: float = Field(ge=0, le=1)  # share of sessions with another person in view
    rater_margin: float = Field(
        ge=0, le=10
    )  # degrees round a band's edge within which a rater may score the other side
    jitter: float = Field(ge=0, le=0.1)  # of keypoints at rest, over body height in the picture
    dropout: float = Field(ge=0, le=0.5)  # share of a point's frames with a low score, far off
    swap: float = Field(ge=0, le=1)  # share of leg crossings at which left and right change names
    outlier: float = Field(ge=0, le=0.5)  # share of a point's frames at the picture's edge with a high score
    missing_video_info: float = Field(ge=0, le=1)  # share of videos whose first frame does not tell its video
    empty_instances: float = Field(ge=0, le=0.5)  # share of frames without anybody
    missing_views: float = Field(ge=0, le=0.9)  # share of views that a session lacks

    @model_validator(mode="after")
    def _seconds_in_order(self) -> Synthesize:
        low, high = self.seconds
        if not 0.5 <= low <= high <= 20:
            raise ValueError("seconds must be two numbers, 0.5 <= shortest <= longest <= 20")
        return self


class Register(Section):
    """What each recording is."""

    expected_rate: float = Field(gt=0, le=1000)  # frames a second that the recordings should have; another is noted
    rate_tolerance: float = Field(
        ge=0, lt=0.5
    )  # share by which a frame interval may differ before the rate is called variable


class Deidentify(Section):
    """Nobody recognisable."""

    backends: list[Literal["centerface", "retinaface", "sam3"]] = Field(min_length=1)  # what they find is united
    retinaface_weights: str  # an ONNX file with its sidecar FILE.json (vision/faces.py); empty: not used
    retinaface_sha256: str
    sam3_weights: str  # a folder with model.safetensors, as transformers saves SAM 3; empty: not used
    sam3_sha256: str
    sam3_prompts: list[str]  # what SAM 3 is to cover: heads, badges, wall charts
    sam3_device: Literal["cpu", "cuda"]
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
    max_whole_person_share: float = Field(
        ge=0, le=1
    )  # share of frames with somebody covered whole, above which a person must decide
    unseen: Literal[
        "hold", "accept"
    ]  # without SAM 3 nobody sees who stands still, back to the camera: hold every video
    style: Literal["mosaic", "solid"]
    cells: int = Field(ge=1, le=8)  # across the short side of a cover
    margin: float = Field(ge=0, le=1)  # of a head, added to every side
    keypoint_margin: float = Field(ge=0, le=1)  # the same where keypoints tell where the head is
    smooth_seconds: float = Field(ge=0, le=1)  # of a cover's path (sigma)
    growth: float = Field(ge=1, le=4)  # by which a head may grow before its cover gets a new size
    lossless: bool  # false: a smaller copy for delivery, whose pixels differ a little between machines
    crf: int = Field(ge=0, le=40)  # quality of the lossy copy
    seed: int = Field(ge=0)  # of the order in which a cover's cells are dealt out


class Segment(Section):
    """The child in every frame."""

    backend: Literal["classical", "sam3"]
    work_height: int = Field(ge=90, le=2160)  # pixels of the picture that classical works on, at most
    samples: int = Field(ge=12, le=256)  # frames that the empty room is learnt from
    free_share: float = Field(gt=0, lt=1)  # of the samples in which a pixel must be free of the child to be known
    seed_noise: float = Field(gt=0)  # how many noise levels off the empty room a pixel is surely the child ...
    grow_noise: float = Field(gt=0)  # ... and how many off it is, if it touches such a one
    camera_pixels: float = Field(gt=0)  # of the working picture, by which the room may shift in a static camera
    min_score: float = Field(ge=0, le=1)  # of a keypoint, to be believed
    max_area_jump: float = Field(gt=0)  # |ln| of a mask's area against the frame before
    min_joints_inside: float = Field(ge=0, le=1)  # share of confident keypoints in the mask
    max_pieces: int = Field(ge=1)
    min_ok_share: float = Field(ge=0, le=1)  # of a video's frames that pass the gate
    sam3_folder: str  # SAM 3's weights, configuration and processor
    sam3_sha256: str  # of its model.safetensors
    sam3_prompts: list[str]  # words for the child
    sam3_device: Literal["cpu", "cuda"]


class EstimatePose(Section):
    """Where the keypoints come from."""

    backend: Literal["delivered", "sapiens2"]
    weights: str  # folder of a Sapiens 2 pose model as transformers saves it; read by sapiens2 only
    weights_sha256: str  # of its model.safetensors
    device: Literal["cpu", "cuda"]
    batch: int = Field(ge=1, le=64)  # frames at once
    flip: bool  # average with the mirrored picture: twice the time, a little steadier


class RefinePose(Section):
    """Keypoints worth trusting."""

    min_score: float = Field(ge=0, le=1)  # below it a point is missing
    box_margin: float = Field(ge=0, le=2)  # of the box's height, by which a point may lie outside the child's box
    swap_penalty: float = Field(ge=0, le=5)  # cost of a change of sides, in body heights summed over a leg's points
    outlier_sigmas: float = Field(
        ge=2, le=20
    )  # robust standard deviations off its own way, from which a point is dropped
    longest_gap_seconds: float = Field(ge=0, le=1)  # a longer one stays missing
    joint_noise: float = Field(ge=0, le=3)  # factor on the noise level found, for smoothing all points together; 0: off
    distal_hz: float = Field(ge=2, le=25)  # low-pass of ankles, feet and wrists; below 6 Hz children's ankles suffer
    proximal_hz: float = Field(ge=2, le=25)  # low-pass of all other points


class PrepareClips(Section):
    """Child-centred frames that a network reads."""

    size: int = Field(ge=32, le=512, multiple_of=8)  # pixels a side of the crop; the encoder's patch must divide it
    rate: float = Field(gt=0, le=120)  # frames a second
    margin: float = Field(ge=0, le=2)  # of the longer side of the child's box, added to the crop's side
    smoothing_seconds: float = Field(gt=0, le=2)  # within which the crop's path is a straight line
    min_inside: float = Field(ge=0, le=1)  # share of the keypoints that must be inside the crop


class Gate(Section):
    """Limits of the data gates: a row beyond one is named; `gates.py` says which stop the study."""

    shortest_seconds: float = Field(ge=0, le=60)  # of a recording
    odd_rate_share: float = Field(ge=0, le=1)  # by which a recording's rate may differ from the cohort's median
    least_covered_share: float = Field(ge=0, le=1)  # of a video's frames, in which a head is covered
    largest_cover_share: float = Field(ge=0, le=1)  # of a video's pixels that are covered
    most_legs_missing: float = Field(ge=0, le=1)  # share of a video's leg points that are missing
    most_filled: float = Field(ge=0, le=1)  # share of a video's points that were filled in
    shortest_stride_seconds: float = Field(gt=0, le=10)
    longest_stride_seconds: float = Field(gt=0, le=10)
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
    camera_views: dict[str, list[Literal["forward", "backward", "left", "right"]]] | Literal["registry"]


class SplitSubjects(Section):
    """Who trains, who validates, who tests."""

    seed: int = Field(ge=0)
    folds: int = Field(ge=2)  # the children outside the hold-out test are divided into so many
    holdout: float = Field(gt=0, lt=0.9)  # share of children who only ever test
    validation: float = Field(gt=0, lt=0.9)  # share of the others who validate


class Pretrain(Section):
    """Synthetic walks that a network learns from before it is trained on the cohort."""

    models: list[str]  # networks that this study pre-trains, each on its own inputs; empty: none
    seed: int = Field(ge=0)  # of the synthetic children; never the one of synthesize
    children: int = Field(ge=1)  # numbers 0 … n - 1 of that seed
    held_out_children: int = Field(ge=1)  # the numbers after those, for validation
    seconds: float = Field(ge=0.5, le=20)  # of a walk
    pixels: int = Field(ge=32, le=512, multiple_of=8)  # side of the painted square; as prepare_clips.size
    frame_step: int = Field(ge=1, le=4)  # of 30 frames per second; as finetune.frame_step
    windows: int = Field(ge=1)  # training budget; the learning rate falls along one cosine over it
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0, lt=1)  # its peak
    warmup_windows: int = Field(ge=0)
    weight_decay: float = Field(ge=0, lt=1)
    clip_norm: float = Field(ge=0)  # of the gradient; 0: not clipped
    head_hidden: int = Field(ge=1)  # width of the hidden layer between clip features and measures
    validation_windows: int = Field(ge=1)  # of the held-out children
    validation_every: int = Field(ge=1)  # training windows between two validations, and two checkpoints
    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "bf16"]  # bf16: autocast on a GPU, or on a CPU with instructions for it
    threads: int = Field(ge=1, le=256)  # of the training process; the last bits of a sum depend on it
    workers: int = Field(ge=0, le=64)  # processes that paint windows; 0: the training process itself
    bystander: float = Field(ge=0, le=1)  # share of walks with another person in view
    jitter: float = Field(ge=0, le=0.1)  # of keypoints at rest, over body height in the picture
    dropout: float = Field(ge=0, le=0.5)  # share of a point's frames without a position
    swap: float = Field(ge=0, le=1)  # share of leg crossings at which left and right change names
    outlier: float = Field(ge=0, le=0.5)  # share of a point's frames at a wrong place with a high score


class Encoder(Section):
    """The video transformer. The registry's models overrule prompt and prune."""

    size: Literal["tiny", "small", "base", "large", "huge", "giant"]
    prompt: Literal["none", "drawn"]  # the skeleton on the frames
    prune: Literal["none", "mask"]  # which patches stay
    min_foreground: float = Field(ge=0, le=1)  # share of a patch that is child, from which it stays
    dilate_pixels: int = Field(ge=0, le=64)  # the mask grows by this before counting
    min_tokens: int = Field(ge=1)  # never fewer
    positions: Literal["interpolated", "separable"]  # of tokens, at sizes without published weights
    drop_path: float = Field(ge=0, lt=1)  # share of clips that skip the last block; less in those before
    head_hidden: int = Field(ge=1)
    head_dropout: float = Field(ge=0, lt=1)


class Skeleton(Section):
    """Networks that read keypoints alone."""

    width: int = Field(ge=4, le=512)  # channels; of stgcn's first blocks, which grow to four times as many
    temporal_kernel: Literal[3, 5, 7, 9, 11]  # frames that one convolution sees
    dropout: float = Field(ge=0, lt=1)


class Cnn(Section):
    """Networks of convolutions over space and time."""

    width: int = Field(ge=2, le=128)  # channels of the first stage; 64 as published, and for published weights
    dropout: float = Field(ge=0, lt=1)


class Fusion(Section):
    """Skeleton and numbers of the walk, joined."""

    join: Literal["cross", "concat", "features", "skeleton"]  # cross-attention, side by side, or one stream alone
    choose: Literal["contributions", "random", "all"]  # which numbers: by the joints that a first ST-GCN leans on, ...
    keep_share: float = Field(gt=0, le=1)  # share of the numbers that are chosen
    first_epochs: int = Field(ge=1)  # of that ST-GCN
    heads: Literal[1, 2, 4, 8]  # of attention


class MeanTeacher(Section):
    """A second network, the moving average of the first, teaches it on clips whose scores nobody knows."""

    pool: Literal[
        "none", "unscored", "training"
    ]  # none: off; children without scores; with the training children's clips
    labelled: float = Field(gt=0, le=1)  # share of the training children whose scores are used
    batch_size: int = Field(ge=1)  # of the pool, over all processes
    supervised_epochs: int = Field(ge=0)  # before the pool comes in
    ramp_epochs: int = Field(ge=1)  # in which the pool's weight rises from 0
    weight: float = Field(ge=0, le=100)  # of the pool's loss at the end of the ramp
    decay: float = Field(ge=0, lt=1)  # of the average that is the teacher
    confidence: float = Field(ge=0.5, lt=1)  # a surer answer than this becomes a label
    sure: Literal["both", "teacher"]  # who must be that sure
    weak_shift: float = Field(ge=0, le=0.5)  # of what the teacher sees, over the picture's side
    scale: float = Field(ge=0, le=1)  # what the student sees differs by these
    shift: float = Field(ge=0, le=0.5)
    colour: float = Field(ge=0, le=1)
    time: float = Field(ge=0, le=1)
    jitter_frames: int = Field(ge=0, le=60)  # by which its window begins earlier or later
    noise: float = Field(ge=0, le=1)  # of the colours' range
    erase: float = Field(ge=0, lt=1)  # longest side of the rectangle that is wiped out, over the picture's


class Trees(Section):
    """Boosted trees on numbers of the walk."""

    count: int = Field(ge=1, le=1000)  # an item
    depth: int = Field(ge=1, le=6)
    learning_rate: float = Field(gt=0, le=1)  # of each tree
    sample: float = Field(gt=0, le=1)  # share of the limbs that a tree is grown on
    numbers: float = Field(gt=0, le=1)  # share of the numbers that a split may choose from


class Drawing(Section):
    """The skeleton on the frames; colours are red, green, blue."""

    line_pixels: int = Field(ge=1, le=16)
    dot_pixels: int = Field(ge=0, le=16)
    min_score: float = Field(ge=0, le=1)  # a point below it is not drawn
    left: tuple[int, int, int]
    right: tuple[int, int, int]
    middle: tuple[int, int, int]


class Augmentation(Section):
    """How much a training window is changed at random; all zero: not at all."""

    flip: float = Field(ge=0, le=1)  # share of windows mirrored, left and right swapped with them
    scale: float = Field(ge=0, le=1)
    shift: float = Field(ge=0, le=0.5)  # of the picture's side
    colour: float = Field(ge=0, le=1)
    time: float = Field(ge=0, le=1)


class Finetune(Section):
    """How a network learns."""

    models: list[str] = Field(min_length=1)  # of models/registry.py; the baselines are always run beside them
    folds: list[str] = Field(min_length=1)  # 0, 1, … or holdout
    seeds: list[int] = Field(min_length=1)
    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "bf16"]  # bf16: autocast on a GPU; the CPU always computes in fp32
    deterministic: (
        bool  # same bytes again on the same kind of CPU; a GPU is slower, and attention's backward still varies
    )
    threads: int = Field(ge=1, le=256)  # a sum's last bits depend on it, so it is a parameter and not the machine's
    processes: int = Field(ge=1, le=512)  # that train together under torchrun, with cuda each on its own GPU
    workers: int = Field(ge=0, le=64)  # processes that load clips; 0: the training process itself
    frames: int = Field(ge=2, le=128, multiple_of=2)  # of a window
    anchor: Literal["none", "contact"]  # where training windows begin
    encoder: Encoder
    skeleton: Skeleton
    fusion: Fusion
    cnn: Cnn
    mean_teacher: MeanTeacher
    trees: Trees
    weights: str  # a checkpoint to start from; empty: from scratch
    weights_sha256: str
    drawing: Drawing
    augmentation: Augmentation
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)  # over all processes
    micro_batch_size: int = Field(ge=1)  # that a process computes together; a step is summed of such small batches
    learning_rate: float = Field(gt=0, lt=1)  # its peak
    min_learning_rate: float = Field(ge=0, lt=1)  # where the cosine ends
    warmup_epochs: int = Field(ge=0)
    weight_decay: float = Field(ge=0, lt=1)
    layer_decay: float = Field(gt=0, le=1)  # of the rate, with every layer below the head; 1: none
    clip_norm: float = Field(ge=0)  # of the gradient; 0: not clipped
    positive_weight_cap: float = Field(ge=1)  # atypical cells weigh up to this (or down to its inverse)
    ema_decay: float = Field(ge=0, lt=1)  # of the moving average of weights that is judged and kept; 0: none
    freeze_layers: int = Field(ge=0)  # so many of the first layers never learn
    freeze_epochs: int = Field(ge=0)  # in the first epochs only the head learns
    patience: int = Field(ge=0)  # epochs without a better validation loss before it stops; 0: never
    checkpoint: Literal["last", "best"]  # which epoch's weights; best: lowest validation loss
    validation_windows: int = Field(ge=1)  # windows a validation video, after every epoch
    checkpoint_epochs: int = Field(ge=1)  # between two checkpoints
    overrides: dict[str, dict[str, Any]]  # model: keys of this section that differ for it


class Evaluate(Section):
    """How it is judged."""

    windows_per_video: int = Field(ge=1)
    bootstrap: int = Field(ge=0)  # draws over children
    seed: int = Field(ge=0)  # of the draws
    bins: int = Field(ge=2, le=50)  # of probability, for the calibration error
    age_edges: list[float]  # years that part the age groups


class GradeSeverity(Section):
    """Four levels of motor severity, where the cohort has them."""

    models: list[str] = Field(
        min_length=1
    )  # networks of models/registry.py; each starts where its run of finetune ended
    windows_per_video: int = Field(ge=1)
    bootstrap: int = Field(ge=0)  # draws over children
    seed: int = Field(ge=0)  # of the draws


SECTIONS: dict[str, type[Section]] = {
    "cohort": Cohort,
    "synthesize": Synthesize,
    "register": Register,
    "deidentify": Deidentify,
    "segment": Segment,
    "estimate_pose": EstimatePose,
    "refine_pose": RefinePose,
    "prepare_clips": PrepareClips,
    "gate": Gate,
    "build_labels": BuildLabels,
    "split_subjects": SplitSubjects,
    "pretrain": Pretrain,
    "finetune": Finetune,
    "evaluate": Evaluate,
    "grade_severity": GradeSeverity,
}
NAME_OF: dict[type[Section], str] = {model: name for name, model in SECTIONS.items()}

S = TypeVar("S", bound=Section)


def section_of_run(section: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Finetune's section as one run sees it: one more model, fold or seed in the study changes no other run."""
    own = {key: value for key, value in section.items() if key not in ("models", "folds", "seeds")}
    return own | {"overrides": section["overrides"].get(model, {})}


def section_for_record(name: str, section: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A section as a record keeps it; `values` are the job's plain arguments."""
    return (
        section_of_run(section, values["model_name"])
        if name == "finetune" and "model_name" in values
        else dict(section)
    )


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


# Keys of earlier versions: (section or part, old key) -> what the key is called now.
RENAMED = {
    ("finetune", "changes"): "augmentation",
    ("finetune", "clips_a_step"): "batch_size",
    ("finetune", "clips_at_once"): "micro_batch_size",
    ("finetune", "average_decay"): "ema_decay",
    ("finetune", "keep"): "checkpoint",
    ("finetune", "validation_views"): "validation_windows",
    ("finetune", "least_learning_rate"): "min_learning_rate",
    ("finetune", "mean_teacher", "clips_a_step"): "batch_size",
    ("finetune", "fusion", "keep"): "keep_share",
    ("build_labels", "views"): "camera_views",
    ("evaluate", "views"): "windows_per_video",
    ("grade_severity", "views"): "windows_per_video",
    ("deidentify", "most_whole"): "max_whole_person_share",
}


def _near(name: str, valid: Any) -> str:
    near = difflib.get_close_matches(str(name), list(valid), n=1)
    return f" (nearest valid name: {near[0]!r})" if near else f" (valid: {', '.join(valid)})"


def _problem(section: str, model: type[Section], detail: Any) -> str:
    """One sentence of a validation error: section, key, found, allowed."""
    key = ".".join(str(part) for part in detail["loc"])
    where = f"{section}.{key}" if key else section
    if detail["type"] == "extra_forbidden" and (now := RENAMED.get((section, *detail["loc"]))):
        return f"{where} is called {now} now"
    if detail["type"] == "extra_forbidden":
        return f"{where} is no key of this section{_near(str(detail['loc'][-1]), model.model_fields)}"
    if detail["type"] == "missing":
        return f"{where} is missing"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{where} is {detail['input']!r}, but {message[0].lower()}{message[1:]}"
