"""Where the cameras stand: one at the end of the walkway, one beside it; both see the same walk.

World: x along the walkway, y across it, z up, in metres; the walkway's middle is the origin. The child walks along its
own +x; on the way back the whole walk is turned about the origin, so that the same two cameras see `forward` and `left`
on the way out and `backward` and `right` on the way back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from childgait.synthetic.child import Random

Array = NDArray[np.float64]
Pixel = TypeVar("Pixel", np.uint8, np.uint16, np.float32)
PASS_OF_VIEW = {"forward": "out", "left": "out", "backward": "back", "right": "back"}
SAGITTAL_DISTANCE, SAGITTAL_WIDTH = 6.0, 4.7  # metres from the walkway; metres of it in the picture
CORONAL_DISTANCE = 5.7  # from the walkway's middle
ZOOM, SWEEP, RISE = (
    1.25,
    1.7,
    1.12,
)  # of a moving camera: focal length; width and height of all it shows, over a frame's
SHAKE = 0.006  # amplitude of a hand's shake, in frame widths
LAG_SECONDS = 0.3  # by which a panning camera follows the child


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; (0, 0) is the centre of the top left pixel."""

    place: Array  # (3,)
    axes: Array  # (3, 3): rows are the picture's right, its up, and into the picture
    focal: float  # pixels
    width: int
    height: int

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixels (..., 2) and depth in metres (...)."""
        seen = (points - self.place) @ self.axes.T
        depth = np.maximum(seen[..., 2], 0.05)
        scale = self.focal / depth
        x = (self.width - 1) / 2 + scale * seen[..., 0]
        y = (self.height - 1) / 2 - scale * seen[..., 1]
        return np.stack([x, y], axis=-1), depth

    def rays(self) -> Array:
        """Return the direction of every pixel, (H, W, 3)."""
        x = (np.arange(self.width) - (self.width - 1) / 2) / self.focal
        y = -(np.arange(self.height) - (self.height - 1) / 2) / self.focal
        grid = np.stack([*np.meshgrid(x, y), np.ones((self.height, self.width))], axis=-1)
        return np.asarray(grid @ self.axes)


def place_camera(view: str, child_height: float, width: int, height: int, rng: Random, raised: float = 0.0) -> Camera:
    """Place the camera of a view as by hand: height, aim and roll differ a little from one visit to the next.

    A camera that is `raised` by some metres is tilted, so that the middle of the walkway stays in the same place.
    """
    up_from_floor = 0.5 * child_height + rng.normal(0.22, 0.05) + raised
    roll, pitch, yaw = np.radians(rng.normal(0, (0.7, 0.5, 0.7)))
    pitch -= np.arctan2(raised, SAGITTAL_DISTANCE if view in ("left", "right") else CORONAL_DISTANCE)
    if view in ("left", "right"):
        place = np.array([rng.normal(0, 0.05), SAGITTAL_DISTANCE, up_from_floor])
        ahead, right = np.array([0.0, -1, 0]), np.array([-1.0, 0, 0])
        focal = width * SAGITTAL_DISTANCE / SAGITTAL_WIDTH
        focal = min(focal, 0.85 * height * SAGITTAL_DISTANCE / child_height)
    else:
        place = np.array([CORONAL_DISTANCE, rng.normal(0, 0.05), up_from_floor])
        ahead, right = np.array([-1.0, 0, 0]), np.array([0.0, 1, 0])
        focal = 0.83 * height * (CORONAL_DISTANCE - 2.0) / child_height
    up = np.array([0.0, 0, 1])
    ahead, right = ahead * np.cos(yaw) + right * np.sin(yaw), right * np.cos(yaw) - ahead * np.sin(yaw)
    ahead, up = ahead * np.cos(pitch) + up * np.sin(pitch), up * np.cos(pitch) - ahead * np.sin(pitch)
    right, up = right * np.cos(roll) + up * np.sin(roll), up * np.cos(roll) - right * np.sin(roll)
    return Camera(place, np.stack([right, up, ahead]), float(focal), width, height)


def into_world(points: Array, way: str) -> Array:
    """Transform from the child's coordinates to the world: rotated about the vertical axis on the way back."""
    return points if way == "out" else points * np.array([-1.0, -1.0, 1.0])


def turn_frames(frames: Array, way: str) -> Array:
    """Orientations (T, 3, 3) likewise."""
    return frames if way == "out" else np.diag([-1.0, -1.0, 1.0]) @ frames


@dataclass(frozen=True)
class Framing:
    """The wide camera that a moving camera sweeps over, and the corner (T, 2) of the part that each frame shows.

    A pan is a rotation about the lens, so shifting the part is exact up to the change of perspective, and truth stays
    exact in every case: points, heads and masks shift by whole pixels.
    """

    wide: Camera
    corners: NDArray[np.int64]
    width: int
    height: int

    def cut(self, picture: NDArray[Pixel], index: int) -> NDArray[Pixel]:
        """Return the frame's part of a picture of the wide camera."""
        x, y = self.corners[index]
        return picture[y : y + self.height, x : x + self.width]


def frame_camera(
    camera: Camera, kind: Literal["static", "panning", "handheld"], middle: Array, seconds: Array, rng: Random
) -> Framing:
    """Return the framing of a camera; `middle` (T, 3) is the child's pelvis in the world."""
    size = np.array([camera.width, camera.height])
    if kind == "static":
        return Framing(camera, np.zeros((len(seconds), 2), np.int64), camera.width, camera.height)
    share = np.array([SWEEP, RISE])
    wide_size = (np.ceil(size * share / 2) * 2).astype(int)
    zoom = ZOOM if kind == "panning" else 1.0
    wide = replace(camera, focal=camera.focal * zoom, width=int(wide_size[0]), height=int(wide_size[1]))
    corner = np.tile((wide_size - size) / 2, (len(seconds), 1))
    if kind == "panning":
        step = float(np.median(np.diff(seconds)))
        window = np.hanning(2 * round(LAG_SECONDS / step) + 3)
        reach = len(window) // 2
        across = wide.project(middle)[0][:, 0]
        smooth = np.convolve(np.pad(across, reach, mode="edge"), window / window.sum(), mode="valid")
        late = np.interp(seconds - LAG_SECONDS / 2, seconds, smooth)
        corner[:, 0] = late - size[0] / 2
    for axis in (0, 1):
        for hertz in (0.4, 1.1, 2.7):
            phase, amplitude = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.0) * SHAKE * size[0] / hertz**0.5
            corner[:, axis] += amplitude * np.sin(2 * np.pi * hertz * seconds + phase)
    corners = np.rint(np.clip(corner, 0, wide_size - size)).astype(np.int64)
    return Framing(wide, corners, camera.width, camera.height)
