"""The public-domain portrait that scikit-image ships, moving before a wall: a true face, a true head box, a true way.

Small and quick, for the tests of de-identification and for bench/deidentify.py. The way moves by fractions of a pixel
and the size changes, as it does with a child walking towards the lens: that is what opens a mosaic that is drawn anew
for every frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from skimage.data import astronaut

from childgait.files.video import write_video

HEAD = np.array([151.0, 10.0, 305.0, 192.0])  # of the portrait: hair, ears, chin
FACE = np.array([172.0, 60.0, 280.0, 188.0])


@dataclass
class Scene:
    """What to film. `away`: frames in which the head shows its back."""

    frames: int = 60
    size: tuple[int, int] = (270, 480)  # height, width
    head_pixels: float = 60.0  # height of the head in the middle of the video
    zoom: float = 1.0  # the last frame's head over the first one's
    walk: float = 0.5  # of the picture's width, from left to right
    bob: float = 0.02  # of its height
    away: range = range(0)
    rate: int = 30
    noise: float = 2.0
    blur: float = 0.0  # pixels
    gamma: float = 1.0
    tilt: float = 0.0  # degrees
    seed: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        coarse = rng.integers(80, 190, (10, 16, 3)).astype(np.uint8)
        self.wall = cv2.resize(coarse, self.size[::-1], interpolation=cv2.INTER_CUBIC)
        self.portrait = astronaut()
        self.back = self.portrait.copy()
        middle, half = (HEAD[:2] + HEAD[2:]) / 2, (HEAD[2:] - HEAD[:2]) / 2
        hair = cv2.resize(rng.integers(60, 110, (24, 24, 3)).astype(np.uint8), (512, 512)) // np.array([1, 1, 2])
        y, x = np.mgrid[0:512, 0:512]
        inside = (((x - middle[0]) / half[0]) ** 2 + ((y - middle[1]) / half[1]) ** 2) < 1
        self.back[inside] = hair[inside].astype(np.uint8)
        self.shape = (inside | _body(x, y)).astype(np.float32)

    def matrix(self, frame: int) -> np.ndarray:
        """From the portrait's pixels to the picture's, 2 x 3."""
        height, width = self.size
        share = frame / max(self.frames - 1, 1)
        scale = self.head_pixels / (HEAD[3] - HEAD[1]) * self.zoom ** (share - 0.5)
        x = width * (0.5 + self.walk * (share - 0.5))
        y = height * (0.4 + self.bob * np.sin(2 * np.pi * 2 * frame / self.rate))
        turn = cv2.getRotationMatrix2D((0, 0), self.tilt, scale)
        middle = (HEAD[:2] + HEAD[2:]) / 2
        turn[:, 2] = np.array([x, y]) - turn[:, :2] @ middle
        return turn

    def head(self, frame: int) -> np.ndarray:
        """The true head box in a frame."""
        x0, y0, x1, y1 = HEAD
        corners = np.array([[x0, y0, 1], [x1, y0, 1], [x0, y1, 1], [x1, y1, 1]]) @ self.matrix(frame).T
        return np.concatenate([corners.min(axis=0), corners.max(axis=0)])

    def filmed(self) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(self.seed + 1)
        height, width = self.size
        for frame in range(self.frames):
            source = self.back if frame in self.away else self.portrait
            matrix = self.matrix(frame)
            walker = cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_AREA)
            where = cv2.warpAffine(self.shape, matrix, (width, height))[..., None]
            picture = self.wall * (1 - where) + walker * where
            if self.blur:
                picture = cv2.GaussianBlur(picture, (0, 0), self.blur)
            picture = 255 * (np.clip(picture, 0, 255) / 255) ** self.gamma + rng.normal(0, self.noise, picture.shape)
            yield np.clip(picture, 0, 255).astype(np.uint8)

    def seconds(self) -> list[Fraction]:
        return [Fraction(frame, self.rate) for frame in range(self.frames)]

    def write(self, path: Path) -> Path:
        write_video(path, self.filmed(), self.seconds())
        return path


def _body(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The part of the portrait below the head that walks along: neck, shoulders, chest."""
    neck = (np.abs(x - 215) < 75) & (y > 150)
    return neck | ((np.abs(x - 205) < 20 + 0.7 * (y - 170)) & (np.abs(x - 205) < 150) & (y > 190))


def face_of(picture: np.ndarray, matrix: np.ndarray, zoom: int = 1) -> np.ndarray:
    """A picture's luma brought back onto the portrait's face: what an attacker aligns by the visible body."""
    x0, y0, x1, y1 = FACE
    luma = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    back = cv2.invertAffineTransform(matrix)
    back[:, 2] -= (x0, y0)
    size = (int(x1 - x0) * zoom, int(y1 - y0) * zoom)
    return cv2.warpAffine(luma.astype(np.float32), back * zoom, size, flags=cv2.INTER_LINEAR)


def true_face() -> np.ndarray:
    x0, y0, x1, y1 = FACE.astype(int)
    return cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY)[y0:y1, x0:x1].astype(np.float32)
