"""Renders the background: walls, floor, light and shadows, and applies lens and sensor effects.

The empty room is worked out once a video, pixel by pixel where its ray meets floor or wall; frames are painted over it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import BONES, INDEX
from childgait.synthetic.camera import Camera
from childgait.synthetic.child import Random

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
SHADOW_DEPTH, SHADOW_BLUR = 90, (13, 7)  # grey levels of 255; pixels
_LOW, _HIGH = np.array([-6.6, -1.9, 0.0]), np.array([6.9, 6.9, 2.75])  # the room


@dataclass(frozen=True)
class Lens:
    """Lens and sensor effects, drawn per video."""

    gain: float  # exposure
    drift: float  # of the exposure over the clip
    noise: float  # grey levels
    blur: float  # pixels of softness
    shutter: float  # share of the frame interval that the shutter is open


def draw_lens(rng: Random) -> Lens:
    return Lens(
        gain=float(rng.normal(1.0, 0.07)),
        drift=float(rng.normal(0, 0.02)),
        noise=float(rng.uniform(1.0, 3.0)),
        blur=float(rng.uniform(0.3, 0.7)),
        shutter=float(rng.uniform(0.2, 0.5)),
    )


def _cloud(rng: Random, cells: int = 24, size: int = 512) -> NDArray[np.float32]:
    """Smooth noise between -1 and 1 that wraps round."""
    total = np.zeros((size, size), np.float32)
    for octave, weight in ((cells, 0.6), (cells * 4, 0.4)):
        grid = rng.uniform(-1, 1, (octave, octave)).astype(np.float32)
        grid = np.vstack([grid, grid[:1]])
        grid = np.hstack([grid, grid[:, :1]])
        total += weight * cv2.resize(grid, (size + size // octave, size + size // octave))[:size, :size]
    return total


def _look_up(cloud: NDArray[np.float32], a: Array, b: Array, metres: float) -> Array:
    size = cloud.shape[0]
    return np.asarray(cloud[(a / metres * size).astype(int) % size, (b / metres * size).astype(int) % size], float)


@dataclass(frozen=True)
class Room:
    """Colours and furniture of one session's room, shared by both cameras."""

    floor: Array
    wall: Array
    skirting: Array
    tile: float  # metres
    doors: list[tuple[int, float, float, Array]]  # wall (axis), place along it, width, colour
    posters: list[tuple[int, float, float, float, Array]]  # wall, place along it, height, size, colour
    cloud: NDArray[np.float32]
    lamp: float


def draw_room(rng: Random) -> Room:
    grey = rng.uniform(120, 185)
    doors = [
        (side, float(rng.uniform(-reach, reach)), 0.9, rng.uniform(70, 190, 3)) for side, reach in ((1, 4), (0, 1))
    ]
    posters = [
        (
            int(rng.integers(2)),
            float(rng.uniform(-3.5, 3.5)),
            float(rng.uniform(1.3, 1.7)),
            float(rng.uniform(0.3, 0.6)),
            rng.uniform(40, 240, 3),
        )
        for _ in range(int(rng.integers(1, 5)))
    ]
    return Room(
        floor=grey + rng.uniform(-25, 25, 3),
        wall=rng.uniform(165, 225) + rng.uniform(-18, 18, 3),
        skirting=rng.uniform(50, 130, 3),
        tile=float(rng.choice([0.3, 0.5, 0.6])),
        doors=doors,
        posters=posters,
        cloud=_cloud(rng),
        lamp=float(rng.uniform(-2.5, 2.5)),
    )


def _paint_floor(room: Room, x: Array, y: Array) -> Array:
    seam = np.minimum(np.abs((x / room.tile) % 1 - 0.5), np.abs((y / room.tile) % 1 - 0.5))
    shade = (1 + 0.06 * _look_up(room.cloud, x, y, 2.0)) * np.where(seam < 0.012, 0.86, 1.0)
    return np.asarray(shade[:, None] * room.floor)


def _paint_wall(room: Room, axis: NDArray[np.intp], along: Array, z: Array) -> Array:
    """Paint plaster, skirting, handrail, doors and posters; `axis` selects the wall, `along` the position on it."""
    colour = (1 + 0.03 * _look_up(room.cloud, along, z, 3.0))[:, None] * room.wall
    colour[z < 0.10] = room.skirting
    colour[np.abs(z - 0.85) < 0.05] = 0.7 * room.wall
    for side, place, width, paint in room.doors:
        away = np.abs(along - place)
        inside = (axis == side) & (away < width / 2) & (z < 2.05)
        colour[inside] = paint
        colour[inside & (away > width / 2 - 0.05)] = 0.6 * paint
    for side, place, height, size, paint in room.posters:
        inside = (axis == side) & (np.abs(along - place) < size / 2) & (np.abs(z - height) < 0.7 * size)
        colour[inside] = paint * np.where(np.sin(z[inside] * 90) > 0.3, 0.75, 1.0)[:, None]
    return colour


def paint_room(room: Room, camera: Camera) -> Image:
    """Ray-cast the empty room: each pixel's ray ends on the nearest plane ahead of the camera."""
    rays = camera.rays().reshape(-1, 3)
    rays = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    reach = np.where(rays > 0, _HIGH - camera.place, _LOW - camera.place) / rays
    axis = reach.argmin(axis=1)
    hit = camera.place + reach[np.arange(len(axis)), axis, None] * rays
    x, y, z = hit.T
    colour = np.full(rays.shape, 226.0)  # the ceiling
    floor, wall = (axis == 2) & (rays[:, 2] < 0), axis != 2
    colour[floor] = _paint_floor(room, x[floor], y[floor])
    along = np.where(axis == 1, x, y)
    colour[wall] = _paint_wall(room, axis[wall], along[wall], z[wall])
    light = 1.02 - 0.009 * (x - room.lamp) ** 2 - 0.05 * np.abs(z - 2.0)
    light = light * np.where(axis == 0, 0.9, 1.0) * np.where((axis == 1) & (z < 0.4), 0.94 + 0.15 * z, 1.0)
    colour *= np.clip(light, 0.45, 1.1)[:, None]
    return np.asarray(np.clip(colour, 0, 255).astype(np.uint8).reshape(camera.height, camera.width, 3))


def shadow_lines(points: Array, camera: Camera) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the body's bones as they fall on the floor, (T, bones, 2, 2) pixels, and how thick, (T, bones)."""
    ends = np.stack([points[:, [INDEX[a] for a, _ in BONES]], points[:, [INDEX[b] for _, b in BONES]]], axis=2)
    fallen = ends.copy()
    fallen[..., 0] += 0.18 * ends[..., 2]
    fallen[..., 1] -= 0.12 * ends[..., 2]
    fallen[..., 2] = 0.0
    pixels, depth = camera.project(fallen)
    thick = np.maximum(0.07 * camera.focal / depth.mean(axis=-1), 1)
    return np.rint(np.clip(pixels, -4000, 4000)).astype(np.int32), np.rint(thick).astype(np.int32)


def cast_shadow(canvas: Image, lines: NDArray[np.int32], thick: NDArray[np.int32]) -> None:
    """Darken the floor, softly."""
    height, width = canvas.shape[:2]
    x0, y0 = np.maximum(lines.reshape(-1, 2).min(axis=0) - 20, 0)
    x1, y1 = np.minimum(lines.reshape(-1, 2).max(axis=0) + 20, (width, height))
    if x0 >= x1 or y0 >= y1:
        return
    dark = np.zeros((y1 - y0, x1 - x0), np.uint8)
    for (start, end), size in zip(lines - np.array([x0, y0]), thick, strict=True):
        cv2.line(dark, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), SHADOW_DEPTH, int(size))
    dark = cv2.blur(dark, SHADOW_BLUR)
    region = canvas[y0:y1, x0:x1]
    region[:] = cv2.multiply(region, cv2.merge([255 - dark] * 3), scale=1 / 255)


def burn_logo(frame: Image) -> None:
    """Draw a clinic's name and a clock into the lower right corner, as cameras and hospital systems do."""
    height, width = frame.shape[:2]
    scale = max(height / 720, 0.3)
    x0, y0 = width - round(230 * scale), height - round(46 * scale)
    cv2.rectangle(frame, (x0, y0), (width - 8, height - 8), (240, 240, 240), -1)
    text = "CLINIC  12:34"
    cv2.putText(frame, text, (x0 + 4, height - 14), cv2.FONT_HERSHEY_SIMPLEX, 0.9 * scale, (20, 20, 120), 1)


class Film:
    """From a painted frame to the planes that are encoded: softness, exposure, noise."""

    def __init__(self, lens: Lens, width: int, height: int, rng: Random) -> None:
        self._lens, self._rng = lens, rng
        self._noise = rng.normal(0, lens.noise, (height + 64, width + 64)).round().astype(np.int8)
        self._size = (width, height)

    def develop(self, frame: Image, progress: float) -> Image:
        """I420 planes, (H * 3 / 2, W), limited range; `progress` from 0 to 1 through the clip."""
        width, height = self._size
        soft = cv2.GaussianBlur(frame, (3, 3), self._lens.blur)
        planes = cv2.cvtColor(soft, cv2.COLOR_RGB2YUV_I420)
        gain = self._lens.gain + self._lens.drift * (progress - 0.5)
        table = np.clip((np.arange(256) - 16) * gain + 16, 16, 235).round().astype(np.uint8)
        x, y = self._rng.integers(0, 64, 2)
        luma = cv2.LUT(planes[:height], table)
        planes[:height] = cv2.add(luma, self._noise[y : y + height, x : x + width], dtype=cv2.CV_8U)
        return planes
