"""Measures the quality of a mask: its area against the frame before, its pieces, and the keypoints inside it.

Reads one mask; returns the columns of FRAMES (files/masks.py) from `x0` on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from childgait.domain.poses import Poses
from childgait.files.masks import Mask, MaskQuality

if TYPE_CHECKING:
    from childgait.params import Segment

NEAR = 0.02  # of the box's height, by which a keypoint may lie outside: keypoints are inexact
SMALLEST = 0.002  # share of the mask from which a piece counts


def measure_mask(mask: Mask, area_before: int, poses: Poses | None, frame: int, params: Segment) -> MaskQuality:
    """Return the quality of one frame's mask. A frame without a child passes, unless it has confident keypoints."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    if not len(rows):
        sure = 0 if poses is None else joints_in(mask, poses, frame, params.min_score)[1]
        return {
            "x0": None,
            "y0": None,
            "x1": None,
            "y1": None,
            "area": 0,
            "area_jump": None,
            "border": False,
            "joints_inside": 0.0 if sure else None,
            "pieces": 0,
            "ok": not sure,
        }
    x0, x1, y0, y1 = int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1
    part = np.ascontiguousarray(mask[y0:y1, x0:x1]).view(np.uint8)
    area = int(part.sum())
    jump = abs(math.log(area / area_before)) if area_before else None
    pieces = len(cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0])
    if pieces > 1:  # only then measure their sizes: labelling pixels is slow
        _, _, facts, _ = cv2.connectedComponentsWithStats(part, connectivity=8)
        pieces = int((facts[1:, cv2.CC_STAT_AREA] >= SMALLEST * area).sum())
    border = x0 == 0 or y0 == 0 or x1 == width or y1 == height
    share = None
    if poses is not None:
        margin = max(1, round(NEAR * (y1 - y0)))
        wide = cv2.copyMakeBorder(part, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
        wide = cv2.dilate(wide, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1)))
        hits, sure = joints_in(wide > 0, poses, frame, params.min_score, (x0 - margin, y0 - margin), (width, height))
        share = hits / sure if sure else None
    ok = (
        (jump is None or border or jump <= params.max_area_jump)
        and (share is None or share >= params.min_joints_inside)
        and pieces <= params.max_pieces
    )
    return {
        "x0": float(x0),
        "y0": float(y0),
        "x1": float(x1),
        "y1": float(y1),
        "area": area,
        "area_jump": jump,
        "border": border,
        "joints_inside": share,
        "pieces": pieces,
        "ok": ok,
    }


def joints_in(
    part: Mask,
    poses: Poses,
    frame: int,
    min_score: float,
    origin: tuple[int, int] = (0, 0),
    picture: tuple[int, int] | None = None,
) -> tuple[int, int]:
    """Return the numbers of confident keypoints inside a mask and inside the picture.

    The mask may be a part of the picture, from `origin` on.
    """
    width, height = picture or (part.shape[1], part.shape[0])
    sure = poses.seen[frame] & (poses.score[frame] >= min_score)
    at = np.round(poses.xy[frame][sure]).astype(int)
    at = at[(at >= 0).all(axis=1) & (at[:, 0] < width) & (at[:, 1] < height)]
    local = at - origin
    there = (local >= 0).all(axis=1) & (local[:, 0] < part.shape[1]) & (local[:, 1] < part.shape[0])
    return int(part[local[there, 1], local[there, 0]].sum()), len(at)
