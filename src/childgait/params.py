"""params.yaml as typed sections: one class per step, in running order, with the range and the meaning of every key.

Each key is declared once, here. Its description is also the remark beside the key in params.yaml: after a change run
`make remarks`, which writes the remarks; a test compares them. An unknown, missing or out-of-range key stops a run
before it is planned, with one sentence that gives the section, the key, the value and what is allowed.
"""

from __future__ import annotations

import difflib
import itertools
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, TypeVar, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from childgait.errors import StepError
from childgait.user_files import LARGEST_PARAMS, parse_yaml, read_text, shorten

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


ModelName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,60}$")]
FoldName = Annotated[str, Field(pattern=r"^([0-9]{1,3}|holdout)$")]
TaskName = Literal["severity", "gait_type", "knee_alignment", "scoliosis"]  # of domain/tasks.py
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Channel = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Channel, Channel, Channel]
MOST_PROBLEMS = 10  # in one message
SYNTHETIC_ROOT = Path("data/demo")  # cohort.root of the synthetic cohort, which `synthesize` writes


class Section(BaseModel):
    """Base of all sections. Every key is required: a default hidden in code would be a number that nobody sees."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Cohort(Section):
    """The recordings of the study."""

    root: str = Field(description="folder of the cohort in the release's layout; data/demo is made by synthesize")
    pose_layout: Literal["coco17", "halpe26", "body25", "wholebody133", "goliath308"] = Field(
        description="keypoint layout of the delivered keypoints"
    )
    modality: Literal["video", "keypoints"] = Field(description="video, or keypoints for a cohort without videos")
    exclude: dict[str, str] = Field(description="recordings left out of the study, as name: reason")
    annotations: str = Field(
        description="folder of manual tables: regions, cleared, selections, corrections, split (.csv)"
    )

    @field_validator("root", "annotations")
    @classmethod
    def _is_plain_path(cls, value: str) -> str:
        if not re.fullmatch(r"/?[\w.+][\w.+-]*(/[\w.+][\w.+-]*)*/?", value):
            raise ValueError(
                "a path without blanks is expected, of letters, digits and _ . + -, because steps run as shell "
                "commands (use a link)"
            )
        return value

    @field_validator("exclude")
    @classmethod
    def _are_recordings(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not re.fullmatch(r"[0-9]{4,12}-[0-9]{4,12}_[a-z]{4,8}_[0-9]{1,9}-[0-9]{1,9}", name):
                raise ValueError("names of recordings are expected as keys, such as 0001-0001_left_1-240: reason")
        return value


class Synthesize(Section):
    """The synthetic demo cohort."""

    subjects: int = Field(ge=2, description="number of children")
    seed: int = Field(ge=0, description="random seed of the cohort")
    population: Literal["clinic", "independent"] = Field(
        description="clinic (shared severity, two raters), or independent (deviations), as in pre-training"
    )
    body: Literal["capsules", "mesh"] = Field(
        description="people of capsules (quick), or mesh: an articulated body by age and sex, with clothes"
    )
    width: int = Field(ge=64, le=1920, multiple_of=2, description="frame width in pixels; the release has 1920")
    height: int = Field(ge=64, le=1080, multiple_of=2, description="frame height in pixels; the release has 1080")
    sessions: int = Field(ge=1, le=9, description="sessions per child; a session is a walk out and back, two cameras")
    repeated_visits: float = Field(ge=0, le=1, description="share of children with one session more")
    seconds: tuple[float, float] = Field(description="shortest and longest recording, in seconds")
    rates: list[Literal["25", "30", "59", "59.94", "60"]] = Field(
        min_length=1, description="frame rates in Hz, one drawn per session"
    )
    crf: int = Field(ge=0, le=35, description="quality of the H.264 encoder (CRF); 0 is lossless")
    loose: bool = Field(description="true: one keypoint file per frame, as in the release; false: one zip per video")
    bystander: float = Field(ge=0, le=1, description="share of sessions with a second person in view")
    camera: Literal["static", "panning", "handheld"] = Field(
        description="static, handheld (small shake), or panning (follows the child, with shake)"
    )
    camera_raised: float = Field(
        ge=-0.4, le=1.2, description="metres by which cameras stand above their usual place, tilted to the child"
    )
    standing_people: int = Field(ge=0, le=2, description="people who stand still at the side, seen from behind")
    seated_people: int = Field(
        ge=0, le=2, description="people who sit at the side: one watches the walk, a second one shows the back"
    )
    turns: float = Field(
        ge=0, le=1, description="share of walks without an aid in which the child turns round and walks back"
    )
    therapist: bool = Field(description="true: an adult walks close beside the child in every video")
    logo: bool = Field(description="true: burn a logo into a corner of every video")
    rater_margin: float = Field(
        ge=0, le=10, description="degrees from a score's limit within which a rater may choose the other score"
    )
    jitter: float = Field(ge=0, le=0.1, description="noise of keypoints, in body heights in the image")
    dropout: float = Field(
        ge=0, le=0.5, description="share of a keypoint's frames with a low score and a wrong position"
    )
    swap: float = Field(ge=0, le=1, description="share of leg crossings at which left and right are swapped")
    outlier: float = Field(
        ge=0, le=0.5, description="share of a keypoint's frames with a high score at the edge of the image"
    )
    missing_video_info: float = Field(
        ge=0, le=1, description="share of videos whose first keypoint file lacks video_info"
    )
    empty_instances: float = Field(ge=0, le=0.5, description="share of keypoint frames without a person")
    missing_views: float = Field(ge=0, le=0.9, description="share of views that are missing from a session")
    conditions: bool = Field(
        description="true: draw distinct gait types, knee alignment and scoliosis; their columns in subjects.csv"
    )

    @model_validator(mode="after")
    def _seconds_are_ordered(self) -> Synthesize:
        shortest, longest = self.seconds
        if not 0.5 <= shortest <= longest <= 20:
            raise ValueError("seconds must be two numbers, 0.5 <= shortest <= longest <= 20")
        return self


class Register(Section):
    """The list of recordings."""

    expected_rate: float = Field(gt=0, le=1000, description="frame rate in Hz; other rates are noted")
    rate_tolerance: float = Field(
        ge=0, lt=0.5, description="largest relative deviation of a frame interval at a constant frame rate"
    )


class Deidentify(Section):
    """Covering of every head."""

    backends: list[Literal["centerface", "retinaface", "blazepose", "sam3"]] = Field(
        min_length=1, description="detectors: centerface, retinaface, blazepose, sam3; the union of them is covered"
    )
    retinaface_weights: str = Field(description="ONNX file of RetinaFace with its FILE.json; empty: not used")
    retinaface_sha256: str = Field(description="sha256 of the ONNX file")
    sam3_weights: str = Field(description="folder of SAM 3 with model.safetensors; empty: not used")
    sam3_sha256: str = Field(description="sha256 of model.safetensors")
    sam3_prompts: list[str] = Field(description="text prompts of what SAM 3 covers")
    sam3_device: Literal["cpu", "cuda"] = Field(description="device of SAM 3: cpu or cuda")
    look_seconds: float = Field(ge=0, le=0.25, description="seconds between two face detections; 0: every frame")
    longest_side: int = Field(ge=320, le=4096, description="pixels; larger frames are shrunk to this for CenterFace")
    birth_score: float = Field(gt=0, le=1, description="detection score that starts a face track")
    keep_score: float = Field(gt=0, le=1, description="detection score that continues a face track")
    keypoint_score: float = Field(ge=0, le=1, description="delivered keypoints with a lower score are ignored")
    moving_difference: int = Field(
        ge=1, le=255, description="change in grey levels from which a pixel belongs to a moving silhouette"
    )
    silhouette_height: float = Field(
        gt=0, le=1, description="smallest height of a person's silhouette, as a share of the image height"
    )
    bridge_seconds: float = Field(ge=0, le=2, description="longest gap of a track that is interpolated, in seconds")
    extend_seconds: float = Field(ge=0, le=2, description="seconds by which both ends of a track are held")
    person_seconds: float = Field(
        ge=0, le=10, description="a track at least this long is a person, whose head must be covered in every frame"
    )
    max_whole_person_share: float = Field(
        ge=0, le=1, description="share of frames with a whole person covered, above which a video awaits review"
    )
    unseen: Literal["hold", "accept"] = Field(
        description="without blazepose or sam3 a still person seen from behind is missed: hold (real people) or accept"
    )
    style: Literal["mosaic", "solid"] = Field(description="look of a cover: mosaic, or solid (strictest)")
    cells: int = Field(ge=1, le=8, description="mosaic cells along the short side of a cover")
    margin: float = Field(ge=0, le=1, description="margin on each side of a head, as a share of its size")
    keypoint_margin: float = Field(ge=0, le=1, description="the same margin where the head comes from keypoints")
    smooth_seconds: float = Field(
        ge=0, le=1, description="standard deviation of the Gaussian that smooths a cover's path, in seconds"
    )
    growth: float = Field(ge=1, le=4, description="growth factor of a head above which its cover is resized")
    lossless: bool = Field(description="true: lossless video; false: a smaller lossy copy for delivery")
    crf: int = Field(ge=0, le=40, description="quality of the lossy copy (CRF)")
    seed: int = Field(ge=0, description="random seed of the order of the mosaic cells")

    @model_validator(mode="after")
    def _scores_are_ordered(self) -> Deidentify:
        if self.keep_score > self.birth_score:
            raise ValueError("keep_score must be at most birth_score: a track that starts must be able to continue")
        return self


class Segment(Section):
    """The child's mask in every frame."""

    backend: Literal["auto", "classical", "blazepose", "sam3"] = Field(
        description="classical (keypoints, background, motion), blazepose, sam3; auto: classical with keypoints"
    )
    work_height: int = Field(ge=90, le=2160, description="largest image height that classical works on, in pixels")
    samples: int = Field(ge=12, le=256, description="frames from which the empty background is estimated")
    free_share: float = Field(
        gt=0, lt=1, description="share of these frames in which a background pixel must be free of the child"
    )
    seed_noise: float = Field(gt=0, description="distance from the background, in noise levels, of a sure pixel")
    grow_noise: float = Field(gt=0, description="the same of a pixel that touches a sure one")
    camera_pixels: float = Field(gt=0, description="largest shift of a static camera's background, in pixels")
    min_score: float = Field(ge=0, le=1, description="keypoints with a lower score are ignored")
    max_area_jump: float = Field(gt=0, description="largest |ln| of the ratio of mask areas in consecutive frames")
    min_joints_inside: float = Field(ge=0, le=1, description="smallest share of confident keypoints inside the mask")
    max_pieces: int = Field(ge=1, description="largest number of connected parts of a mask")
    min_ok_share: float = Field(ge=0, le=1, description="smallest share of a video's frames whose mask passes")
    sam3_folder: str = Field(description="folder of SAM 3: weights, configuration, processor")
    sam3_sha256: str = Field(description="sha256 of model.safetensors")
    sam3_prompts: list[str] = Field(description="text prompts for the child")
    sam3_device: Literal["cpu", "cuda"] = Field(description="device of SAM 3: cpu or cuda")


class EstimatePose(Section):
    """The source of the keypoints."""

    backend: Literal["auto", "delivered", "blazepose", "sapiens2"] = Field(
        description="delivered, blazepose, sapiens2; auto: delivered if there are any"
    )
    landmarks: Literal["full", "heavy"] = Field(description="model of blazepose: full, or heavy (2.5 times the time)")
    weights: str = Field(description="folder of a Sapiens 2 pose model in transformers format")
    weights_sha256: str = Field(description="sha256 of model.safetensors")
    device: Literal["cpu", "cuda"] = Field(description="cpu or cuda; a CPU needs hours per video")
    batch: int = Field(ge=1, le=64, description="frames per forward pass")
    flip: bool = Field(description="average with the prediction on the mirrored image; takes twice the time")


class RefinePose(Section):
    """Filtering and correction of the keypoints."""

    min_score: float = Field(ge=0, le=1, description="keypoints with a lower score are missing")
    box_margin: float = Field(
        ge=0, le=2, description="how far a keypoint may lie outside the child's box, in box heights"
    )
    swap_penalty: float = Field(
        ge=0, le=5, description="cost of a left-right swap, in body heights summed over a leg's keypoints"
    )
    outlier_sigmas: float = Field(
        ge=2, le=20, description="robust standard deviations from its path at which a keypoint is removed"
    )
    longest_gap_seconds: float = Field(ge=0, le=1, description="longest gap that is interpolated, in seconds")
    joint_noise: float = Field(
        ge=0, le=3, description="factor on the estimated noise, for smoothing all keypoints together; 0: off"
    )
    distal_hz: float = Field(
        ge=2, le=25, description="low-pass of ankles, feet and wrists in Hz; below 6 Hz ankle motion is lost"
    )
    proximal_hz: float = Field(ge=2, le=25, description="low-pass of all other keypoints in Hz")


class PrepareClips(Section):
    """Child-centred clips for the networks."""

    size: int = Field(
        ge=32, le=512, multiple_of=8, description="side of the crop in pixels; 224 for published encoders"
    )
    rate: float = Field(gt=0, le=120, description="frame rate of a clip in Hz")
    margin: float = Field(ge=0, le=2, description="added to the crop's side, as a share of the child's longer box side")
    smoothing_seconds: float = Field(
        gt=0, le=2, description="window of the linear fit that smooths the crop's path, in seconds"
    )
    min_inside: float = Field(ge=0, le=1, description="smallest share of the keypoints inside the crop")
    most_covered: float = Field(
        ge=0, le=1, description="share of the child's body or of a leg under a cover, above which a frame is not used"
    )


class Gate(Section):
    """Limits of the data checks; gates.py states which of them stop the study."""

    shortest_seconds: float = Field(ge=0, le=60, description="shortest recording, in seconds")
    odd_rate_share: float = Field(
        ge=0, le=1, description="largest relative deviation of a frame rate from the cohort's median"
    )
    least_covered_share: float = Field(ge=0, le=1, description="smallest share of a video's frames with a covered head")
    largest_cover_share: float = Field(ge=0, le=1, description="largest share of a video's pixels that are covered")
    most_legs_missing: float = Field(ge=0, le=1, description="largest share of a video's leg keypoints missing")
    most_filled: float = Field(ge=0, le=1, description="largest share of a video's keypoints interpolated")
    shortest_stride_seconds: float = Field(gt=0, le=10, description="shortest plausible stride, in seconds")
    longest_stride_seconds: float = Field(gt=0, le=10, description="longest plausible stride, in seconds")
    least_points_known: float = Field(
        ge=0, le=1, description="smallest share of a clip's keypoints that have a position"
    )
    least_points_inside: float = Field(ge=0, le=1, description="smallest share of a clip's keypoints inside the crop")
    least_child_share: float = Field(ge=0, le=1, description="smallest share of a clip's pixels in the child's mask")
    most_child_share: float = Field(ge=0, le=1, description="largest share of a clip's pixels in the child's mask")
    most_empty_masks: float = Field(ge=0, le=1, description="largest share of a clip's frames with an empty mask")
    most_covered_frames: float = Field(
        ge=0, le=1, description="largest share of the frames with the child in which a cover hides it"
    )
    least_scored_share: float = Field(ge=0, le=1, description="smallest share of a child's 34 items that are scored")
    fewest_children: int = Field(ge=1, description="smallest number of children per part of a fold")


class BuildLabels(Section):
    """34 items per child, ordinal and binary."""

    scale: Literal["ordinal", "binary"] = Field(description="scale of labels.json: ordinal (0, 1, 2) or binary (0, 1)")
    rater: str = Field(description="rater whose scores are the labels; empty: entries without a rater's name")
    camera_views: dict[str, list[Literal["forward", "backward", "left", "right"]]] | Literal["registry"] = Field(
        description="views from which an item is scored: registry, or a map as {PRT: [left, right]}"
    )


class SplitSubjects(Section):
    """Train, validation and test children."""

    seed: int = Field(ge=0, description="random seed of the split")
    folds: int = Field(ge=2, description="number of folds of the children outside the hold-out test")
    holdout: float = Field(gt=0, lt=0.9, description="share of children in the hold-out test")
    validation: float = Field(gt=0, lt=0.9, description="share of the other children used for validation")
    phases: int = Field(ge=1, le=20, description="equal parts that take turns as hold-out test; 1: one, by holdout")
    phase: int = Field(ge=0, description="which of these parts is the hold-out test, from 0")
    vault: float = Field(ge=0, lt=0.9, description="share of children sealed until open_vault.tag; 0: none")

    @model_validator(mode="after")
    def _phase_exists(self) -> SplitSubjects:
        if self.phase >= self.phases:
            raise ValueError(f"phase must be below phases, which is {self.phases}")
        return self


class Masking(Section):
    """Masked reconstruction; the published ratios are 0.9 and 0.5."""

    encoder_ratio: float = Field(
        gt=0, lt=1, description="share of the patch columns in time that are hidden from the encoder"
    )
    decoder_ratio: float = Field(
        ge=0, le=0.75, multiple_of=0.25, description="share of the hidden patches that are not reconstructed"
    )
    decoder_depth: int = Field(ge=1, le=12, description="blocks of the decoder, half as wide as the encoder")


class Pretrain(Section):
    """Pre-training on synthetic walks."""

    models: list[ModelName] = Field(description="networks to pre-train, each on its own inputs; empty: none")
    method: Literal["dense", "masked", "both"] = Field(
        description="dense targets, masked reconstruction of patches (VideoMAE), or both"
    )
    source: Literal["stream", "cohort"] = Field(
        description="stream: painted synthetic walks; cohort: clips of children without scores, with method masked"
    )
    masking: Masking = Field(description="methods masked and both: masked reconstruction")
    seed: int = Field(ge=0, description="random seed of the synthetic children; must differ from synthesize.seed")
    children: int = Field(ge=1, description="training children, numbered from 0")
    held_out_children: int = Field(ge=1, description="validation children, numbered after the training children")
    seconds: float = Field(ge=0.5, le=20, description="duration of a walk, in seconds")
    pixels: int = Field(
        ge=32, le=512, multiple_of=8, description="side of the rendered square; equal to prepare_clips.size"
    )
    frame_step: int = Field(ge=1, le=4, description="step from one frame of a window to the next, in frames at 30 Hz")
    windows: int = Field(ge=1, description="number of training windows, along one cosine of the learning rate")
    batch_size: int = Field(ge=1, description="windows per optimizer step")
    learning_rate: float = Field(gt=0, lt=1, description="peak learning rate")
    warmup_windows: int = Field(ge=0, description="windows of linear warm-up of the learning rate")
    weight_decay: float = Field(ge=0, lt=1, description="weight decay of AdamW")
    clip_norm: float = Field(ge=0, description="largest norm of the gradient; 0: no clipping")
    validation_windows: int = Field(ge=1, description="windows of the held-out children per validation")
    validation_every: int = Field(ge=1, description="training windows between two validations and two checkpoints")
    device: Literal["cpu", "cuda"] = Field(description="cpu or cuda")
    precision: Literal["fp32", "bf16"] = Field(description="fp32, or bf16 autocast on hardware that supports it")
    threads: int = Field(ge=1, le=256, description="CPU threads; the last bits of a sum depend on their number")
    workers: int = Field(ge=0, le=64, description="processes that render windows; 0: the training process")
    bystander: float = Field(ge=0, le=1, description="share of walks with a second person in view")
    jitter: float = Field(ge=0, le=0.1, description="noise of keypoints, in body heights in the image")
    dropout: float = Field(ge=0, le=0.5, description="share of a keypoint's frames without a position")
    swap: float = Field(ge=0, le=1, description="share of leg crossings at which left and right are swapped")
    outlier: float = Field(
        ge=0, le=0.5, description="share of a keypoint's frames at a wrong position with a high score"
    )
    mask_error: float = Field(ge=0, le=1, description="share of windows with each kind of mask error")


class Encoder(Section):
    """Video transformer."""

    size: Literal["tiny", "small", "base", "large", "huge", "giant"] = Field(
        description="size of the ViT; base for published weights"
    )
    prompt: Literal["none", "drawn"] = Field(description="drawn: draw the skeleton on the frames; set by the model")
    prune: Literal["none", "mask"] = Field(description="mask: keep only the child's patches; set by the model")
    min_foreground: float = Field(ge=0, le=1, description="smallest share of mask pixels of a kept patch")
    dilate_pixels: int = Field(ge=0, le=64, description="dilation of the mask before patches are selected, in pixels")
    min_tokens: int = Field(ge=1, description="smallest number of kept patches per clip")
    positions: Literal["interpolated", "separable"] = Field(
        description="position embedding: interpolated, or separable for sizes without published weights"
    )
    drop_path: float = Field(ge=0, lt=1, description="stochastic depth rate of the last block; linear from 0")
    head_hidden: int = Field(ge=1, description="width of the head's hidden layer")
    head_dropout: float = Field(ge=0, lt=1, description="dropout of the head")


class Skeleton(Section):
    """Networks on keypoints."""

    width: int = Field(ge=4, le=512, description="channels of the first block; 64 in the published ST-GCN")
    temporal_kernel: Literal[3, 5, 7, 9, 11] = Field(description="frames per temporal convolution")
    dropout: float = Field(ge=0, lt=1, description="dropout rate")
    extra: list[Literal["wavelets", "proportions", "moments"]] = Field(
        description="further inputs: wavelets (of velocities), proportions (bone lengths), moments (net joint moments)"
    )
    moments_age: float = Field(ge=3, le=18, description="extra moments: age of the segment table, in years, for all")
    moments_rate: float = Field(
        gt=0, le=120, description="extra moments: frames of a window per second, prepare_clips.rate over frame_step"
    )
    attention: Literal["none", "channel"] = Field(description="channel: a gate weighs the input channels of a window")


class Cnn(Section):
    """Convolutional networks on video."""

    width: int = Field(ge=2, le=128, description="channels of the first stage; 64 in the published networks")
    dropout: float = Field(ge=0, lt=1, description="dropout rate of the head")


class Silhouette(Section):
    """Networks on silhouettes."""

    columns: Literal[32, 44] = Field(description="width of a silhouette in pixels; its height is 64")
    width: int = Field(
        ge=4,
        le=128,
        multiple_of=4,
        description="channels of the first stage; published: 32 in gaitset, gaitpart, gaitgl, else 64",
    )
    blocks: tuple[int, int, int, int] = Field(
        description="deepgaitv2, swingait: blocks per stage; published for large sets: 1, 4, 4, 1 and 1, 4, 4, 2"
    )
    convolution: Literal["2d", "3d", "p3d"] = Field(description="deepgaitv2: kind of convolution; set by the model")
    dropout: float = Field(ge=0, lt=1, description="dropout rate of the head; published: 0")

    @field_validator("blocks")
    @classmethod
    def _at_least_one_block(cls, value: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        if min(value) < 1:
            raise PydanticCustomError("blocks", "must have at least one block per stage")
        return value


class Frozen(Section):
    """Frozen encoders under a linear probe or a gait network."""

    encoder: str = Field(
        min_length=1, description="a ViT of timm, or for linear_probe a network of the registry, as childgait_video"
    )
    pixels: int = Field(
        ge=16, le=1024, description="height of the ViT's image; a multiple of twice its patch; 448 in biggergait"
    )
    layers: int = Field(ge=1, le=48, description="biggergait: last layers whose tokens are used; 12 as published")
    width: int = Field(
        ge=4, le=128, multiple_of=4, description="biggergait: channels of the gait network's first stage; published: 64"
    )
    frames_per_clip: int = Field(ge=1, le=512, description="linear_probe: frames per clip that a ViT of timm reads")
    penalty: float = Field(gt=0, description="ridge of the logistic regressions of gei and linear_probe")
    cache: str = Field(description="folder for the features of each clip; empty: computed at every use")


class Fusion(Section):
    """Fusion of skeleton and gait features."""

    join: Literal["cross", "concat", "features", "skeleton"] = Field(
        description="cross (attention), concat, or a single stream: features, skeleton"
    )
    choose: Literal["contributions", "random", "all"] = Field(
        description="choice of gait features: contributions (of the important joints), random, all"
    )
    keep_share: float = Field(gt=0, le=1, description="share of the gait features that are chosen")
    first_epochs: int = Field(ge=1, description="epochs of the first ST-GCN, which measures the joints' importance")
    heads: Literal[1, 2, 4, 8] = Field(description="attention heads")


class MeanTeacher(Section):
    """Semi-supervised training by a mean teacher."""

    pool: Literal["none", "unscored", "training"] = Field(
        description="unlabelled clips: none, unscored children, or training (and the training children)"
    )
    labelled: float = Field(gt=0, le=1, description="share of the training children whose scores are used")
    batch_size: int = Field(ge=1, description="unlabelled clips per optimizer step, over all processes")
    supervised_epochs: int = Field(ge=0, description="epochs before the unlabelled loss is used")
    ramp_epochs: int = Field(ge=1, description="epochs over which its weight rises from 0")
    weight: float = Field(ge=0, le=100, description="its weight after the rise")
    decay: float = Field(ge=0, lt=1, description="EMA decay of the teacher's weights")
    confidence: float = Field(ge=0.5, lt=1, description="probability from which a prediction is a pseudo-label")
    sure: Literal["both", "teacher"] = Field(description="whose probability must reach it: both or teacher")
    weak_shift: float = Field(ge=0, le=0.5, description="largest shift of the teacher's frames, over the image side")
    scale: float = Field(ge=0, le=1, description="largest relative change of size of the student's frames")
    shift: float = Field(ge=0, le=0.5, description="largest shift of the student's frames, over the image side")
    colour: float = Field(ge=0, le=1, description="largest relative change of the student's colours")
    time: float = Field(ge=0, le=1, description="largest relative change of the student's speed")
    jitter_frames: int = Field(ge=0, le=60, description="largest shift in time of the student's window, in frames")
    noise: float = Field(ge=0, le=1, description="standard deviation of noise on the student's frames (white is 1)")
    erase: float = Field(ge=0, lt=1, description="longest side of the erased rectangle, over the image side")


class Distillation(Section):
    """Distillation from a larger network."""

    teacher: str = Field(
        description="model of finetune.models whose run of the same fold and seed is the teacher; empty: none"
    )
    parts: Literal["clip", "strips"] = Field(
        description="logits that are compared: clip (whole), or strips (per height strip; both networks on strips)"
    )
    weight: float = Field(ge=0, le=100, description="weight of the divergence of the softened probabilities")
    temperature: float = Field(gt=0, le=100, description="divisor of both logits; the divergence is times its square")
    boundary_weight: float = Field(ge=0, le=100, description="weight of the activation boundary loss; 0: none")
    margin: float = Field(gt=0, le=10, description="margin of the activation boundary")

    @field_validator("teacher")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if value and not re.fullmatch(r"[a-z0-9_]{1,60}", value):
            raise ValueError("a model's name is expected, or nothing")
        return value


class Contrast(Section):
    """Affinity contrast over items that occur together."""

    weight: float = Field(ge=0, le=100, description="weight of the loss; 0: none")
    temperature: float = Field(gt=0, le=10, description="divisor of the cosines")
    affinity: float = Field(
        ge=0,
        le=1,
        description="weight of a typical item that often occurs with the child's atypical ones; 0: as others",
    )
    width: int = Field(ge=2, le=1024, description="numbers per clip and item prototype that are compared")


class Trees(Section):
    """Boosted trees on gait features."""

    count: int = Field(ge=1, le=1000, description="trees per item")
    depth: int = Field(ge=1, le=6, description="depth of a tree")
    learning_rate: float = Field(gt=0, le=1, description="shrinkage per tree")
    sample: float = Field(gt=0, le=1, description="share of the limbs drawn per tree")
    numbers: float = Field(gt=0, le=1, description="share of the features drawn per split")


class Drawing(Section):
    """Skeleton drawn on the frames; colours in RGB."""

    line_pixels: int = Field(ge=1, le=16, description="line width in pixels; 3 at 224 pixels")
    dot_pixels: int = Field(ge=0, le=16, description="radius of a joint's dot in pixels; 0: no dots")
    min_score: float = Field(ge=0, le=1, description="keypoints with a lower score are not drawn")
    left: Colour = Field(description="colour of the left limbs")
    right: Colour = Field(description="colour of the right limbs")
    middle: Colour = Field(description="colour of head and trunk")


class Augmentation(Section):
    """Random changes of a training window."""

    flip: float = Field(ge=0, le=1, description="share of windows mirrored, with left and right swapped")
    scale: float = Field(ge=0, le=1, description="largest relative change of size")
    shift: float = Field(ge=0, le=0.5, description="largest shift, over the image side")
    colour: float = Field(ge=0, le=1, description="largest relative change of colours")
    time: float = Field(ge=0, le=1, description="largest relative change of speed")


class StudyRuns(Section):
    """The runs of a study: one per model, fold and seed."""

    models: list[ModelName] = Field(
        min_length=1, description="models to train, the main one first; majority, coin and age_sex are added"
    )
    folds: list[FoldName] = Field(min_length=1, description="0, 1, ... or holdout")
    seeds: list[Seed] = Field(min_length=1, description="random seeds, one run each")

    @field_validator("models", "folds", "seeds")
    @classmethod
    def _are_unique(cls, value: list[str] | list[int]) -> list[str] | list[int]:
        if len(set(value)) < len(value):
            raise ValueError("each entry is expected once")
        return value


class RunSettings(Section):
    """Settings of one training run, which model.json keeps."""

    device: Literal["cpu", "cuda"] = Field(description="cpu or cuda")
    precision: Literal["auto", "fp32", "tf32", "bf16"] = Field(
        description="auto (bf16 on a GPU that has it, else fp32), fp32, tf32 (GPU), or bf16 (CPU: AMX, AVX512-BF16)"
    )
    deterministic: bool = Field(
        description="same bytes on the same kind of CPU; slower on a GPU, where attention still varies"
    )
    compile: bool = Field(description="torch.compile the network for training; minutes at the start, other last digits")
    threads: int = Field(ge=1, le=256, description="CPU threads; the last bits of a sum depend on their number")
    processes: int = Field(ge=1, le=512, description="processes that train together; with cuda each has its own GPU")
    workers: int = Field(ge=0, le=64, description="processes that load clips; 0: the training process")
    frames: int = Field(ge=2, le=128, multiple_of=2, description="frames per window")
    frame_step: int = Field(
        ge=1, le=4, description="step from one frame of a window to the next; with 2, 16 frames cover a stride"
    )
    anchor: Literal["none", "contact"] = Field(
        description="start of training windows: none (anywhere) or contact (near a foot contact)"
    )
    encoder: Encoder = Field(description="childgait_video and its variants: video transformer")
    skeleton: Skeleton = Field(description="stgcn, gru, lstm, tcn: networks on keypoints")
    fusion: Fusion = Field(description="stgcn_fusion: skeleton and gait features")
    cnn: Cnn = Field(description="r3d18, r2plus1d, c3d, uniformer, agrm: convolutional networks on video")
    silhouette: Silhouette = Field(description="gaitset, gaitbase and others: networks on silhouettes")
    frozen: Frozen = Field(description="gei, linear_probe, biggergait: frozen encoders")
    mean_teacher: MeanTeacher = Field(description="agrm, and any network whose pool is not none")
    distillation: Distillation = Field(description="a network trained with the answers of a larger one")
    contrast: Contrast = Field(description="clips against item prototypes: affinity contrast")
    trees: Trees = Field(description="kinematic_trees: boosted trees on gait features")
    weights: str = Field(
        description="checkpoint to start from; shipped: the repository's for the model; empty: random initial weights"
    )
    weights_sha256: str = Field(description="sha256 of the checkpoint")
    head: Literal["mlp", "linear", "measures"] = Field(
        description="item head: mlp (the network's own), linear, or measures (three numbers per item on its measure)"
    )
    pooling: Literal["own", "hierarchical"] = Field(
        description="pooling before the mlp head: the network's own, or hierarchical (grids of 1, 2 x 2, 4 x 4 cells)"
    )
    limb_ridge: float = Field(ge=0, description="ridge of the measures head towards the mean of an item's two limbs")
    limbs: Literal["shrunk", "shared"] = Field(
        description="coefficients of the measures head: shrunk (per limb, with that ridge) or shared by both limbs"
    )
    tune: Literal["head", "partial", "full"] = Field(
        description="what is trained: head, partial (the upper half of the layers, too) or full"
    )
    drawing: Drawing = Field(description="skeleton drawn on the frames (encoder.prompt); colours in RGB")
    augmentation: Augmentation = Field(description="random changes of a training window; all 0: none")
    epochs: int = Field(ge=1, description="passes over the training videos")
    loss: Literal["bce", "focal", "class_balanced", "corn"] = Field(
        description="bce (binary cross-entropy), focal, class_balanced (effective numbers), or corn (ordinal: 0, 1, 2)"
    )
    focal_gamma: float = Field(ge=0, le=10, description="loss focal: exponent of the error's probability; 0 is bce")
    effective_beta: float = Field(
        ge=0, lt=1, description="loss class_balanced: a class of n children counts (1 - beta^n) / (1 - beta); 0: as one"
    )
    batch_size: int = Field(ge=1, description="clips per optimizer step, over all processes")
    micro_batch_size: int = Field(
        ge=1, description="windows per forward pass and process; gradients are accumulated to batch_size"
    )
    training_windows: int = Field(
        ge=1, le=64, description="windows per training video whose logits are averaged before the loss"
    )
    learning_rate: float = Field(gt=0, lt=1, description="peak learning rate")
    min_learning_rate: float = Field(ge=0, lt=1, description="learning rate at the end of the cosine")
    warmup_epochs: int = Field(ge=0, description="epochs of linear warm-up")
    weight_decay: float = Field(ge=0, lt=1, description="weight decay of AdamW")
    layer_decay: float = Field(
        gt=0, le=1, description="factor on the learning rate per layer below the head; 0.75 with published weights"
    )
    clip_norm: float = Field(ge=0, description="largest norm of the gradient; 0: no clipping")
    positive_weight_cap: float = Field(ge=1, description="largest weight of atypical scores; its inverse the smallest")
    ema_decay: float = Field(
        ge=0, lt=1, description="decay of the moving average (EMA) of the weights that are evaluated; 0: none"
    )
    freeze_layers: int = Field(ge=0, description="first layers whose weights are frozen")
    freeze_stages: list[Annotated[int, Field(ge=0)]] = Field(
        description="further layers whose weights are frozen, 0 being the first, as [0, 3]; any set of stages"
    )
    freeze_epochs: int = Field(ge=0, description="first epochs in which only the head is trained")
    patience: int = Field(ge=0, description="epochs without a lower validation loss before training stops; 0: never")
    checkpoint: Literal["last", "best"] = Field(
        description="epoch whose weights are kept: last, or best validation loss"
    )
    validation_windows: int = Field(ge=1, description="windows per validation video after every epoch")
    checkpoint_epochs: int = Field(ge=1, description="epochs between two checkpoints")

    @model_validator(mode="after")
    def _windows_of_a_video_fit(self) -> RunSettings:
        if self.training_windows > self.micro_batch_size:
            raise ValueError(
                f"training_windows is {self.training_windows}, but micro_batch_size is {self.micro_batch_size}: the "
                "windows of a video are computed together, so micro_batch_size must be at least as large"
            )
        return self

    @model_validator(mode="after")
    def _every_process_has_clips(self) -> RunSettings:
        clips = self.micro_batch_size // self.training_windows
        if self.processes > math.ceil(self.batch_size / clips):
            raise ValueError(
                f"processes is {self.processes}, but a step of batch_size {self.batch_size} has fewer micro-batches "
                f"(of {clips} clips): lower micro_batch_size, so that each process has clips to train on"
            )
        return self

    @model_validator(mode="after")
    def _options_go_together(self) -> RunSettings:
        teacher, contrast = self.distillation.teacher, self.contrast.weight > 0
        boundary = bool(teacher) and self.distillation.boundary_weight > 0
        if self.pooling == "hierarchical" and self.head != "mlp":
            raise ValueError(
                f"pooling is hierarchical, but head is {self.head}, which replaces pooling: set head to mlp"
            )
        if self.tune == "head" and (contrast or boundary):
            option = "contrast.weight" if contrast else "distillation.boundary_weight"
            raise ValueError(f"{option} is not 0, but tune is head: the features that it would change are not trained")
        if self.compile and (contrast or teacher):
            option = "contrast.weight" if contrast else "distillation.teacher"
            raise ValueError(f"{option} is set, but compile is true: a compiled network does not show its features")
        if teacher and self.training_windows > 1:
            raise ValueError(
                f"distillation.teacher is {teacher}, but training_windows is {self.training_windows}: teacher and "
                "student are compared on one window of a video"
            )
        if self.distillation.parts == "strips" and (self.head != "mlp" or self.pooling != "own"):
            raise ValueError("distillation.parts is strips, which needs head mlp and pooling own: no other has strips")
        return self


class Finetune(RunSettings, StudyRuns):  # the keys of StudyRuns come first, as in params.yaml
    """Training of the models."""

    overrides: dict[str, dict[str, JsonValue]] = Field(description="keys of this section that differ for a model")

    def of_run(self) -> RunSettings:
        """Select the settings of one run, without the study's list of runs."""
        return RunSettings(**{name: getattr(self, name) for name in RunSettings.model_fields})

    @field_validator("overrides")
    @classmethod
    def _overrides_are_keys_of_finetune(cls, value: dict[str, dict[str, JsonValue]]) -> dict[str, dict[str, JsonValue]]:
        for model, values in value.items():
            for keys in _paths_of(values):
                if problem := unknown_key("finetune", keys):
                    text = f"finetune.overrides.{model}" + problem.removeprefix("finetune")
                    raise PydanticCustomError("unknown_key", "{text}", {"text": text})
        return value


class Evaluate(Section):
    """Evaluation on the test children."""

    windows_per_video: int = Field(ge=1, description="windows per video whose predictions are averaged")
    bootstrap: int = Field(ge=0, description="bootstrap samples of children for the intervals")
    seed: int = Field(ge=0, description="random seed of the bootstrap")
    bins: int = Field(ge=2, le=50, description="bins of probability of the calibration error")
    age_edges: list[float] = Field(description="limits of the age groups, in years")
    error_rate: float = Field(
        gt=0, lt=0.5, description="error rate of the prediction sets by which a model abstains, per class of an item"
    )
    appearances: int = Field(
        ge=0,
        le=16,
        description="clothes and rooms in which synthetic walks are painted to test for shortcuts; 0: no test",
    )

    @field_validator("age_edges")
    @classmethod
    def _edges_increase(cls, value: list[float]) -> list[float]:
        if any(later <= earlier for earlier, later in itertools.pairwise(value)):
            raise ValueError("increasing ages are expected, such as [7, 11]")
        return value


class Bench(Section):
    """Comparison of many models (`snakemake bench`)."""

    models: list[ModelName] = Field(description="models to compare; empty: every one whose inputs the cohort has")


class Classify(Section):
    """Other tasks than the items (`snakemake tasks`), where subjects.csv has their columns."""

    tasks: list[TaskName] = Field(
        min_length=1,
        description="severity (4 levels), gait_type (of each limb), knee_alignment, scoliosis",
    )
    models: list[ModelName] = Field(
        min_length=1, description="networks to train, each from the weights of its run of finetune"
    )
    windows_per_video: int = Field(ge=1, description="windows per video whose predictions are averaged")
    bootstrap: int = Field(ge=0, description="bootstrap samples of children for the intervals")
    seed: int = Field(ge=0, description="random seed of the bootstrap")


class OpenVault(Section):
    """Evaluation on the sealed children (`snakemake vault`)."""

    tag: str = Field(
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,59})?$",
        description="git tag on the checked out commit, which opens the vault; empty: sealed",
    )


class Reidentify(Section):
    """How well recordings identify children (`snakemake reidentify`)."""

    encoder: ModelName = Field(description="network whose frozen features of drawn clips and frames are audited")
    components: int = Field(ge=1, le=1024, description="principal components that the classifiers read")
    folds: int = Field(ge=2, le=20, description="folds of children in which the items are predicted")
    strengths: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        description="strengths of the protector of limb lengths and colours; 1: all children alike"
    )
    bootstrap: int = Field(ge=0, description="bootstrap samples of children for the intervals")
    seed: int = Field(ge=0, description="random seed of the folds and the bootstrap")


class Params(TypedDict):
    """All sections of params.yaml, in running order."""

    cohort: Cohort
    synthesize: Synthesize
    register: Register
    deidentify: Deidentify
    segment: Segment
    estimate_pose: EstimatePose
    refine_pose: RefinePose
    prepare_clips: PrepareClips
    gate: Gate
    build_labels: BuildLabels
    split_subjects: SplitSubjects
    pretrain: Pretrain
    finetune: Finetune
    evaluate: Evaluate
    bench: Bench
    classify: Classify
    open_vault: OpenVault
    reidentify: Reidentify


SECTIONS: dict[str, type[Section]] = get_type_hints(Params)
NAME_OF: dict[type[Section], str] = {model: name for name, model in SECTIONS.items()}

S = TypeVar("S", bound=Section)


JsonSection = dict[str, JsonValue]  # a section of params.yaml as JSON has it


def section_of_run(section: Mapping[str, JsonValue], model: str) -> JsonSection:
    """Select the part of the finetune section that one run depends on.

    The lists of models, folds and seeds are left out, so that one more of them in the study changes no other run.
    """
    own = {key: value for key, value in section.items() if key not in ("models", "folds", "seeds")}
    return own | {"overrides": _overrides_of(section, model)}


def _overrides_of(section: Mapping[str, JsonValue], model: str) -> JsonSection:
    """Return the keys of the finetune section that differ for a model."""
    overrides = section["overrides"]
    assert isinstance(overrides, dict)
    own = overrides.get(model, {})
    assert isinstance(own, dict)
    return own


def section_for_record(name: str, section: Mapping[str, JsonValue], values: Mapping[str, object]) -> JsonSection:
    """Select the part of a section that a job's record keeps; `values` are the job's plain arguments."""
    if name == "finetune" and "model_name" in values:
        return section_of_run(section, str(values["model_name"]))
    if name == "pretrain":
        return section_of_pretraining(section)
    if name == "classify":
        return {key: value for key, value in section.items() if key not in ("tasks", "models")}
    return dict(section)


def section_of_pretraining(section: Mapping[str, JsonValue]) -> JsonSection:
    """Select the part of the pretrain section that one model's job depends on: one more model changes no other job."""
    return {key: value for key, value in section.items() if key != "models"}


def network_section(section: Mapping[str, JsonValue], model: str) -> JsonSection:
    """Select the keys of the finetune section that shape a network or its input; pre-training depends on no other."""
    keys = ("frames", "frame_step", "encoder", "skeleton", "cnn", "silhouette", "frozen", "drawing", "augmentation")
    own = {key: section[key] for key in keys}
    overrides = _overrides_of(section, model)
    return own | {"overrides": {key: overrides[key] for key in keys if key in overrides}}


def read_params(path: Path) -> dict[str, Any]:
    """Read params.yaml as a mapping of sections, without checking the values."""
    try:
        values = parse_yaml(read_text(path, LARGEST_PARAMS), str(path))
    except FileNotFoundError:
        raise StepError(f"there is no {path}", hint="run from the repository's root, or give --params") from None
    if not isinstance(values, dict):
        raise StepError(f"{path} holds {type(values).__name__}, not sections", hint="restore it from git") from None
    return values


def load_params(path: Path) -> Params:
    """Load and check the whole file. One error lists all problems."""
    return cast(Params, load_sections(path))


def load_sections(path: Path) -> dict[str, Section]:
    """Load and check the whole file, as a mapping of any section by its name."""
    return check_sections(read_params(path), str(path))


def check_sections(values: Mapping[str, object], where: str) -> dict[str, Section]:
    """Check the values of all sections; `where` names their file in the error, which lists all problems."""
    problems = []
    for name in values:
        if name not in SECTIONS and name != "preset":
            problems.append(
                f"section {name} is called {RENAMED_SECTIONS[name]} now"
                if name in RENAMED_SECTIONS
                else f"section {shorten(name)} is unknown{_nearest(name, SECTIONS)}"
            )
    loaded = {}
    for name, model in SECTIONS.items():
        if name not in values:
            problems.append(f"section {name!r} is missing")
            continue
        try:
            loaded[name] = model.model_validate(values[name])
        except ValidationError as error:
            problems += _problems_of(name, error)
    if problems:
        rest = f"; and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else ""
        raise StepError(
            f"{where}: " + "; ".join(problems[:MOST_PROBLEMS]) + rest,
            hint="src/childgait/params.py lists the keys and their ranges",
        )
    return loaded


def load_section(path: Path, model: type[S]) -> S:
    """Load one section. The whole file is checked: a typo anywhere stops a run before it is planned."""
    section = load_sections(path)[NAME_OF[model]]
    assert isinstance(section, model)
    return section


def descriptions() -> dict[str, str]:
    """Map every section and every key (`finetune.encoder.size`) to its description, in the order of params.yaml."""
    remarks: dict[str, str] = {}

    def describe(name: str, model: type[Section]) -> None:
        for key, field in model.model_fields.items():
            assert field.description, f"{name}.{key} has no description"
            remarks[f"{name}.{key}"] = field.description
            if (part := _part_of(model, key)) is not None:
                describe(f"{name}.{key}", part)

    for name, model in SECTIONS.items():
        remarks[name] = (model.__doc__ or "").split("\n", 1)[0].rstrip(".")
        describe(name, model)
    return remarks


# --- messages


RENAMED_SECTIONS = {"grade_severity": "classify"}  # old section -> its name now
# Old key -> its name now. A file with an old key gets one sentence with the new name.
RENAMED = {
    "finetune.changes": "augmentation",
    "finetune.clips_a_step": "batch_size",
    "finetune.clips_at_once": "micro_batch_size",
    "finetune.average_decay": "ema_decay",
    "finetune.keep": "checkpoint",
    "finetune.validation_views": "validation_windows",
    "finetune.least_learning_rate": "min_learning_rate",
    "finetune.mean_teacher.clips_a_step": "batch_size",
    "finetune.fusion.keep": "keep_share",
    "build_labels.views": "camera_views",
    "evaluate.views": "windows_per_video",
    "deidentify.most_whole": "max_whole_person_share",
}


def unknown_key(section: str, keys: Iterable[str]) -> str | None:
    """Explain the first key of a path that its section does not have, in words; None if all exist."""
    model, where = SECTIONS[section], section
    for key in keys:
        if key not in model.model_fields:
            if name := RENAMED.get(f"{where}.{key}"):
                return f"{where}.{key} is called {name} now"
            return f"{where}.{key} is no key of this section{_nearest(key, model.model_fields)}"
        part = _part_of(model, key)
        if part is None:
            return None
        model, where = part, f"{where}.{key}"
    return None


def _part_of(model: type[Section], key: str) -> type[Section] | None:
    """Get the section within a section that a key holds, if it holds one."""
    kind = model.model_fields[key].annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _paths_of(values: Mapping[str, object]) -> list[list[str]]:
    """List the paths of keys that lead to the values of a nested mapping."""
    paths = []
    for key, value in values.items():
        inner = _paths_of(value) if isinstance(value, Mapping) else []
        paths += [[key, *path] for path in inner] or [[key]]
    return paths


def _nearest(name: str, valid: Iterable[str]) -> str:
    names = list(valid)
    near = difflib.get_close_matches(str(name), names, n=1)
    return f" (nearest valid name: {near[0]!r})" if near else f" (valid: {', '.join(names)})"


def _problems_of(section: str, error: ValidationError) -> list[str]:
    """Describe every error of a section, a sentence each. A renamed key is one error, not also a missing one."""
    renamed = set()
    for detail in error.errors():
        keys = [section, *map(str, detail["loc"])]
        if detail["type"] == "extra_forbidden" and (name := RENAMED.get(".".join(keys))):
            renamed.add(".".join([*keys[:-1], name]))
    return [
        problem_of(section, detail)
        for detail in error.errors()
        if detail["type"] != "missing" or ".".join([section, *map(str, detail["loc"])]) not in renamed
    ]


def problem_of(section: str, detail: ErrorDetails) -> str:
    """Describe one validation error in a sentence: section, key, value, what is allowed."""
    keys = [str(part) for part in detail["loc"] if str(part).isidentifier() or isinstance(part, int)]
    if detail["type"] == "extra_forbidden" and (problem := unknown_key(section, keys)):
        return problem
    where = ".".join([section, *keys])
    if detail["type"] == "unknown_key":
        return detail["msg"]
    if detail["type"] == "missing":
        return f"{where} is missing"
    if detail["type"] == "value_error" and isinstance(detail["input"], Mapping):
        return f"{where}: {allowed(detail)}"
    return f"{where} is {shorten(detail['input'])}, but {allowed(detail)}"


ALLOWED = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "literal_error": "must be {expected}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text (put it in quotes)",
    "list_type": "must be a list, such as [a, b]",
    "tuple_type": "must be a list, such as [1, 2]",
    "dict_type": "must be a mapping of keys to values, such as {{key: value}}",
    "model_type": "must be a section of keys",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
}


def allowed(detail: ErrorDetails) -> str:
    """State in words what a validation error expects; pydantic's own text for the rare kinds."""
    if text := ALLOWED.get(detail["type"]):
        return text.format(**detail.get("ctx", {}))
    message = detail["msg"].removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}"
