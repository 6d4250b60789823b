"""Renders heads from any viewing direction, with a face in front and hair behind.

The face is the portrait that scikit-image ships (public domain, NASA); skin and hair are tinted, the features stretched
and mirrored at random, so that a face carries no information about a child's gait.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.synthetic.child import Random

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
SIZE = 128  # pixels of a head picture
TURNS = 48  # directions round
# The face in the portrait: middle of the head, and how many pixels half its height is.
_MIDDLE, _HALF = (224.0, 112.0), 74.0
_PORTRAIT_SKIN = np.array([205.0, 160.0, 135.0])
WIDTH, DEPTH = 0.74, 0.90  # of a head, over its height


@cache
def _portrait() -> NDArray[np.float32]:
    """Read the portrait from scikit-image's files: importing the package costs a second."""
    package = find_spec("skimage")
    assert package is not None
    assert package.origin is not None
    picture = cv2.imread(str(Path(package.origin).parent / "data" / "astronaut.png"))
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.float32)


class HeadPictures:
    """RGBA pictures of one head by direction: 0 looks into the camera, then turning to the picture's right. A picture
    is rendered on first use: a walk needs few of them."""

    def __init__(self, skin: Array, hair: Array, stretch: tuple[float, float], fringe: float, mirrored: bool) -> None:
        self._skin, self._hair, self._stretch, self._fringe, self._mirrored = skin, hair, stretch, fringe, mirrored
        self._made: dict[int, Image] = {}

    def seen_from(self, degrees: float) -> Image:
        turn = round(degrees / 360 * TURNS) % TURNS
        if turn not in self._made:
            self._made[turn] = self._make(2 * np.pi * turn / TURNS)
        return self._made[turn]

    def _make(self, angle: float) -> Image:
        y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
        across, down = (x - (SIZE - 1) / 2) / (SIZE / 2), (y - (SIZE - 1) / 2) / (SIZE / 2)
        # The head is an ellipsoid: half the height high, and as wide as it looks from here.
        u = across / np.hypot(WIDTH * np.cos(angle), DEPTH * np.sin(angle))
        inside = 1 - u**2 - down**2
        depth = np.sqrt(np.maximum(inside, 0))
        side = u * np.cos(angle) - depth * np.sin(angle)  # in the head's own frame
        front = depth * np.cos(angle) + u * np.sin(angle)
        sample_x = _MIDDLE[0] + (-1 if self._mirrored else 1) * side * WIDTH * _HALF / self._stretch[0]
        sample_y = _MIDDLE[1] + down * _HALF / self._stretch[1]
        tint = (self._skin / _PORTRAIT_SKIN).astype(np.float32)
        face = cv2.remap(_portrait(), sample_x.astype(np.float32), sample_y.astype(np.float32), cv2.INTER_LINEAR) * tint
        facing = np.clip((front - 0.18) / 0.25, 0, 1) * np.clip((down + 0.92) / 0.2, 0, 1)
        oval = 1 - (side / 0.92) ** 2 - (np.maximum(down, 0) / 0.97) ** 2 - (np.maximum(down, 0) * side / 0.75) ** 2
        facing *= np.clip(oval * 6, 0, 1)  # beside the face the portrait shows its own background
        # GapToBest: hair above, neck below; strands so that it is not a ball.
        light = 0.75 + 0.35 * depth - 0.12 * down + 0.05 * np.sin(28 * side + 3 * down)
        cheek = np.clip(front * 8, 0, 1) * np.clip((down + 0.30) * 8, 0, 1)  # in side view
        below = np.maximum(np.clip((down - self._fringe) * 12 + 0.5, 0, 1), cheek)[..., None]
        back = ((1 - below) * self._hair + below * 0.95 * self._skin) * light[..., None]
        colour = facing[..., None] * face + (1 - facing[..., None]) * back
        alpha = np.clip(inside * 12, 0, 1) * 255
        return np.dstack([np.clip(colour, 0, 255), alpha]).astype(np.uint8)


def draw_head(rng: Random, skin: Array, hair: Array) -> HeadPictures:
    """Draw one person's head. `skin` and `hair` are colours, 0-255."""
    wide, high = rng.uniform(0.92, 1.08, 2)
    return HeadPictures(
        skin, hair, (float(wide), float(high)), float(rng.uniform(0.30, 0.55)), bool(rng.random() < 0.5)
    )


def paste_head(canvas: Image, picture: Image, middle: Array, half: float, roll: float) -> None:
    """Blend a head into the canvas; `half` is half its height in pixels, `roll` in degrees."""
    scale = 2 * half / SIZE
    reach = int(np.ceil(half * 1.2)) + 1
    x0, y0 = int(middle[0]) - reach, int(middle[1]) - reach
    x1, y1 = x0 + 2 * reach, y0 + 2 * reach
    cx0, cy0, cx1, cy1 = max(x0, 0), max(y0, 0), min(x1, canvas.shape[1]), min(y1, canvas.shape[0])
    if cx0 >= cx1 or cy0 >= cy1:
        return
    if scale < 0.6:  # shrink in steps, or the face aliases
        factor = max(1, int(0.75 / scale))
        picture = cv2.resize(picture, (SIZE // factor, SIZE // factor), interpolation=cv2.INTER_AREA)
        scale *= SIZE / picture.shape[0]
    own = (picture.shape[0] - 1) / 2
    matrix = cv2.getRotationMatrix2D((own, own), roll, scale)
    matrix[:, 2] += np.array([middle[0] - cx0 - own, middle[1] - cy0 - own])
    head = cv2.warpAffine(picture, matrix, (cx1 - cx0, cy1 - cy0), flags=cv2.INTER_LINEAR)
    alpha = head[..., 3:].astype(np.uint16)
    region = canvas[cy0:cy1, cx0:cx1]
    region[:] = ((head[..., :3] * alpha + region * (255 - alpha)) // 255).astype(np.uint8)
