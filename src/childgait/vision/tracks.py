"""Heads over time: detections become tracks, in both directions of time, and tracks become covers.

`link_heads` links the detections of one source. `merge` unites tracks of several sources that contain the same head.
`complete` fills short gaps by template matching and extends both ends. `holes` lists the stretches in which a person
must be present but no head is known; there the whole person is covered, so errors fail closed. `cover_boxes` returns
covers of constant size on a smooth path that contain every box of a track.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from childgait.gait.filters import runs_of_true
from childgait.gait.linking import Chain, continue_chain
from childgait.vision.camera_path import CameraPath
from childgait.vision.heads import face_of_head, person_of_head, running_nanmin

WALKING_SPEED = 6.0  # head heights per second by which a head may miss its predicted place (1.2 m/s, a head of 0.2 m)
HEAD_SOURCES = ("detected", "keypoints", "blazepose", "sam3")  # sources whose box is the head itself
MIN_DETECTIONS = 3  # of a track, from which it is evidence of a person
MIN_MOTION_SECONDS = 1.0  # of movement, from which a silhouette alone is evidence of a person
MAX_WIDENING = 0.1  # of a head's height, by which a face may widen the head box of keypoints
SAME_PLACE, SAME_SIZE = (0.4, 0.3), 1.4  # aside and in height, in head heights: a face is before its head in profile
UNCERTAIN_GROWTH = 0.08  # of a head's height, by which a cover grows in frames without a detection
STILL, STILL_SECONDS = 0.4, 0.5  # head heights within which a head stays that is known for so long, and stands still
MAX_DRIFT_SECONDS = 1.0  # after which the whole-person cover grows no further: the person may be anywhere near


@dataclass
class HeadTrack:
    """One head: a box per frame (NaN where unknown), the source of each box, and its score."""

    box: NDArray[np.float64]  # (T, 4)
    source: list[str]  # (T), empty where unknown; joined by + where several agree
    score: NDArray[np.float64]  # (T)

    @property
    def present(self) -> NDArray[np.bool_]:
        """(T,) whether the frame has a box."""
        return np.asarray(np.isfinite(self.box[:, 0]))

    @property
    def first(self) -> int:
        return int(np.flatnonzero(self.present)[0])

    @property
    def last(self) -> int:
        return int(np.flatnonzero(self.present)[-1])

    def restrict(self, frames: NDArray[np.bool_]) -> HeadTrack:
        """Return the same track without the boxes of other frames."""
        return HeadTrack(
            np.where(frames[:, None], self.box, np.nan),
            [source if keep else "" for source, keep in zip(self.source, frames, strict=True)],
            np.where(frames, self.score, 0.0),
        )


def empty_track(frames: int) -> HeadTrack:
    return HeadTrack(np.full((frames, 4), np.nan), [""] * frames, np.zeros(frames))


# --- linking --------------------------------------------------------------------------------------------------------

_Detection = tuple[int, NDArray[np.float64]]  # row in its frame; x0, y0, x1, y1, score


def link_heads(
    detections: dict[int, NDArray[np.float64]],
    seconds: NDArray[np.float64],
    source: str,
    *,
    birth: float,
    keep: float,
    bridge: float,
) -> list[HeadTrack]:
    """Link detections, (n, 5) per frame, into tracks: from the best score outward in both directions of time.

    A track begins at a score of `birth` and is continued by scores down to `keep`, over gaps of up to `bridge` seconds.
    """
    frames = sorted(detections)
    free = {(frame, row) for frame in frames for row in np.flatnonzero(detections[frame][:, 4] >= keep).tolist()}
    seeds = sorted(
        (seed for seed in free if detections[seed[0]][seed[1], 4] >= birth),
        key=lambda seed: (-detections[seed[0]][seed[1], 4], seed),
    )
    cost = _cost_by_seconds(seconds)
    tracks = []
    for seed in seeds:
        if seed not in free:
            continue
        free.discard(seed)
        track = empty_track(len(seconds))
        for way in (1, -1):
            chain: Chain[_Detection] = Chain([seed[0]], [(seed[1], detections[seed[0]][seed[1]])])
            others = (frame for frame in frames[::way] if way * frame > way * seed[0])
            rows = ((frame, _free_rows(detections[frame], frame, free)) for frame in others)
            continue_chain(chain, rows, cost, seconds, bridge)
            for frame, (row, box) in zip(chain.frames, chain.detections, strict=True):
                free.discard((frame, row))
                track.box[frame], track.score[frame], track.source[frame] = box[:4], box[4], source
        tracks.append(track)
    return tracks


def _free_rows(rows: NDArray[np.float64], frame: int, free: set[tuple[int, int]]) -> list[_Detection]:
    return [(row, rows[row]) for row in range(len(rows)) if (frame, row) in free]


def _cost_by_seconds(seconds: NDArray[np.float64]) -> Callable[[Chain[_Detection], int, _Detection], float]:
    """Return the cost of a link: distance from the place predicted at constant velocity, in head heights."""

    def cost(chain: Chain[_Detection], frame: int, detection: _Detection) -> float:
        here, box = chain.detections[-1][1], detection[1]
        gap = float(seconds[frame] - seconds[chain.frames[-1]])
        velocity = np.zeros(2)
        if len(chain.frames) > 1:
            past = chain.detections[-2][1]
            velocity = (_centre(here) - _centre(past)) / (seconds[chain.frames[-1]] - seconds[chain.frames[-2]])
        size = here[3] - here[1]
        distance = float(np.linalg.norm(_centre(box) - _centre(here) - velocity * gap)) / size
        same_size = 0.6 < (box[3] - box[1]) / size < 1 / 0.6
        return distance if same_size and distance < min(0.5 + WALKING_SPEED * abs(gap), 2.0) else math.inf

    return cost


def _centre(box: NDArray[np.float64]) -> NDArray[np.float64]:
    centre: NDArray[np.float64] = (box[..., :2] + box[..., 2:4]) / 2
    return centre


# --- merging the sources --------------------------------------------------------------------------------------------


def same_head(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether two boxes (…, 4) contain one head: the centre of either lies in the other."""
    centre_a, centre_b = _centre(a), _centre(b)
    inside = ((centre_a > b[..., :2]) & (centre_a < b[..., 2:])).all(axis=-1)
    return np.asarray(inside & ((centre_b > a[..., :2]) & (centre_b < a[..., 2:])).all(axis=-1))


def _same_top(head: NDArray[np.float64], top: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the top of a silhouette is that of a head: near its centre and near its upper edge."""
    size = head[..., 2:] - head[..., :2]
    aside = np.abs(_centre(top)[..., 0] - _centre(head)[..., 0]) / size[..., 0]
    above = np.abs(top[..., 1] - head[..., 1]) / size[..., 1]
    return np.asarray((aside < 0.75) & (above < 0.6))


def merge(tracks: list[HeadTrack], reach: int) -> list[HeadTrack]:
    """Unite tracks that contain one head in most of the frames they share, most reliable source first.

    Where a merged silhouette contains something else than the head (a raised arm, a second person), its boxes become a
    track of their own for those frames: a union never loses anything. A head that only its silhouette shows extends as
    high as within `reach` frames, because the top of a silhouette is lost first.
    """
    left = sorted(tracks, key=lambda track: (_rank(track), track.first))
    merged: list[HeadTrack] = []
    while left:
        track = left.pop(0)
        for index, other in enumerate(merged):
            both = track.present & other.present
            same = np.zeros(len(both), bool)
            same[both] = _same(other, track, both)
            if both.any() and same.sum() * 2 >= both.sum():
                united = _unite(merged.pop(index), track, same | ~other.present)
                left.insert(0, united)  # it may now overlap others
                if (rest := track.restrict(both & ~same)).present.any():
                    merged.append(rest)
                break
        else:
            merged.append(track)
    return [_resize_tops(track, reach) for track in merged]


def _same(a: HeadTrack, b: HeadTrack, frames: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return in which of these frames two tracks contain one head; of a silhouette only the top is reliable."""
    tops = [np.array([name == "silhouette" for name in track.source])[frames] for track in (a, b)]
    box_a, box_b = a.box[frames], b.box[frames]
    same = same_head(box_a, box_b)
    same |= tops[1] & ~tops[0] & _same_top(box_a, box_b)
    same |= tops[0] & ~tops[1] & _same_top(box_b, box_a)
    return same


def _resize_tops(track: HeadTrack, reach: int) -> HeadTrack:
    """Give boxes from a silhouette alone the size that the head has in other frames."""
    top = np.array([name == "silhouette" for name in track.source])
    whole = track.present & ~top
    box, frames = track.box.copy(), np.arange(len(top))
    if _rank(track) == 2:
        box[top, 1] = running_nanmin(box[:, 1], reach)[top]
        box[top, 0] = running_nanmin(box[:, 0], reach // 3)[top]
        box[top, 2] = -running_nanmin(-box[:, 2], reach // 3)[top]
    if not top.any() or not whole.any():
        return HeadTrack(box, track.source, track.score)
    sides = track.box[:, 2:] - track.box[:, :2]
    size = np.stack([np.interp(frames, frames[whole], sides[whole, axis]) for axis in (0, 1)], axis=1)[top] * (
        1 + 3 * UNCERTAIN_GROWTH
    )
    middle = _centre(box[top])[:, 0]
    box[top, 0] = np.minimum(box[top, 0], middle - size[:, 0] / 2)
    box[top, 2] = np.maximum(box[top, 2], middle + size[:, 0] / 2)
    box[top, 1] -= 0.1 * size[:, 1]
    box[top, 3] = np.maximum(box[top, 3], box[top, 1] + size[:, 1])
    return HeadTrack(box, track.source, track.score)


def without_bodies(
    silhouettes: list[HeadTrack], bodies: list[NDArray[np.float64]], heads: list[HeadTrack], min_frames: int
) -> list[HeadTrack]:
    """Remove silhouettes that move inside or beside a body (T, 4) whose head is known, below that head.

    The top of the head itself stays, and so does every other silhouette of at least `min_frames` frames.
    """
    remaining = []
    for track in silhouettes:
        stays = track.present.copy()
        for body, head in zip(bodies, heads, strict=True):
            frames = stays & np.isfinite(body[:, 0]) & head.present
            middle, box = _centre(track.box[frames]), body[frames]
            beside = 1.2 * (head.box[frames, 3] - head.box[frames, 1])  # a walking frame, a cast shadow
            inside = (middle[:, 0] > box[:, 0] - beside) & (middle[:, 0] < box[:, 2] + beside)
            inside &= (middle[:, 1] > head.box[frames, 3]) & (middle[:, 1] < box[:, 3] + beside)
            stays[frames] = ~inside | _same_top(head.box[frames], track.box[frames])
        if stays.sum() >= min_frames:
            remaining.append(track.restrict(stays))
    return remaining


def _rank(track: HeadTrack) -> int:
    """Return the reliability of a track's best source: 0 keypoints, 1 a detected head, 2 a silhouette."""
    names = {name for source in track.source for name in source.split("+")}
    return 0 if "keypoints" in names else 1 if names & set(HEAD_SOURCES) else 2


def is_silhouette(track: HeadTrack) -> bool:
    """Decide whether silhouettes alone give the head: its box is coarse then, and may lie on a body."""
    return _rank(track) == 2


def _unite(main: HeadTrack, other: HeadTrack, where: NDArray[np.bool_]) -> HeadTrack:
    """Add the boxes of another track to the main one, in these frames."""
    box, score, source = main.box.copy(), main.score.copy(), list(main.source)
    for frame in np.flatnonzero(where & other.present):
        if not main.present[frame]:
            box[frame] = other.box[frame]
        elif other.source[frame] == "silhouette":  # reliable at the top of the head, hardly in its width
            reach = 0.25 * (box[frame, 3] - box[frame, 1])
            box[frame, 1] = min(box[frame, 1], max(other.box[frame, 1], box[frame, 1] - reach))
        else:
            # Keypoints give the whole head; a face only implies a head around it, with a margin for any profile.
            more = MAX_WIDENING * (box[frame, 3] - box[frame, 1]) if "keypoints" in source[frame] else np.inf
            box[frame, :2] = np.minimum(box[frame, :2], np.maximum(other.box[frame, :2], box[frame, :2] - more))
            box[frame, 2:] = np.maximum(box[frame, 2:], np.minimum(other.box[frame, 2:], box[frame, 2:] + more))
        score[frame] = max(score[frame], other.score[frame])
        names = [name for name in (*source[frame].split("+"), *other.source[frame].split("+")) if name]
        source[frame] = "+".join(sorted(set(names)))
    return HeadTrack(box, source, score)


def narrow_face(face: HeadTrack, embedded: Sequence[HeadTrack]) -> HeadTrack:
    """Return a face's track without what it implies far beside heads of the embedded model that agree with it.

    A face alone implies a head for any profile. The embedded model shows which way the head faces. The face itself
    stays, and so does everything where the two disagree: there one of them may be somebody else.
    """
    inner = face_of_head(face.box)
    low, high = np.full((len(inner), 2), np.inf), np.full((len(inner), 2), -np.inf)
    for head in embedded:
        height = head.box[:, 3:] - head.box[:, 1:2]
        agree = (np.abs(_centre(inner) - _centre(head.box)) < SAME_PLACE * height).all(axis=1)
        agree &= np.abs(np.log((face.box[:, 3] - face.box[:, 1]) / height[:, 0])) < math.log(SAME_SIZE)
        low[agree] = np.minimum(low, head.box[:, :2])[agree]
        high[agree] = np.maximum(high, head.box[:, 2:])[agree]
    known = np.isfinite(low[:, 0])
    box = face.box.copy()
    box[known, :2] = np.maximum(box[:, :2], np.minimum(low, inner[:, :2]))[known]
    box[known, 2:] = np.minimum(box[:, 2:], np.maximum(high, inner[:, 2:]))[known]
    return HeadTrack(box, face.source, face.score)


# --- gaps and ends --------------------------------------------------------------------------------------------------


def complete(
    track: HeadTrack,
    seconds: NDArray[np.float64],
    *,
    bridge: float,
    extend: float,
    tracker: PatchTracker | None = None,
) -> HeadTrack:
    """Fill gaps of up to `bridge` seconds and extend both ends by `extend` seconds.

    In a gap the box is interpolated linearly and corrected by `tracker`. Beyond an end the box contains both the last
    place and the place extrapolated at constant velocity.
    """
    completed = _bridge_gaps(track, seconds, bridge, tracker)
    box = completed.box
    for first, end in runs_of_true(completed.present):  # each end is extended, outward and into what stays open
        last = end - 1
        inner = max(first, last - 1 - int(np.searchsorted(seconds[last] - seconds[first:end][::-1], 0.2)))
        outer = min(last, first + int(np.searchsorted(seconds[first:end] - seconds[first], 0.2)))
        for edge, other, frames in ((first, outer, range(first - 1, -1, -1)), (last, inner, range(end, len(box)))):
            speed = (_centre(box[edge]) - _centre(box[other])) / max(abs(seconds[edge] - seconds[other]), 1e-6)
            added = []
            for frame in frames:
                elapsed = abs(seconds[frame] - seconds[edge])
                if completed.source[frame] or elapsed > extend:
                    break
                box[frame] = _around(box[edge], box[edge] + np.tile(speed * elapsed, 2))
                added.append(frame)
            _hold(completed, edge, added, tracker)
    return completed


def _bridge_gaps(
    track: HeadTrack, seconds: NDArray[np.float64], bridge: float, tracker: PatchTracker | None
) -> HeadTrack:
    """Return a copy of the track in which gaps of up to `bridge` seconds are interpolated."""
    box, source = track.box.copy(), list(track.source)
    for a, b in pairwise(np.flatnonzero(track.present)):
        if b - a > 1 and seconds[b] - seconds[a] <= bridge:
            share = ((seconds[a + 1 : b] - seconds[a]) / (seconds[b] - seconds[a]))[:, None]
            box[a + 1 : b] = box[a] * (1 - share) + box[b] * share
            if tracker is not None:
                ahead = tracker.offsets(range(a, b), box)
                back = tracker.offsets(range(b, a, -1), box)[::-1]
                box[a + 1 : b] += np.tile(ahead * (1 - share) + back * share, 2)
            source[a + 1 : b] = ["bridged"] * (b - a - 1)
    return HeadTrack(box, source, track.score.copy())


def _around(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the box around two boxes (…, 4)."""
    return np.concatenate([np.minimum(a[..., :2], b[..., :2]), np.maximum(a[..., 2:], b[..., 2:])], axis=-1)


def _hold(track: HeadTrack, edge: int, frames: list[int], tracker: PatchTracker | None) -> None:
    """Extend a track in place from its edge over these frames: the box of the edge, any box already set, the match."""
    for frame in frames:
        held = track.box[edge] if np.isnan(track.box[frame, 0]) else _around(track.box[edge], track.box[frame])
        track.box[frame], track.source[frame] = held, "extended"
    if tracker is not None and frames:
        path = np.array(track.box)
        path[frames] = track.box[edge]
        matched = path[frames] + np.tile(tracker.offsets([edge, *frames], path), 2)
        track.box[frames] = _around(track.box[frames], matched)
    growth = UNCERTAIN_GROWTH * (track.box[edge, 3] - track.box[edge, 1])
    track.box[frames] += np.array([-growth, -growth, growth, growth])


class PatchTracker:
    """Follows the patch of one frame through others by template matching."""

    def __init__(self, small: Sequence[NDArray[np.uint8]], scale: float) -> None:
        self.small, self.scale = small, scale

    def offsets(self, frames: Sequence[int], box: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far the head is from its place in `box` (T, 4), in pixels (n, 2), in all frames but the first."""
        import cv2

        frame = self.small[frames[0]]
        height, width = frame.shape
        size = np.maximum((box[frames[0], 2:] - box[frames[0], :2]) / self.scale, 6.0)
        half = np.minimum(size * 0.45, np.array([width, height]) / 4).astype(int)
        reach = np.maximum(size * 0.35, 2.0).astype(int)
        start = _centre(box[frames[0]]) / self.scale
        corner = np.clip(np.round(start).astype(int) - half, 0, np.array([width, height]) - 2 * half)
        patch = frame[corner[1] : corner[1] + 2 * half[1], corner[0] : corner[0] + 2 * half[0]]
        offsets = []
        for index in frames[1:]:
            moved = corner + np.round(_centre(box[index]) / self.scale - start).astype(int)
            low = np.clip(moved - reach, 0, np.array([width, height]) - 2 * half)
            high = np.clip(moved + reach + 2 * half, 2 * half, np.array([width, height]))
            window = self.small[index][low[1] : high[1], low[0] : high[0]]
            scores = cv2.matchTemplate(window, patch, cv2.TM_CCOEFF_NORMED)
            _, best, _, place = cv2.minMaxLoc(scores)
            offset = (low + np.array(place) - corner) - (_centre(box[index]) / self.scale - start)
            offsets.append(offset * self.scale if best > 0.5 else np.zeros(2))
        return np.array(offsets).reshape(-1, 2)


class RoomTracker(PatchTracker):
    """The same for boxes in coordinates of the room, before a moving camera."""

    def __init__(self, tracker: PatchTracker, path: CameraPath) -> None:
        super().__init__(tracker.small, tracker.scale)
        self.path = path

    def offsets(self, frames: Sequence[int], box: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far the head is from its place in `box` (T, 4), in pixels of the room."""
        return super().offsets(frames, self.path.boxes_to_picture(box)) * self.path.scales[list(frames[1:])][:, None]


# --- holes ----------------------------------------------------------------------------------------------------------


def join_over_holes(
    tracks: list[HeadTrack],
    seconds: NDArray[np.float64],
    size: tuple[int, int],
    path: CameraPath | None = None,
) -> list[HeadTrack]:
    """Join tracks of one person: the second begins inside the picture, within reach of where the first ended.

    With a `path` the tracks are in coordinates of the room.
    """
    left = sorted(tracks, key=lambda track: track.first)
    joined: list[HeadTrack] = []
    while left:
        track = left.pop(0)
        while True:
            gaps = [
                (seconds[other.first] - seconds[track.last], index)
                for index, other in enumerate(left)
                if other.first > track.last and _is_reachable(track, other, seconds)
            ]
            if not gaps or not _is_inside(track, track.last, size, path):
                break
            track = _unite(track, left.pop(min(gaps)[1]), np.ones(len(seconds), bool))
        joined.append(track)
    return joined


def _is_reachable(track: HeadTrack, other: HeadTrack, seconds: NDArray[np.float64]) -> bool:
    a, b = track.box[track.last], other.box[other.first]
    gap = float(seconds[other.first] - seconds[track.last])
    height = max(a[3] - a[1], b[3] - b[1])
    distance = float(np.linalg.norm(_centre(a) - _centre(b))) / height
    return bool(distance < 1.0 + WALKING_SPEED * gap and 0.5 < (a[3] - a[1]) / (b[3] - b[1]) < 2.0)


def _is_inside(track: HeadTrack, frame: int, size: tuple[int, int], path: CameraPath | None) -> bool:
    """Whether a head is so far inside the picture that its owner has not just entered or left."""
    head = track.box[frame]
    if path is not None:
        head = path.boxes_to_picture(head[None], frame)[0]
    reach = head[3] - head[1]
    return bool(head[0] > reach / 2 and head[2] < size[0] - reach / 2 and head[1] > 0 and head[3] < size[1])


def holes(
    track: HeadTrack,
    seconds: NDArray[np.float64],
    size: tuple[int, int],
    min_seconds: float,
    path: CameraPath | None = None,
) -> list[tuple[int, int]]:
    """List the stretches (first, last) in which this track's person is in the picture and no head is known.

    They lie between two parts of the track; also before the first or after the last part, if that part lies inside the
    picture. A track shorter than `min_seconds` is no evidence of a person: only its own boxes are covered. With a
    `path` the track is in coordinates of the room.
    """
    present = track.present
    if not is_person(track, seconds, min_seconds):
        return []
    stretches = [(a, end - 1) for a, end in runs_of_true(~present) if a > track.first and end - 1 < track.last]
    if track.first > 0 and _is_inside(track, track.first, size, path):
        stretches.append((0, track.first - 1))
    if track.last < len(present) - 1 and _is_inside(track, track.last, size, path):
        stretches.append((track.last + 1, len(present) - 1))
    return sorted(stretches)


def is_person(track: HeadTrack, seconds: NDArray[np.float64], min_seconds: float) -> bool:
    """Whether a track is long enough to be evidence of a person."""
    detected = [name not in ("", "bridged", "extended") for name in track.source]
    if _rank(track) == 2:
        min_seconds = max(min_seconds, MIN_MOTION_SECONDS)
    return bool(sum(detected) >= MIN_DETECTIONS and np.ptp(seconds[detected]) >= min_seconds)


def stands_still(track: HeadTrack, seconds: NDArray[np.float64]) -> bool:
    """Whether a head, in coordinates of the room, stays at one place for as long as it is known."""
    known = np.array([name not in ("", "bridged", "extended") for name in track.source]) & track.present
    if known.sum() < MIN_DETECTIONS or np.ptp(seconds[known]) < STILL_SECONDS:
        return False
    places, height = _centre(track.box[known]), np.median(track.box[known, 3] - track.box[known, 1])
    low, high = np.quantile(places, (0.05, 0.95), axis=0)
    return bool(np.linalg.norm(high - low) < STILL * height)


def hold_static(track: HeadTrack, hole: tuple[int, int], tracker: PatchTracker) -> HeadTrack:
    """Fill a hole by holding the last box: motion detection loses who stands still, and others may hide them."""
    held = HeadTrack(track.box.copy(), list(track.source), track.score)
    frames = list(range(hole[0], hole[1] + 1))
    if hole[0] > 0:
        _hold(held, hole[0] - 1, frames, tracker)
    if hole[1] + 1 < len(track.score):
        _hold(held, hole[1] + 1, frames[::-1], tracker)
    return held


def place_boxes(track: HeadTrack, hole: tuple[int, int]) -> NDArray[np.float64]:
    """Return boxes (n, 4) around the person at the places before and after a hole, without any movement."""
    ends = [frame for frame in (hole[0] - 1, hole[1] + 1) if 0 <= frame < len(track.score) and track.present[frame]]
    bodies = np.array([person_of_head(track.box[frame]) for frame in ends])
    body = np.concatenate([bodies[:, :2].min(axis=0), bodies[:, 2:].max(axis=0)])
    return np.tile(body, (hole[1] + 1 - hole[0], 1))


def person_boxes(track: HeadTrack, hole: tuple[int, int], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return boxes (n, 4) around the whole person in a hole, wider the longer the head has been unknown."""
    ends = [frame for frame in (hole[0] - 1, hole[1] + 1) if 0 <= frame < len(track.score) and track.present[frame]]
    height = max(float(track.box[frame, 3] - track.box[frame, 1]) for frame in ends)
    frames = np.arange(hole[0], hole[1] + 1)
    elapsed = np.min([np.abs(seconds[frames] - seconds[end]) for end in ends], axis=0).clip(max=MAX_DRIFT_SECONDS)
    boxes = place_boxes(track, hole)
    boxes[:, 0] -= WALKING_SPEED * height * elapsed
    boxes[:, 2] += WALKING_SPEED * height * elapsed
    return boxes


# --- covers ---------------------------------------------------------------------------------------------------------


def cover_boxes(
    box: NDArray[np.float64],
    seconds: NDArray[np.float64],
    *,
    sigma: float,
    reach: float,
    growth: float,
    margin: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Return covers (n, 4) for the boxes of an unbroken stretch: even pixels, smooth path, constant size.

    Every cover contains its box. The size is the largest needed within `reach` seconds; it stays constant for as long
    as the need changes by less than the factor `growth` (a child walking towards the camera grows fourfold in a video,
    and gets several sizes). `margin` (n,) is the share of each frame's box that is added on every side.
    """
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
    centre = np.stack([_gaussian(column, sigma / step) for column in _centre(box).T], axis=1)
    need = np.maximum(centre - box[:, :2], box[:, 2:] - centre) * (1 + margin[:, None])
    window = round(reach / step)
    padded = np.pad(need, ((window, window), (0, 0)), mode="edge")
    need = np.lib.stride_tricks.sliding_window_view(padded, 2 * window + 1, axis=0).max(axis=2)
    half = np.empty_like(need)
    start = 0
    for index in range(len(need) + 1):
        part = need[start : index + 1]
        if index == len(need) or (part.max(axis=0) > growth * part.min(axis=0)).any():
            half[start:index] = need[start:index].max(axis=0)
            start = index
    corner = np.floor((centre - half) / 2) * 2
    extent = 2 * np.ceil(half) + 2  # rounding the corner to an even pixel takes up to two pixels of it
    return np.concatenate([corner, corner + extent], axis=1).astype(np.int64)


def _gaussian(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Smooth along time, by OpenCV: importing SciPy takes longer than smoothing a video's tracks."""
    import cv2

    if sigma <= 0:
        return values
    size = 2 * round(4 * sigma) + 1
    row = np.ascontiguousarray(values)[None]
    return np.asarray(cv2.GaussianBlur(row, (size, 1), sigma, borderType=cv2.BORDER_REPLICATE)[0])
