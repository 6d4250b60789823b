"""Measures how much of the child lies under covers, per frame: of the body below the neck, and of each leg.

Reads the covers of `deidentify`, the child's masks and boxes of `segment` and the refined keypoints. A mask alone would
miss what matters most: an embedded model does not see the child below a cover. So the body is also sampled along its
limbs, with keypoints interpolated over time; where there are none, its box is, held at its last place for as long as
the child has not left through the picture's edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses
from childgait.domain.skeleton import INDEX
from childgait.files.masks import Masks
from childgait.gait.filters import runs_of_true
from childgait.vision.capsules import STROKES

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]

NECK = 0.2  # of the box's height, where no shoulder is known: the head of a small child
SAMPLES = 7  # points per limb
KNOWN = 0.5  # share of the limbs, by area, that must have a position; else the box is used
MIN_AREA = 0.3  # of the median mask, below which a mask is a remainder
EDGE = 2.0  # pixels from the picture's edge at which a child may be leaving
LEG = ("hip", "knee", "ankle", "heel", "big_toe")
_FROM = np.array([INDEX[a] for a, _, _, _ in STROKES])
_TO = np.array([INDEX[b] for _, b, _, _ in STROKES])
_RADIUS = np.array([radius for _, _, radius, _ in STROKES])
_SHOULDERS = [INDEX["left_shoulder"], INDEX["right_shoulder"]]
_LEGS = np.array(
    [
        [a.startswith(side) and a.split("_", 1)[1] in LEG and b.split("_", 1)[1] in LEG for a, b, _, _ in STROKES]
        for side in ("left", "right")
    ]
)


@dataclass(frozen=True)
class CoveredShares:
    """Shares of the child under covers in every frame; 0 where there is no child or no cover."""

    body: Floats  # (T,) of the body below the neck
    legs: Floats  # (T, 2) of the left and of the right leg
    present: NDArray[np.bool_]  # (T,) whether the child is in the picture

    @property
    def largest(self) -> Floats:
        """(T,) the largest of the three."""
        return np.maximum(self.body, self.legs.max(axis=1))


def boxes_by_frame(regions: pl.DataFrame) -> dict[int, Floats]:
    """Return the covers (n, 4) of every frame with a cover, from the table REGIONS."""
    corners = regions.select("x0", "y0", "x1", "y1").to_numpy().astype(np.float64)
    frames = regions["frame"].to_numpy()
    return {int(frame): corners[frames == frame] for frame in np.unique(frames)}


def measure_covers(poses: Poses, corners: Floats, masks: Masks, covers: Mapping[int, Floats]) -> CoveredShares:
    """Return the covered shares. `corners` (T, 4) is the child's box, NaN where unknown; `covers` as boxes_by_frame."""
    places = hold_boxes(corners, masks.shape)
    points = _interpolate(np.where(poses.seen[..., None], poses.xy, np.nan).astype(np.float64))
    areas = [masks[frame].sum() if frame in covers else 0 for frame in range(len(poses))]
    usual = float(np.median([area for area in areas if area] or [0]))
    body, legs = np.zeros(len(poses)), np.zeros((len(poses), 2))
    for frame, boxes in covers.items():
        box = places[frame]
        if not np.isfinite(box).all() or not _meets(box, boxes):
            continue
        shares = _share_of_limbs(points[frame], boxes)
        if shares is None:
            shares = _share_of_box(box, boxes)
        body[frame], legs[frame] = shares
        if areas[frame] > MIN_AREA * usual:
            body[frame] = max(body[frame], _share_of_mask(masks[frame], _neck(points[frame], box), boxes))
    return CoveredShares(body, legs, np.asarray(np.isfinite(places).all(axis=1)))


def hold_boxes(corners: Floats, size: tuple[int, int]) -> Floats:
    """Return boxes (T, 4) with gaps interpolated, held before the first and after the last one inside the picture."""
    held = np.full(corners.shape, np.nan)
    known = np.flatnonzero(np.isfinite(corners).all(axis=1))
    if not len(known):
        return held
    first, last = int(known[0]), int(known[-1])
    begin = first if _at_edge(corners[first], size) else 0
    end = last if _at_edge(corners[last], size) else len(corners) - 1
    frames = np.arange(begin, end + 1)
    for side in range(4):
        held[begin : end + 1, side] = np.interp(frames, known, corners[known, side])
    return held


def _at_edge(box: Floats, size: tuple[int, int]) -> bool:
    return bool(box[:2].min() <= EDGE or box[2] >= size[1] - EDGE or box[3] >= size[0] - EDGE)


def _interpolate(points: Floats) -> Floats:
    """Return points (T, 23, 2) with gaps of any length interpolated; before and after a point's track stays NaN."""
    filled = points.copy()
    frames = np.arange(len(points))
    for joint in range(points.shape[1]):
        known = np.flatnonzero(np.isfinite(points[:, joint, 0]))
        if len(known) > 1:
            inside = (frames >= known[0]) & (frames <= known[-1])
            for axis in (0, 1):
                filled[inside, joint, axis] = np.interp(frames[inside], known, points[known, joint, axis])
    return filled


def _meets(box: Floats, covers: Floats) -> bool:
    low, high = np.maximum(box[:2], covers[:, :2]), np.minimum(box[2:], covers[:, 2:])
    return bool((low < high).all(axis=1).any())


def _neck(points: Floats, box: Floats) -> float:
    """Return the row of the shoulders, or where they are likely in a box."""
    shoulders = points[_SHOULDERS, 1]
    known = shoulders[np.isfinite(shoulders)]
    return float(known.mean()) if len(known) else float(box[1] + NECK * (box[3] - box[1]))


def _inside(points: Floats, covers: Floats) -> NDArray[np.bool_]:
    """Return which points (…, 2) lie under a cover."""
    under = (points[..., None, :] >= covers[:, :2]) & (points[..., None, :] < covers[:, 2:])
    return np.asarray(under.all(axis=-1).any(axis=-1))


def _share_of_limbs(points: Floats, covers: Floats) -> tuple[float, Floats] | None:
    """Return the covered shares of body and legs, sampled along the limbs; None where too few points are known."""
    start, end = points[_FROM], points[_TO]
    known = np.isfinite(start).all(axis=1) & np.isfinite(end).all(axis=1)
    if (_RADIUS * known).sum() < KNOWN * _RADIUS.sum():
        return None
    along = np.linspace(0, 1, SAMPLES)[:, None, None]
    under = _inside(start + along * (end - start), covers).mean(axis=0)
    weight = np.where(known, np.linalg.norm(end - start, axis=1) * _RADIUS, 0)
    body = float((weight * under)[known].sum() / max(weight.sum(), 1e-9))
    legs = [(weight * under)[leg & known].sum() / max(weight[leg].sum(), 1e-9) for leg in _LEGS]
    return body, np.array(legs, np.float64)


def _share_of_box(box: Floats, covers: Floats) -> tuple[float, Floats]:
    """Return the covered shares of a body of which only the box is known; both legs are its lower half."""
    rows = np.linspace(NECK, 1, 17)
    grid = np.stack(np.meshgrid(np.linspace(0.1, 0.9, 9), rows), axis=-1)
    under = _inside(box[:2] + grid * (box[2:] - box[:2]), covers)
    return float(under.mean()), np.full(2, under[rows > 0.5].mean())


def _share_of_mask(mask: NDArray[np.bool_], neck: float, covers: Floats) -> float:
    """Return the covered share of the mask's pixels below the neck."""
    top = int(np.clip(np.ceil(neck), 0, mask.shape[0]))
    below = mask[top:]
    free = below.copy()
    for x0, y0, x1, y1 in covers.astype(int).tolist():
        free[max(y0 - top, 0) : max(y1 - top, 0), max(x0, 0) : max(x1, 0)] = False
    total = int(below.sum())
    return 1 - int(free.sum()) / total if total else 0.0


def ranges_of(flags: NDArray[np.bool_]) -> list[str]:
    """Return the stretches of true as texts, first and last frame included: `40-61`, `70`."""
    return [str(a) if end - a == 1 else f"{a}-{end - 1}" for a, end in runs_of_true(flags)]
