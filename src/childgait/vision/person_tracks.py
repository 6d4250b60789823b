"""Find the people of a video with BlazePose, follow them over time and choose the child who walks.

Every sampled picture is searched by the detector on the whole and on tiles; where the camera stands still, whatever
moves is a candidate, too, because the detector misses small people and those seen from behind. The landmark network
then fits each candidate, so that a box is a body and its legs are known. Persons are linked from sample to sample by
place, size and the colour of the shirt, with the motion of the camera removed.

The child is the person who walks: who covers ground (or grows and shrinks, coming and going) on moving legs. Where
several walk, it is the smallest one. A selection by a person overrules that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import INDEX
from childgait.errors import StepError
from childgait.gait.linking import assign_jointly
from childgait.vision.background import Samples
from childgait.vision.blazepose import LEAST_PRESENCE, BlazePose, Look, tiles_of
from childgait.vision.drawn_heads import draw_heads, people_of_heads
from childgait.vision.motion_regions import Box, interpolate_box, motion_mask, regions_of
from childgait.vision.shirts import UNKNOWN, differs, shirt_colour

Floats = NDArray[np.float64]

LEAST_DETECTION = 0.4  # of the detector; the landmark network has the last word
AT_PLACE = 0.35  # overlap (IoU) of a skeleton's box with a box, below which it is somebody else's
SAME = 0.5  # overlap (IoU) of two bodies from which they are one person
INSIDE = 0.6  # share of a smaller body inside a larger one, from which it may be a part of it
PART, WHOLE = 0.6, 0.85  # ... unless its height is in between: a child in front of an adult
REACH = 0.5  # body heights a person may be off the predicted place
REACH_PER_SECOND = 1.0  # ... and more for every second out of sight
LOST_SECONDS = 1.5
LASTING = 0.35  # of the longest track, in samples, that a walker must be known for
WALKS = 0.4  # share of the best walking measure from which somebody else walks, too
STEPPING = 0.04  # spread of the distance between the ankles, in body heights, of somebody who walks
ALIKE = 0.92  # ratio of body heights above which two walkers may both be the child
EQUAL = 0.7  # ... if also their walking measures are that alike
LEAST_HEIGHT = 60  # pixels of a child that the landmark network can read (measured on synthetic walks)
ABSENT_SECONDS = 0.5  # at either end of a video, from which a child has left the picture
OTHER_SHIRT_COST = 1.0  # body heights that a change of shirt adds to the distance from a track
COLOURS = 6  # samples whose shirt colours are averaged
SAME_SHOULDERS = 0.12  # body heights between the shoulders of two fits of one body
_SHOULDERS = [INDEX["left_shoulder"], INDEX["right_shoulder"]]
NOBODY: Floats = np.zeros((0, 4))
_ANKLES = [INDEX["left_ankle"], INDEX["right_ankle"]]


@dataclass
class Person:
    """One body in one sample, in working pixels."""

    box: Floats  # (4,)
    look: Look
    colour: Floats = field(default_factory=lambda: UNKNOWN)  # of the shirt, Lab; NaN where unknown

    @property
    def height(self) -> float:
        return float(self.box[3] - self.box[1])

    @property
    def centre(self) -> Floats:
        return np.asarray((self.box[:2] + self.box[2:]) / 2)


@dataclass
class PersonTrack:
    """One person over the samples. `offsets` are the camera's way up to each sample, to be added to a place."""

    frames: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    persons: list[Person] = field(default_factory=list)
    offsets: list[Floats] = field(default_factory=list)

    def add(self, frame: int, seconds: float, person: Person, offset: Floats) -> None:
        self.frames.append(frame)
        self.seconds.append(seconds)
        self.persons.append(person)
        self.offsets.append(offset)

    @property
    def boxes(self) -> Floats:
        return np.array([person.box for person in self.persons])

    @property
    def height(self) -> float:
        """The median height in working pixels."""
        return float(np.median([person.height for person in self.persons]))

    def places(self) -> Floats:
        """The middle of the body in the room, (n, 2)."""
        return np.array([person.centre for person in self.persons]) + np.array(self.offsets)

    def expected(self, seconds: float) -> Floats:
        """Where in the room the person should be now, going on at the velocity of the last samples."""
        places, times = self.places()[-4:], self.seconds[-4:]
        if len(places) < 2 or times[-1] == times[0]:
            return np.asarray(places[-1])
        velocity = (places[-1] - places[0]) / (times[-1] - times[0])
        return np.asarray(places[-1] + velocity * min(seconds - times[-1], 0.5))

    def colour(self) -> Floats:
        """Return the median colour (Lab) of the shirt in the last samples; NaN where none of them shows it."""
        known = [one.colour for one in self.persons[-COLOURS:] if np.isfinite(one.colour).all()]
        return np.median(known, axis=0) if known else UNKNOWN

    def walking(self) -> float:
        """How much the person walks: ground covered and growth, in body heights, on moving legs, for some time."""
        if len(self.frames) < 3:
            return 0.0
        ends = max(1, len(self.frames) // 6)
        places, heights = self.places(), self.boxes[:, 3] - self.boxes[:, 1]
        way = np.linalg.norm(np.median(places[-ends:], axis=0) - np.median(places[:ends], axis=0)) / self.height
        growth = abs(np.log(np.median(heights[-ends:]) / np.median(heights[:ends])))
        gaps = [np.linalg.norm(np.diff(person.look.points[_ANKLES, :2], axis=0)) for person in self.persons]
        stepping = float(np.std(np.array(gaps) / heights))
        lasting = min(1.0, self.seconds[-1] - self.seconds[0])
        return float((way + 2 * growth) * min(1.0, stepping / STEPPING) * lasting)

    def box_at(self, frame: int, reach: int) -> Floats | None:
        """The box of any frame between samples, and up to `reach` frames beyond them in a straight line."""
        if not self.frames[0] - reach <= frame <= self.frames[-1] + reach:
            return None
        boxes = self.boxes
        centres = np.tile((boxes[:, :2] + boxes[:, 2:]) / 2, 2)
        return interpolate_box(np.array(self.frames, float), boxes, centres, frame)


def overlap(a: Floats, b: Floats) -> float:
    """Intersection over union of two boxes."""
    size = np.clip(np.minimum(a[2:4], b[2:4]) - np.maximum(a[:2], b[:2]), 0, None)
    both = float(size.prod())
    return both / max(float((a[2:4] - a[:2]).prod() + (b[2:4] - b[:2]).prod()) - both, 1e-9)


def find_people(
    samples: Samples,
    model: BlazePose,
    static: bool,
    covers: Mapping[int, Floats] = MappingProxyType({}),
    scale: float = 1,
) -> list[list[Person]]:
    """Return the bodies in every sample.

    `covers` are those of heads by frame, in pixels of the video; `scale` is the samples' pixels per pixel of the video.
    """
    tiles = tiles_of((samples.pictures[0].shape[0], samples.pictures[0].shape[1]))
    everybody: list[list[Person]] = []
    pictures = [
        draw_heads(np.asarray(cv2.cvtColor(picture, cv2.COLOR_YUV2RGB), np.uint8), frame, covers, scale)
        for frame, picture in zip(samples.frames, samples.pictures, strict=True)
    ]
    room = np.median(pictures, axis=0).astype(np.uint8) if static else None
    for index, rgb in enumerate(pictures):
        candidates = [row[:4] for row in model.detect_people(rgb, tiles, LEAST_DETECTION)]
        if static and len(samples.pictures) >= 6:
            candidates += [np.array(region.box) for region in regions_of(motion_mask(samples, index))]
        candidates += people_of_heads(covers.get(samples.frames[index], NOBODY) * scale)
        if everybody:  # whoever was there a moment ago
            candidates += [person.box for person in everybody[-1]]
        people = fit_people(rgb, candidates, model)
        if people:  # the detector draws one person per tile: search again without those that are known
            empty = without_people(rgb, [person.look for person in people], room)
            again = [row[:4] for row in model.detect_people(empty, tiles, LEAST_DETECTION)]
            hidden = everybody[-1] if everybody else []
            again += [p.box for p in hidden if all(overlap(p.box, q.box) < SAME for q in people)]
            people += [one for one in fit_people(empty, again, model) if not any(_same(one, other) for other in people)]
        colours = [shirt_colour(rgb, one.look.points, one.height) for one in people]
        people = [Person(one.box, one.look, colour) for one, colour in zip(people, colours, strict=True)]
        everybody.append(without_parts(people))
    return everybody


def without_parts(people: Sequence[Person]) -> list[Person]:
    """Return the people without second fits of one body: smaller, in the same shirt and with the same shoulders."""
    kept: list[Person] = []
    for one in sorted(people, key=lambda person: -person.height):
        near = [other for other in kept if shoulders_apart(one, other) < SAME_SHOULDERS]
        if all(differs(one.colour, other.colour) for other in near):
            kept.append(one)
    return kept


def shoulders_apart(one: Person, other: Person) -> float:
    """Return the distance between the middles of two people's shoulders, in body heights of the other."""
    a, b = (person.look.points[_SHOULDERS, :2].mean(axis=0) for person in (one, other))
    return float(np.linalg.norm(a - b)) / other.height


def without_people(rgb: NDArray[np.uint8], looks: Sequence[Look], room: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """The picture with these people replaced by the empty room, or by the colour around them where it is unknown."""
    gone = np.zeros(rgb.shape[:2], np.uint8)
    for look in looks:
        gone |= look.mask((rgb.shape[0], rgb.shape[1])).view(np.uint8)
    gone = np.asarray(cv2.dilate(gone, np.ones((5, 5), np.uint8)))
    if room is None:
        weight = cv2.blur((1 - gone).astype(np.float32), (61, 61))[..., None]
        room = cv2.blur(rgb * (1 - gone)[..., None].astype(np.float32), (61, 61)) / np.maximum(weight, 1e-3)
    return np.asarray(np.where(gone[..., None] > 0, room, rgb), np.uint8)


def fit_people(rgb: NDArray[np.uint8], candidates: Sequence[Floats], model: BlazePose) -> list[Person]:
    """One person per body that a candidate box leads to; of two fits of one body the more visible one."""
    people: list[Person] = []
    for box in candidates:
        if any(overlap(box, person.box) > 0.8 for person in people):
            continue
        (look,) = model.look_at_boxes(rgb, box)
        if look is None or look.presence < LEAST_PRESENCE or not np.isfinite(look.box()).all():
            continue
        person = Person(look.box(), look)
        same = [other for other in people if _same(person, other)]
        if all(_completeness(person) > _completeness(other) for other in same):
            people = [other for other in people if all(other is not one for one in same)]
            people.append(person)
    return people


def _same(a: Person, b: Person) -> bool:
    """Whether two fits are of one body: they overlap, or one is a part of the other."""
    if overlap(_widened(a.box), _widened(b.box)) > SAME:
        return True
    small, large = sorted((a, b), key=lambda person: person.height)
    size = np.clip(np.minimum(a.box[2:], b.box[2:]) - np.maximum(a.box[:2], b.box[:2]), 0, None)
    inside = float(size.prod()) / max(float((small.box[2:] - small.box[:2]).prod()), 1e-9)
    ratio = small.height / large.height
    return inside > INSIDE and not PART <= ratio <= WHOLE


def _widened(box: Floats) -> Floats:
    """The box at least 0.4 as wide as tall: arms and legs swing, and seen from behind a body is narrow."""
    grow = max(0.0, 0.4 * float(box[3] - box[1]) - float(box[2] - box[0])) / 2
    return np.asarray(box + np.array([-grow, 0, grow, 0]))


def _completeness(person: Person) -> float:
    """How much of a body a fit shows: the mean score of its points, a larger body before a part of it."""
    return float(person.look.points[:, 2].mean()) * float(np.sqrt(person.height))


def camera_path(samples: Samples, people: Sequence[Sequence[Person]]) -> Floats:
    """(n, 2) what to add to a place in each sample, so that the room stands still: the camera's shifts, summed up."""
    light = [np.ascontiguousarray(picture[..., 0]) for picture in samples.pictures]
    path = np.zeros((len(light), 2))
    for n in range(1, len(light)):
        free = np.full(light[n].shape, 255, np.uint8)
        for person in people[n - 1]:
            x0, y0, x1, y1 = (max(0, round(float(value))) for value in person.box)
            free[y0:y1, x0:x1] = 0
        path[n] = path[n - 1] - _shift(light[n - 1], light[n], free)
    return path


def _shift(before: NDArray[np.uint8], after: NDArray[np.uint8], free: NDArray[np.uint8]) -> Floats:
    """The median way of the room's corners in pixels; zero where there are too few."""
    corners = cv2.goodFeaturesToTrack(before, 150, 0.005, max(8, before.shape[1] // 40), mask=free)
    if corners is None or len(corners) < 12:
        return np.zeros(2)
    there, ok, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None, winSize=(21, 21), maxLevel=4)
    ways = (there - corners).reshape(-1, 2)[ok.ravel() == 1]
    return np.median(ways, axis=0).astype(np.float64) if len(ways) >= 12 else np.zeros(2)


def link_people(
    samples: Samples, seconds: Floats, people: Sequence[Sequence[Person]], path: Floats
) -> list[PersonTrack]:
    """Link the bodies of all samples into tracks, by the least total distance from sample to sample."""
    tracks: list[PersonTrack] = []
    for n, frame in enumerate(samples.frames):
        now, offset = float(seconds[frame]), path[n]
        alive = [track for track in tracks if now - track.seconds[-1] <= LOST_SECONDS]
        linked = assign_jointly(alive, frame, people[n], _distance_at(now, offset))
        for index, person in enumerate(people[n]):
            if index in linked:
                track = alive[linked[index]]
            else:
                track = PersonTrack()
                tracks.append(track)
            track.add(frame, now, person, offset)
    return tracks


def _distance_at(now: float, offset: Floats) -> Callable[[PersonTrack, int, Person], float]:
    """Return the cost of continuing a track with a person at this time and camera position."""
    return lambda track, frame, person: _distance(track, person, now, offset)


def _distance(track: PersonTrack, person: Person, now: float, offset: Floats) -> float:
    """Return how far a person is off a track, in body heights; infinite if they cannot be the same."""
    other = OTHER_SHIRT_COST if differs(track.colour(), person.colour) else 0.0  # a cover may hide a part of the shirt
    height = float(np.median([one.height for one in track.persons[-4:]]))
    away = float(np.linalg.norm(person.centre + offset - track.expected(now))) / height
    growth = abs(np.log(person.height / height))
    late = now - track.seconds[-1]
    return away + growth + other if away < REACH + REACH_PER_SECOND * late and growth < 0.4 + late else math.inf


def choose_child(
    tracks: Sequence[PersonTrack], selections: Sequence[tuple[int, Box]], name: str, scale: float
) -> tuple[PersonTrack, str]:
    """The child's track and why it is the child's. Boxes of selections are in working pixels, `scale` of a video's."""
    hint = "give a row in selections.csv, or name the video in cohort.exclude"
    if selections:
        hits = [_hits(track, selections) for track in tracks]
        if not tracks or not max(hits):
            raise StepError(f"{name}: no person is at the selected place", hint="move the row in selections.csv")
        return tracks[int(np.argmax(hits))], "the person a selection points at"
    longest = max((len(track.frames) for track in tracks), default=0)
    walking = [track.walking() if len(track.frames) >= LASTING * longest else 0.0 for track in tracks]
    if not tracks or max(walking) <= 0:
        raise StepError(f"{name}: no walker found: {len(tracks)} people, none walks", hint=hint)
    walkers = [(track, value) for track, value in zip(tracks, walking, strict=True) if value >= WALKS * max(walking)]
    walkers.sort(key=lambda entry: entry[0].height)
    child, best = walkers[0]
    for other, value in walkers[1:]:
        shared = set(child.frames) & set(other.frames)
        alike = child.height / other.height > ALIKE and min(value, best) > EQUAL * max(value, best)
        if alike and len(shared) > 0.5 * len(child.frames):
            frame = min(shared)
            row = child.boxes[child.frames.index(frame)] / scale
            raise StepError(
                f"{name}: two people of the same height walk through the picture; which one is the child is not clear",
                hint=f"write a row like {name},{frame},{','.join(f'{value:.0f}' for value in row)} in selections.csv",
            )
    return child, "the one who walks" if len(walkers) == 1 else "the smallest of those who walk"


def check_height(child: PersonTrack, name: str, scale: float) -> None:
    """Fail on a child that is too small for the landmark network; `scale` is working pixels per pixel of the video."""
    height = child.height / scale
    if height < LEAST_HEIGHT:
        raise StepError(
            f"{name}: the child is {height:.0f} pixels tall, and the embedded model needs {LEAST_HEIGHT}",
            hint="deliver a larger picture or keypoints, or name the video in cohort.exclude",
        )


def describe_absence(child: PersonTrack, seconds: Floats, step: int) -> str:
    """Return between which times the child is in the picture, `step` frames apart; an empty text if throughout."""
    first, last = seconds[max(child.frames[0] - step, 0)], seconds[min(child.frames[-1] + step, len(seconds) - 1)]
    if first <= ABSENT_SECONDS and seconds[-1] - last <= ABSENT_SECONDS:
        return ""
    return f"the child is in the picture from {first:.1f} to {last:.1f} s of {seconds[-1]:.1f} s"


def _hits(track: PersonTrack, selections: Sequence[tuple[int, Box]]) -> float:
    """How many selections lie on the track; of equals the longer track wins."""
    hits = 0.0
    for frame, box in selections:
        place = track.box_at(frame, 0)
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        if place is not None and place[0] <= x <= place[2] and place[1] <= y <= place[3]:
            middle = (place[:2] + place[2:]) / 2
            hits += 1 + 0.5 / (1 + float(np.linalg.norm(middle - [x, y])))
    return hits + 1e-6 * len(track.frames) if hits else 0.0
