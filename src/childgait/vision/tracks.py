"""Heads over time: single sightings become tracks, both ways in time, and tracks become what is covered.

`link` joins sightings of one source; `merge` makes one track of several sources that see one head; `complete` bridges
short gaps by following the picture, and extends the ends; `holes` names the stretches in which somebody must be there
and no head is known, which are covered whole: it fails closed. `smooth` gives a cover of constant size on a smooth path
around every box it knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from childgait.vision.heads import lowest, person_of_head

WALKING = 6.0  # head heights a second that a head may move beyond what is predicted (1.2 m/s, a head of 0.2 m)
SEEN = ("detected", "keypoints", "sam3")  # sources whose box is the head itself
SIGHTINGS = 3  # of a track, from which it proves a person
STANDS = 1.0  # seconds that something must move to be a person when its silhouette is all there is
TOLD = 0.1  # of a head's height, by which a face may widen what keypoints say of the head
UNSURE = 0.08  # of a head's height, by which a cover grows where nothing was seen
LOST = 1.0  # seconds after which somebody out of sight may be anywhere near


@dataclass
class Track:
    """One head: a box a frame (NaN where unknown), how it is known, and the score."""

    box: NDArray[np.float64]  # (T, 4)
    source: list[str]  # (T), empty where unknown; joined by + where several agree
    score: NDArray[np.float64]  # (T)

    @property
    def known(self) -> NDArray[np.bool_]:
        return np.asarray(np.isfinite(self.box[:, 0]))

    @property
    def first(self) -> int:
        return int(np.flatnonzero(self.known)[0])

    @property
    def last(self) -> int:
        return int(np.flatnonzero(self.known)[-1])

    def only(self, frames: NDArray[np.bool_]) -> Track:
        """The same track, known in these frames only."""
        return Track(
            np.where(frames[:, None], self.box, np.nan),
            [source if keep else "" for source, keep in zip(self.source, frames, strict=True)],
            np.where(frames, self.score, 0.0),
        )


def empty(frames: int) -> Track:
    return Track(np.full((frames, 4), np.nan), [""] * frames, np.zeros(frames))


def link(
    found: dict[int, NDArray[np.float64]],
    seconds: NDArray[np.float64],
    source: str,
    *,
    birth: float,
    keep: float,
    bridge: float,
) -> list[Track]:
    """Join sightings, (n, 5) for each frame that was looked at, from the surest one outward in both directions.

    A track is born at `birth` and kept alive by weaker sightings down to `keep`, over gaps of up to `bridge` seconds.
    """
    looked = sorted(found)
    free = {(frame, row) for frame in looked for row in range(len(found[frame])) if found[frame][row, 4] >= keep}
    seeds = sorted((s for s in free if found[s[0]][s[1], 4] >= birth), key=lambda s: (-found[s[0]][s[1], 4], s))
    tracks = []
    for seed in seeds:
        if seed not in free:
            continue
        free.discard(seed)
        members = {seed[0]: found[seed[0]][seed[1]]}
        for way in (1, -1):
            path = [seed[0]]
            for frame in (f for f in looked[::way] if way * f > way * seed[0]):
                if abs(seconds[frame] - seconds[path[-1]]) > bridge:
                    break
                row = _nearest(found[frame], frame, path, members, seconds, free)
                if row is not None:
                    free.discard((frame, row))
                    members[frame] = found[frame][row]
                    path.append(frame)
        track = empty(len(seconds))
        for frame, one in members.items():
            track.box[frame], track.score[frame], track.source[frame] = one[:4], one[4], source
        tracks.append(track)
    return tracks


def _nearest(
    rows: NDArray[np.float64],
    frame: int,
    path: list[int],
    members: dict[int, NDArray[np.float64]],
    seconds: NDArray[np.float64],
    free: set[tuple[int, int]],
) -> int | None:
    """The free sighting of this frame that continues the path, predicted at constant velocity; None if none is near."""
    here = members[path[-1]]
    gap = float(seconds[frame] - seconds[path[-1]])
    velocity = np.zeros(2)
    if len(path) > 1:
        past = members[path[-2]]
        velocity = (_centre(here) - _centre(past)) / (seconds[path[-1]] - seconds[path[-2]])
    best, best_distance = None, np.inf
    size = here[3] - here[1]
    for row in range(len(rows)):
        distance = float(np.linalg.norm(_centre(rows[row]) - _centre(here) - velocity * gap)) / size
        alike = 0.6 < (rows[row, 3] - rows[row, 1]) / size < 1 / 0.6
        if (frame, row) in free and alike and distance < min(0.5 + WALKING * abs(gap), 2.0, best_distance):
            best, best_distance = row, distance
    return best


def _centre(box: NDArray[np.float64]) -> NDArray[np.float64]:
    centre: NDArray[np.float64] = (box[..., :2] + box[..., 2:4]) / 2
    return centre


def _agree(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether two boxes (…, 4) show one head: the middle of either lies in the other."""
    middle_a, middle_b = _centre(a), _centre(b)
    inside = ((middle_a > b[..., :2]) & (middle_a < b[..., 2:])).all(axis=-1)
    return np.asarray(inside & ((middle_b > a[..., :2]) & (middle_b < a[..., 2:])).all(axis=-1))


def _same_top(head: NDArray[np.float64], top: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a silhouette's top is that of a head: near its middle and near its upper edge."""
    size = head[..., 2:] - head[..., :2]
    away = np.abs(_centre(top)[..., 0] - _centre(head)[..., 0]) / size[..., 0]
    above = np.abs(top[..., 1] - head[..., 1]) / size[..., 1]
    return np.asarray((away < 0.75) & (above < 0.6))


def merge(tracks: list[Track], reach: int) -> list[Track]:
    """One track where several show one head in most of the frames they share. Surest sources come first.

    Where a merged silhouette shows something else than the head (a raised arm, a second person) it stays a track of
    its own for those frames: a union never loses anything. A head that only its silhouette tells reaches as high as
    within `reach` frames: its top is what is lost first.
    """
    left = sorted(tracks, key=lambda track: (_rank(track), track.first))
    merged: list[Track] = []
    while left:
        track = left.pop(0)
        for index, other in enumerate(merged):
            both = track.known & other.known
            same = np.zeros(len(both), bool)
            same[both] = _same(other, track, both)
            if both.any() and same.sum() * 2 >= both.sum():
                left.insert(0, _united(merged.pop(index), track, same | ~other.known))  # it may now meet others
                if (rest := track.only(both & ~same)).known.any():
                    merged.append(rest)
                break
        else:
            merged.append(track)
    return [_sized(track, reach) for track in merged]


def _same(a: Track, b: Track, frames: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """In which of these frames two tracks show one head; of a silhouette only the top is sure."""
    tops = [np.array([name == "silhouette" for name in track.source])[frames] for track in (a, b)]
    box_a, box_b = a.box[frames], b.box[frames]
    same = _agree(box_a, box_b)
    same |= tops[1] & ~tops[0] & _same_top(box_a, box_b)
    same |= tops[0] & ~tops[1] & _same_top(box_b, box_a)
    return same


def _sized(track: Track, reach: int) -> Track:
    """Frames in which only the silhouette's top is known get the size that the head has at other times."""
    top = np.array([name == "silhouette" for name in track.source])
    sure = track.known & ~top
    box, frames = track.box.copy(), np.arange(len(top))
    if _rank(track) == 2:
        box[top, 1] = lowest(box[:, 1], reach)[top]
        box[top, 0] = lowest(box[:, 0], reach // 3)[top]
        box[top, 2] = -lowest(-box[:, 2], reach // 3)[top]
    if not top.any() or not sure.any():
        return Track(box, track.source, track.score)
    sides = track.box[:, 2:] - track.box[:, :2]
    size = np.stack([np.interp(frames, frames[sure], sides[sure, axis]) for axis in (0, 1)], axis=1)[top] * (
        1 + 3 * UNSURE
    )
    middle = _centre(box[top])[:, 0]
    box[top, 0] = np.minimum(box[top, 0], middle - size[:, 0] / 2)
    box[top, 2] = np.maximum(box[top, 2], middle + size[:, 0] / 2)
    box[top, 1] -= 0.1 * size[:, 1]
    box[top, 3] = np.maximum(box[top, 3], box[top, 1] + size[:, 1])
    return Track(box, track.source, track.score)


def explain(silhouettes: list[Track], bodies: list[NDArray[np.float64]], heads: list[Track], least: int) -> list[Track]:
    """The silhouettes less what is somebody's body: what moves inside a body (T, 4) whose head is known and higher.

    So is what moves beside it, lower than that head. The top of the head itself stays, and so does everything else that
    moves for at least so many frames.
    """
    kept = []
    for track in silhouettes:
        stays = track.known.copy()
        for body, head in zip(bodies, heads, strict=True):
            frames = stays & np.isfinite(body[:, 0]) & head.known
            middle, box = _centre(track.box[frames]), body[frames]
            beside = 1.2 * (head.box[frames, 3] - head.box[frames, 1])  # a walking frame, a cast shadow
            inside = (middle[:, 0] > box[:, 0] - beside) & (middle[:, 0] < box[:, 2] + beside)
            inside &= (middle[:, 1] > head.box[frames, 3]) & (middle[:, 1] < box[:, 3] + beside)
            stays[frames] = ~inside | _same_top(head.box[frames], track.box[frames])
        if stays.sum() >= least:
            kept.append(track.only(stays))
    return kept


def _rank(track: Track) -> int:
    names = {name for source in track.source for name in source.split("+")}
    return 0 if "keypoints" in names else 1 if names & set(SEEN) else 2


def _united(main: Track, other: Track, where: NDArray[np.bool_]) -> Track:
    box, score, source = main.box.copy(), main.score.copy(), list(main.source)
    for frame in np.flatnonzero(where & other.known):
        if not main.known[frame]:
            box[frame] = other.box[frame]
        elif other.source[frame] == "silhouette":  # it knows the top of the head, and little of its width
            reach = 0.25 * (box[frame, 3] - box[frame, 1])
            box[frame, 1] = min(box[frame, 1], max(other.box[frame, 1], box[frame, 1] - reach))
        else:
            # keypoints know the whole head; a face is only told to have one around it, with room for any profile
            more = TOLD * (box[frame, 3] - box[frame, 1]) if "keypoints" in source[frame] else np.inf
            box[frame, :2] = np.minimum(box[frame, :2], np.maximum(other.box[frame, :2], box[frame, :2] - more))
            box[frame, 2:] = np.maximum(box[frame, 2:], np.minimum(other.box[frame, 2:], box[frame, 2:] + more))
        score[frame] = max(score[frame], other.score[frame])
        names = [name for name in (*source[frame].split("+"), *other.source[frame].split("+")) if name]
        source[frame] = "+".join(sorted(set(names)))
    return Track(box, source, score)


def complete(
    track: Track, seconds: NDArray[np.float64], *, bridge: float, extend: float, follow: Follow | None = None
) -> Track:
    """Gaps up to `bridge` seconds filled, both ends extended by `extend` seconds.

    In a gap the head is where a straight line says, corrected by what `follow` finds in the picture. Beyond an end it
    is where it was or where its speed takes it: both are covered, and all between.
    """
    box, source = track.box.copy(), list(track.source)
    known = np.flatnonzero(track.known)
    for a, b in pairwise(known):
        if b - a > 1 and seconds[b] - seconds[a] <= bridge:
            share = ((seconds[a + 1 : b] - seconds[a]) / (seconds[b] - seconds[a]))[:, None]
            box[a + 1 : b] = box[a] * (1 - share) + box[b] * share
            if follow is not None:
                ahead = follow(range(a, b), box)
                back = follow(range(b, a, -1), box)[::-1]
                box[a + 1 : b] += np.tile(ahead * (1 - share) + back * share, 2)
            source[a + 1 : b] = ["bridged"] * (b - a - 1)
    filled = Track(box, source, track.score.copy())
    for first, last in runs(filled.known):  # each end is extended, outward and into what stays open
        inner = max(first, last - 1 - int(np.searchsorted(seconds[last] - seconds[first : last + 1][::-1], 0.2)))
        outer = min(last, first + int(np.searchsorted(seconds[first : last + 1] - seconds[first], 0.2)))
        for edge, other, frames in ((first, outer, range(first - 1, -1, -1)), (last, inner, range(last + 1, len(box)))):
            speed = (_centre(box[edge]) - _centre(box[other])) / max(abs(seconds[edge] - seconds[other]), 1e-6)
            fresh = []
            for frame in frames:
                gone = abs(seconds[frame] - seconds[edge])
                if source[frame] or gone > extend:
                    break
                box[frame] = _both(box[edge], box[edge] + np.tile(speed * gone, 2))
                fresh.append(frame)
            _hold(filled, edge, fresh, follow)
    return filled


def _both(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The box around two boxes (…, 4)."""
    return np.concatenate([np.minimum(a[..., :2], b[..., :2]), np.maximum(a[..., 2:], b[..., 2:])], axis=-1)


def _hold(track: Track, edge: int, frames: list[int], follow: Follow | None) -> None:
    """Extend a track from its edge over these frames, in order: where it was, where it is said to be, where it is seen."""
    for frame in frames:
        held = track.box[edge] if np.isnan(track.box[frame, 0]) else _both(track.box[edge], track.box[frame])
        track.box[frame], track.source[frame] = held, "extended"
    if follow is not None and frames:
        path = np.array(track.box)
        path[frames] = track.box[edge]
        seen = path[frames] + np.tile(follow([edge, *frames], path), 2)
        track.box[frames] = _both(track.box[frames], seen)
    unsure = UNSURE * (track.box[edge, 3] - track.box[edge, 1])
    track.box[frames] += np.array([-unsure, -unsure, unsure, unsure])


class Follow:
    """Where a patch of the picture goes, for the frames between two sightings of it."""

    def __init__(self, small: list[NDArray[np.uint8]], scale: float) -> None:
        self.small, self.scale = small, scale

    def __call__(self, frames: Sequence[int], box: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far the head is from where `box` puts it, in pixels (n, 2), for all these frames but the first."""
        import cv2

        frame = self.small[frames[0]]
        height, width = frame.shape
        size = np.maximum((box[frames[0], 2:] - box[frames[0], :2]) / self.scale, 6.0)
        half = np.minimum(size * 0.45, np.array([width, height]) / 4).astype(int)
        reach = np.maximum(size * 0.35, 2.0).astype(int)
        start = _centre(box[frames[0]]) / self.scale
        corner = np.clip(np.round(start).astype(int) - half, 0, np.array([width, height]) - 2 * half)
        patch = frame[corner[1] : corner[1] + 2 * half[1], corner[0] : corner[0] + 2 * half[0]]
        found = []
        for index in frames[1:]:
            moved = corner + np.round(_centre(box[index]) / self.scale - start).astype(int)
            low = np.clip(moved - reach, 0, np.array([width, height]) - 2 * half)
            high = np.clip(moved + reach + 2 * half, 2 * half, np.array([width, height]))
            window = self.small[index][low[1] : high[1], low[0] : high[0]]
            scores = cv2.matchTemplate(window, patch, cv2.TM_CCOEFF_NORMED)
            _, best, _, place = cv2.minMaxLoc(scores)
            away = (low + np.array(place) - corner) - (_centre(box[index]) / self.scale - start)
            found.append(away * self.scale if best > 0.5 else np.zeros(2))
        return np.array(found).reshape(-1, 2)


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of every unbroken run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def join_over_holes(tracks: list[Track], seconds: NDArray[np.float64], size: tuple[int, int]) -> list[Track]:
    """One person's tracks become one where the second begins in the picture within reach of where the first ended."""
    left = sorted(tracks, key=lambda track: track.first)
    joined: list[Track] = []
    while left:
        track = left.pop(0)
        while True:
            ways = [
                (seconds[other.first] - seconds[track.last], index)
                for index, other in enumerate(left)
                if other.first > track.last and _reachable(track, other, seconds)
            ]
            if not ways or not _inside(track.box[track.last], size):
                break
            track = _united(track, left.pop(min(ways)[1]), np.ones(len(seconds), bool))
        joined.append(track)
    return joined


def _reachable(track: Track, other: Track, seconds: NDArray[np.float64]) -> bool:
    a, b = track.box[track.last], other.box[other.first]
    gap = float(seconds[other.first] - seconds[track.last])
    height = max(a[3] - a[1], b[3] - b[1])
    distance = float(np.linalg.norm(_centre(a) - _centre(b))) / height
    return bool(distance < 1.0 + WALKING * gap and 0.5 < (a[3] - a[1]) / (b[3] - b[1]) < 2.0)


def _inside(head: NDArray[np.float64], size: tuple[int, int]) -> bool:
    """Whether a head stands so far inside the picture that its owner has not just come or gone."""
    reach = head[3] - head[1]
    return bool(head[0] > reach / 2 and head[2] < size[0] - reach / 2 and head[1] > 0 and head[3] < size[1])


def holes(track: Track, seconds: NDArray[np.float64], size: tuple[int, int], least: float) -> list[tuple[int, int]]:
    """Stretches (first, last) in which this track's person is in the picture and no head is known.

    Between two known parts; and before the first or after the last, if that part stands inside the picture. A track
    shorter than `least` seconds is no proof of a person: it is covered where it is seen, and asks for nothing more.
    """
    known = track.known
    seen = [name not in ("", "bridged", "extended") for name in track.source]
    if _rank(track) == 2:
        least = max(least, STANDS)
    if sum(seen) < SIGHTINGS or np.ptp(seconds[seen]) < least:
        return []
    found = [(a, b) for a, b in runs(~known) if a > track.first and b < track.last]
    if track.first > 0 and _inside(track.box[track.first], size):
        found.append((0, track.first - 1))
    if track.last < len(known) - 1 and _inside(track.box[track.last], size):
        found.append((track.last + 1, len(known) - 1))
    return sorted(found)


def stand(track: Track, hole: tuple[int, int], follow: Follow) -> Track | None:
    """The hole filled, if only a silhouette is known around it: who is seen by moving, and is not, stands still."""
    if _rank(track) < 2:
        return None
    filled = Track(track.box.copy(), list(track.source), track.score)
    frames = list(range(hole[0], hole[1] + 1))
    if hole[0] > 0:
        _hold(filled, hole[0] - 1, frames, follow)
    if hole[1] + 1 < len(track.score):
        _hold(filled, hole[1] + 1, frames[::-1], follow)
    return filled


def person_box(track: Track, hole: tuple[int, int], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes (n, 4) around the person in a hole, who may walk off from where the head was known."""
    ends = [frame for frame in (hole[0] - 1, hole[1] + 1) if 0 <= frame < len(track.score) and track.known[frame]]
    bodies = np.array([person_of_head(track.box[frame]) for frame in ends])
    body = np.concatenate([bodies[:, :2].min(axis=0), bodies[:, 2:].max(axis=0)])
    height = max(float(track.box[frame, 3] - track.box[frame, 1]) for frame in ends)
    frames = np.arange(hole[0], hole[1] + 1)
    gone = np.min([np.abs(seconds[frames] - seconds[end]) for end in ends], axis=0).clip(max=LOST)
    boxes = np.tile(body, (len(frames), 1))
    boxes[:, 0] -= WALKING * height * gone
    boxes[:, 2] += WALKING * height * gone
    return boxes


def smooth(
    box: NDArray[np.float64],
    seconds: NDArray[np.float64],
    *,
    sigma: float,
    reach: float,
    growth: float,
    margin: NDArray[np.float64],
) -> NDArray[np.int64]:
    """A cover (n, 4) for the boxes of an unbroken stretch: even pixels, smooth path, constant size, nothing cut off.

    The size is the largest needed within `reach` seconds; it stays constant for as long as the need changes by less
    than the factor `growth` (a child walking towards the lens grows by four in a video, and gets several sizes).
    `margin` (n,) is the share of each frame's box that is added on every side.
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
    extent = 2 * np.ceil(half) + 2  # up to two pixels of it go into the corner's even position
    return np.concatenate([corner, corner + extent], axis=1).astype(np.int64)


def _gaussian(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Smoothed along time; by OpenCV, because SciPy takes longer to import than a video takes to smooth."""
    import cv2

    if sigma <= 0:
        return values
    size = 2 * round(4 * sigma) + 1
    row = np.ascontiguousarray(values)[None]
    return np.asarray(cv2.GaussianBlur(row, (size, 1), sigma, borderType=cv2.BORDER_REPLICATE)[0])
