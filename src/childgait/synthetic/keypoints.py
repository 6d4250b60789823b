"""The keypoints as they are delivered: 133 points, imperfect the way an estimator is, with the release's quirks.

Every planted defect is reported, so that a repair can be checked. Face and hand points are invented round head and
wrist, also from behind, as estimators do.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import INDEX, MIRRORED, POINTS
from childgait.files.keypoint_frames import FrameRecord, PersonRecord, VideoInfo
from childgait.params import Synthesize
from childgait.synthetic.child import Random
from childgait.synthetic.truth import Defect

Array = NDArray[np.float64]
LEGS = tuple(i for i, name in enumerate(POINTS) if name.split("_")[-1] in ("knee", "ankle", "toe", "heel"))


class ErrorRates(Protocol):
    """How often and how far an estimator errs; `Synthesize` and `StreamSettings` have these."""

    @property
    def jitter(self) -> float: ...
    @property
    def dropout(self) -> float: ...
    @property
    def swap(self) -> float: ...
    @property
    def outlier(self) -> float: ...


@dataclass(frozen=True)
class Delivered:
    """What an estimator would hand over: the 23 points, their scores, and what is wrong with them."""

    points: Array  # (T, 23, 2)
    scores: Array  # (T, 23)
    planted: list[Defect]


def _runs(rng: Random, count: int, rate: float, longest: int) -> list[tuple[int, int]]:
    """Draw runs of frames, about `rate` of all frames in them."""
    runs = []
    for start in np.flatnonzero(rng.random(count) < rate * 2 / (1 + longest)):
        runs.append((int(start), min(count, int(start) + int(rng.integers(1, longest + 1)))))
    return runs


def spoil(
    exact: Array, visible: NDArray[np.bool_], size: tuple[int, int], rate: float, params: ErrorRates, rng: Random
) -> Delivered:
    """Add jitter, drop-outs, left-right swaps and confident outliers to the exact points."""
    count = len(exact)
    body = float(np.median(np.ptp(exact[..., 1], axis=1)))  # the child's height in the picture
    speed = np.linalg.norm(np.gradient(exact, axis=0), axis=-1) * rate / max(body, 1)  # body heights per second
    spread = params.jitter * body * (1 + 0.8 * np.minimum(speed, 3)) * np.where(visible, 1.0, 2.5)
    noise = rng.normal(size=exact.shape)
    noise[1:] = 0.6 * noise[:-1] + 0.8 * noise[1:]  # errors last longer than a frame
    points = exact + noise * spread[..., None]
    scores = np.where(visible, rng.normal(0.90, 0.03, visible.shape), rng.normal(0.62, 0.08, visible.shape))
    scores = np.clip(scores - 0.04 * np.minimum(speed, 3), 0.3, 0.99)
    planted: list[Defect] = [{"kind": "jitter", "start": 0, "end": count, "points": list(POINTS)}]
    for point, name in enumerate(POINTS):
        for start, end in _runs(rng, count, params.dropout, 12):
            points[start:end, point] += rng.normal(0, 0.12 * body, (end - start, 2))
            scores[start:end, point] = rng.uniform(0.02, 0.25, end - start)
            planted.append({"kind": "dropout", "start": start, "end": end, "points": [name]})
    _swap_legs(exact, points, scores, planted, params, rng)
    _throw_out(points, scores, size, planted, params, rng)
    return Delivered(points, np.clip(scores, 0, 1), planted)


def _swap_legs(
    exact: Array, points: Array, scores: Array, planted: list[Defect], params: ErrorRates, rng: Random
) -> None:
    """Exchange the names left and right for some frames while the legs cross in the picture."""
    apart = exact[:, INDEX["left_ankle"], 0] - exact[:, INDEX["right_ankle"], 0]
    for crossing in np.flatnonzero(np.diff(np.sign(apart)) != 0):
        if rng.random() < params.swap:
            start = max(0, int(crossing) - int(rng.integers(0, 4)))
            end = min(len(points), int(crossing) + 1 + int(rng.integers(1, 8)))
            mirrored = [MIRRORED[i] for i in LEGS]
            points[start:end, list(LEGS)] = points[start:end, mirrored]
            scores[start:end, list(LEGS)] = scores[start:end, mirrored]
            planted.append({"kind": "swap", "start": start, "end": end, "points": [POINTS[i] for i in LEGS]})


def _throw_out(
    points: Array, scores: Array, size: tuple[int, int], planted: list[Defect], params: ErrorRates, rng: Random
) -> None:
    """Move points to the image border with a high score."""
    for point, name in enumerate(POINTS):
        for start, end in _runs(rng, len(points), params.outlier, 5):
            edge = rng.integers(4)
            along = rng.random()
            x = (0.0, size[0] - 1.0, along * size[0], along * size[0])[edge]
            y = (along * size[1], along * size[1], 0.0, size[1] - 1.0)[edge]
            points[start:end, point] = np.array([x, y]) + rng.normal(0, 1.5, (end - start, 2))
            scores[start:end, point] = rng.uniform(0.7, 0.95, end - start)
            planted.append({"kind": "outlier", "start": start, "end": end, "points": [name]})


def _whole_body(delivered: Delivered, rng: Random) -> tuple[Array, Array]:
    """Return all 133 points: body and feet, and face (68) and hands (2 x 21) placed around them."""
    points, scores = delivered.points, delivered.scores
    count = len(points)
    nose = points[:, INDEX["nose"]]
    eyes = points[:, INDEX["left_eye"]] - points[:, INDEX["right_eye"]]
    size = np.maximum(np.linalg.norm(eyes, axis=-1), 3)[:, None, None]
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    ring = np.stack([np.cos(angle), 1.2 * np.sin(angle)], axis=-1) * rng.uniform(0.3, 1.1, (68, 1))
    face = nose[:, None] + size * ring
    hands = []
    for side in ("left", "right"):
        wrist, elbow = points[:, INDEX[f"{side}_wrist"]], points[:, INDEX[f"{side}_elbow"]]
        reach = np.concatenate([[0.0], np.tile([0.3, 0.45, 0.55, 0.65], 5)]) * 0.6
        hands.append(wrist[:, None] + (wrist - elbow)[:, None] * reach[:, None] + rng.normal(0, 1.0, (21, 2)))
    extra = np.concatenate([face, *hands], axis=1)
    sure = np.concatenate([np.full(68, 0.55), np.full(42, 0.45)]) + rng.normal(0, 0.05, (count, 110))
    return np.concatenate([points, extra], axis=1), np.concatenate([scores, np.clip(sure, 0.05, 0.95)], axis=1)


def frames_as_json(
    name: str, delivered: Delivered, size: tuple[int, int], rate: float, params: Synthesize, rng: Random
) -> tuple[list[bytes], list[Defect]]:
    """Return the text of every frame's file, and the quirks that were planted."""
    points, scores = _whole_body(delivered, rng)
    count = len(points)
    with_video_info = np.ones(count, dtype=bool)
    quirks: list[Defect] = []
    if rng.random() < params.missing_video_info:
        with_video_info[0] = False
        quirks.append({"kind": "missing_video_info", "start": 0, "end": 1, "points": []})
    info: VideoInfo = {
        "video_name": f"{name}.mp4",
        "width": size[0],
        "height": size[1],
        "fps": int(rate),
        "total_frames": count,
    }
    sure = delivered.scores > 0.3
    texts = []
    for index in range(count):
        if rng.random() < params.empty_instances:
            people: list[PersonRecord] = []
            quirks.append({"kind": "empty_instances", "start": index, "end": index + 1, "points": []})
        else:
            seen = delivered.points[index][sure[index]] if sure[index].any() else delivered.points[index]
            low, high = seen.min(axis=0), seen.max(axis=0)
            box = [*low.round(1).tolist(), *(high - low).round(1).tolist()]
            people = [
                {
                    "keypoints": points[index].round(2).tolist(),
                    "keypoint_scores": scores[index].round(4).tolist(),
                    "gt_bbox_xywh_px": box,
                }
            ]
        content: FrameRecord = {"frame_index": index, "instance_info": people}
        if with_video_info[index]:
            content["video_info"] = info
        texts.append(json.dumps(content, separators=(",", ":")).encode())
    return texts, quirks


def write_packed(path: Path, texts: list[bytes]) -> None:
    """Write one zip, members stored, dates fixed: the same frames give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for index, text in enumerate(texts, start=1):
            archive.writestr(zipfile.ZipInfo(f"frame_{index:06d}.json", (1980, 1, 1, 0, 0, 0)), text)
    path.write_bytes(buffer.getvalue())


def write_loose(folder: Path, texts: list[bytes]) -> None:
    """Write one file per frame, as the release does."""
    folder.mkdir()
    for index, text in enumerate(texts, start=1):
        (folder / f"frame_{index:06d}.json").write_bytes(text)
