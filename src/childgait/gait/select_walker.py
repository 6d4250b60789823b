"""Selects the walking child among several skeletons per frame: links them over time and compares their movement.

A recording may show a therapist or a parent. Skeletons are linked from frame to frame by position and size; the walker
is the one that crosses the picture, or grows or shrinks, on moving legs. Of several similar ones the one listed first
in the delivery is taken, because the release marks its subject that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import INDEX

People = list[NDArray[np.float32]]  # per frame: (n, 23, 3) of x, y, score for its n skeletons; n may be 0

Box = tuple[float, float, float, float]  # x0, y0, x1, y1
_SIMILAR = 0.6  # share of the largest motion, from which another track may be the child too
_LOST = 45  # frames without a skeleton after which a track ends
_JUMP = 0.35  # body heights by which a skeleton may be off its predicted position
_ANKLES = [INDEX["left_ankle"], INDEX["right_ankle"]]


@dataclass
class SkeletonTrack:
    """One person's skeletons over time."""

    frames: list[int] = field(default_factory=list)
    rank: list[int] = field(default_factory=list)  # the person's index in each frame
    centre: list[NDArray[np.float32]] = field(default_factory=list)
    height: list[float] = field(default_factory=list)
    legs: list[NDArray[np.float32]] = field(default_factory=list)  # left ankle relative to the right one, in heights

    def add(self, frame: int, rank: int, person: NDArray[np.float32]) -> None:
        """Append a skeleton."""
        centre, height = place(person)
        self.frames.append(frame)
        self.rank.append(rank)
        self.centre.append(centre)
        self.height.append(height)
        self.legs.append((person[_ANKLES[0], :2] - person[_ANKLES[1], :2]) / height)

    def expected(self, frame: int) -> NDArray[np.float32]:
        """Return the position extrapolated from the last dozen frames."""
        recent = self.centre[-12:]
        if len(recent) < 4:
            return recent[-1]
        velocity = (recent[-1] - recent[0]) / (self.frames[-1] - self.frames[-len(recent)])
        return np.asarray(recent[-1] + velocity * min(frame - self.frames[-1], 12))

    def motion(self) -> float:
        """Return how much the person walks: distance and change of size in body heights, times the legs' movement."""
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
    """Return the middle and the height of one skeleton in pixels, from its known points."""
    seen = person[np.isfinite(person[:, :2]).all(axis=1) & (person[:, 2] > 0)]
    if not len(seen):
        return np.full(2, np.nan, np.float32), 1.0
    low, high = seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)
    return np.median(seen[:, :2], axis=0), float(max(high[1] - low[1], high[0] - low[0], 1.0))


def link_skeletons(people: People) -> list[SkeletonTrack]:
    """Link skeletons over time; returns one track per person in the order of appearance."""
    tracks: list[SkeletonTrack] = []
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
                fresh = SkeletonTrack()
                fresh.add(frame, rank, persons[rank])
                tracks.append(fresh)
    return tracks


def select_walker(people: People, selections: Sequence[tuple[int, Box]] = ()) -> NDArray[np.int64]:
    """Return for each frame (T,) the index of the child's skeleton; -1 where it has none.

    `selections` are manual: a frame and the box of the child in it; a skeleton elsewhere is another person's.
    """
    selected = np.full(len(people), -1)
    if not selections and all(len(persons) <= 1 for persons in people):
        return np.where([len(persons) == 1 for persons in people], 0, -1)
    tracks = link_skeletons(people)
    if selections:
        named = [track for frame, box in selections if (track := _track_at(tracks, frame, box)) is not None]
        for track in reversed(named):  # the first selection takes precedence
            selected[track.frames] = track.rank
        return _with_pieces(selected, named[0], tracks) if named else selected
    if not tracks:
        return selected
    motion = np.array([track.motion() for track in tracks])
    similar = [track for track, m in zip(tracks, motion, strict=True) if m >= _SIMILAR * motion.max()]
    walker = min(similar, key=lambda track: (round(float(np.mean(track.rank)), 1), -len(track.frames)))
    selected[walker.frames] = walker.rank
    return _with_pieces(selected, walker, tracks)


def _track_at(tracks: list[SkeletonTrack], frame: int, box: Box) -> SkeletonTrack | None:
    """Return the track nearest to a box, if its middle is within 0.75 body heights of it."""
    best, nearest = None, 0.75  # of its height
    for track in tracks:
        if frame in track.frames:
            index = track.frames.index(frame)
            inside = np.clip(track.centre[index], box[:2], box[2:])
            away = float(np.linalg.norm(track.centre[index] - inside)) / track.height[index]
            if away < nearest:
                best, nearest = track, away
    return best


def _with_pieces(selected: NDArray[np.int64], walker: SkeletonTrack, tracks: list[SkeletonTrack]) -> NDArray[np.int64]:
    """Add other tracks that continue the walker's path where the walker itself is lost."""
    for track in sorted(tracks, key=lambda track: -len(track.frames)):
        if track is not walker and _continues(walker, track) and (selected[track.frames] == -1).all():
            selected[track.frames] = track.rank
    return selected


def _continues(walker: SkeletonTrack, piece: SkeletonTrack) -> bool:
    """Return whether a track is the walker before its first or after its last frame: in line with it and as large."""
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
