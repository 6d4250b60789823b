"""Draws the child's skeleton on the frames that a network reads (kinematic prompting).

Drawn at the network's input size and after every geometric augmentation, so that lines keep their width: two pixels are
an eighth of a patch, which marks each patch that a limb crosses and leaves most of its texture. Left, right and middle
have different colours. Body and feet only, never the face mesh or the hands.

Reads frames uint8 (T, S, S, 3) RGB and points float32 (T, 23, 3): x, y, score. Returns new frames.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import BONES, HEAD, POINTS, bone_side, side
from childgait.params import Drawing

Side = Literal["left", "right"]
_SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel
_FAR_OUT = 8  # points further out than this many picture sizes would overflow those


_BONE_ENDS = tuple((POINTS.index(a), POINTS.index(b), bone_side((a, b))) for a, b in BONES)
_BODY = tuple((index, side(name)) for index, name in enumerate(POINTS) if index not in HEAD)
_NOSE = 0  # the only point of the head that is drawn: it shows where the face points


def draw_skeletons(
    frames: NDArray[np.uint8], points: NDArray[np.float32], style: Drawing, near: Side = "right"
) -> NDArray[np.uint8]:
    """Return the frames with the skeleton drawn. `near` is the limb nearer to the camera; it is drawn last."""
    assert frames.shape[0] == points.shape[0], (frames.shape, points.shape)
    drawn = np.ascontiguousarray(frames).copy()
    order = ("middle", "left" if near == "right" else "right", near)
    known = points[..., 2] >= style.min_score
    known &= np.isfinite(points[..., :2]).all(axis=2)
    known &= (np.abs(np.nan_to_num(points[..., :2])) < _FAR_OUT * frames.shape[1]).all(axis=2)
    fixed = np.rint(np.where(known[..., None], points[..., :2], 0) * (1 << _SHIFT)).astype(int)
    for picture, places, there in zip(drawn, fixed.tolist(), known.tolist(), strict=True):
        for which in order:
            colour = getattr(style, which)
            for a, b, limb in _BONE_ENDS:
                if limb == which and there[a] and there[b]:
                    cv2.line(picture, places[a], places[b], colour, style.line_pixels, cv2.LINE_AA, _SHIFT)
            if style.dot_pixels:
                for index, limb in (*_BODY, (_NOSE, "middle")):
                    if limb == which and there[index]:
                        cv2.circle(picture, places[index], style.dot_pixels << _SHIFT, colour, -1, cv2.LINE_AA, _SHIFT)
    return drawn
