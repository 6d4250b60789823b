"""Kinematic prompting: the child's skeleton drawn on the frames that a network reads.

Drawn at the network's own size and after every geometric change, so that lines keep their width: two pixels are an
eighth of a patch, which marks each patch a limb crosses and leaves most of its texture. Left, right and middle differ
in colour. A pure function of pixels, points and style; body and feet only, never the face mesh or hands.

Reads frames uint8 (T, S, S, 3) RGB and points float32 (T, 23, 3): x, y, score. Yields new frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import BONES, HEAD, POINTS, bone_side, side

Side = Literal["left", "right"]
Colour = tuple[int, int, int]
_SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel
_FAR_OUT = 8  # points further out than this many picture sizes would overflow those


@dataclass(frozen=True)
class Style:
    line_pixels: int
    dot_pixels: int  # radius of a joint; 0: none
    min_score: float  # a point below it is not drawn, nor a limb that ends there
    left: Colour
    right: Colour
    middle: Colour

    def colour(self, which: str) -> Colour:
        return {"left": self.left, "right": self.right, "middle": self.middle}[which]


_BONE_ENDS = tuple((POINTS.index(a), POINTS.index(b), bone_side((a, b))) for a, b in BONES)
_BODY = tuple((index, side(name)) for index, name in enumerate(POINTS) if index not in HEAD)
_NOSE = 0  # the one point of the head that is drawn: it says where the child looks


def draw_skeletons(
    frames: NDArray[np.uint8], points: NDArray[np.float32], style: Style, near: Side = "right"
) -> NDArray[np.uint8]:
    """The frames with the skeleton on them. `near` is the limb nearer to the camera; it is drawn last."""
    assert frames.shape[0] == points.shape[0], (frames.shape, points.shape)
    drawn = np.ascontiguousarray(frames).copy()
    order = ("middle", "left" if near == "right" else "right", near)
    known = points[..., 2] >= style.min_score
    known &= np.isfinite(points[..., :2]).all(axis=2)
    known &= (np.abs(np.nan_to_num(points[..., :2])) < _FAR_OUT * frames.shape[1]).all(axis=2)
    fixed = np.rint(np.where(known[..., None], points[..., :2], 0) * (1 << _SHIFT)).astype(int)
    for picture, places, there in zip(drawn, fixed.tolist(), known.tolist(), strict=True):
        for which in order:
            colour = style.colour(which)
            for a, b, limb in _BONE_ENDS:
                if limb == which and there[a] and there[b]:
                    cv2.line(picture, places[a], places[b], colour, style.line_pixels, cv2.LINE_AA, _SHIFT)
            if style.dot_pixels:
                for index, limb in (*_BODY, (_NOSE, "middle")):
                    if limb == which and there[index]:
                        cv2.circle(picture, places[index], style.dot_pixels << _SHIFT, colour, -1, cv2.LINE_AA, _SHIFT)
    return drawn
