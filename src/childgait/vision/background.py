"""What a static camera sees without the child: a robust picture, its noise, and where it is known at all.

A plain median over time fails where the child stands in a pixel's way half the time, which is most of the path of a
child that walks at the lens. So each sample says where the child may be (`free` false), those are left out, and a
pixel that is free too seldom is called unknown instead of being guessed.

Pictures are (height, width, 3) uint8 in Y, U, V, because videos come so and lightness can be trusted less than colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
LIGHTNESS = 0.6  # weight of Y against U and V: shadows and lamps change it
UNSTEADY = 0.12  # pixels that an edge of the room may seem to move, by the codec's doing
_SQUARES = np.array([[LIGHTNESS**2, 1, 1]], np.float32)
NOISE_FLOOR = np.array([2.0, 1.2, 1.2], np.float32)  # grey levels; below lies only what the codec rounds


class Samples:
    """A bounded number of frames spread evenly over a video of unknown length: every second is dropped when full."""

    def __init__(self, most: int) -> None:
        self.most, self.step, self.seen = most, 1, 0
        self.frames: list[int] = []
        self.pictures: list[Picture] = []

    def offer(self, frame: int, picture: Picture) -> None:
        self.seen = frame + 1
        if frame % self.step:
            return
        self.frames.append(frame)
        self.pictures.append(picture)
        if len(self.frames) > self.most:
            self.step *= 2
            self.frames, self.pictures = self.frames[::2], self.pictures[::2]


@dataclass(frozen=True)
class Background:
    """The empty room: what it looks like, how far it flickers, and where that is known."""

    picture: Picture
    noise: NDArray[np.float32]  # (height, width, 3) grey levels, one standard deviation
    known: NDArray[np.bool_]


def masked_median(stack: NDArray[np.uint8], free: NDArray[np.bool_]) -> Picture:
    """Per-pixel lower median over the first axis where `free`; built bit by bit, far faster than sorting."""
    assert len(stack) < 256, "counts are kept in a byte"
    wanted = (free.sum(axis=0, dtype=np.uint8) + np.uint8(1)) // 2
    wanted = np.broadcast_to(wanted, stack.shape[1:])
    stack = np.where(free, stack, 255)  # never below a trial
    value = np.zeros(stack.shape[1:], np.uint8)
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        below = np.zeros(value.shape, np.uint8)
        trial = value | np.uint8(bit)
        for picture in stack:
            below += (picture < trial).view(np.uint8)
        value = np.where(below < wanted, trial, value)
    return value


def learn_background(samples: Samples, free: NDArray[np.bool_], *, free_share: float) -> Background:
    """From sampled pictures and where each of them is free of the child, (n, height, width)."""
    stack, there = np.stack(samples.pictures), free[..., None]
    picture = masked_median(stack, there)
    coarse = (slice(None, None, 2), slice(None, None, 2))  # noise varies slowly: half the resolution will do
    away = np.stack([cv2.absdiff(one[coarse], picture[coarse]) for one in stack])
    noise = 1.4826 * masked_median(away, there[:, *coarse]).astype(np.float32)
    noise = cv2.resize(noise, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)
    noise = np.sqrt(np.maximum(cv2.blur(noise, (3, 3)), NOISE_FLOOR) ** 2 + (UNSTEADY * _steepness(picture)) ** 2)
    known = free.sum(axis=0) >= max(3.0, free_share * len(stack))
    return Background(picture, noise, known)


def _steepness(picture: Picture) -> NDArray[np.float32]:
    """Grey levels a pixel, per channel."""
    soft = cv2.GaussianBlur(picture, (3, 3), 0)
    across, down = (cv2.Sobel(soft, cv2.CV_32F, *order, ksize=3, scale=0.125) for order in ((1, 0), (0, 1)))
    return np.asarray(np.hypot(across, down), np.float32)


def light_change(
    picture: Picture, background: Background, elsewhere: NDArray[np.bool_], grid: int = 8
) -> NDArray[np.float32]:
    """How much lighter the room is than when empty, per channel: the median where the child is not."""
    small = elsewhere[::grid, ::grid]
    if small.sum() < 50:
        return np.zeros(3, np.float32)
    away = cv2.subtract(picture[::grid, ::grid], background.picture[::grid, ::grid], dtype=cv2.CV_32F)
    return np.median(away[small], axis=0).astype(np.float32)


def difference(
    picture: Picture, background: Background, box: tuple[int, int, int, int], light: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Within a box: how many standard deviations each pixel is off the empty room; lightness counts less."""
    x0, y0, x1, y1 = box
    part = (slice(y0, y1), slice(x0, x1))
    off = cv2.subtract(picture[part], background.picture[part], dtype=cv2.CV_32F)
    off = cv2.divide(cv2.subtract(off, (*light.tolist(), 0.0)), background.noise[part])
    return np.asarray(cv2.sqrt(cv2.transform(cv2.multiply(off, off), _SQUARES)), np.float32)


@dataclass(frozen=True)
class Shadow:
    """What a cast shadow does: darker by a bounded share, silhouette_only another colour."""

    darkest: float = 0.45
    lightest: float = 0.97
    colour: float = 6.0  # grey levels of U and V

    def where(self, picture: Picture, background: Background, box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
        x0, y0, x1, y1 = box
        now, then = picture[y0:y1, x0:x1], background.picture[y0:y1, x0:x1]
        off = cv2.absdiff(now, then)
        same = (off[..., 1] < self.colour) & (off[..., 2] < self.colour)
        lit = then[..., 0].astype(np.float32)
        return np.asarray(same & (now[..., 0] > self.darkest * lit) & (now[..., 0] < self.lightest * lit))
