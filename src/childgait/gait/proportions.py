"""Measures proportions of a child's body in the picture, and gives keypoints the limb lengths of a mean child.

A proportion is a segment's median length over the frames of a recording, both sides together, over that of trunk,
thigh and shank. Proportions of one view are comparable with each other only: a shoulder's width is foreshortened from
the side. Every segment is scaled in its own direction, so that all angles between segments stay, and the sum of trunk,
thigh and shank stays, so that the child keeps its height in the picture.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses
from childgait.domain.skeleton import INDEX, POINTS

Floats = NDArray[np.float64]

SEGMENTS = (
    "trunk",
    "thigh",
    "shank",
    "pelvis",
    "shoulders",
    "neck",
    "upper arm",
    "forearm",
    "heel",
    "foot",
    "forefoot",
)
HEIGHT = [SEGMENTS.index(name) for name in ("trunk", "thigh", "shank")]
_HIPS, _SHOULDERS = len(POINTS), len(POINTS) + 1  # middles, appended to the points

# Parent, child and segment of each bone, from the hips outwards; a bone without a segment keeps its length.
_MIDDLE: tuple[tuple[int, int, str], ...] = (
    (_HIPS, _SHOULDERS, "trunk"),
    (_SHOULDERS, INDEX["nose"], "neck"),
    *((INDEX["nose"], INDEX[name], "") for name in ("left_eye", "right_eye", "left_ear", "right_ear")),
)
_OF_SIDE: tuple[tuple[str, str, str], ...] = (
    ("hips", "hip", "pelvis"),
    ("hip", "knee", "thigh"),
    ("knee", "ankle", "shank"),
    ("ankle", "heel", "heel"),
    ("heel", "big_toe", "foot"),
    ("big_toe", "small_toe", "forefoot"),
    ("middle", "shoulder", "shoulders"),
    ("shoulder", "elbow", "upper arm"),
    ("elbow", "wrist", "forearm"),
)


def _bones() -> tuple[tuple[int, int, str], ...]:
    middles = {"hips": _HIPS, "middle": _SHOULDERS}
    return _MIDDLE + tuple(
        (middles[parent] if parent in middles else INDEX[f"{side}_{parent}"], INDEX[f"{side}_{child}"], segment)
        for side in ("left", "right")
        for parent, child, segment in _OF_SIDE
    )


BONES = _bones()


def measure_proportions(xy: NDArray[np.floating]) -> Floats:
    """Return (SEGMENTS,) lengths over that of trunk, thigh and shank, of points (T, 23, 2); NaN where never visible."""
    points = _with_middles(xy)
    lengths: dict[str, list[Floats]] = {name: [] for name in SEGMENTS}
    for parent, child, segment in BONES:
        if segment:
            lengths[segment].append(np.linalg.norm(points[:, child] - points[:, parent], axis=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the median of NaN is NaN, as intended
        medians = np.array([np.nanmedian(np.concatenate(lengths[name] or [np.array([np.nan])])) for name in SEGMENTS])
    return np.asarray(medians / medians[HEIGHT].sum())


def mean_proportions(proportions: Floats) -> Floats:
    """Return the mean child's proportions (SEGMENTS,) of those of many recordings of one plane (N, SEGMENTS)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a segment that no recording shows
        mean = np.nanmean(proportions, axis=0)
    return np.asarray(mean / mean[HEIGHT].sum())


def move_limb_lengths(poses: Poses, proportions: Floats, strength: float) -> Poses:
    """Move the limb lengths of a recording towards `proportions`, by a strength from 0 (unchanged) to 1 (equal).

    A segment that the recording or the mean child lacks keeps its length. A point whose parent is missing moves with
    the nearest ancestor.
    """
    own = measure_proportions(poses.xy)
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = 1 - strength + strength * proportions / own
    factor = np.where(np.isfinite(factor), factor, 1.0)
    points = _with_middles(poses.xy)
    shift = np.zeros_like(points)
    for parent, child, segment in BONES:
        longer = (factor[SEGMENTS.index(segment)] - 1 if segment else 0.0) * (points[:, child] - points[:, parent])
        shift[:, child] = shift[:, parent] + np.nan_to_num(longer)
    moved = poses.xy + shift[:, : len(POINTS)]
    return replace(poses, xy=moved.astype(np.float32))


def _with_middles(xy: NDArray[np.floating]) -> Floats:
    """Append the middle of the hips and of the shoulders to the points, in double precision."""
    points = xy.astype(np.float64)
    middles = [
        points[:, [INDEX[f"left_{name}"], INDEX[f"right_{name}"]]].mean(axis=1, keepdims=True)
        for name in ("hip", "shoulder")
    ]
    return np.concatenate([points, *middles], axis=1)
