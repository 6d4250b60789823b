"""Selection of the walking child among several skeletons, by motion over time.

A recording may also show a therapist or a parent. Skeletons are linked from frame to frame by position and size. The
walker is the person who crosses the picture, or grows or shrinks while approaching or leaving, with moving legs.
Between people of similar motion the one listed first in the delivery is taken, because the release lists its subject
first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from childgait.domain.boxes import Box
from childgait.domain.skeleton import INDEX
from childgait.gait.linking import Chain, link

People = list[NDArray[np.float32]]  # one entry per frame: (n, 23, 3) of x, y, score for its n skeletons; n may be 0

SIMILAR_MOTION = 0.6  # share of the largest motion from which another person may be the child too
MAX_GAP = 45  # frames after which a lost skeleton begins a new track
MAX_OFFSET = 0.35  # body heights between a skeleton and its predicted position
MAX_LOG_RATIO = 0.5  # |ln| of the ratio of two body heights of one person
_ANKLES = [INDEX["left_ankle"], INDEX["right_ankle"]]


class Person(NamedTuple):
    """One skeleton of one frame."""

    rank: int  # position in the frame's list
    centre: NDArray[np.float32]
    height: float  # pixels
    ankles: NDArray[np.float32]  # from the right ankle to the left one, in body heights


@dataclass
class SkeletonTrack(Chain[Person]):
    """One person over the frames."""

    @property
    def ranks(self) -> list[int]:
        return [person.rank for person in self.detections]

    @property
    def centres(self) -> NDArray[np.float32]:
        return np.array([person.centre for person in self.detections])

    @property
    def heights(self) -> list[float]:
        return [person.height for person in self.detections]

    def predict(self, frame: int) -> NDArray[np.float32]:
        """Extrapolate the centre from the last twelve detections, by at most twelve frames."""
        recent = [person.centre for person in self.detections[-12:]]
        if len(recent) < 4:
            return recent[-1]
        velocity = (recent[-1] - recent[0]) / (self.frames[-1] - self.frames[-len(recent)])
        return np.asarray(recent[-1] + velocity * min(frame - self.frames[-1], 12))

    def motion(self) -> float:
        """Return the distance walked plus twice the |ln| change of size, in body heights, weighted by leg movement."""
        if len(self.frames) < 3:
            return 0.0
        ends = max(1, len(self.frames) // 10)
        centre, height = self.centres, np.array(self.heights)
        way = np.linalg.norm(np.median(centre[-ends:], axis=0) - np.median(centre[:ends], axis=0)) / np.median(height)
        growth = abs(np.log(np.median(height[-ends:]) / np.median(height[:ends])))
        ankles = np.array([person.ankles for person in self.detections])
        stepping = float(np.nanstd(ankles, axis=0).sum()) if np.isfinite(ankles).any() else 0.0
        return float((way + 2 * growth) * min(1.0, stepping / 0.05) * min(1.0, len(self.frames) / 30))


def centre_and_height(points: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Return the centre and the height in pixels of one skeleton (23, 3), from its points that have a position."""
    placed = points[np.isfinite(points[:, :2]).all(axis=1) & (points[:, 2] > 0)]
    if not len(placed):
        return np.full(2, np.nan, np.float32), 1.0
    low, high = placed[:, :2].min(axis=0), placed[:, :2].max(axis=0)
    return np.median(placed[:, :2], axis=0), float(max(high[1] - low[1], high[0] - low[0], 1.0))


def link_skeletons(people: People) -> list[SkeletonTrack]:
    """Link the skeletons of all frames; tracks in the order in which the people appear."""
    return link(((frame, _persons(rows)) for frame, rows in enumerate(people)), _cost, SkeletonTrack, MAX_GAP)


def _persons(rows: NDArray[np.float32]) -> list[Person]:
    """Describe the skeletons of one frame that have a position."""
    persons = []
    for rank, points in enumerate(rows):
        centre, height = centre_and_height(points)
        if np.isfinite(centre).all():
            ankles = (points[_ANKLES[0], :2] - points[_ANKLES[1], :2]) / height
            persons.append(Person(rank, centre, height, ankles))
    return persons


def _cost(track: SkeletonTrack, frame: int, person: Person) -> float:
    """Return the distance from the predicted centre in body heights; inf if too far off or of another size."""
    last = track.detections[-1].height
    offset = float(np.linalg.norm(person.centre - track.predict(frame))) / max(person.height, last)
    return offset if offset < MAX_OFFSET and abs(np.log(person.height / last)) < MAX_LOG_RATIO else math.inf


def select_walker(people: People, selections: Sequence[tuple[int, Box]] = ()) -> NDArray[np.int64]:
    """Return for each frame the index of the walking child among its skeletons; -1 where the child has none.

    `selections` are manual: a frame and the box of the child in it. A skeleton that is not in the box belongs to
    somebody else. Where two selections contradict each other, the first one counts.
    """
    walker = np.full(len(people), -1)
    if not selections and all(len(persons) <= 1 for persons in people):
        return np.where([len(persons) == 1 for persons in people], 0, -1)
    tracks = link_skeletons(people)
    if selections:
        selected = [track for frame, box in selections if (track := _track_at(tracks, frame, box)) is not None]
        for track in reversed(selected):
            walker[track.frames] = track.ranks
        return _with_pieces(walker, selected[0], tracks) if selected else walker
    if not tracks:
        return walker
    motion = np.array([track.motion() for track in tracks])
    similar = [track for track, m in zip(tracks, motion, strict=True) if m >= SIMILAR_MOTION * motion.max()]
    first = min(similar, key=lambda track: (round(float(np.mean(track.ranks)), 1), -len(track.frames)))
    walker[first.frames] = first.ranks
    return _with_pieces(walker, first, tracks)


def _track_at(tracks: list[SkeletonTrack], frame: int, box: Box) -> SkeletonTrack | None:
    """Return the track whose centre is nearest to the box, within 0.75 body heights; else None."""
    best, nearest = None, 0.75
    for track in tracks:
        if frame in track.frames:
            person = track.detections[track.frames.index(frame)]
            inside = np.clip(person.centre, box[:2], box[2:])
            distance = float(np.linalg.norm(person.centre - inside)) / person.height
            if distance < nearest:
                best, nearest = track, distance
    return best


def _with_pieces(walker: NDArray[np.int64], main: SkeletonTrack, tracks: list[SkeletonTrack]) -> NDArray[np.int64]:
    """Add the tracks that continue the main one before its beginning or after its end, longest first."""
    for track in sorted(tracks, key=lambda track: -len(track.frames)):
        if track is not main and _continues(main, track) and (walker[track.frames] == -1).all():
            walker[track.frames] = track.ranks
    return walker


def _continues(main: SkeletonTrack, piece: SkeletonTrack) -> bool:
    """Whether a piece lies before or after the main track, near its straight continuation and of its size."""
    if len(main.frames) < 4:
        return False
    frames = np.array(main.frames)
    after = piece.frames[0] > frames[-1]
    if not after and piece.frames[-1] >= frames[0]:
        return False
    end = slice(-30, None) if after else slice(None, 30)
    centres = main.centres[end]
    line = [np.polyfit(frames[end], centres[:, axis], 1) for axis in (0, 1)]
    at = piece.frames[0] if after else piece.frames[-1]
    nearest = piece.detections[0 if after else -1]
    height = main.detections[-1 if after else 0].height
    offset = np.hypot(*(np.polyval(line[axis], at) - nearest.centre[axis] for axis in (0, 1))) / height
    return bool(offset < 2 * MAX_OFFSET and abs(np.log(nearest.height / height)) < MAX_LOG_RATIO)
