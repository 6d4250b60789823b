"""Keypoint layouts and the 23 points that childgait keeps: body and feet, never the face mesh or the hands.

Face points are dropped: behind a mosaic they are invented, and face geometry is biometric in its own right. The five
head points of the body (nose, eyes, ears) stay; they say where the head is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

POINTS: tuple[str, ...] = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
INDEX: dict[str, int] = {name: index for index, name in enumerate(POINTS)}
HEAD: tuple[int, ...] = tuple(range(5))


def mirrored_name(name: str) -> str:
    """The point on the other side of the body; a midline point is its own mirror."""
    if name.startswith("left_"):
        return "right_" + name[5:]
    if name.startswith("right_"):
        return "left_" + name[6:]
    return name


MIRRORED: tuple[int, ...] = tuple(INDEX[mirrored_name(name)] for name in POINTS)

# The limbs that are drawn and measured, as pairs of points.
BONES: tuple[tuple[str, str], ...] = (
    ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
    ("left_ankle", "left_heel"), ("left_heel", "left_big_toe"), ("left_ankle", "left_big_toe"),
    ("left_big_toe", "left_small_toe"),
    ("right_ankle", "right_heel"), ("right_heel", "right_big_toe"), ("right_ankle", "right_big_toe"),
    ("right_big_toe", "right_small_toe"),
)  # fmt: skip


def side(name: str) -> str:
    """Return `left`, `right` or `middle`."""
    prefix = name.split("_", 1)[0]
    return prefix if prefix in ("left", "right") else "middle"


def bone_side(bone: tuple[str, str]) -> str:
    sides = {side(bone[0]), side(bone[1])}
    return sides.pop() if len(sides) == 1 else "middle"


@dataclass(frozen=True)
class Layout:
    """A keypoint layout in circulation: how many points it has and where each of ours stands in it (None: absent)."""

    name: str
    size: int
    source: tuple[int | None, ...]  # for each of POINTS, its index in this layout


_COCO = tuple(range(17))
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("coco17", 17, (*_COCO, None, None, None, None, None, None)),
        # Halpe-26: COCO's 17, then head, neck, hip, big toes L R, small toes L R, heels L R.
        Layout("halpe26", 26, (*_COCO, 20, 22, 24, 21, 23, 25)),
        # BODY-25: nose, neck, arms R L, mid-hip, legs R L, eyes R L, ears R L, left foot, right foot.
        Layout("body25", 25, (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11, 19, 20, 21, 22, 23, 24)),
        Layout("wholebody133", 133, tuple(range(23))),
        # Goliath-308: wrists stand with the hands (right 41, left 62).
        Layout("goliath308", 308,
               (0, 1, 2, 3, 4, 5, 6, 7, 8, 62, 41, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20)),
        # BlazePose: face 0-10, arms 11-22, legs 23-28, heels 29 30, toe tips 31 32, left before right. No small toes.
        Layout("blazepose33", 33,
               (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28, 31, None, 29, 32, None, 30)),
    )
}  # fmt: skip


def to_points(xy: NDArray[np.float32], score: NDArray[np.float32], layout: Layout) -> NDArray[np.float32]:
    """Our 23 points out of a layout's (..., n, 2) and (..., n): (..., 23, 3) of x, y, score; NaN and 0 where absent."""
    assert xy.shape[-2] == score.shape[-1] == layout.size, (xy.shape, score.shape, layout)
    points = np.full((*xy.shape[:-2], len(POINTS), 3), np.nan, np.float32)
    points[..., 2] = 0
    ours = [index for index, theirs in enumerate(layout.source) if theirs is not None]
    theirs = [theirs for theirs in layout.source if theirs is not None]
    points[..., ours, :2] = xy[..., theirs, :]
    points[..., ours, 2] = np.nan_to_num(score[..., theirs])
    return points
