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

UNROLLED = (160, 256)  # rows and columns of a head's unrolled colours
# Heights of the mesh's chin, lips, nose, eyes and hairline, and the portrait's rows that show them.
_FEATURES = ((-0.5, 176.0), (-0.33, 145.0), (-0.18, 127.0), (-0.03, 103.0), (0.20, 86.0), (0.5, 86.0))
_FACE_SKIN = np.array([235.0, 204.0, 186.0])  # mean of the portrait's cheeks, forehead and chin
_FACE_MIDDLE, _FACE_RADIUS, _HEAD_PIXELS = (225.5, 128.0), 0.38, 162.0  # pixels; heads; pixels per height of the head


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

    @property
    def fringe(self) -> float:
        """How far down the hair reaches at the back, in half heights of the head."""
        return self._fringe

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

    def unrolled(self) -> Image:
        """Return the head's colours (H, W, 3) by height, crown to chin, and direction: back, right, face, left, back.

        The portrait's features go where those of the body mesh are (in heights of the head above its middle)."""
        v, u = np.mgrid[0 : UNROLLED[0], 0 : UNROLLED[1]].astype(np.float32)
        turn = ((u + 0.5) / UNROLLED[1] - 0.5) * 2 * np.pi
        above = 0.5 - (v + 0.5) / UNROLLED[0]
        heights, rows = zip(*_FEATURES, strict=True)
        aside = np.sin(turn) * _FACE_RADIUS * _HEAD_PIXELS / self._stretch[0]
        sample_x = _FACE_MIDDLE[0] + (-1 if self._mirrored else 1) * aside
        sample_y = np.interp(above, heights, rows)
        tint = (self._skin / _FACE_SKIN).astype(np.float32)
        face = cv2.remap(_portrait(), sample_x.astype(np.float32), sample_y.astype(np.float32), cv2.INTER_LINEAR) * tint
        oval = 1 - (aside / 40) ** 2 - ((sample_y - _FACE_MIDDLE[1]) / 52) ** 4  # beside it: the portrait's own hair
        shown = np.clip(oval * 4, 0, 1) * np.clip((above + 0.48) * 15, 0, 1) * (np.cos(turn) > 0)
        shown = shown[..., None]
        colour = shown * face + (1 - shown) * 0.97 * self._skin
        strands = 0.92 + 0.10 * np.sin(60 * turn + 6 * np.sin(9 * above)) + 0.05 * np.sin(131 * turn + 17 * above)
        hair = np.clip((above - hairline(turn, self._fringe)) * 25 + 0.5, 0, 1)[..., None]
        colour = (1 - hair) * colour + hair * strands[..., None] * self._hair
        return np.clip(colour, 0, 255).astype(np.uint8)


def hairline(turn: NDArray[np.floating], fringe: float) -> Array:
    """Return where hair begins, in heights of the head above its middle, by direction in radians from the face."""
    nape = -0.12 - 0.5 * fringe
    degrees = (0, 30, 52, 66, 76, 86, 96, 108, 122, 180)
    line = (0.27, 0.26, 0.20, 0.04, -0.03, 0.10, 0.12, 0.05, nape + 0.08, nape)
    return np.asarray(np.interp(np.abs(np.degrees(turn)), degrees, line))


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
