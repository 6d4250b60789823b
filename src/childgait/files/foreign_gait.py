"""Reads gait data in the layouts of other tools: silhouette folders, probe and gallery sets, skeleton annotations.

    ROOT/PERSON/KIND/VIEW/*.pkl or *.png      OpenGait's layout, such as 001/nm-01/090/090.pkl: uint8 (T, H, W)
    annotations.pkl                            MMAction2's layout: {"split": {...}, "annotations": [...]}

Pickles are read by array_pickles.py, which runs no code. CASIA-B's protocol: persons 1 to 74 train, 75 to 124 test;
gallery nm-01 to nm-04, probes nm-05, nm-06, bg-01, bg-02, cl-01, cl-02; pairs of the same view are left out.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.array_pickles import load_arrays
from childgait.user_files import read_bytes, shorten

LARGEST_SIDE = 2048  # pixels of a silhouette
LAST_TRAINING_PERSON = 74  # of CASIA-B
_GALLERY = re.compile(r"nm-0[1-4]")
_PROBE = re.compile(r"nm-0[56]|bg-0[12]|cl-0[12]")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class SilhouetteSequence:
    """One walk of one person: where its silhouettes lie."""

    person: str
    kind: str  # walking condition and number, such as nm-01
    view: str  # degrees, such as 090
    folder: Path

    def read(self) -> NDArray[np.uint8]:
        """Return the silhouettes (T, H, W), 0 outside and up to 255 inside."""
        pickles, pictures = sorted(self.folder.glob("*.pkl")), sorted(self.folder.glob("*.png"))
        if len(pickles) == 1:
            array = load_arrays(pickles[0])
            if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype != np.uint8 or not len(array):
                raise StepError(f"{pickles[0]} is no uint8 array (T, H, W)", hint="write one array of silhouettes")
            return array
        if pickles or not pictures:
            raise StepError(
                f"{self.folder} has {len(pickles)} .pkl and {len(pictures)} .png files",
                hint="give one .pkl per sequence, or one .png per frame",
            )
        frames = [_read_png(path) for path in pictures]
        if wrong := next(
            (path for path, frame in zip(pictures, frames, strict=True) if frame.shape != frames[0].shape), None
        ):
            raise StepError(f"{wrong} has another size than {pictures[0].name}", hint="crop all frames alike")
        return np.stack(frames)


def list_silhouettes(root: Path) -> list[SilhouetteSequence]:
    """List the sequences of a silhouette folder in OpenGait's layout, in the order of their names."""
    folders = sorted(path for path in root.glob("*/*/*") if path.is_dir())
    if not folders:
        raise StepError(f"{root} has no folders PERSON/KIND/VIEW", hint="give the folder that pretreatment writes")
    return [SilhouetteSequence(path.parts[-3], path.parts[-2], path.parts[-1], path) for path in folders]


def _read_png(path: Path) -> NDArray[np.uint8]:
    """Read a grey picture; its size is checked before it is decoded."""
    import cv2

    content = read_bytes(path)
    width, height = struct.unpack(">II", content[16:24]) if len(content) > 24 else (0, 0)
    picture = None
    if content.startswith(_PNG) and 0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise StepError(f"{path} is no PNG of at most {LARGEST_SIDE} pixels per side", hint="write the frames again")
    return np.asarray(picture, np.uint8)


def casia_b_role(sequence: SilhouetteSequence) -> Literal["train", "gallery", "probe", "unused"]:
    """Return what CASIA-B's protocol uses a sequence for."""
    if not re.fullmatch("[0-9]{3}", sequence.person):
        raise StepError(f"{shorten(sequence.person)} is no person of CASIA-B", hint="persons are 001 to 124")
    if int(sequence.person) <= LAST_TRAINING_PERSON:
        return "train"
    if _GALLERY.fullmatch(sequence.kind):
        return "gallery"
    return "probe" if _PROBE.fullmatch(sequence.kind) else "unused"


def rank_one(
    probes: NDArray[np.floating],
    gallery: NDArray[np.floating],
    probe_sequences: list[SilhouetteSequence],
    gallery_sequences: list[SilhouetteSequence],
) -> dict[str, float]:
    """Return rank-1 accuracy by condition (nm, bg, cl): the mean over pairs of different views, embeddings (N, D)."""
    from scipy.spatial.distance import cdist

    distance = cdist(probes, gallery)
    by_condition: dict[str, list[float]] = {}
    views = sorted({sequence.view for sequence in gallery_sequences})
    for condition in ("nm", "bg", "cl"):
        for probe_view in sorted({sequence.view for sequence in probe_sequences}):
            rows = [
                n for n, s in enumerate(probe_sequences) if s.view == probe_view and s.kind.startswith(condition + "-")
            ]
            for view in views:
                columns = [n for n, s in enumerate(gallery_sequences) if s.view == view]
                if view == probe_view or not rows or not columns:
                    continue
                nearest = distance[np.ix_(rows, columns)].argmin(axis=1)
                hits = [
                    probe_sequences[row].person == gallery_sequences[columns[best]].person
                    for row, best in zip(rows, nearest, strict=True)
                ]
                by_condition.setdefault(condition, []).append(float(np.mean(hits)))
    return {condition: float(np.mean(values)) for condition, values in by_condition.items()}


@dataclass(frozen=True)
class SkeletonSample:
    """One sample of an MMAction2 annotation file; arrays of the first person."""

    name: str
    label: int
    xy: NDArray[np.float32]  # (T, V, 2) pixels
    score: NDArray[np.float32]  # (T, V); 1 where the file has none


@dataclass(frozen=True)
class SkeletonSet:
    """All samples of an annotation file, and the names in each part of its split."""

    samples: list[SkeletonSample]
    split: dict[str, list[str]]


def read_skeletons(path: Path) -> SkeletonSet:
    """Read skeleton annotations in MMAction2's layout."""
    content = load_arrays(path)
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise StepError(f"{path} has no list `annotations`", hint="its keys are split and annotations")
    samples = [_sample(path, number, entry) for number, entry in enumerate(content["annotations"])]
    names = [sample.name for sample in samples]
    if len(set(names)) < len(names):
        raise StepError(f"{path} has two annotations of one frame_dir", hint="keep one per sample")
    split = content.get("split") or {}
    if not isinstance(split, dict) or not all(isinstance(part, list) for part in split.values()):
        raise StepError(f"{path}: the split is {shorten(split)}", hint="give a list of names per part")
    known = set(names)
    listed = (name for part in split.values() for name in part)
    if unknown := [name for name in listed if not isinstance(name, str) or name not in known]:
        raise StepError(f"{path}: the split names {shorten(unknown[0])}", hint="list names of annotations only")
    return SkeletonSet(samples, {str(name): list(part) for name, part in split.items()})


def _sample(path: Path, number: int, entry: object) -> SkeletonSample:
    where = f"{path}, annotation {number}"
    if not isinstance(entry, dict) or not {"frame_dir", "label", "total_frames", "keypoint"} <= set(entry):
        raise StepError(f"{where} lacks keys", hint="needed: frame_dir, label, total_frames, keypoint")
    points, scores = entry["keypoint"], entry.get("keypoint_score")
    if not isinstance(points, np.ndarray) or points.ndim != 4 or points.shape[3] != 2 or not points.shape[0]:
        raise StepError(f"{where}: keypoint is no array (persons, T, V, 2)", hint="export 2D keypoints")
    if points.shape[1] != entry["total_frames"]:
        raise StepError(
            f"{where}: {points.shape[1]} frames, but total_frames is {entry['total_frames']}", hint="export again"
        )
    if scores is None:
        scores = np.ones(points.shape[:3], np.float32)
    if not isinstance(scores, np.ndarray) or scores.shape != points.shape[:3]:
        raise StepError(f"{where}: keypoint_score does not fit keypoint", hint="its shape is (persons, T, V)")
    if type(entry["label"]) is not int or not isinstance(entry["frame_dir"], str):
        raise StepError(f"{where}: label or frame_dir has another type", hint="a whole number and a text")
    xy, score = points[0].astype(np.float32), scores[0].astype(np.float32)
    return SkeletonSample(entry["frame_dir"], entry["label"], xy, score)
