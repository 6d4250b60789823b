"""Moving regions before a static camera, linked over time, and the one that is the walking child. Needs no keypoints.

A sampled picture is compared with its neighbours in time, near and far; what differs from most of them moves. Unlike
background subtraction this also works for a child who walks towards the camera. The walker is the track that travels
furthest or changes most in size, not the largest one. `guide` gives a track's region in any frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.boxes import Box
from childgait.gait.linking import Chain, link
from childgait.vision.background import LIGHTNESS, NOISE_FLOOR, Samples

LAGS = (1, 2, 3, 5, 7, 9)  # in samples, to both sides
MOVING_NOISE = 8.0  # noise levels by which a pixel must differ from most lags
SMALLEST_SHARE = 0.002  # of the picture that a person covers
MAX_OFFSET = 0.6  # body heights between a region and its predicted place
MAX_GAP = 6  # samples after which a lost region begins a new track
_WEIGHT = tuple(float(w) for w in np.array([LIGHTNESS, 1, 1]) / NOISE_FLOOR) + (0.0,)


@dataclass
class Region:
    """One connected moving region of one sample: its box and its convex hull, in working pixels."""

    box: Box
    hull: NDArray[np.int32]
    area: float


@dataclass
class MotionTrack(Chain[Region]):
    """The regions of one moving person over the samples."""

    @property
    def boxes(self) -> NDArray[np.float64]:
        return np.array([region.box for region in self.detections], np.float64)

    def predict(self, frame: int) -> NDArray[np.float64]:
        """Extrapolate the centre from the last four samples."""
        centres = _centres(np.array([region.box for region in self.detections[-4:]], np.float64))
        if len(centres) < 3:
            return np.asarray(centres[-1])
        speed = (centres[-1] - centres[0]) / (self.frames[-1] - self.frames[-len(centres)])
        return np.asarray(centres[-1] + speed * (frame - self.frames[-1]))

    def motion(self) -> float:
        """Return the distance travelled plus twice the |ln| change of height, in body heights, times the samples."""
        if len(self.frames) < 4:
            return 0.0
        boxes, ends = self.boxes, max(1, len(self.frames) // 6)
        height = boxes[:, 3] - boxes[:, 1]
        first, last = np.median(_centres(boxes[:ends]), axis=0), np.median(_centres(boxes[-ends:]), axis=0)
        way = np.linalg.norm(last - first) / np.median(height)
        growth = abs(np.log(np.median(height[-ends:]) / np.median(height[:ends])))
        return float((way + 2 * growth) * len(self.frames))

    def box_at(self, frame: int, reach: int) -> Box | None:
        """Interpolate the box of any frame; extrapolate up to `reach` frames beyond the samples; else None."""
        if not self.frames or not self.frames[0] - reach <= frame <= self.frames[-1] + reach:
            return None
        boxes = self.boxes
        box = interpolate_box(np.array(self.frames, float), boxes, boxes, frame)
        return float(box[0]), float(box[1]), float(box[2]), float(box[3])


def interpolate_box(
    frames: NDArray[np.float64], boxes: NDArray[np.float64], moving: NDArray[np.float64], frame: int
) -> NDArray[np.float64]:
    """Interpolate the boxes (n, 4) at a frame; outside them, continue at the velocity of `moving` (n, 4)."""
    box = np.array([np.interp(frame, frames, boxes[:, side]) for side in range(4)])
    outside = frame - np.clip(frame, frames[0], frames[-1])
    if outside and len(frames) >= 3:
        a, b = (0, 2) if outside < 0 else (-3, -1)
        box += (moving[b] - moving[a]) / (frames[b] - frames[a]) * outside
    return box


def _centres(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2], axis=1)


def motion_mask(samples: Samples, index: int) -> NDArray[np.uint8]:
    """Return the motion mask of one sample at half size: 255 where it differs from most of its neighbours in time."""
    now = _half_size(samples.pictures[index])
    squares = []
    for lag in LAGS:
        for other in (index - lag, index + lag):
            if 0 <= other < len(samples.pictures):
                picture = _half_size(samples.pictures[other])
                difference = cv2.multiply(cv2.absdiff(now, picture), _WEIGHT, dtype=cv2.CV_32F)
                squares.append(cv2.transform(cv2.multiply(difference, difference), np.ones((1, 3), np.float32)))
    median = np.partition(np.stack(squares), len(squares) // 2, axis=0)[len(squares) // 2]
    mask = (median > MOVING_NOISE**2).astype(np.uint8) * 255
    return cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))


def _half_size(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA))


def regions_of(mask: NDArray[np.uint8]) -> list[Region]:
    """Return the moving regions of a half-size mask; pieces that nearly touch, as a head and a shirt do, are one."""
    joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((mask.shape[0] // 12, mask.shape[0] // 25), np.uint8))
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    regions = []
    for label in range(1, count):
        x, y, width, height, _ = statistics[label]
        part = (slice(y, y + height), slice(x, x + width))
        pixels = np.argwhere((labels[part] == label) & (mask[part] > 0))
        if len(pixels) >= SMALLEST_SHARE * mask.size:
            hull = 2 * cv2.convexHull((pixels[:, ::-1] + [x, y]).astype(np.int32))
            box = (2.0 * x, 2.0 * y, 2.0 * (x + width), 2.0 * (y + height))
            regions.append(Region(box, hull, 4.0 * len(pixels)))
    return stacked(regions)


def stacked(regions: list[Region]) -> list[Region]:
    """Unite regions that lie above each other: one person whose shirt has the colour of the background behind it.

    Different people stand side by side.
    """
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


def link_regions(samples: Samples) -> list[MotionTrack]:
    """Link the moving regions of all samples into tracks."""

    def regions_by_frame() -> Iterator[tuple[int, list[Region]]]:
        for index, frame in enumerate(samples.frames):
            yield frame, regions_of(motion_mask(samples, index))

    return link(regions_by_frame(), _cost_by_step(samples.step), MotionTrack, MAX_GAP * samples.step)


def _cost_by_step(step: float) -> Callable[[MotionTrack, int, Region], float]:
    """Return the cost of a link: distance in body heights, plus a tenth per sample since the last detection."""

    def cost(track: MotionTrack, frame: int, region: Region) -> float:
        last = track.detections[-1].box
        height = last[3] - last[1]
        offset = float(np.linalg.norm(_centres(np.array([region.box]))[0] - track.predict(frame))) / height
        if offset < MAX_OFFSET and 0.5 < (region.box[3] - region.box[1]) / height < 2:
            return offset + 0.1 * ((frame - track.frames[-1]) / step)
        return math.inf

    return cost


def select_track(tracks: Sequence[MotionTrack], selections: Sequence[tuple[int, Box]]) -> MotionTrack | None:
    """Return the track that manual selections point at, else the one with the largest motion; None if there is none."""

    def hits(track: MotionTrack) -> int:
        count = 0
        for frame, box in selections:
            here = track.box_at(frame, 0)
            x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            count += here is not None and here[0] <= x <= here[2] and here[1] <= y <= here[3]
        return count

    if selections:
        best = max(tracks, key=lambda track: (hits(track), len(track.frames)), default=None)
        return best if best is not None and hits(best) else None
    best = max(tracks, key=lambda track: track.motion(), default=None)
    return best if best is not None and best.motion() > 0 else None


def guide(track: MotionTrack, frame: int, size: tuple[int, int], reach: int) -> NDArray[np.uint8] | None:
    """Draw the region of any frame, 255 in a working picture: the hulls of the samples around it, moved to its box.

    None where the track has no box within `reach` frames.
    """
    box = track.box_at(frame, reach)
    if box is None:
        return None
    canvas = np.zeros(size, np.uint8)
    after = int(np.searchsorted(track.frames, frame))
    for index in {max(after - 1, 0), min(after, len(track.frames) - 1)}:
        old = track.detections[index].box
        stretch = np.array([(box[2] - box[0]) / (old[2] - old[0]), (box[3] - box[1]) / (old[3] - old[1])])
        hull = (track.detections[index].hull[:, 0] - [old[0], old[1]]) * stretch + [box[0], box[1]]
        cv2.fillConvexPoly(canvas, np.round(hull).astype(np.int32), 255)
    return canvas
