"""Which of several skeletons is the child who walks: followed over time, and chosen by what it does.

A recording may show a therapist or a parent. Skeletons are linked from frame to frame by place and size; the walker is
the one who crosses the picture, or grows or shrinks as it comes and goes, on moving legs. Where two do so alike, the
one the delivery lists first is taken, because that is how the release marks its subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import INDEX

People = list[NDArray[np.float32]]  # a frame each: (n, 23, 3) of x, y, score for its n skeletons; n may be 0

Box = tuple[float, float, float, float]  # x0, y0, x1, y1
_ALIKE = 0.6  # a track that moves this share of the most moving one's may be the child too
_LOST = 45  # frames after which a lost skeleton is a new one
_JUMP = 0.35  # body heights that a skeleton may be off its predicted place
_ANKLES = [INDEX["left_ankle"], INDEX["right_ankle"]]


@dataclass
class Track:
    """One person's way through the frames."""

    frames: list[int] = field(default_factory=list)
    rank: list[int] = field(default_factory=list)  # where the frame lists this person
    centre: list[NDArray[np.float32]] = field(default_factory=list)
    height: list[float] = field(default_factory=list)
    legs: list[NDArray[np.float32]] = field(default_factory=list)  # one ankle seen from the other, in heights

    def add(self, frame: int, rank: int, person: NDArray[np.float32]) -> None:
        centre, height = place(person)
        self.frames.append(frame)
        self.rank.append(rank)
        self.centre.append(centre)
        self.height.append(height)
        self.legs.append((person[_ANKLES[0], :2] - person[_ANKLES[1], :2]) / height)

    def expected(self, frame: int) -> NDArray[np.float32]:
        """Where it should be, going on as in its last dozen frames."""
        recent = self.centre[-12:]
        if len(recent) < 4:
            return recent[-1]
        velocity = (recent[-1] - recent[0]) / (self.frames[-1] - self.frames[-len(recent)])
        return np.asarray(recent[-1] + velocity * min(frame - self.frames[-1], 12))

    def motion(self) -> float:
        """How much it walks: the way it went and its change of size, in body heights, times how its legs move."""
        if len(self.frames) < 3:
            return 0.0
        ends = max(1, len(self.frames) // 10)
        centre, height = np.array(self.centre), np.array(self.height)
        way = np.linalg.norm(np.median(centre[-ends:], axis=0) - np.median(centre[:ends], axis=0)) / np.median(height)
        growth = abs(np.log(np.median(height[-ends:]) / np.median(height[:ends])))
        legs = np.array(self.legs)
        stepping = float(np.nanstd(legs, axis=0).sum()) if np.isfinite(legs).any() else 0.0
        return float((way + 2 * growth) * min(1.0, stepping / 0.05) * min(1.0, len(self.frames) / 30))


def place(person: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """The middle and the height in pixels of one skeleton, from its points that have a position."""
    seen = person[np.isfinite(person[:, :2]).all(axis=1) & (person[:, 2] > 0)]
    if not len(seen):
        return np.full(2, np.nan, np.float32), 1.0
    low, high = seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)
    return np.median(seen[:, :2], axis=0), float(max(high[1] - low[1], high[0] - low[0], 1.0))


def follow(people: People) -> list[Track]:
    """Every person's track, in the order they appear."""
    tracks: list[Track] = []
    for frame, persons in enumerate(people):
        found = [(rank, *place(person)) for rank, person in enumerate(persons)]
        found = [entry for entry in found if np.isfinite(entry[1]).all()]
        pairs = []
        for number, track in enumerate(tracks):
            if frame - track.frames[-1] > _LOST:
                continue
            for rank, centre, height in found:
                off = float(np.linalg.norm(centre - track.expected(frame))) / max(height, track.height[-1])
                if off < _JUMP and abs(np.log(height / track.height[-1])) < 0.5:
                    pairs.append((off, number, rank))
        used_tracks, used_ranks = set(), set()
        for _, number, rank in sorted(pairs):
            if number not in used_tracks and rank not in used_ranks:
                tracks[number].add(frame, rank, persons[rank])
                used_tracks.add(number)
                used_ranks.add(rank)
        for rank, _, _ in found:
            if rank not in used_ranks:
                fresh = Track()
                fresh.add(frame, rank, persons[rank])
                tracks.append(fresh)
    return tracks


def choose_walker(people: People, said: Sequence[tuple[int, Box]] = ()) -> NDArray[np.int64]:
    """For each frame, which of its skeletons is the walking child; -1 where it is not among them. `said` is a person's word:
    a frame and the box where the child is; a skeleton that is not there is somebody else's."""
    chosen = np.full(len(people), -1)
    if not said and all(len(persons) <= 1 for persons in people):
        return np.where([len(persons) == 1 for persons in people], 0, -1)
    tracks = follow(people)
    if said:
        named = [track for frame, box in said if (track := _track_at(tracks, frame, box)) is not None]
        for track in reversed(named):  # the first word counts most
            chosen[track.frames] = track.rank
        return _with_its_pieces(chosen, named[0], tracks) if named else chosen
    if not tracks:
        return chosen
    motion = np.array([track.motion() for track in tracks])
    alike = [track for track, m in zip(tracks, motion, strict=True) if m >= _ALIKE * motion.max()]
    walker = min(alike, key=lambda track: (round(float(np.mean(track.rank)), 1), -len(track.frames)))
    chosen[walker.frames] = walker.rank
    return _with_its_pieces(chosen, walker, tracks)


def _track_at(tracks: list[Track], frame: int, box: Box) -> Track | None:
    """The track whose skeleton's middle is nearest to the box, if the box is no farther than about its own feet."""
    best, nearest = None, 0.75  # of its height
    for track in tracks:
        if frame in track.frames:
            index = track.frames.index(frame)
            inside = np.clip(track.centre[index], box[:2], box[2:])
            away = float(np.linalg.norm(track.centre[index] - inside)) / track.height[index]
            if away < nearest:
                best, nearest = track, away
    return best


def _with_its_pieces(chosen: NDArray[np.int64], walker: Track, tracks: list[Track]) -> NDArray[np.int64]:
    """Where the walker is lost for long, what goes on in its line."""
    for track in sorted(tracks, key=lambda track: -len(track.frames)):
        if track is not walker and _continues(walker, track) and (chosen[track.frames] == -1).all():
            chosen[track.frames] = track.rank
    return chosen


def _continues(walker: Track, piece: Track) -> bool:
    """Whether a piece of track is the walker before it was found or after it was lost: in its line, of its size."""
    if len(walker.frames) < 4:
        return False
    frames = np.array(walker.frames)
    after = piece.frames[0] > frames[-1]
    if not after and piece.frames[-1] >= frames[0]:
        return False
    end = slice(-30, None) if after else slice(None, 30)
    there = np.array(walker.centre)[end]
    line = [np.polyfit(frames[end], there[:, axis], 1) for axis in (0, 1)]
    at = piece.frames[0] if after else piece.frames[-1]
    centre = piece.centre[0] if after else piece.centre[-1]
    height = walker.height[-1] if after else walker.height[0]
    off = np.hypot(*(np.polyval(line[axis], at) - centre[axis] for axis in (0, 1))) / height
    return bool(off < 2 * _JUMP and abs(np.log(piece.height[0 if after else -1] / height)) < 0.5)
