"""Head boxes without a detected face: from delivered keypoints and from moving silhouettes; and the size of a head.

All measures are shares of the height of the head or of the face. They are generous: the head of a child is 14 % (at
twelve) to 20 % (at two) of the body height, its face box about 70 % of the head; hair comes on top, and in profile the
head extends one face height behind the face. Boxes are x0, y0, x1, y1 in pixels.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import HEAD, INDEX
from childgait.gait.filters import low_pass, runs_of_true
from childgait.gait.linking import Chain, link

BoxArray = NDArray[np.float64]  # (4,) or (N, 4)

_SHOULDERS = [INDEX["left_shoulder"], INDEX["right_shoulder"]]
_HIPS = [INDEX["left_hip"], INDEX["right_hip"]]
_ANKLES = [INDEX["left_ankle"], INDEX["right_ankle"]]
_EARS = [INDEX["left_ear"], INDEX["right_ear"]]


_ABOVE_FACE, _BELOW_FACE = 1.02, 0.75  # face heights from a face's centre to the top and the bottom of its head
_BESIDE_FACE = 0.95  # face widths from there to either side of the head, at least


def head_of_face(face: BoxArray) -> BoxArray:
    """Return the whole head of face boxes (N, 4): above it the hair, beside it the back of the head in profile."""
    centre, height = (face[:, :2] + face[:, 2:]) / 2, face[:, 3] - face[:, 1]
    half = np.maximum(0.92 * height, _BESIDE_FACE * (face[:, 2] - face[:, 0]))
    x, y = centre.T
    return np.stack([x - half, y - _ABOVE_FACE * height, x + half, y + _BELOW_FACE * height], axis=1)


def face_of_head(head: BoxArray) -> BoxArray:
    """Return boxes (N, 4) that contain the faces whose `head_of_face` is given, as wide as these can be."""
    height = (head[:, 3] - head[:, 1]) / (_ABOVE_FACE + _BELOW_FACE)
    half = (head[:, 2] - head[:, 0]) / 2 / _BESIDE_FACE / 2
    x, y = (head[:, 0] + head[:, 2]) / 2, head[:, 1] + _ABOVE_FACE * height
    return np.stack([x - half, y - height / 2, x + half, y + height / 2], axis=1)


def person_of_head(head: BoxArray) -> BoxArray:
    """Return the box (4,) that contains the whole person below a head, with arms and legs spread."""
    x, height = (head[0] + head[2]) / 2, head[3] - head[1]
    return np.array([x - 2.2 * height, head[1] - 0.5 * height, x + 2.2 * height, head[1] + 7.5 * height])


def body_of_head(head: BoxArray) -> BoxArray:
    """Return the boxes (N, 4) that the body below heads fills for certain: no wider than the shoulders."""
    x, height = (head[:, 0] + head[:, 2]) / 2, head[:, 3] - head[:, 1]
    return np.stack([x - 1.2 * height, head[:, 1], x + 1.2 * height, head[:, 1] + 7.5 * height], axis=1)


def below_neck(head: BoxArray, body: BoxArray) -> BoxArray:
    """Return the part (T, 4) of body boxes of `boxes_of_keypoints` below the head, without their margin."""
    margin = 0.4 * (head[:, 3] - head[:, 1])
    return np.column_stack([body[:, 0] + margin, head[:, 3], body[:, 2] - margin, body[:, 3] - margin])


def frames_inside(points: NDArray[np.float64], box: BoxArray) -> int:
    """Return the number of frames in which most known points (T, 23, 2) lie in the box (T, 4)."""
    inside = ((points >= box[:, None, :2]) & (points < box[:, None, 2:])).all(axis=2).sum(axis=1)
    known = np.isfinite(points[..., 0]).sum(axis=1)
    return int(((known > 0) & (2 * inside > known)).sum())


# --- keypoints ------------------------------------------------------------------------------------------------------

_MAX_STEP = 2.0  # head heights by which the centre of a body moves at most between two frames that contain it
_SIZE_SECONDS = 0.5  # half window of the running median of a head's size
_EDGE_SECONDS = 0.08  # ... of the edges of its box
_PLACE_SECONDS = 0.15  # ... of its position: medians over so long resist outliers
_FAR = 0.65  # head heights from its position, from which a point or an outline is not of this head
_BACK, _MAX_BACK = 1.0, 0.25  # head heights by which a head in profile extends backwards: per turn, and at most
_FRONT = 0.5  # share of that by which its box is shorter in front, where it still contains all points
_LEAST = 0.85  # share of the size by keypoints that a head has at least whose outline is known
_OFF_PATH = 0.3  # head heights from where its neighbours in time suggest it, from which a box may be of somebody else
_BOB_HZ = 3.0  # a head bobs twice per stride; faster movement is keypoint error, and a cover must contain its extremes


@dataclass
class PersonBoxes:
    """Boxes of one person from keypoints: head and body (T, 4), NaN where unknown, and the head's score (T,)."""

    head: NDArray[np.float64]
    body: NDArray[np.float64]  # around all points that are not outliers
    score: NDArray[np.float64]


def boxes_of_keypoints(
    people: list[NDArray[np.float32]], seconds: NDArray[np.float64], min_score: float
) -> list[PersonBoxes]:
    """Return the head and body boxes of every person from the keypoints (n, 23, 3) of each frame, without outliers."""
    return [boxes_of_person(points, seconds, min_score) for points in _link_people(people, min_score)]


def boxes_of_person(
    person: NDArray[np.float32], seconds: NDArray[np.float64], min_score: float, outlines: BoxArray | None = None
) -> PersonBoxes:
    """Return the head and body boxes of one person's keypoints (T, 23, 3), NaN where absent, without outliers.

    With the `outlines` (T, 4) of `head_outline`, a head contains its outline and less beside it than without one, and
    in profile it extends further behind the ears than before them.
    """
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
    points, score = person[..., :2].astype(np.float64), person[..., 2]
    confident = np.isfinite(points).all(axis=2) & (score >= min_score)
    points[~confident] = np.nan
    height = running_nanmedian(_head_heights(points), round(_SIZE_SECONDS / step), shrink_ends=False)
    place = _running_columns(_head_places(points, height), round(_PLACE_SECONDS / step))
    outlier = np.linalg.norm(points[:, HEAD] - place[:, None], axis=2) > _FAR * height[:, None]
    points[:, HEAD] = np.where(outlier[..., None], np.nan, points[:, HEAD])
    turn = _head_turns(points, height, round(_PLACE_SECONDS / step)) if outlines is not None else np.zeros(len(points))
    head = _head_boxes(points, place, height, turn)
    head = _running_columns(head, round(_EDGE_SECONDS / step))
    for first, end in runs_of_true(np.isfinite(head[:, 0])):
        head[first:end] = low_pass(head[first:end], seconds[first:end], _BOB_HZ)
    if outlines is not None:
        middle = (outlines[:, :2] + outlines[:, 2:]) / 2
        known = np.linalg.norm(middle - place, axis=1) <= _FAR * height  # else it is the head of somebody else
        least = _head_boxes(points, place, _LEAST * height, turn)  # not smoothed, which would miss fast movements
        head[known, :2] = np.fmin(least, outlines)[known, :2]
        head[known, 2:] = np.fmax(least, outlines)[known, 2:]
        head = _cover_path(head, seconds)
    return PersonBoxes(
        head, _body_boxes(points, height), np.where(np.isfinite(head[:, 0]), _head_scores(score, confident), 0)
    )


class _Body(NamedTuple):
    """The keypoints (23, 3) of one person in one frame; their median, which no single point moves, and their spread."""

    points: NDArray[np.float32]
    centre: NDArray[np.float64]
    spread: float  # pixels; about a third of the body height


def _link_people(people: list[NDArray[np.float32]], min_score: float) -> list[NDArray[np.float32]]:
    """Return the points of each person over all frames, (T, 23, 3), NaN where absent."""

    def bodies() -> Iterator[tuple[int, list[_Body]]]:
        for frame, rows in enumerate(people):
            yield frame, [body for points in rows if (body := _body(points, min_score)) is not None]

    def begin() -> Chain[_Body]:
        return Chain()

    linked = []
    for chain in link(bodies(), _link_cost, begin):
        points = np.full((len(people), *chain.detections[0].points.shape), np.nan, np.float32)
        for frame, body in zip(chain.frames, chain.detections, strict=True):
            points[frame] = body.points
        linked.append(points)
    return linked


def _body(points: NDArray[np.float32], min_score: float) -> _Body | None:
    """Return the centre and spread of one person's confident points; None below four points."""
    confident = np.isfinite(points[:, :2]).all(axis=1) & (points[:, 2] >= min_score)
    if confident.sum() < 4:
        return None
    centre = np.median(points[confident, :2], axis=0).astype(np.float64)
    spread = max(float(np.median(np.abs(points[confident, 1] - centre[1]))), 2.0)
    return _Body(points, centre, spread)


def _link_cost(chain: Chain[_Body], frame: int, body: _Body) -> float:
    last = chain.detections[-1]
    distance = float(np.linalg.norm(last.centre - body.centre)) / min(last.spread, body.spread)
    return distance if distance < _MAX_STEP else math.inf


def _running_columns(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    return np.stack([running_nanmedian(column, reach) for column in values.T], axis=1)


def running_nanmedian(values: NDArray[np.float64], reach: int, *, shrink_ends: bool = True) -> NDArray[np.float64]:
    """Return the running median over `reach` values on either side, without NaN; gaps near a value are filled.

    At both ends the window shrinks to stay symmetric (`shrink_ends`): an asymmetric one would lag behind movement.
    """
    padded = np.pad(values, reach, constant_values=np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the median of an empty window is NaN, as intended
        medians = np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1)
        for index in range(min(reach, len(values) // 2) if shrink_ends else 0):
            medians[index] = np.nanmedian(values[: 2 * index + 1])
            medians[-1 - index] = np.nanmedian(values[len(values) - 1 - 2 * index :])
    return np.asarray(medians)


def running_nanmin(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return the running minimum over `reach` values on either side, without NaN."""
    padded = np.pad(np.where(np.isnan(values), np.inf, values), reach, constant_values=np.inf)
    lowest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).min(axis=1)
    return np.asarray(np.where(np.isfinite(lowest), lowest, np.nan))


def _mean_point(points: NDArray[np.float64], which: list[int]) -> NDArray[np.float64]:
    """Return the mean (T, 2) of those of the points that are present."""
    part = points[:, which]
    count = np.isfinite(part[..., 0]).sum(axis=1)
    return np.asarray(np.where(count[:, None] > 0, np.nansum(part, axis=1) / np.maximum(count, 1)[:, None], np.nan))


def _head_heights(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate the head's height from trunk, stature and neck: the median of the three, a little above usual ratios."""
    head, shoulders, hips, ankles = (_mean_point(points, which) for which in (list(HEAD), _SHOULDERS, _HIPS, _ANKLES))
    pairs = ((shoulders, hips, 0.58), (head, ankles, 0.19), (head, shoulders, 1.2))
    estimates = np.stack([share * np.linalg.norm(a - b, axis=1) for a, b, share in pairs], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(estimates, axis=1))


def _head_places(points: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the head's position (T, 2): the median of its points; without any, extrapolated upwards from the trunk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        median = np.nanmedian(points[:, HEAD], axis=1)
    shoulders, hips = _mean_point(points, _SHOULDERS), _mean_point(points, _HIPS)
    up = (shoulders - hips) / np.maximum(np.linalg.norm(shoulders - hips, axis=1, keepdims=True), 1e-6)
    return np.asarray(np.where(np.isfinite(median), median, shoulders + 0.85 * height[:, None] * up))


_EAR_HEIGHT = 0.53  # of a head's height, from the ears to its top
_PAD_SIDE, _PAD_TOP, _CHIN = 0.02, 0.04, 0.52  # ... beside its outline, above it, and from the ears to below the chin
_OUTLINE_WIDTH = (0.5, 1.3)  # of a head's outline, in head heights by keypoints
_OUTLINE_TOP = (0.35, 0.85)  # ... from the ears to its top


def head_outline(points: NDArray[np.float32], mask: NDArray[np.bool_]) -> BoxArray:
    """Return the box (4,) around the head of a person's mask; NaN where what lies there is not of a head's size.

    What the mask shows above the ears is the head with its hair; below them it is the shoulders' as well.
    """
    unknown = np.full(4, np.nan)
    places = points[:, :2].astype(np.float64)
    height = float(_head_heights(places[None])[0])
    ear = places[_EARS].mean(axis=0)
    if not np.isfinite([height, *ear]).all():
        return unknown
    left, right = round(ear[0] - 0.9 * height), round(ear[0] + 0.9 * height)
    top, bottom = round(ear[1] - 1.2 * height), round(ear[1] + 0.1 * height)
    if min(left, top) < 0 or right > mask.shape[1] or bottom > mask.shape[0]:
        return unknown
    part = mask[top:bottom, left:right]
    columns, rows = np.flatnonzero(part.any(axis=0)), np.flatnonzero(part.any(axis=1))
    if not len(columns):
        return unknown
    x0, x1, y0 = left + columns[0], left + columns[-1] + 1, top + rows[0]
    width, above = (x1 - x0) / height, (ear[1] - y0) / height
    if not (_OUTLINE_WIDTH[0] < width < _OUTLINE_WIDTH[1] and _OUTLINE_TOP[0] < above < _OUTLINE_TOP[1]):
        return unknown
    size = above * height / _EAR_HEIGHT
    return np.array([x0 - _PAD_SIDE * size, y0 - _PAD_TOP * size, x1 + _PAD_SIDE * size, ear[1] + _CHIN * size])


def _cover_path(head: BoxArray, seconds: NDArray[np.float64]) -> BoxArray:
    """Extend boxes (T, 4) that lie off the path of their neighbours in time over the place on that path.

    Beside somebody else a single look may put the head on them. The path goes through the boxes before and after, and
    at either end straight on from the next two.
    """
    covered, last = head.copy(), len(head) - 1
    for n in range(len(head) if last >= 2 else 0):
        a, b = (n - 1, n + 1) if 0 < n < last else (1, 2) if n == 0 else (last - 1, last - 2)
        share = (seconds[n] - seconds[a]) / (seconds[b] - seconds[a])
        expected = head[a] + share * (head[b] - head[a])
        away = np.linalg.norm((expected[:2] + expected[2:] - head[n, :2] - head[n, 2:]) / 2)
        if away > _OFF_PATH * (head[n, 3] - head[n, 1]):
            covered[n, :2] = np.minimum(head[n, :2], expected[:2])
            covered[n, 2:] = np.maximum(head[n, 2:], expected[2:])
    return covered


def _head_turns(points: NDArray[np.float64], height: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return the nose's way (T,) to the right of the middle of both ears, in head heights, without outliers.

    About a quarter in profile, 0 from the front, from behind and without these points.
    """
    ears = points[:, _EARS].mean(axis=1)
    return np.nan_to_num(running_nanmedian((points[:, INDEX["nose"], 0] - ears[:, 0]) / height, reach))


def _head_boxes(
    points: NDArray[np.float64], place: NDArray[np.float64], height: NDArray[np.float64], turn: NDArray[np.float64]
) -> BoxArray:
    """Return the whole heads (T, 4); see `_head_box`."""
    return np.array([_head_box(*frame) for frame in zip(points, place, height, turn, strict=True)])


def _head_box(
    points: NDArray[np.float64], place: NDArray[np.float64], height: float, turn: float
) -> NDArray[np.float64]:
    """Return the whole head (4,) of one frame, `height` tall, that faces to the right by `turn` of `_head_turns`.

    NaN without head points and trunk.
    """
    present: list[bool] = np.isfinite(points[:, 0]).tolist()
    head_points = [index for index in HEAD if present[index]]
    if not np.isfinite(height):
        return np.full(4, np.nan)
    if not head_points:
        trunk = any(present[i] for i in _SHOULDERS) and any(present[i] for i in _HIPS)
        if not trunk or not np.isfinite(place).all():
            return np.full(4, np.nan)
        return np.concatenate([place - 0.8 * height, place + 0.8 * height])
    ears = [index for index in _EARS if present[index]]
    middle = points[ears or head_points].mean(axis=0)
    # Without an ear the centre of the head is uncertain by half the depth of a profile.
    aside = points[head_points, 0] - middle[0]
    half = max((0.5 if ears else 0.75) * height, np.abs(aside).max() + 0.12 * height)
    more = min(_BACK * abs(turn), _MAX_BACK) * height
    back = max(half, 0.5 * height + more)
    front = max(half - _FRONT * more, float((np.sign(turn) * aside).max()) + 0.12 * height)
    left, right = (back, front) if turn > 0 else (front, back)
    top = min(middle[1] - 0.62 * height, points[head_points, 1].min() - 0.45 * height)
    bottom = max(middle[1] + 0.6 * height, points[head_points, 1].max() + 0.3 * height)
    return np.array([middle[0] - left, top, middle[0] + right, bottom])


def _body_boxes(points: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the boxes (T, 4) around all points of a frame that are not outliers, plus half a head height."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        middle = np.nanmedian(points, axis=1)
        outlier = np.abs(points - middle[:, None]).max(axis=2) > 5 * height[:, None]
        inliers = np.where(outlier[..., None], np.nan, points)
        low, high = np.nanmin(inliers, axis=1), np.nanmax(inliers, axis=1)
    return np.column_stack([low - height[:, None] / 2, high + height[:, None] / 2])


def _head_scores(score: NDArray[np.float32], confident: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean score (T,) of the head's confident points, at most 1."""
    count = confident[:, HEAD].sum(axis=1)
    total = np.where(confident[:, HEAD], score[:, HEAD], 0).sum(axis=1)
    return np.asarray(np.minimum(np.where(count > 0, total / np.maximum(count, 1), 0.0), 1.0))


# --- silhouettes ----------------------------------------------------------------------------------------------------


@dataclass
class Silhouettes:
    """Moving figures: boxes and score (n, 5) per frame, the places of their heads, and whether the camera is static.

    `tops` contains for each box of `figures` the centre and half the width of its topmost part.
    """

    figures: dict[int, NDArray[np.float64]]
    tops: dict[int, NDArray[np.float64]]
    static_camera: bool


def shrink(luma: NDArray[np.uint8], width: int = 320) -> NDArray[np.uint8]:
    """Resize a frame's luma for `find_silhouettes`: at most that wide, smoothed against noise."""
    scale = min(1.0, width / luma.shape[1])
    size = (round(luma.shape[1] * scale), round(luma.shape[0] * scale))
    return np.asarray(cv2.GaussianBlur(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), (3, 3), 0))


def find_silhouettes(
    small: list[NDArray[np.uint8]],
    seconds: NDArray[np.float64],
    scale: float,
    difference: float,
    min_height: float,
    bodies: list[NDArray[np.float64]],
) -> Silhouettes:
    """Detect moving figures. `scale`: pixels of the video per pixel of `small`; `bodies`: boxes (T, 4) to leave out.

    A pixel moves if it differs from nearly all of the frames 0.2 to 1.2 seconds before it, or after it. Unlike a
    background image of the whole video this also works for somebody who walks along the optical axis and never leaves
    the centre; around such a figure lies a margin of earlier and later positions. No background image is kept: it would
    show bystanders more clearly than any frame.
    """
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
    lags = sorted({max(1, round(lag / step)) for lag in (0.2, 0.4, 0.8, 1.2)})
    close = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 11))
    thin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    figures, tops, shares = {}, {}, []
    for index in range(len(small)):
        moving = _motion_mask(small, index, lags, difference)
        moving = cv2.morphologyEx(cv2.morphologyEx(moving, cv2.MORPH_OPEN, thin), cv2.MORPH_CLOSE, close)
        shares.append(float(moving.mean()))
        for body in bodies:
            if np.isfinite(body[index, 0]):
                x0, y0, x1, y1 = (body[index] / scale).round().astype(int).clip(0)
                moving[y0:y1, x0:x1] = 0
        figures[index], tops[index] = _figures(moving, min_height * small[index].shape[0], scale)
    # A child close to the camera fills a good part of the picture, but not most of it in most frames.
    return Silhouettes(figures, tops, bool(np.median(shares) < 0.4) and _has_static_camera(small))


def _motion_mask(small: list[NDArray[np.uint8]], index: int, lags: list[int], difference: float) -> NDArray[np.uint8]:
    """Return 1 where a frame differs from at least three quarters of the frames before it, or after it."""
    frame = small[index]
    moving = np.zeros(frame.shape, np.uint8)
    for way in (-1, 1):
        others = [small[index + way * lag] for lag in lags if 0 <= index + way * lag < len(small)]
        votes = [cv2.threshold(cv2.absdiff(frame, other), difference, 1, cv2.THRESH_BINARY)[1] for other in others]
        if len(votes) > 1 or len(lags) == 1:
            moving |= (np.sum(votes, axis=0, dtype=np.uint8) * 4 >= 3 * len(votes)).astype(np.uint8)
    return moving


def _has_static_camera(small: list[NDArray[np.uint8]]) -> bool:
    """Whether most textured blocks of the picture are the same in a dozen other frames.

    Blocks and not corners: before a plain wall the walker has more corners than the background.
    """
    middle = small[len(small) // 2].astype(np.float32)
    blocks = (middle.shape[1] // 16, middle.shape[0] // 16)

    def mean(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(picture, blocks, interpolation=cv2.INTER_AREA))

    spread = np.sqrt(np.maximum(mean(middle * middle) - mean(middle) ** 2, 0))
    textured = spread > 3
    if textured.sum() < 10:
        return True  # movement of the camera would not be visible
    same = [
        (mean(np.abs(middle - other)) < 3 + 0.5 * spread)[textured].mean() for other in small[:: len(small) // 12 + 1]
    ]
    return bool(np.quantile(same, 0.2) > 0.5)


def _figures(
    moving: NDArray[np.uint8], min_height: float, scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return boxes and score (n, 5) of the upright moving figures, and centre and half width (n, 2) of their tops."""
    boxes, tops = [], []
    for left, top, right, bottom in _columns(moving):
        tall = bottom - top
        if tall < min_height or tall < 1.1 * (right - left):
            continue
        part = moving[top : top + max(round(0.15 * tall), 1), left:right]
        across = left + np.flatnonzero(part.any(axis=0))
        boxes.append([left, top, right, bottom, 1.0])
        tops.append([(across[0] + across[-1] + 1) / 2, (across[-1] - across[0] + 1) / 2])
    size = np.array([scale, scale, scale, scale, 1.0])
    return np.array(boxes, np.float64).reshape(-1, 5) * size, np.array(tops, np.float64).reshape(-1, 2) * scale


def _columns(moving: NDArray[np.uint8]) -> list[list[int]]:
    """Unite moving pieces above one another, as a head, a shirt and two legs are: left, top, right, bottom."""
    count, _, statistics, _ = cv2.connectedComponentsWithStats(moving, connectivity=8)
    pieces = [
        statistics[number, :4].tolist() for number in range(1, count) if statistics[number, cv2.CC_STAT_AREA] >= 12
    ]
    columns: list[list[int]] = []
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
    return columns


def head_of_figure(figure: BoxArray, top: NDArray[np.float64]) -> BoxArray:
    """Return the head at the top of figures (N, 4), generously.

    The margin of movement around a figure and a foot that is missing from it make its height uncertain.
    """
    tall = figure[:, 3] - figure[:, 1]
    half = np.clip(top[:, 1], 0.11 * tall, 0.18 * tall)
    x, y = top[:, 0], figure[:, 1]
    return np.stack([x - half, y - 0.06 * tall, x + half, y + 0.25 * tall], axis=1)
