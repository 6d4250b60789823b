"""Sapiens 2 pose: 308 points inside the child's box, of which childgait keeps 23.

A thin wrapper over transformers. What it adds: weights by folder and sha256, never fetched; only the heatmaps of our
points are decoded (all 308 cost several times as much, and the face's must not be kept); a flip test with the layout's
own left and right. Frames without a box are skipped, and stay missing.

Reads frames (files/video.py) and boxes (T, 4) of x0, y0, x1, y1, NaN where there is none; yields Poses.
Sapiens 2's licence forbids uses that most clinics would not think of; read it before bringing the weights.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import LAYOUTS, MIRRORED, POINTS
from childgait.errors import StepError
from childgait.files.hashes import sha256

if TYPE_CHECKING:
    import torch

    from childgait.files.video import Frame

WEIGHTS = "model.safetensors"
_LAYOUT = LAYOUTS["goliath308"]
_OURS = [index for index in _LAYOUT.source if index is not None]
assert len(_OURS) == len(POINTS)


def check_weights(folder: Path, expected: str) -> None:
    """That the folder holds the weights which params.yaml names, and that they are a Sapiens 2 pose model."""
    file = folder / WEIGHTS
    if not file.is_file():
        raise StepError(
            f"{folder} holds no {WEIGHTS}",
            hint="put Sapiens 2 pose there as transformers saves it: weights, configuration, processor",
        )
    found = sha256(file)
    if found != expected:
        raise StepError(
            f"{file} has sha256 {found[:12]}…, but estimate_pose.weights_sha256 says {expected[:12] or 'none'}…",
            hint="put the named weights there, or change the sha256 if you trust these",
        )
    config = folder / "config.json"
    told: dict[str, Any] = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    kind = told.get("model_type", "no configuration")
    if kind != "sapiens2" or "Sapiens2ForPoseEstimation" not in (told.get("architectures") or []):
        raise StepError(
            f"{folder} holds weights of another model ({kind}, {', '.join(told.get('architectures') or ['?'])})",
            hint="give the folder of a Sapiens 2 pose model",
        )
    labels = len(told["id2label"]) if "id2label" in told else told.get("num_labels")
    if labels != _LAYOUT.size:
        raise StepError(
            f"{folder} is a model of {labels} points, not {_LAYOUT.size}", hint="give the Goliath pose model"
        )


class Sapiens2:
    """The model of one folder."""

    def __init__(self, folder: Path, expected_sha256: str, *, device: str = "cpu") -> None:
        check_weights(folder, expected_sha256)
        os.environ["HF_HUB_OFFLINE"] = "1"
        import torch
        from transformers import Sapiens2ForPoseEstimation, Sapiens2ImageProcessor

        if device == "cuda" and not torch.cuda.is_available():
            raise StepError(
                "estimate_pose.device is cuda, but torch finds none", hint="set it to cpu, or run on a GPU node"
            )
        self._device = device
        self._processor = Sapiens2ImageProcessor.from_pretrained(folder, local_files_only=True)
        model = Sapiens2ForPoseEstimation.from_pretrained(folder, local_files_only=True)
        self._model = model.to(device).eval()

    def estimate(self, frames: Iterable[Frame], boxes: NDArray[np.float64], batch: int, flip: bool) -> Poses:
        """The child's points in every frame; `boxes` has a row a frame."""
        seconds: list[float] = []
        found: dict[int, NDArray[np.float32]] = {}
        waiting: list[tuple[int, NDArray[np.uint8], list[float]]] = []
        for frame in frames:
            if frame.index >= len(boxes):
                raise StepError(
                    f"the video has more frames than the table of boxes, which has {len(boxes)}",
                    hint="run segment again: its boxes are of another video",
                )
            seconds.append(float(frame.seconds))
            x0, y0, x1, y1 = boxes[frame.index]
            if np.isfinite([x0, y0, x1, y1]).all() and x1 > x0 and y1 > y0:
                waiting.append((frame.index, frame.pixels, [x0, y0, x1 - x0, y1 - y0]))
            if len(waiting) == batch:
                found |= self._look(waiting, flip)
                waiting = []
        if waiting:
            found |= self._look(waiting, flip)
        if len(seconds) < len(boxes):
            raise StepError(
                f"the video has {len(seconds)} frames, but the table of boxes {len(boxes)}",
                hint="run segment again: its boxes are of another video",
            )
        points = np.full((len(seconds), len(POINTS), 3), np.nan, np.float32)
        for index, values in found.items():
            points[index] = values
        return make_poses(np.array(seconds), points[..., :2], points[..., 2])

    def _look(
        self, waiting: list[tuple[int, NDArray[np.uint8], list[float]]], flip: bool
    ) -> dict[int, NDArray[np.float32]]:
        """Each waiting frame's (23, 3). A point without any response gets score 0 and a place of no meaning."""
        import torch

        boxes = [[box] for _, _, box in waiting]
        pixels = self._processor([picture for _, picture, _ in waiting], boxes=boxes, return_tensors="pt")[
            "pixel_values"
        ]
        pixels = pixels.to(self._device)
        with torch.inference_mode():
            heat = self._model(pixels).heatmaps[:, _OURS]
            if flip:
                heat = (heat + self._flipped(pixels)) / 2
            results = self._processor.post_process_pose_estimation(SimpleNamespace(heatmaps=heat), boxes)
        out = {}
        for (index, _, _), people in zip(waiting, results, strict=True):
            score = people[0]["scores"].float().cpu().numpy()
            xy = people[0]["keypoints"].float().cpu().numpy()
            out[index] = np.concatenate([xy, np.clip(score, 0, None)[:, None]], axis=1).astype(np.float32)
        return out

    def _flipped(self, pixels: torch.Tensor) -> torch.Tensor:
        """Heatmaps of the mirrored picture, mirrored back, left and right exchanged."""
        heat: torch.Tensor = self._model(pixels.flip(-1)).heatmaps[:, _OURS]
        return heat.flip(-1)[:, list(MIRRORED)]
