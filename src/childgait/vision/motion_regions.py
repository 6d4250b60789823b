"""Who moves in front of a static camera, without keypoints: moving regions, linked over time, and which is the child.

A sampled picture is compared with its neighbours in time, near and far; what differs from most of them moves. That
also works where a background does not, on a child that walks at the lens. Regions are linked into tracks; the walker
is the track that goes furthest or grows most, not the biggest one. Yields a Track; `guide` gives any frame's region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.vision.background import LIGHTNESS, NOISE_FLOOR, Samples

LAGS = (1, 2, 3, 5, 7, 9)  # in samples, to both sides
MOVES = 8.0  # noise levels by which a pixel must differ from most lags
SMALLEST = 0.002  # share of the picture that a person covers at least
_WEIGHT = tuple(float(w) for w in np.array([LIGHTNESS, 1, 1]) / NOISE_FLOOR) + (0.0,)
REACH = 0.6  # body heights a region may be off its expected place

Box = tuple[float, float, float, float]


@dataclass
class Region:
    """One connected moving thing in one sample: its box and its hull, in working pixels."""

    box: Box
    hull: NDArray[np.int32]
    area: float


@dataclass
class Track:
    """One mover over the samples."""

    frames: list[int] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)

    @property
    def boxes(self) -> NDArray[np.float64]:
        return np.array([region.box for region in self.regions], np.float64)

    def expected(self, frame: int) -> NDArray[np.float64]:
        """The middle it should be at, going on as lately."""
        centres = _centres(self.boxes[-4:])
        if len(centres) < 3:
            return np.asarray(centres[-1])
        speed = (centres[-1] - centres[0]) / (self.frames[-1] - self.frames[-len(centres)])
        return np.asarray(centres[-1] + speed * (frame - self.frames[-1]))

    def walks(self) -> float:
        """How far it goes and how much it grows or shrinks, in body heights, times how long it is seen."""
        if len(self.frames) < 4:
            return 0.0
        boxes, ends = self.boxes, max(1, len(self.frames) // 6)
        height = boxes[:, 3] - boxes[:, 1]
        first, last = np.median(_centres(boxes[:ends]), axis=0), np.median(_centres(boxes[-ends:]), axis=0)
        way = np.linalg.norm(last - first) / np.median(height)
        growth = abs(np.log(np.median(height[-ends:]) / np.median(height[:ends])))
        return float((way + 2 * growth) * len(self.frames))

    def box_at(self, frame: int, reach: int) -> Box | None:
        """The box of any frame, between its samples, and up to `reach` frames beyond them in its line; else None."""
        if not self.frames or not self.frames[0] - reach <= frame <= self.frames[-1] + reach:
            return None
        boxes, frames = self.boxes, np.array(self.frames, float)
        box = np.array([np.interp(frame, frames, boxes[:, side]) for side in range(4)])
        outside = frame - np.clip(frame, frames[0], frames[-1])
        if outside and len(frames) >= 3:
            a, b = (0, 2) if outside < 0 else (-3, -1)
            box += (boxes[b] - boxes[a]) / (frames[b] - frames[a]) * outside
        return float(box[0]), float(box[1]), float(box[2]), float(box[3])


def _centres(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2], axis=1)


def moving(samples: Samples, index: int) -> NDArray[np.uint8]:
    """Half-size map of one sample, 255 where it differs from most of its neighbours in time."""
    now = _half(samples.pictures[index])
    away = []
    for lag in LAGS:
        for other in (index - lag, index + lag):
            if 0 <= other < len(samples.pictures):
                off = cv2.multiply(cv2.absdiff(now, _half(samples.pictures[other])), _WEIGHT, dtype=cv2.CV_32F)
                away.append(cv2.transform(cv2.multiply(off, off), np.ones((1, 3), np.float32)))
    middle = np.partition(np.stack(away), len(away) // 2, axis=0)[len(away) // 2]
    mask = (middle > MOVES**2).astype(np.uint8) * 255
    return cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))


def _half(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA))


def regions_of(mask: NDArray[np.uint8]) -> list[Region]:
    """The moving things of a half-size map; pieces that nearly touch, as a head and a shirt do, are one."""
    joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((mask.shape[0] // 12, mask.shape[0] // 25), np.uint8))
    count, labels, facts, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    found = []
    for label in range(1, count):
        x, y, width, height, _ = facts[label]
        part = (slice(y, y + height), slice(x, x + width))
        pixels = np.argwhere((labels[part] == label) & (mask[part] > 0))
        if len(pixels) >= SMALLEST * mask.size:
            hull = 2 * cv2.convexHull((pixels[:, ::-1] + [x, y]).astype(np.int32))
            box = (2.0 * x, 2.0 * y, 2.0 * (x + width), 2.0 * (y + height))
            found.append(Region(box, hull, 4.0 * len(pixels)))
    return stacked(found)


def stacked(regions: list[Region]) -> list[Region]:
    """Regions above each other are one person, whose shirt looks like the door behind it: people stand side by side."""
    regions = sorted(regions, key=lambda region: region.box[1])
    for i, upper in enumerate(regions):
        for j in range(i + 1, len(regions)):
            a, b = upper.box, regions[j].box
            across = min(a[2], b[2]) - max(a[0], b[0])
            down = min(a[3], b[3]) - max(a[1], b[1])
            if across >= 0.5 * min(a[2] - a[0], b[2] - b[0]) and down <= 0.3 * min(a[3] - a[1], b[3] - b[1]):
                box = (min(a[0], b[0]), a[1], max(a[2], b[2]), max(a[3], b[3]))
                hull = cv2.convexHull(np.concatenate([upper.hull, regions[j].hull]))
                one = Region(box, hull, upper.area + regions[j].area)
                return stacked([*regions[:i], *regions[i + 1 : j], *regions[j + 1 :], one])
    return regions


def follow(samples: Samples) -> list[Track]:
    """All movers of the samples."""
    tracks: list[Track] = []
    for index, frame in enumerate(samples.frames):
        regions = regions_of(moving(samples, index))
        pairs = []
        for t, track in enumerate(tracks):
            height = float(track.boxes[-1, 3] - track.boxes[-1, 1])
            for r, region in enumerate(regions):
                centre = _centres(np.array([region.box]))[0]
                off = float(np.linalg.norm(centre - track.expected(frame))) / height
                late = (frame - track.frames[-1]) / samples.step
                if off < REACH and late <= 6 and 0.5 < (region.box[3] - region.box[1]) / height < 2:
                    pairs.append((off + 0.1 * late, t, r))
        taken: set[int] = set()
        used: set[int] = set()
        for _, t, r in sorted(pairs):
            if t not in used and r not in taken:
                tracks[t].frames.append(frame)
                tracks[t].regions.append(regions[r])
                used.add(t)
                taken.add(r)
        tracks += [Track([frame], [region]) for r, region in enumerate(regions) if r not in taken]
    return tracks


def chosen_track(tracks: Sequence[Track], selections: Sequence[tuple[int, Box]]) -> Track | None:
    """The track that a person pointed at, else the one that walks most; None if there is none."""

    def pointed_at(track: Track) -> int:
        hits = 0
        for frame, box in selections:
            there = track.box_at(frame, 0)
            x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            hits += there is not None and there[0] <= x <= there[2] and there[1] <= y <= there[3]
        return hits

    if selections:
        best = max(tracks, key=lambda track: (pointed_at(track), len(track.frames)), default=None)
        return best if best is not None and pointed_at(best) else None
    best = max(tracks, key=lambda track: track.walks(), default=None)
    return best if best is not None and best.walks() > 0 else None


def guide(track: Track, frame: int, size: tuple[int, int], reach: int) -> NDArray[np.uint8] | None:
    """The region of any frame, 255 in a working picture: the hulls of the samples around it, moved along; or None."""
    box = track.box_at(frame, reach)
    if box is None:
        return None
    canvas = np.zeros(size, np.uint8)
    after = int(np.searchsorted(track.frames, frame))
    for index in {max(after - 1, 0), min(after, len(track.frames) - 1)}:
        old = track.regions[index].box
        stretch = np.array([(box[2] - box[0]) / (old[2] - old[0]), (box[3] - box[1]) / (old[3] - old[1])])
        hull = (track.regions[index].hull[:, 0] - [old[0], old[1]]) * stretch + [box[0], box[1]]
        cv2.fillConvexPoly(canvas, np.round(hull).astype(np.int32), 255)
    return canvas
