"""Where heads are when no face is seen: from delivered keypoints, from moving silhouettes; and how big a head is.

All measures are shares of the head's height or of the face's. They are generous: a child's head is 14 (at twelve) to
20 (at two) hundredths of its height, its face box about seven tenths of the head, hair comes on top, and in profile the
head reaches a face's height behind the face. Boxes are x0, y0, x1, y1 in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.gait.skeleton import HEAD, INDEX

Box = NDArray[np.float64]  # (4,) or (N, 4)

_SHOULDERS = [INDEX["left_shoulder"], INDEX["right_shoulder"]]
_HIPS = [INDEX["left_hip"], INDEX["right_hip"]]
_ANKLES = [INDEX["left_ankle"], INDEX["right_ankle"]]
_EARS = [INDEX["left_ear"], INDEX["right_ear"]]


def head_of_face(face: Box) -> Box:
    """The whole head of face boxes (N, 4): above it the hair, beside it a profile's back."""
    centre, height = (face[:, :2] + face[:, 2:]) / 2, face[:, 3] - face[:, 1]
    half = np.maximum(0.85 * height, 0.9 * (face[:, 2] - face[:, 0]))
    x, y = centre.T
    return np.stack([x - half, y - 0.95 * height, x + half, y + 0.7 * height], axis=1)


def person_of_head(head: Box) -> Box:
    """Where the rest of somebody may be whose head is here, arms and legs spread."""
    x, height = (head[0] + head[2]) / 2, head[3] - head[1]
    return np.array([x - 2.2 * height, head[1] - 0.5 * height, x + 2.2 * height, head[1] + 7.5 * height])


# --- keypoints ------------------------------------------------------------------------------------------------------


def heads_of_keypoints(people: list[NDArray[np.float32]], least: float) -> list[NDArray[np.float64]]:
    """For each frame's people (n, 23, 3) the heads that can be told, (m, 5) with the mean score of what told them."""
    return [_rows([_head_of_points(person, least) for person in frame]) for frame in people]


def _rows(found: list[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    return np.array([one for one in found if one is not None], np.float64).reshape(-1, 5)


def _mean(points: NDArray[np.float64], which: list[int], known: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    use = [index for index in which if known[index]]
    return points[use].mean(axis=0) if use else None


def _head_of_points(person: NDArray[np.float32], least: float) -> NDArray[np.float64] | None:
    points, score = person[:, :2].astype(np.float64), person[:, 2]
    known = np.isfinite(points).all(axis=1) & (score >= least)
    shoulders, hips, ankles = (_mean(points, which, known) for which in (_SHOULDERS, _HIPS, _ANKLES))
    seen = [index for index in HEAD if known[index]]
    height = _head_height(points[seen], shoulders, hips, ankles)
    if height is None:
        return None
    if seen:
        ears = _mean(points, _EARS, known)
        centre = points[seen].mean(axis=0) if ears is None else ears
        # Without an ear the middle of the head is unknown by half a profile.
        half = max((0.8 if ears is None else 0.6) * height, np.abs(points[seen, 0] - centre[0]).max() + 0.15 * height)
        top = min(points[seen, 1].min() - 0.5 * height, centre[1] - 0.68 * height)
        bottom = max(points[seen, 1].max() + 0.3 * height, centre[1] + 0.58 * height)
    elif shoulders is not None and hips is not None:  # the head points are missing: up along the trunk
        up = (shoulders - hips) / max(float(np.linalg.norm(shoulders - hips)), 1e-6)
        centre, half = shoulders + 0.75 * height * up, 0.9 * height
        top, bottom = centre[1] - 0.9 * height, centre[1] + 0.7 * height
        seen = [index for index in (*_SHOULDERS, *_HIPS) if known[index]]
    else:
        return None
    return np.array([centre[0] - half, top, centre[0] + half, bottom, min(float(score[seen].mean()), 1.0)])


def _head_height(
    head: NDArray[np.float64], shoulders: NDArray[np.float64] | None, hips: NDArray[np.float64] | None,
    ankles: NDArray[np.float64] | None,
) -> float | None:  # fmt: skip
    """The largest of what trunk, stature and neck say of the head's height; None if nothing tells."""
    told = []
    if shoulders is not None and hips is not None:
        told.append(0.6 * float(np.linalg.norm(shoulders - hips)))
    if len(head) and ankles is not None:
        told.append(0.19 * float(np.linalg.norm(head.mean(axis=0) - ankles)))
    if len(head) and shoulders is not None:
        told.append(0.8 * float(np.linalg.norm(head.mean(axis=0) - shoulders)))
    if len(head) > 2:
        told.append(1.3 * float(np.ptp(head, axis=0).max()))
    return max(told) if told else None


# --- silhouettes ----------------------------------------------------------------------------------------------------


@dataclass
class Silhouettes:
    """Who moves, seen small: boxes of their heads (m, 5) a frame, and whether the camera stood still enough to tell."""

    heads: list[NDArray[np.float64]]
    still: bool


def shrink(luma: NDArray[np.uint8], width: int = 320) -> NDArray[np.uint8]:
    """A frame's luma as `find_silhouettes` wants it: at most that wide, smoothed against noise."""
    scale = min(1.0, width / luma.shape[1])
    size = (round(luma.shape[1] * scale), round(luma.shape[0] * scale))
    return np.asarray(cv2.GaussianBlur(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), (3, 3), 0))


def find_silhouettes(
    small: list[NDArray[np.uint8]], seconds: NDArray[np.float64], scale: float, difference: float, least_height: float
) -> Silhouettes:
    """Heads at the top of what moves. `scale`: pixels of the video for one of `small`.

    A pixel moves if it differs from most of the frames 0.13 to 0.7 seconds before and after it: unlike a background
    of the whole video this still works for a child who walks towards the lens and never leaves the middle. Nothing is
    kept: a background plate would show bystanders more clearly than any frame.
    """
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
    lags = sorted({max(1, round(lag / step)) for lag in (0.13, 0.27, 0.43, 0.7)})
    height = small[0].shape[0]
    close = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 13))
    thin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    heads, shares = [], []
    for index, frame in enumerate(small):
        others = [small[index + d] for lag in lags for d in (-lag, lag) if 0 <= index + d < len(small)]
        votes = np.zeros(frame.shape, np.uint8)
        for other in others:
            votes += cv2.absdiff(frame, other) > difference
        moving = (votes * 2 > len(others)).astype(np.uint8) if others else votes
        moving = cv2.morphologyEx(cv2.morphologyEx(moving, cv2.MORPH_OPEN, thin), cv2.MORPH_CLOSE, close)
        shares.append(float(moving.mean()))
        heads.append(_tops(moving, least_height * height) * np.array([scale, scale, scale, scale, 1.0]))
    # A panning camera moves everything; a child close to the lens fills a good part, but not most of most frames.
    return Silhouettes(heads, bool(np.median(shares) < 0.4))


def _tops(moving: NDArray[np.uint8], least: float) -> NDArray[np.float64]:
    """The head at the top of every upright moving figure: its column from the top rows, its size from its height."""
    count, labels, facts, _ = cv2.connectedComponentsWithStats(moving, connectivity=8)
    found = []
    for number in range(1, count):
        left, top, wide, tall, area = facts[number].tolist()
        if tall < least or tall < 1.1 * wide or area < 0.15 * wide * tall:
            continue
        part = labels[top : top + max(round(0.13 * tall), 1), left : left + wide] == number
        columns = np.flatnonzero(part.any(axis=0))
        x = left + (columns[0] + columns[-1] + 1) / 2
        half = min(max(0.11 * tall, (columns[-1] - columns[0] + 1) / 2 + 0.02 * tall), 0.16 * tall)
        found.append(np.array([x - half, top - 0.02 * tall, x + half, top + 0.2 * tall, area / (wide * tall)]))
    return np.array(found, np.float64).reshape(-1, 5)
