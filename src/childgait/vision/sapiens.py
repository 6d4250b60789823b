"""Estimates keypoints with Sapiens 2: 308 points inside the child's box, of which childgait keeps 23.

A thin wrapper over transformers. Weights are given by folder and sha256 and never downloaded. Only the heatmaps of the
23 points are decoded (all 308 cost several times as much, and those of the face must not be kept). Results may be
averaged with those of the mirrored picture, with left and right of the layout exchanged. Frames without a box are
missing in the result.

Reads frames (files/video.py) and boxes (T, 4) of x0, y0, x1, y1, NaN without a child; returns Poses.
Read the licence of Sapiens 2 before using its weights: it forbids more uses than most clinics expect.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import LAYOUTS, MIRRORED, POINTS
from childgait.errors import StepError
from childgait.files.weights import check_sha256
from childgait.user_files import read_model_config, shorten
from childgait.vision.model_folder import load_folder

if TYPE_CHECKING:
    import torch

    from childgait.files.video import Frame

WEIGHTS = "model.safetensors"
_LAYOUT = LAYOUTS["goliath308"]
_OURS = [index for index in _LAYOUT.source if index is not None]
assert len(_OURS) == len(POINTS)


def check_weights(folder: Path, expected: str) -> None:
    """Check that the folder contains the weights in params.yaml, and that they are a Sapiens 2 pose model."""
    file = folder / WEIGHTS
    if not file.is_file():
        raise StepError(
            f"{folder} contains no {WEIGHTS}",
            hint="put the Sapiens 2 pose model there as transformers saves it: weights, configuration, processor",
        )
    check_sha256(file, expected, key="estimate_pose.weights_sha256")
    description = read_model_config(folder)
    kind = description.get("model_type", "no configuration")
    listed = description.get("architectures")
    architectures = [str(name) for name in listed] if isinstance(listed, list) else []
    if kind != "sapiens2" or "Sapiens2ForPoseEstimation" not in architectures:
        raise StepError(
            f"{folder} contains weights of another model ({str(kind)[:80]}, {', '.join(architectures or ['?'])[:200]})",
            hint="give the folder of a Sapiens 2 pose model",
        )
    names = description.get("id2label")
    labels = len(names) if isinstance(names, dict) else description.get("num_labels")
    if labels != _LAYOUT.size:
        raise StepError(
            f"{folder} is a model of {shorten(labels)} points, not {_LAYOUT.size}", hint="give the Goliath pose model"
        )


class Sapiens2:
    """A Sapiens 2 pose model, loaded from a folder."""

    def __init__(self, folder: Path, expected_sha256: str, *, device: str = "cpu") -> None:
        check_weights(folder, expected_sha256)
        os.environ["HF_HUB_OFFLINE"] = "1"
        import torch
        from transformers import Sapiens2ForPoseEstimation, Sapiens2ImageProcessor

        if device == "cuda" and not torch.cuda.is_available():
            raise StepError(
                "estimate_pose.device is cuda, but torch finds no CUDA device",
                hint="set it to cpu, or run on a GPU node",
            )
        self._device = device
        model, self._processor = load_folder(
            folder, Sapiens2ForPoseEstimation, Sapiens2ImageProcessor, "a Sapiens 2 pose model"
        )
        self._model = model.to(device).eval()

    def estimate(self, frames: Iterable[Frame], boxes: NDArray[np.float64], batch: int, flip: bool) -> Poses:
        """Return the child's poses; `boxes` has one row per frame."""
        seconds: list[float] = []
        points_of_frame: dict[int, NDArray[np.float32]] = {}
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
                points_of_frame |= self._estimate_batch(waiting, flip)
                waiting = []
        if waiting:
            points_of_frame |= self._estimate_batch(waiting, flip)
        if len(seconds) < len(boxes):
            raise StepError(
                f"the video has {len(seconds)} frames, but the table of boxes {len(boxes)}",
                hint="run segment again: its boxes are of another video",
            )
        points = np.full((len(seconds), len(POINTS), 3), np.nan, np.float32)
        for index, values in points_of_frame.items():
            points[index] = values
        return make_poses(np.array(seconds), points[..., :2], points[..., 2])

    def _estimate_batch(
        self, waiting: list[tuple[int, NDArray[np.uint8], list[float]]], flip: bool
    ) -> dict[int, NDArray[np.float32]]:
        """Return each frame's points (23, 3). A point without any response has score 0 and no valid position."""
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
        """Return heatmaps of the mirrored picture, mirrored back, with left and right exchanged."""
        heat: torch.Tensor = self._model(pixels.flip(-1)).heatmaps[:, _OURS]
        return heat.flip(-1)[:, list(MIRRORED)]
