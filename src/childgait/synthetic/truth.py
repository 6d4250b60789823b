"""What is true of a synthetic recording, beside the cohort in `truth/`; no step of the pipeline reads it.

from childgait.synthetic.truth import load_truth
truth = load_truth(Path("data/demo/truth/0001-0001_left_1-240.npz"))
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class GaitEvent(TypedDict):
    """One gait event of a limb."""

    limb: str
    kind: str  # contact or foot_off
    seconds: float


class Defect(TypedDict):
    """One planted error or quirk of the delivered keypoints."""

    kind: str
    start: int  # first frame
    end: int  # exclusive
    points: list[str]


class TurnTimes(TypedDict):
    """When the child turns round, in seconds; `middle` is when it faces across the walkway."""

    start: float
    middle: float
    end: float


class PlannedPattern(TypedDict):
    """The gait pattern of a limb."""

    pattern: str
    strength: float


@dataclass(frozen=True)
class Truth:
    """One video. Frames count from 0; pixels as everywhere: (0, 0) is the centre of the top left one."""

    video: str
    width: int
    height: int
    seconds: Array  # (T,)
    points: Array  # (T, 23, 2) exact, also outside the picture
    visible: NDArray[np.bool_]  # (T, 23) in the picture and not behind anything
    heads: dict[str, Array]  # person: (T, 4) x0, y0, x1, y1, ends exclusive; NaN where out of view
    faces: dict[str, NDArray[np.bool_]]  # person: (T,) the face is visible
    angles: dict[str, Array]  # "left.knee": (T,) degrees, see motion.CURVES
    events: list[GaitEvent]
    planted: list[Defect]
    pattern: dict[str, PlannedPattern]  # by limb
    scores: dict[str, dict[str, dict[str, float]]]  # limb: item: value, score (by the bands), rated (as delivered)
    masks: list[bytes]
    head_labels: list[bytes] = field(default_factory=list)  # visible pixels of heads; empty for the demo's options
    turn: TurnTimes | None = None  # the view's name holds before it

    def visible_heads(self, index: int) -> dict[str, NDArray[np.bool_]]:
        """Return the pixels (H, W) of each person's head that nothing hides in one frame."""
        flat = np.frombuffer(zlib.decompress(self.head_labels[index]), np.uint8)
        labels = flat.reshape(self.height, self.width)
        return {who: labels == number for number, who in enumerate(self.heads, 1)}

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Return the child's pixels in one frame, (H, W)."""
        packed = np.frombuffer(zlib.decompress(self.masks[index]), np.uint8)
        return np.unpackbits(packed, count=self.width * self.height).astype(bool).reshape(self.height, self.width)


def pack_mask(mask: NDArray[np.bool_]) -> bytes:
    return zlib.compress(np.packbits(mask).tobytes(), 6)


def pack_labels(labels: NDArray[np.uint8]) -> bytes:
    return zlib.compress(np.ascontiguousarray(labels).tobytes(), 6)


def save_truth(path: Path, truth: Truth) -> None:
    """Write one npz without pickles: arrays, the masks end to end, and the rest as JSON text."""
    rest: dict[str, object] = {
        "video": truth.video,
        "width": truth.width,
        "height": truth.height,
        "events": truth.events,
        "planted": truth.planted,
        "pattern": truth.pattern,
        "scores": truth.scores,
    }
    if truth.turn is not None:  # absent from the demo's files, whose bytes stay as they were
        rest["turn"] = truth.turn
    arrays: dict[str, NDArray[Any]] = {
        "seconds": truth.seconds,
        "points": truth.points.astype(np.float32),
        "visible": truth.visible,
    }
    arrays["rest"] = np.frombuffer(json.dumps(rest, sort_keys=True).encode(), np.uint8)
    arrays["mask_bytes"] = np.frombuffer(b"".join(truth.masks), np.uint8)
    arrays["mask_ends"] = np.cumsum([len(mask) for mask in truth.masks])
    if truth.head_labels:  # absent from the demo's files, whose bytes stay as they were
        arrays["head_bytes"] = np.frombuffer(b"".join(truth.head_labels), np.uint8)
        arrays["head_ends"] = np.cumsum([len(labels) for labels in truth.head_labels])
    for kind in ("heads", "faces", "angles"):
        for name, values in getattr(truth, kind).items():
            arrays[f"{kind}.{name}"] = values.astype(np.float32) if values.dtype == np.float64 else values
    np.savez(path, **arrays)  # type: ignore[arg-type]  # no array is called allow_pickle


def load_truth(path: Path) -> Truth:
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    rest = json.loads(arrays["rest"].tobytes())

    def parts(kind: str) -> list[bytes]:
        if f"{kind}_ends" not in arrays:
            return []
        blob = arrays[f"{kind}_bytes"].tobytes()
        return [blob[a:b] for a, b in pairwise([0, *arrays[f"{kind}_ends"].tolist()])]

    def group(kind: str) -> dict[str, NDArray[Any]]:
        return {
            name.removeprefix(kind + "."): values.astype(np.float64) if values.dtype == np.float32 else values
            for name, values in arrays.items()
            if name.startswith(kind + ".")
        }

    return Truth(
        seconds=arrays["seconds"],
        points=arrays["points"].astype(np.float64),
        visible=arrays["visible"],
        heads=group("heads"),
        faces=group("faces"),
        angles=group("angles"),
        masks=parts("mask"),
        head_labels=parts("head"),
        **rest,
    )
