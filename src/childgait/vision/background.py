"""Estimates the empty room behind the child for a static camera: its picture, its noise, and where both are known.

A plain median over time fails for pixels that the child covers half of the time, which is most of the path of a child
that walks towards the lens. So the pixels where the child may be (`free` false) are left out of each sample, and a
pixel with too few free samples is unknown.

Pictures are (height, width, 3) uint8 in Y, U, V, as videos are stored: lightness is less reliable than colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
LIGHTNESS = 0.6  # weight of Y against U and V: shadows and lamps change it
UNSTEADY = 0.12  # pixels by which an edge of the room may appear to move, because of the codec
_SQUARES = np.array([[LIGHTNESS**2, 1, 1]], np.float32)
NOISE_FLOOR = np.array([2.0, 1.2, 1.2], np.float32)  # grey levels; smaller differences are rounding of the codec


class Samples:
    """At most `most` samples, spread evenly over a video of unknown length: when full, every second one is dropped."""

    def __init__(self, most: int) -> None:
        self.most, self.step, self.frame_count = most, 1, 0
        self.frames: list[int] = []
        self.pictures: list[Picture] = []

    def offer(self, frame: int, picture: Picture) -> None:
        """Keep the picture if its frame is one of the sampled ones."""
        self.frame_count = frame + 1
        if frame % self.step:
            return
        self.frames.append(frame)
        self.pictures.append(picture)
        if len(self.frames) > self.most:
            self.step *= 2
            self.frames, self.pictures = self.frames[::2], self.pictures[::2]


@dataclass(frozen=True)
class Background:
    """The empty room: picture, noise, and where both are known."""

    picture: Picture
    noise: NDArray[np.float32]  # (height, width, 3) grey levels, one standard deviation
    known: NDArray[np.bool_]


def masked_median(stack: NDArray[np.uint8], free: NDArray[np.bool_]) -> Picture:
    """Return the lower median per pixel of the free samples; built bit by bit, which is far faster than sorting."""
    assert len(stack) < 256, "counts are kept in a byte"
    rank = (free.sum(axis=0, dtype=np.uint8) + np.uint8(1)) // 2
    rank = np.broadcast_to(rank, stack.shape[1:])
    stack = np.where(free, stack, 255)  # never below a trial
    value = np.zeros(stack.shape[1:], np.uint8)
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        below = np.zeros(value.shape, np.uint8)
        trial = value | np.uint8(bit)
        for picture in stack:
            below += (picture < trial).view(np.uint8)
        value = np.where(below < rank, trial, value)
    return value


def estimate_background(samples: Samples, free: NDArray[np.bool_], *, free_share: float) -> Background:
    """Estimate the background from samples and where each of them is free of the child, (n, height, width)."""
    stack, there = np.stack(samples.pictures), free[..., None]
    picture = masked_median(stack, there)
    coarse = (slice(None, None, 2), slice(None, None, 2))  # noise varies slowly: half the resolution is enough
    away = np.stack([cv2.absdiff(one[coarse], picture[coarse]) for one in stack])
    noise = 1.4826 * masked_median(away, there[:, *coarse]).astype(np.float32)
    noise = cv2.resize(noise, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)
    noise = np.sqrt(np.maximum(cv2.blur(noise, (3, 3)), NOISE_FLOOR) ** 2 + (UNSTEADY * _steepness(picture)) ** 2)
    known = free.sum(axis=0) >= max(3.0, free_share * len(stack))
    return Background(picture, noise, known)


def _steepness(picture: Picture) -> NDArray[np.float32]:
    """Return the gradient in grey levels per pixel, by channel."""
    soft = cv2.GaussianBlur(picture, (3, 3), 0)
    across, down = (cv2.Sobel(soft, cv2.CV_32F, *order, ksize=3, scale=0.125) for order in ((1, 0), (0, 1)))
    return np.asarray(np.hypot(across, down), np.float32)


def light_change(
    picture: Picture, background: Background, elsewhere: NDArray[np.bool_], grid: int = 8
) -> NDArray[np.float32]:
    """Return the median change of light per channel, over pixels without the child; 0 if they are too few."""
    small = elsewhere[::grid, ::grid]
    if small.sum() < 50:
        return np.zeros(3, np.float32)
    away = cv2.subtract(picture[::grid, ::grid], background.picture[::grid, ::grid], dtype=cv2.CV_32F)
    return np.median(away[small], axis=0).astype(np.float32)


def difference(
    picture: Picture, background: Background, box: tuple[int, int, int, int], light: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return each pixel's difference to the empty room inside a box, in standard deviations; lightness weighs less."""
    x0, y0, x1, y1 = box
    part = (slice(y0, y1), slice(x0, x1))
    off = cv2.subtract(picture[part], background.picture[part], dtype=cv2.CV_32F)
    off = cv2.divide(cv2.subtract(off, (*light.tolist(), 0.0)), background.noise[part])
    return np.asarray(cv2.sqrt(cv2.transform(cv2.multiply(off, off), _SQUARES)), np.float32)


@dataclass(frozen=True)
class Shadow:
    """Model of a cast shadow: darker by a bounded share, with nearly the same colour."""

    darkest: float = 0.45
    lightest: float = 0.97
    colour: float = 6.0  # grey levels of U and V

    def where(self, picture: Picture, background: Background, box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
        """Return the pixels of a box that may be shadow."""
        x0, y0, x1, y1 = box
        now, then = picture[y0:y1, x0:x1], background.picture[y0:y1, x0:x1]
        off = cv2.absdiff(now, then)
        same = (off[..., 1] < self.colour) & (off[..., 2] < self.colour)
        lit = then[..., 0].astype(np.float32)
        return np.asarray(same & (now[..., 0] > self.darkest * lit) & (now[..., 0] < self.lightest * lit))
