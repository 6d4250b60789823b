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

from childgait.domain.skeleton import HEAD, INDEX
from childgait.gait.filters import low_pass

Box = NDArray[np.float64]  # (4,) or (N, 4)

_SHOULDERS = [INDEX["left_shoulder"], INDEX["right_shoulder"]]
_HIPS = [INDEX["left_hip"], INDEX["right_hip"]]
_ANKLES = [INDEX["left_ankle"], INDEX["right_ankle"]]
_EARS = [INDEX["left_ear"], INDEX["right_ear"]]


def head_of_face(face: Box) -> Box:
    """The whole head of face boxes (N, 4): above it the hair, beside it a profile's back."""
    centre, height = (face[:, :2] + face[:, 2:]) / 2, face[:, 3] - face[:, 1]
    half = np.maximum(0.92 * height, 0.95 * (face[:, 2] - face[:, 0]))
    x, y = centre.T
    return np.stack([x - half, y - 1.02 * height, x + half, y + 0.75 * height], axis=1)


def person_of_head(head: Box) -> Box:
    """Where the rest of somebody may be whose head is here, arms and legs spread."""
    x, height = (head[0] + head[2]) / 2, head[3] - head[1]
    return np.array([x - 2.2 * height, head[1] - 0.5 * height, x + 2.2 * height, head[1] + 7.5 * height])


def body_of_head(head: Box) -> Box:
    """Where the body below heads (N, 4) surely is: no wider than its shoulders."""
    x, height = (head[:, 0] + head[:, 2]) / 2, head[:, 3] - head[:, 1]
    return np.stack([x - 1.2 * height, head[:, 1], x + 1.2 * height, head[:, 1] + 7.5 * height], axis=1)


# --- keypoints ------------------------------------------------------------------------------------------------------

_STRIDE = 2.0  # head heights that the middle of a body moves at most from one frame to the next it is seen in
_STEADY = 0.5  # seconds on either side over which a head's size is steady
_QUICK = 0.08  # ... over which its edges are
_NEAR = 0.15  # ... over which its place is: medians of so long resist points that jump


_BOB_HZ = 3.0  # a head bobs twice a stride; what is faster are the points' errors, and a cover must hold their extremes


@dataclass
class Skeleton:
    """One person's keypoints as far as they tell of the head: boxes (T, 4), NaN where nothing tells."""

    head: NDArray[np.float64]
    body: NDArray[np.float64]  # around all trusted points
    score: NDArray[np.float64]


def skeletons(people: list[NDArray[np.float32]], seconds: NDArray[np.float64], least: float) -> list[Skeleton]:
    """Everybody's head and body over time from each frame's keypoints (n, 23, 3); points that jump are left out."""
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
    found = []
    for person in _persons(people, least):
        points, score = person[..., :2].astype(np.float64), person[..., 2]
        known = np.isfinite(points).all(axis=2) & (score >= least)
        points[~known] = np.nan
        height = rolling(_head_heights(points), round(_STEADY / step), moving=False)
        place = np.stack([rolling(axis, round(_NEAR / step)) for axis in _head_places(points, height).T], axis=1)
        far = np.linalg.norm(points[:, HEAD] - place[:, None], axis=2) > 0.65 * height[:, None]
        points[:, HEAD] = np.where(far[..., None], np.nan, points[:, HEAD])
        head = np.array([_head_box(*one) for one in zip(points, place, height, strict=True)])
        head = np.stack([rolling(edge, round(_QUICK / step)) for edge in head.T], axis=1)
        for first, end in _known_runs(head[:, 0]):
            head[first:end] = low_pass(head[first:end], seconds[first:end], _BOB_HZ)
        found.append(
            Skeleton(head, _bodies(points, height), np.where(np.isfinite(head[:, 0]), _scores(score, known), 0))
        )
    return found


def _persons(people: list[NDArray[np.float32]], least: float) -> list[NDArray[np.float32]]:
    """Each person as (T, 23, 3), NaN where absent: frames are joined by the middle of the body, which no point moves."""
    found: list[NDArray[np.float32]] = []
    middles: list[tuple[NDArray[np.float64], float]] = []
    for frame, rows in enumerate(people):
        free = set(range(len(found)))
        for row in rows:
            known = np.isfinite(row[:, :2]).all(axis=1) & (row[:, 2] >= least)
            if known.sum() < 4:
                continue
            middle = np.median(row[known, :2], axis=0).astype(np.float64)
            reach = max(float(np.median(np.abs(row[known, 1] - middle[1]))), 2.0)  # about a third of the body
            near = sorted((float(np.linalg.norm(middles[n][0] - middle)) / min(middles[n][1], reach), n) for n in free)
            if near and near[0][0] < _STRIDE:
                number = near[0][1]
                free.discard(number)
                middles[number] = (middle, reach)
            else:
                number = len(found)
                found.append(np.full((len(people), *row.shape), np.nan, np.float32))
                middles.append((middle, reach))
            found[number][frame] = row
    return found


def _known_runs(values: NDArray[np.float64]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.isfinite(values).astype(np.int8), prepend=0, append=0))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def rolling(values: NDArray[np.float64], reach: int, *, moving: bool = True) -> NDArray[np.float64]:
    """Running median over `reach` values on either side, NaN left out and filled where a neighbour is known.

    At both ends the window of what moves shrinks to stay even-sided: a lopsided one would lag behind.
    """
    import warnings

    padded = np.pad(values, reach, constant_values=np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a window of nothing is NaN, as it should be
        found = np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1)
        for index in range(min(reach, len(values) // 2) if moving else 0):
            found[index] = np.nanmedian(values[: 2 * index + 1])
            found[-1 - index] = np.nanmedian(values[len(values) - 1 - 2 * index :])
    return np.asarray(found)


def lowest(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Running minimum over `reach` values on either side, NaN left out."""
    padded = np.pad(np.where(np.isnan(values), np.inf, values), reach, constant_values=np.inf)
    found = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).min(axis=1)
    return np.asarray(np.where(np.isfinite(found), found, np.nan))


def _middle(points: NDArray[np.float64], which: list[int]) -> NDArray[np.float64]:
    """Mean of those of the points that are known, (T, 2)."""
    part = points[:, which]
    count = np.isfinite(part[..., 0]).sum(axis=1)
    return np.asarray(np.where(count[:, None] > 0, np.nansum(part, axis=1) / np.maximum(count, 1)[:, None], np.nan))


def _head_heights(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """What trunk, stature and neck say of the head's height: the median of them, a little above what is usual."""
    import warnings

    head, shoulders, hips, ankles = (_middle(points, which) for which in (list(HEAD), _SHOULDERS, _HIPS, _ANKLES))
    pairs = ((shoulders, hips, 0.58), (head, ankles, 0.19), (head, shoulders, 1.2))
    told = np.stack([share * np.linalg.norm(a - b, axis=1) for a, b, share in pairs], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(told, axis=1))


def _head_places(points: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the head is: the median of its points; where there is none, up along the trunk."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        seen = np.nanmedian(points[:, HEAD], axis=1)
    shoulders, hips = _middle(points, _SHOULDERS), _middle(points, _HIPS)
    up = (shoulders - hips) / np.maximum(np.linalg.norm(shoulders - hips, axis=1, keepdims=True), 1e-6)
    return np.asarray(np.where(np.isfinite(seen), seen, shoulders + 0.85 * height[:, None] * up))


def _head_box(points: NDArray[np.float64], place: NDArray[np.float64], height: float) -> NDArray[np.float64]:
    """The whole head of one frame; NaN if neither a head point nor the trunk is known."""
    known: list[bool] = np.isfinite(points[:, 0]).tolist()
    seen = [index for index in HEAD if known[index]]
    if not np.isfinite(height):
        return np.full(4, np.nan)
    if not seen:
        trunk = any(known[i] for i in _SHOULDERS) and any(known[i] for i in _HIPS)
        if not trunk or not np.isfinite(place).all():
            return np.full(4, np.nan)
        return np.concatenate([place - 0.8 * height, place + 0.8 * height])
    ears = [index for index in _EARS if known[index]]
    middle = points[ears or seen].mean(axis=0)
    # Without an ear the middle of the head is unknown by half a profile.
    half = max((0.5 if ears else 0.75) * height, np.abs(points[seen, 0] - middle[0]).max() + 0.12 * height)
    top = min(middle[1] - 0.62 * height, points[seen, 1].min() - 0.45 * height)
    bottom = max(middle[1] + 0.6 * height, points[seen, 1].max() + 0.3 * height)
    return np.array([middle[0] - half, top, middle[0] + half, bottom])


def _bodies(points: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Around all points of a frame that are not far off, and half a head more."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        middle = np.nanmedian(points, axis=1)
        far = np.abs(points - middle[:, None]).max(axis=2) > 5 * height[:, None]
        trusted = np.where(far[..., None], np.nan, points)
        low, high = np.nanmin(trusted, axis=1), np.nanmax(trusted, axis=1)
    return np.column_stack([low - height[:, None] / 2, high + height[:, None] / 2])


def _scores(score: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    count = known[:, HEAD].sum(axis=1)
    total = np.where(known[:, HEAD], score[:, HEAD], 0).sum(axis=1)
    return np.asarray(np.minimum(np.where(count > 0, total / np.maximum(count, 1), 0.0), 1.0))


# --- silhouettes ----------------------------------------------------------------------------------------------------


@dataclass
class Silhouettes:
    """Who moves: boxes of moving figures (n, 5) a frame, the places of their heads, and whether the camera stood still.

    `tops` holds for each box of `figures` the middle and half the width of what is at its top.
    """

    figures: dict[int, NDArray[np.float64]]
    tops: dict[int, NDArray[np.float64]]
    still: bool


def shrink(luma: NDArray[np.uint8], width: int = 320) -> NDArray[np.uint8]:
    """A frame's luma as `find_silhouettes` wants it: at most that wide, smoothed against noise."""
    scale = min(1.0, width / luma.shape[1])
    size = (round(luma.shape[1] * scale), round(luma.shape[0] * scale))
    return np.asarray(cv2.GaussianBlur(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), (3, 3), 0))


def find_silhouettes(
    small: list[NDArray[np.uint8]],
    seconds: NDArray[np.float64],
    scale: float,
    difference: float,
    least_height: float,
    known: list[NDArray[np.float64]],
) -> Silhouettes:
    """What moves, in boxes. `scale`: pixels of the video for one of `small`; `known`: bodies (T, 4) to look past.

    A pixel moves if it differs from nearly all of the frames 0.2 to 1.2 seconds before it, or after it: unlike a
    background of the whole video this still works for somebody who walks along the lens and never leaves the middle;
    around such a figure lies a seam of where it was or will be. Nothing is kept: a background plate would show
    bystanders more clearly than any frame.
    """
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
    lags = sorted({max(1, round(lag / step)) for lag in (0.2, 0.4, 0.8, 1.2)})
    close = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 11))
    thin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    figures, tops, shares = {}, {}, []
    for index, frame in enumerate(small):
        moving = np.zeros(frame.shape, np.uint8)
        for way in (-1, 1):
            others = [small[index + way * lag] for lag in lags if 0 <= index + way * lag < len(small)]
            votes = [cv2.threshold(cv2.absdiff(frame, other), difference, 1, cv2.THRESH_BINARY)[1] for other in others]
            if len(votes) > 1 or len(lags) == 1:
                moving |= (np.sum(votes, axis=0, dtype=np.uint8) * 4 >= 3 * len(votes)).astype(np.uint8)
        moving = cv2.morphologyEx(cv2.morphologyEx(moving, cv2.MORPH_OPEN, thin), cv2.MORPH_CLOSE, close)
        shares.append(float(moving.mean()))
        for body in known:
            if np.isfinite(body[index, 0]):
                x0, y0, x1, y1 = (body[index] / scale).round().astype(int).clip(0)
                moving[y0:y1, x0:x1] = 0
        figures[index], tops[index] = _figures(moving, least_height * frame.shape[0], scale)
    # A child close to the lens fills a good part of the picture, but not most of most frames.
    return Silhouettes(figures, tops, bool(np.median(shares) < 0.4) and _stands_still(small))


def _stands_still(small: list[NDArray[np.uint8]]) -> bool:
    """Whether the camera did: most blocks of the picture that show something show the same in a dozen other frames.

    Blocks and not corners: before a plain wall the walker has more corners than the room.
    """
    middle = small[len(small) // 2].astype(np.float32)
    blocks = (middle.shape[1] // 16, middle.shape[0] // 16)

    def mean(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(picture, blocks, interpolation=cv2.INTER_AREA))

    spread = np.sqrt(np.maximum(mean(middle * middle) - mean(middle) ** 2, 0))
    shows = spread > 3
    if shows.sum() < 10:
        return True  # nothing that could be seen to move
    same = [(mean(np.abs(middle - other)) < 3 + 0.5 * spread)[shows].mean() for other in small[:: len(small) // 12 + 1]]
    return bool(np.quantile(same, 0.2) > 0.5)


def _figures(moving: NDArray[np.uint8], least: float, scale: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes of the upright moving things, and the middle and half width of each one's top.

    Pieces that stand over one another, as a head, a shirt and two legs do, are one thing.
    """
    count, _, facts, _ = cv2.connectedComponentsWithStats(moving, connectivity=8)
    pieces = [facts[number, :4].tolist() for number in range(1, count) if facts[number, cv2.CC_STAT_AREA] >= 12]
    columns: list[list[int]] = []  # left, top, right, bottom
    for left, top, wide, tall in sorted(pieces, key=lambda piece: -piece[2] * piece[3]):
        for column in columns:
            shared = min(left + wide, column[2]) - max(left, column[0])
            apart = max(top - column[3], column[1] - top - tall)
            if shared >= 0.5 * min(wide, column[2] - column[0]) and apart < 0.5 * (column[3] - column[1]):
                column[:2] = min(left, column[0]), min(top, column[1])
                column[2:] = max(left + wide, column[2]), max(top + tall, column[3])
                break
        else:
            columns.append([left, top, left + wide, top + tall])
    boxes, tops = [], []
    for left, top, right, bottom in columns:
        tall = bottom - top
        if tall < least or tall < 1.1 * (right - left):
            continue
        part = moving[top : top + max(round(0.15 * tall), 1), left:right]
        across = left + np.flatnonzero(part.any(axis=0))
        boxes.append([left, top, right, bottom, 1.0])
        tops.append([(across[0] + across[-1] + 1) / 2, (across[-1] - across[0] + 1) / 2])
    size = np.array([scale, scale, scale, scale, 1.0])
    return np.array(boxes, np.float64).reshape(-1, 5) * size, np.array(tops, np.float64).reshape(-1, 2) * scale


def head_of_figure(figure: Box, top: NDArray[np.float64]) -> Box:
    """The head at the top of figures (N, 4), generously: a seam around them and a lost foot make their height unsure."""
    tall = figure[:, 3] - figure[:, 1]
    half = np.clip(top[:, 1], 0.11 * tall, 0.18 * tall)
    x, y = top[:, 0], figure[:, 1]
    return np.stack([x - half, y - 0.06 * tall, x + half, y + 0.25 * tall], axis=1)
