"""Find parts of people whom nobody accounts for: a leg, a trunk or a head that moves beside a known body.

Where somebody walks close in front of somebody else, the embedded model draws one body. What is seen of the other one
differs from the empty room and lies outside the bodies of everybody whose head is covered. The room is the median of
the sampled pictures beside these bodies, in coordinates of the room, so that it works for a moving camera, too.
Shadows, strips as narrow as the tube of a walking aid, and what a mask misses along its outline are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import HEAD
from childgait.gait.filters import runs_of_true
from childgait.vision.background import (
    Background,
    Picture,
    Samples,
    Shadow,
    difference,
    estimate_background,
    light_change,
)
from childgait.vision.camera_path import CameraPath, apply_motion
from childgait.vision.capsules import draw
from childgait.vision.person_tracks import SAME, Person, overlap
from childgait.vision.tracks import HeadTrack, same_head

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

GREY = 128  # U and V without colour
TALLEST = 360  # pixels of a picture
MIN_SCENES = 8  # from which the empty room can be estimated
OUTLINE = 0.02  # body heights around a skeleton's capsules within which pixels are the person's own
LOOSE = 0.03  # ... within which those of the mask are; the mask goes on over people behind
NARROW = 0.035  # body heights: strips narrower than this are no limb
NOISES = 8.0  # standard deviations from the empty room
MISPLACED = 2  # pixels by which an edge of the room may be off with a moving camera
FREE_SHARE = 0.12  # of the pictures, in which a pixel must be free of everybody for the room to be known there
LARGEST = 3  # times the picture's size to which the room may extend
PART = 0.004  # squared heights of the tallest body: a third of a child's head beside an adult; 0 of children alone
LASTING_SECONDS = 0.3  # for which a part is seen without a break: in four looks
SHARED_SECONDS = 0.6  # for which two heads in one place are no mere crossing
SHARE = 0.25  # of all scenes ... or in so many of them


@dataclass(frozen=True)
class Body:
    """One person: own pixels and height in the small picture, box and head in pixels of the video."""

    mask: Bits
    box: Floats
    head: Floats  # (2,)
    height: float


@dataclass(frozen=True)
class Scene:
    """One sampled picture with everybody whom the embedded model shows."""

    frame: int
    picture: Picture  # Y, U, V
    bodies: tuple[Body, ...]
    scale: float  # pixels of the picture per pixel of the video


def make_scene(frame: int, rgb: NDArray[np.uint8], people: Sequence[Person]) -> Scene:
    """Return the scene of a frame."""
    height, width = rgb.shape[:2]
    scale = min(1.0, TALLEST / height)
    size = (round(width * scale), round(height * scale))
    picture = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV), size, interpolation=cv2.INTER_AREA)
    bodies = []
    for one in people:
        drawn = draw(one.look.points[:, :2], one.height, (0, 0, width, height))
        away = cv2.distanceTransform(255 - drawn, cv2.DIST_L2, 3) / one.height
        mask = (away <= OUTLINE) | (one.look.mask((height, width)) & (away <= LOOSE))
        mask = cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        head = one.look.points[list(HEAD), :2].mean(axis=0).astype(np.float64)
        bodies.append(Body(mask, one.box, head, scale * one.height))
    return Scene(frame, np.asarray(picture, np.uint8), tuple(bodies), scale)


def list_shared_heads(tracks: Sequence[HeadTrack], times: Floats, seconds: float) -> list[str]:
    """List where two people who were apart for that many seconds have one head for long: one of them is lost.

    The cover of somebody who goes behind somebody else may stay on the head in front.
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else seconds
    doubts = []
    for n, one in enumerate(tracks):
        for other in tracks[:n]:
            both = one.present & other.present
            same = both & same_head(np.nan_to_num(one.box), np.nan_to_num(other.box))
            if (both & (_heads_between(one.box, other.box) > 1)).sum() < seconds / step:
                continue
            shared = [(first, end) for first, end in runs_of_true(same) if end - first >= SHARED_SECONDS / step]
            doubts += [
                f"frames {first}-{end - 1}: two people have one head, so one of them is lost" for first, end in shared
            ]
    return doubts


def _heads_between(boxes: Floats, others: Floats) -> Floats:
    """Return the distance (T,) between heads along the farther axis, in sizes of the larger head."""
    size = np.maximum(boxes[:, 2:] - boxes[:, :2], others[:, 2:] - others[:, :2])
    away = np.abs(boxes[:, :2] + boxes[:, 2:] - others[:, :2] - others[:, 2:]) / 2
    return np.asarray(np.nan_to_num((away / size).max(axis=1)))


def list_unexplained(
    scenes: Sequence[Scene],
    times: Floats,
    tracks: Sequence[Floats],
    covers: Mapping[int, Sequence[NDArray[np.int64]]],
    path: CameraPath | None,
) -> list[str]:
    """List the frames in which parts of somebody show whose head no cover hides.

    `tracks` are boxes (T, 4) of everybody who is followed, `covers` those of each frame, in pixels of the video.
    """
    if len(scenes) < MIN_SCENES:
        return []
    sizes = measure_remainders(scenes, tracks, covers, path)
    shown = sizes > PART
    runs = [(scenes[first].frame, scenes[end - 1].frame) for first, end in runs_of_true(shown)]
    lasting = [(first, last) for first, last in runs if times[last] - times[first] >= LASTING_SECONDS]
    if not lasting and shown.sum() < SHARE * len(scenes):
        return []
    frames = ", ".join(f"{first}-{last}" for first, last in lasting or runs)
    return [f"frames {frames}: a part of somebody without a known head moves beside a known person"]


def measure_remainders(
    scenes: Sequence[Scene],
    tracks: Sequence[Floats],
    covers: Mapping[int, Sequence[NDArray[np.int64]]],
    path: CameraPath | None,
) -> Floats:
    """Return per scene the largest moving area that no known body explains, in squared heights of the tallest body."""
    tallest = [max((body.height for body in scene.bodies), default=np.nan) for scene in scenes]
    if not np.isfinite(tallest).any():
        return np.zeros(len(scenes))
    heights = np.where(np.isfinite(tallest), tallest, np.nanmedian(tallest))
    known = [_explained(scene, tracks, covers.get(scene.frame, ())) for scene in scenes]
    maps, size = _room_of(scenes, path)

    def place(pixels: NDArray[np.uint8], n: int, how: int = cv2.INTER_NEAREST) -> NDArray[np.uint8]:
        return pixels if path is None else np.asarray(cv2.warpAffine(pixels, maps[n], size, flags=how), np.uint8)

    shape = scenes[0].picture.shape[:2]
    inside = cv2.copyMakeBorder(np.ones((shape[0] - 4, shape[1] - 4), np.uint8), 2, 2, 2, 2, cv2.BORDER_CONSTANT)
    samples = Samples(len(scenes))
    for n, scene in enumerate(scenes):
        samples.offer(n, place(scene.picture, n, cv2.INTER_LINEAR))
    free = np.stack([place(inside & ~mask.view(np.uint8), n) > 0 for n, mask in enumerate(known)])
    room = estimate_background(samples, free, free_share=FREE_SHARE)
    reach = 0 if path is None else MISPLACED
    return np.array(
        [
            largest_part(moving_parts(picture, there, room, height, reach)) / height**2
            for picture, there, height in zip(samples.pictures, free, heights, strict=True)
        ]
    )


def _explained(scene: Scene, tracks: Sequence[Floats], covers: Sequence[NDArray[np.int64]]) -> Bits:
    """Return the pixels of covers and of everybody whose head is covered."""
    shape, scale = scene.picture.shape[:2], scene.scale
    mask = np.zeros(shape, bool)
    size = np.array([shape[1], shape[0]]) / scale
    boxes = [np.asarray(box, np.float64) for box in covers]
    for body in scene.bodies:
        outside = not ((body.head >= 0) & (body.head < size)).all()
        if outside or any((box[:2] <= body.head).all() and (body.head < box[2:]).all() for box in boxes):
            mask |= body.mask
    lost = [track[scene.frame] for track in tracks]
    boxes += [box for box in lost if all(overlap(box, body.box) < SAME for body in scene.bodies)]
    for box in boxes:
        if np.isfinite(box).all():
            x0, y0, x1, y1 = np.rint(box * scale).astype(int).clip(0).tolist()
            mask[y0:y1, x0:x1] = True
    return mask


def _room_of(scenes: Sequence[Scene], path: CameraPath | None) -> tuple[list[Floats], tuple[int, int]]:
    """Return each scene's map (2, 3) to the room, and the room's width and height in pixels of small pictures."""
    height, width = scenes[0].picture.shape[:2]
    if path is None:
        return [], (width, height)
    maps = [path.to_room[scene.frame] * np.array([1, 1, scene.scale]) for scene in scenes]
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    places = np.concatenate([apply_motion(one, corners) for one in maps])
    low = np.floor(places.min(axis=0))
    wide, tall = np.minimum(np.ceil(places.max(axis=0)) - low, LARGEST * np.array([width, height])).astype(int).tolist()
    return [one - np.array([[0, 0, low[0]], [0, 0, low[1]]]) for one in maps], (wide, tall)


def moving_parts(picture: Picture, free: Bits, room: Background, height: float, reach: int) -> Bytes:
    """Return 1 where a picture differs from the room beside everybody known, in parts as wide as a limb.

    Differences at edges of the room that are up to `reach` pixels off are left out.
    """
    whole, usable = (0, 0, picture.shape[1], picture.shape[0]), free & room.known
    light = light_change(picture, room, usable)
    parts = usable & (difference(picture, room, whole, light) > NOISES) & ~is_shadow(picture, room)
    if reach:
        around = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        low, high = cv2.erode(room.picture, around), cv2.dilate(room.picture, around)
        slack = np.clip(NOISES * room.noise, 0, 40).astype(np.uint8)
        off = (picture > cv2.add(high, slack)) | (picture < cv2.subtract(low, slack))
        parts &= off.any(axis=2)
    across = max(3, round(NARROW * height)) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across))
    return np.asarray(cv2.morphologyEx(parts.astype(np.uint8), cv2.MORPH_OPEN, disc), np.uint8)


def is_shadow(picture: Picture, room: Background) -> Bits:
    """Return where a picture is a darker room: a shadow on a coloured floor is paler in proportion."""
    shadow = Shadow()
    now, lit = picture.astype(np.float32), room.picture.astype(np.float32)
    light = now[..., :1] / np.maximum(lit[..., :1], 1)
    off = np.abs(now[..., 1:] - GREY - light * (lit[..., 1:] - GREY)).max(axis=2)
    darker = (light[..., 0] > shadow.darkest) & (light[..., 0] < shadow.lightest)
    return np.asarray(darker & (off < shadow.colour)) | shadow.where(picture, room, (0, 0, *picture.shape[1::-1]))


def largest_part(parts: Bytes) -> float:
    """Return the area of the largest connected part in pixels; 0 without one."""
    _, _, statistics, _ = cv2.connectedComponentsWithStats(parts, connectivity=8)
    return float(statistics[1:, cv2.CC_STAT_AREA].max(initial=0))
