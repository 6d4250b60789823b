"""Models a body as capsules: every limb is a thick stroke between two keypoints.

Delivered keypoints have gaps, outliers and swapped sides. For a silhouette sides do not matter; gaps are bridged and
outliers dropped here (`body_of`), more freely than pose refinement may, because strokes are thick and pixels decide
about the outline afterwards. Reads Poses, returns a Body; `draw` draws one frame.

Radii are shares of body height; segment lengths and widths of children after the anthropometric tables of Jensen (1986)
and Drillis and Contini (1966), rounded, with some millimetres of clothes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses
from childgait.domain.skeleton import HEAD, INDEX
from childgait.gait.filters import running_median

# Strokes between two points, with their radius and the length they never exceed, as shares of body height.
STROKES: tuple[tuple[str, str, float, float], ...] = tuple(
    (f"{side}_{a}", f"{side}_{b}", radius, longest)
    for side in ("left", "right")
    for a, b, radius, longest in (
        ("shoulder", "hip", 0.048, 0.45),
        ("shoulder", "elbow", 0.033, 0.27),
        ("elbow", "wrist", 0.027, 0.24),
        ("hip", "knee", 0.05, 0.36),
        ("knee", "ankle", 0.037, 0.36),
        ("ankle", "heel", 0.026, 0.14),
        ("ankle", "big_toe", 0.024, 0.24),
        ("heel", "big_toe", 0.024, 0.26),
    )
)
HAND = 0.05  # length of the hand beyond the wrist
HEAD_RADIUS, NECK_RADIUS = 0.075, 0.036
TORSO = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
EXTENT = 0.90  # of body height, from the ears' and eyes' level down to the soles
TORSO_SHARE = 0.30  # of body height, from shoulders to hips

_FROM = np.array([INDEX[a] for a, _, _, _ in STROKES])
_TO = np.array([INDEX[b] for _, b, _, _ in STROKES])
_RADIUS = np.array([radius for _, _, radius, _ in STROKES])
_LONGEST = np.array([longest for _, _, _, longest in STROKES])
_LOW = [INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("ankle", "heel", "big_toe")]
_TRUNK = [INDEX[name] for name in TORSO]
_EARS = [INDEX["left_ear"], INDEX["right_ear"]]
_BETWEEN = [  # a bending joint and its neighbours
    (INDEX[f"{side}_{joint}"], INDEX[f"{side}_{a}"], INDEX[f"{side}_{b}"])
    for side in ("left", "right")
    for joint, a, b in (("knee", "hip", "ankle"), ("elbow", "shoulder", "wrist"))
]
_WRISTS = [INDEX["left_wrist"], INDEX["right_wrist"]]
_ELBOWS = [INDEX["left_elbow"], INDEX["right_elbow"]]
_DRAWN = list(zip(_FROM.tolist(), _TO.tolist(), _RADIUS.tolist(), strict=True))
_HANDS = len(INDEX)  # points that `draw` appends: two ends of hands, the middle of the head, the base of the neck
_HEAD, _NECK = _HANDS + 2, _HANDS + 3
_EVER = 10**9  # frames
_SUB = 4  # sub-pixel bits of OpenCV's drawing


@dataclass(frozen=True)
class Body:
    """One child over one video, in pixels of the working picture. NaN where unknown."""

    xy: NDArray[np.float32]  # (T, 23, 2) with gaps bridged
    trusted: NDArray[np.bool_]  # (T, 23) delivered, confident, and no outlier
    height: NDArray[np.float32]  # (T,) body height in pixels

    def __len__(self) -> int:
        return len(self.height)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Frames (T,) in which enough is known to draw: two trunk points and a height."""
        known = np.isfinite(self.xy[:, _TRUNK]).all(axis=2).sum(axis=1) >= 2
        return np.asarray(known & np.isfinite(self.height))

    def box(self, frame: int, margin: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return the box around known points, grown by a share of body height, cut at the picture (height, width)."""
        points = self.xy[frame][np.isfinite(self.xy[frame]).all(axis=1)]
        grow = margin * float(self.height[frame])
        low, high = points.min(axis=0) - grow, points.max(axis=0) + grow
        x0, y0 = (int(np.clip(low[0], 0, size[1])), int(np.clip(low[1], 0, size[0])))
        x1, y1 = (int(np.clip(np.ceil(high[0]), 0, size[1])), int(np.clip(np.ceil(high[1]), 0, size[0])))
        return x0, y0, x1, y1


def _bridge(values: NDArray[np.float32], gap: int, hold: int) -> NDArray[np.float32]:
    """Interpolate gaps of (T, n) up to `gap` frames linearly; hold the first and last value for `hold` frames."""
    filled = values.copy()
    for column in range(values.shape[1]):
        known = np.flatnonzero(np.isfinite(values[:, column]))
        if not len(known):
            continue
        every = np.arange(len(values))
        right = np.searchsorted(known, every)
        before, after = known[np.clip(right - 1, 0, len(known) - 1)], known[np.clip(right, 0, len(known) - 1)]
        inside = (after - before <= gap) & (every >= known[0]) & (every <= known[-1])
        near_end = (np.abs(every - before) <= hold) | (np.abs(after - every) <= hold)
        line = np.interp(every, known, values[known, column])
        filled[:, column] = np.where(inside | near_end, line, np.nan)
    return filled


def body_of(poses: Poses, *, min_score: float, scale: float, max_gap_seconds: float = 0.5) -> Body:
    """Return the body of delivered keypoints, at `scale` working pixels per video pixel."""
    seconds = poses.seconds
    rate = (len(seconds) - 1) / (seconds[-1] - seconds[0]) if len(seconds) > 1 else 30.0
    gap = max(2, round(max_gap_seconds * rate))
    window = max(5, round(0.2 * rate)) | 1  # outliers last up to five frames at 60 per second
    xy = (poses.xy.astype(np.float32) + 0.5) * scale - 0.5
    trusted = poses.seen & (poses.score >= min_score)
    xy[~trusted] = np.nan
    trunk = _bridge(xy[:, _TRUNK].reshape(len(xy), -1), gap, 0).reshape(len(xy), len(_TRUNK), 2)
    root = _extend(_middle(trunk), gap // 2)
    root = np.where(np.isfinite(root), _median(root, window), np.nan)
    height = _height(xy)
    relative = xy - root[:, None]
    smooth = _median(relative.reshape(len(xy), -1), window).reshape(relative.shape)
    with np.errstate(invalid="ignore"):
        trusted &= ~(np.linalg.norm(relative - smooth, axis=2) > 0.12 * height[:, None])
        for start, end, longest in zip(_FROM, _TO, _LONGEST, strict=True):  # from the trunk outwards
            length = np.linalg.norm(relative[:, end] - relative[:, start], axis=1)
            trusted[:, end] &= ~(trusted[:, start] & (length > longest * height))
    relative[~trusted] = np.nan
    relative = _bridge(relative.reshape(len(xy), -1), gap, gap // 2).reshape(relative.shape)
    return Body((relative + root[:, None]).astype(np.float32), trusted, height)


def _mean(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over axis 1 without NaN; NaN where there is nothing else."""
    known = np.isfinite(points)
    total = np.where(known, points, 0).sum(axis=1)
    return np.asarray(np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan), np.float32)


def _middle(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median over axis 1 without NaN, which one outlier of four hardly changes; NaN where all are NaN."""
    ordered = np.sort(points, axis=1)  # NaN last
    count = np.isfinite(points).sum(axis=1)
    low, high = (np.clip(count - 1, 0, None)) // 2, count // 2
    high = np.minimum(high, np.clip(count - 1, 0, None))
    middle = (np.take_along_axis(ordered, low[:, None], 1) + np.take_along_axis(ordered, high[:, None], 1))[:, 0] / 2
    return np.asarray(middle, np.float32)


def _median(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the running median of each column, all gaps bridged; a column of NaN stays NaN."""
    return running_median(_bridge(values, _EVER, _EVER), size)


def _extend(root: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Extrapolate the root linearly for `reach` frames before its first and after its last known position."""
    known = np.flatnonzero(np.isfinite(root).all(axis=1))
    if len(known) <= reach:
        return root
    moved = root.copy()
    first, last = int(known[0]), int(known[-1])
    for edge, inner, outside in (
        (first, int(known[reach]), slice(max(0, first - reach), first)),
        (last, int(known[-1 - reach]), slice(last + 1, last + 1 + reach)),
    ):
        speed = (root[edge] - root[inner]) / (edge - inner)
        moved[outside] = root[edge] + speed * (np.arange(len(root))[outside] - edge)[:, None]
    return moved


def _height(xy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return body height (T,) from head to sole, else from the trunk, smoothed over time; NaN if never known."""
    with np.errstate(invalid="ignore"):
        top, low = _mean(xy[:, list(HEAD)])[:, 1], np.fmax.reduce(xy[:, _LOW, 1], axis=1)
        upright = (low - top) / EXTENT
        trunk = np.linalg.norm(_mean(xy[:, _TRUNK[:2]]) - _mean(xy[:, _TRUNK[2:]]), axis=1) / TORSO_SHARE
    height = np.where(np.isfinite(upright), upright, trunk).astype(np.float32)
    height[~(height > 4)] = np.nan
    return _median(height[:, None], 31)[:, 0]


def head_of(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the middle of the head: between the ears, or, without ears, the mean of eyes and nose in front of it."""
    ears = _mean(points[None, _EARS])[0]
    return ears if np.isfinite(ears).all() else _mean(points[None, list(HEAD)])[0]


def stations(points: NDArray[np.float32], each: int = 12) -> NDArray[np.float32]:
    """Return `each` places along the middle of every stroke, (strokes, each, 2)."""
    start, end = points[_FROM], points[_TO]
    along = np.linspace(0.1, 0.9, each, dtype=np.float32)[None, :, None]
    return np.asarray(start[:, None] * (1 - along) + end[:, None] * along, np.float32)


def without_joints(points: NDArray[np.float32], gone: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a frame's points without some joints; a knee or elbow is placed halfway between its neighbours."""
    left = np.where(gone[:, None], np.nan, points)
    for joint, a, b in _BETWEEN:
        if gone[joint]:
            left[joint] = (left[a] + left[b]) / 2
    return left.astype(np.float32)


def draw(
    points: NDArray[np.float32],
    height: float,
    box: tuple[int, int, int, int],
    *,
    thick: float = 1.0,
    without: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Draw a frame's capsules inside a box: 255 where the body is. Radii are multiplied by `thick`; strokes `without`
    are left out."""
    x0, y0, x1, y1 = box
    canvas = np.zeros((y1 - y0, x1 - x0), np.uint8)
    unit = thick * height
    wrists, elbows = points[_WRISTS], points[_ELBOWS]
    along = (wrists - elbows) / (np.linalg.norm(wrists - elbows, axis=1, keepdims=True) + 1e-6)
    head, shoulders = head_of(points), _mean(points[None, _TRUNK[:2]])[0]
    up = np.nan_to_num((head - shoulders) / (np.linalg.norm(head - shoulders) + 1e-6))
    centre = head + up * 0.02 * height  # ears lie a little below the middle of the head
    places = np.concatenate([points, wrists + along * HAND * height, [centre, shoulders]]) - np.array([x0, y0])
    there = np.isfinite(places).all(axis=1)
    # OpenCV's fixed-point positions; clipped far outside the picture
    at = np.round(np.clip(np.where(there[:, None], places, 0), -4000, 4000) * 2**_SUB).astype(np.int32)
    known, drawn = there.tolist(), at.tolist()

    def stroke(a: int, b: int, radius: float) -> None:
        if known[a] and known[b]:
            cv2.line(canvas, drawn[a], drawn[b], 255, max(1, round(2 * radius * unit)), cv2.LINE_8, _SUB)

    for number, (a, b, radius) in enumerate(_DRAWN):
        if without is None or not without[number]:
            stroke(a, b, radius)
    for wrist, hand in zip(_WRISTS, (_HANDS, _HANDS + 1), strict=True):
        stroke(wrist, hand, 0.03)
    if there[_TRUNK].all():
        cv2.fillConvexPoly(canvas, cv2.convexHull(at[_TRUNK]), 255, cv2.LINE_8, _SUB)
    stroke(_HEAD, _HEAD, HEAD_RADIUS)
    stroke(_HEAD, _NECK, NECK_RADIUS)
    return canvas
