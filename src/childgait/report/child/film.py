"""Pictures of one recording for the page: covered frames with the keypoints to draw on them, and stills for print.

Only the de-identified video is read. Frames are WebP, small enough that a page with four recordings stays below a few
megabytes; the page draws the skeleton over them.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses
from childgait.domain.skeleton import HEAD
from childgait.files.clips import Clip
from childgait.files.poses import read_poses
from childgait.files.video import read_frames
from childgait.params import Drawing
from childgait.vision.drawing import Side, draw_skeletons

EVERY = 2  # of the clip's frames, which are 30 per second
WIDTH = 480  # pixels of a frame on the page
QUALITY = 55  # of WebP
STILLS = 6
STILL_SIDE = 180  # pixels
STILL_MARGIN = 0.12  # on each side of the child, as a share of its height
DECIMALS = 1


@dataclass(frozen=True)
class Film:
    """The frames of one recording: WebP in base64, time, number in the clip, and keypoints in pixels of the frame."""

    video: str
    view: str
    width: int
    height: int
    frames: list[str]
    seconds: list[float]
    clip_frames: list[int]
    points: list[list[float | None]]  # per frame 23 times x, y
    stills: list[str]  # data URIs, with the skeleton drawn


def make_film(clip: Clip, video: Path, poses: Path, readings: set[int], style: Drawing) -> Film:
    """Make the film of a clip; `readings` are the clip's frames at which an item was read, which are always shown."""
    keypoints = read_poses(poses)
    numbers = sorted({*range(0, clip.length, EVERY), *(one for one in readings if one < clip.length)})
    times = clip.start_seconds + np.array(numbers) / clip.rate
    source = [int(np.abs(keypoints.seconds - time).argmin()) for time in times]
    pixels = read_pixels(video, set(source))
    height, width = next(iter(pixels.values())).shape[:2]
    scale = min(1.0, WIDTH / width)
    near: Side = "left" if clip.view == "left" else "right"
    stills = np.linspace(0, len(source) - 1, STILLS + 2)[1:-1].round().astype(int)
    return Film(
        video=clip.video,
        view=clip.view,
        width=round(width * scale),
        height=round(height * scale),
        frames=[_encode(_shrink(pixels[index], scale)) for index in source],
        seconds=[round(float(keypoints.seconds[index]), 3) for index in source],
        clip_frames=numbers,
        points=[_points(keypoints, index, scale) for index in source],
        stills=[
            "data:image/webp;base64," + _encode(draw_still(pixels[source[n]], keypoints, source[n], style, near))
            for n in stills
        ],
    )


def read_pixels(video: Path, wanted: set[int]) -> dict[int, NDArray[np.uint8]]:
    """Return the wanted frames as RGB."""
    pixels: dict[int, NDArray[np.uint8]] = {}
    for frame in read_frames(video):
        if frame.index in wanted:
            pixels[frame.index] = np.asarray(frame.pixels)
    return pixels


def _shrink(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1.0:
        return pixels
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _encode(pixels: NDArray[np.uint8]) -> str:
    done, data = cv2.imencode(".webp", pixels[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    assert done, "OpenCV is built without WebP"
    return base64.b64encode(data.tobytes()).decode()


def _points(poses: Poses, index: int, scale: float) -> list[float | None]:
    """Return the body's points of a frame; those of the head are left out, as the head is covered."""
    values: list[float | None] = []
    for number, (x, y) in enumerate(poses.xy[index]):
        known = np.isfinite(x) and np.isfinite(y) and number not in HEAD
        values += [round(float(x) * scale, DECIMALS), round(float(y) * scale, DECIMALS)] if known else [None, None]
    return values


def draw_still(
    pixels: NDArray[np.uint8], poses: Poses, index: int, style: Drawing, near: Side, still_side: int = STILL_SIDE
) -> NDArray[np.uint8]:
    """Return a square around the child with the skeleton drawn."""
    xy = poses.xy[index]
    known = xy[np.isfinite(xy).all(axis=1)]
    height, width = pixels.shape[:2]
    low, high = (known.min(axis=0), known.max(axis=0)) if len(known) else (np.zeros(2), np.array([width, height]))
    middle, side = (low + high) / 2, float((high - low).max()) * (1 + 4 * STILL_MARGIN)
    factor = still_side / max(side, 1.0)
    corner = middle - side / 2
    placed = np.array([[factor, 0, -factor * corner[0]], [0, factor, -factor * corner[1]]], dtype=np.float64)
    cut = cv2.warpAffine(
        pixels, placed, (still_side, still_side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    points = np.concatenate([(xy - corner) * factor, poses.score[index][:, None]], axis=1).astype(np.float32)
    return draw_skeletons(np.asarray(cut, dtype=np.uint8)[None], points[None], style, near)[0]
