"""A flat walking figure before a textured wall, with its true mask and keypoints: small and quick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import INDEX, POINTS

LIMBS = (
    ("left_shoulder", "left_elbow", 0.06, (60, 90, 170)),
    ("left_elbow", "left_wrist", 0.05, (200, 160, 140)),
    ("left_hip", "left_knee", 0.09, (40, 60, 40)),
    ("left_knee", "left_ankle", 0.065, (40, 60, 40)),
    ("left_heel", "left_big_toe", 0.045, (220, 220, 60)),
)


@dataclass
class Scene:
    """What to film. `coronal` walks at the lens, else from left to right."""

    frames: int = 120
    size: tuple[int, int] = (180, 320)
    coronal: bool = False
    bystander: bool = False
    pan: float = 0.0  # pixels per frame
    seed: int = 0
    rate: float = 60.0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        height, width = self.size
        wide = width + int(abs(self.pan) * self.frames) + 8
        coarse = rng.integers(90, 200, (height // 12 + 2, wide // 12 + 2, 3)).astype(np.uint8)
        self.wall = cv2.resize(coarse, (wide, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(40):  # corners to follow
            x, y = int(rng.integers(0, wide)), int(rng.integers(0, height))
            cv2.rectangle(self.wall, (x, y), (x + 14, y + 9), rng.integers(40, 230, 3).tolist(), -1)

    def points(self, frame: int) -> np.ndarray:
        """The 23 points of the child in a frame."""
        rows, columns = self.size
        share = frame / max(self.frames - 1, 1)
        tall = rows * (0.35 + 0.5 * share if self.coronal else 0.7)
        x = columns * (0.5 if self.coronal else 0.05 + 0.9 * share)
        foot = rows * (0.6 + 0.36 * share if self.coronal else 0.95)
        step = np.sin(2 * np.pi * frame / self.rate)
        points = np.zeros((23, 2), np.float32)

        def put(name: str, across: float, up: float) -> None:
            points[INDEX[name]] = x + across * tall, foot - up * tall

        for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear"):
            put(name, 0.0, 0.90)
        for side, sign in (("left", 1), ("right", -1)):
            spread = 0.09 * sign if self.coronal else 0.01 * sign
            swing = 0.0 if self.coronal else 0.16 * step * sign
            lift = max(0.0, 0.06 * step * sign)
            put(f"{side}_shoulder", 1.1 * spread, 0.78)
            put(f"{side}_elbow", 1.5 * spread - 0.5 * swing, 0.62)
            put(f"{side}_wrist", 1.6 * spread - swing, 0.48)
            put(f"{side}_hip", 0.8 * spread, 0.50)
            put(f"{side}_knee", 0.8 * spread + 0.5 * swing, 0.28 + lift)
            put(f"{side}_ankle", 0.8 * spread + swing, 0.06 + lift)
            put(f"{side}_heel", 0.8 * spread + swing - 0.03, 0.02 + lift)
            put(f"{side}_big_toe", 0.8 * spread + swing + (0.02 * sign if self.coronal else 0.1), 0.02 + lift)
            put(f"{side}_small_toe", 0.8 * spread + swing + (0.05 * sign if self.coronal else 0.09), 0.02 + lift)
        return points

    def paint(self, picture: np.ndarray, points: np.ndarray, shirt: tuple[int, int, int]) -> np.ndarray:
        """Draw a person and return its mask."""
        mask = np.zeros(picture.shape[:2], np.uint8)
        tall = float(points[INDEX["left_ankle"], 1] - points[INDEX["nose"], 1]) / 0.84

        def stroke(a: np.ndarray, b: np.ndarray, wide: float, colour: tuple[int, int, int]) -> None:
            ends = tuple(map(int, np.round(a))), tuple(map(int, np.round(b)))
            for canvas, value in ((picture, colour), (mask, 255)):
                cv2.line(canvas, *ends, value, max(1, round(wide * tall)))

        for side in ("right", "left"):
            for start, end, wide, colour in LIMBS:
                a, b = (points[INDEX[name.replace("left", side)]] for name in (start, end))
                stroke(a, b, wide, colour)
        shoulders = points[[INDEX["left_shoulder"], INDEX["right_shoulder"]]].mean(axis=0)
        hips = points[[INDEX["left_hip"], INDEX["right_hip"]]].mean(axis=0)
        stroke(shoulders, hips, 0.26 if self.coronal else 0.17, shirt)
        head = points[INDEX["nose"]] - [0, 0.01 * tall]
        stroke(head, shoulders, 0.07, (200, 160, 140))
        stroke(head, head, 0.16, (90, 60, 40))
        return mask > 0

    def film(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Frame by frame: RGB picture and the child's true mask."""
        rng = np.random.default_rng(self.seed + 1)
        columns = self.size[1]
        for frame in range(self.frames):
            left = round(abs(self.pan) * frame)
            picture = self.wall[:, left : left + columns].copy()
            if self.bystander:
                still = self.points(self.frames // 2) + [0.28 * columns, 0]
                still[:, 0] += 1.5 * np.sin(frame / 9)  # sways, but stays
                self.paint(picture, still.astype(np.float32), (200, 200, 205))
            mask = self.paint(picture, self.points(frame), (170, 40, 50))
            noisy = picture + rng.normal(0, 2.5, picture.shape)
            yield np.clip(noisy, 0, 255).astype(np.uint8), mask

    def poses(self, noise: float = 1.0) -> Poses:
        """Keypoints as an estimator would deliver them; clean but for noise in pixels."""
        rng = np.random.default_rng(self.seed + 2)
        xy = np.stack([self.points(frame) for frame in range(self.frames)])
        xy = (xy + rng.normal(0, noise, xy.shape)).astype(np.float32)
        return make_poses(np.arange(self.frames) / self.rate, xy, np.full((self.frames, len(POINTS)), 0.9, np.float32))
