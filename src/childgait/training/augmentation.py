"""Augmentation of training windows: random changes that keep pixels, mask, points and labels consistent.

The changes are drawn once per window and are the same for all its frames. A flip swaps left and right in points, labels
and the near limb together. There is no rotation and no shear, because they would change the scored angles.

Reads and yields a Window of numpy arrays. All random numbers come from the given generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain import evgs, skeleton
from childgait.params import Augmentation
from childgait.vision.crop import Square, cut_each, to_crop

Side = Literal["left", "right"]
_GREY = np.array([0.299, 0.587, 0.114])  # luma of red, green and blue (ITU-R BT.601)


@dataclass(frozen=True)
class Draw:
    """The random changes of one window."""

    flip: bool
    zoom: float
    shift_x: float  # of the side
    shift_y: float
    brightness: float
    contrast: float
    saturation: float
    stretch: float  # of time


UNCHANGED = Draw(False, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Window:
    """T frames of a clip; parts that the model does not read are None."""

    frames: NDArray[np.uint8] | None  # (T, S, S, 3)
    masks: NDArray[np.bool_] | None  # (T, S, S)
    points: NDArray[np.float32] | None  # (T, 23, 3)
    labels: NDArray[np.float32]  # (34,), or the binary targets of another task
    near: Side  # the limb nearer to the camera
    size: int  # S
    mirrored: Sequence[int] = evgs.MIRRORED  # order of the labels of the mirrored window


def draw_changes(how: Augmentation, rng: np.random.Generator) -> Draw:
    """Draw the changes of a window, always with eight random numbers, so that no setting shifts another's draws."""
    coin, zoom, x, y, brightness, contrast, saturation, stretch = rng.random(8)

    def factor(strength: float, number: float) -> float:
        return float((1 + strength) ** (2 * number - 1))

    return Draw(
        flip=bool(coin < how.flip),
        zoom=factor(how.scale, zoom),
        shift_x=how.shift * (2 * x - 1),
        shift_y=how.shift * (2 * y - 1),
        brightness=factor(how.colour, brightness),
        contrast=factor(how.colour, contrast),
        saturation=factor(how.colour, saturation),
        stretch=factor(how.time, stretch),
    )


def change(window: Window, draw: Draw) -> Window:
    """Apply geometry, then colour. The skeleton is drawn on the frames afterwards."""
    if draw.flip:
        window = flip(window)
    if (draw.zoom, draw.shift_x, draw.shift_y) != (1.0, 0.0, 0.0):
        window = zoom_and_shift(window, draw)
    if window.frames is not None and (draw.brightness, draw.contrast, draw.saturation) != (1.0, 1.0, 1.0):
        window = replace(window, frames=recolour(window.frames, draw))
    return window


def flip(window: Window) -> Window:
    """Mirror, and swap left and right in points, labels and the near limb."""
    points = window.points
    if points is not None:
        points = points[:, skeleton.MIRRORED].copy()
        points[..., 0] = window.size - 1 - points[..., 0]
    frames, masks = window.frames, window.masks
    return replace(
        window,
        frames=None if frames is None else _mirrored(frames),
        masks=None if masks is None else _mirrored(masks.view(np.uint8)).view(np.bool_),
        points=points,
        labels=window.labels[list(window.mirrored)],
        near="left" if window.near == "right" else "right",
    )


def _mirrored(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    mirrored = np.empty_like(frames)
    for one, there in zip(frames, mirrored, strict=True):
        cv2.flip(one, 1, dst=there)  # far faster than [::-1]
    return mirrored


def zoom_and_shift(window: Window, draw: Draw) -> Window:
    """Crop another square of the image, in whole pixels; black outside the image."""
    size = window.size
    side = max(round(size / draw.zoom), 1)
    square = Square(
        round((size - side) / 2 - draw.shift_x * side), round((size - side) / 2 - draw.shift_y * side), side
    )
    frames, masks, points = window.frames, window.masks, window.points
    if frames is not None:
        frames = cut_each(frames, square)
    if masks is not None:
        masks = cut_each(masks.view(np.uint8) * np.uint8(255), square) >= 128
    if points is not None:
        points = points.copy()
        points[..., :2] = to_crop(points[..., :2], square, size)
    return replace(window, frames=frames, masks=masks, points=points)


def recolour(frames: NDArray[np.uint8], draw: Draw) -> NDArray[np.uint8]:
    """Change saturation about each pixel's grey, contrast about mid-grey, then brightness, by one matrix."""
    matrix = draw.saturation * np.eye(3) + (1 - draw.saturation) * np.tile(_GREY, (3, 1))
    matrix = draw.brightness * draw.contrast * matrix
    offset = np.full((3, 1), draw.brightness * (1 - draw.contrast) * 127.5)
    flat = frames.reshape(-1, frames.shape[2], 3)
    return np.asarray(cv2.transform(flat, np.hstack([matrix, offset]))).reshape(frames.shape)
