"""Heads by the embedded model (BlazePose): people from any side, walking or standing, independent of faces and motion.

The detector searches the picture and tiles of it four times per second, once as it is and once without the people
known so far: two people in one place look like one to it. In between the landmark network follows everybody it knows,
also behind others. The head is where the points of the face are or, without them, above the shoulders, as with
delivered keypoints; where the person's mask shows a head above the ears, it has the size of that. Returns tracks of
source `blazepose`, their bodies, and the child's body: that of the smallest person among those who walk.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import HEAD, INDEX
from childgait.gait.linking import Chain, link
from childgait.params import Deidentify
from childgait.vision import heads, tracks
from childgait.vision.blazepose import BlazePose, Pixels, tiles_of
from childgait.vision.camera_path import CameraPath, apply_motion
from childgait.vision.head_covers.raw_video import RawVideo
from childgait.vision.head_covers.unexplained import Scene, make_scene
from childgait.vision.person_tracks import (
    LEAST_DETECTION,
    SAME,
    SAME_SHOULDERS,
    Person,
    fit_people,
    overlap,
    shoulders_apart,
    without_people,
)
from childgait.vision.shirts import differs, shirt_colour
from childgait.vision.tracks import HeadTrack

Floats = NDArray[np.float64]

LOOK_SECONDS = 0.12  # between two frames in which people are followed
SEARCH_SECONDS = 0.25  # between two searches of the whole picture
CLOSE_SECONDS = 1.0  # between two searches for people so close that the picture cuts them, whom the detector misses
CLOSE = ((1.3, -0.3), (1.6, -0.3), (2.0, -0.35))  # their heights and tops, in heights of the picture
CLOSE_PLACES = 11  # across the picture
CLOSE_PRESENCE = 0.9  # of them
CLOSE_HEIGHT = 0.6  # of the picture's height: smaller ones are the detector's, and here shadows and bars
CLOSE_INSIDE = (
    0.6  # of their points in the picture, in their own mask beside the people known: less is a mixture of others
)
BRIDGE_SECONDS = 0.5  # longest gap of a person's track: two searches
EDGE = 0.1  # body heights from the picture's sides within which people come and go
ENDS = 2  # looks at either end of a video; who is missing in more of them leaves a hole of the track
MIN_LOOKS = 4  # of a track; anything shorter is a chair or a poster
LEAST_PRESENCE = 0.7  # of a person; lower than that, the model sees people in doors and posters
REACH, REACH_PER_SECOND = 0.08, 0.5  # body heights by which a person moves between two frames, beside the camera
BESIDE = 0.25  # share of a further person's mask outside those in front; less of it is a remainder of theirs
MOST_SCENES = 96  # small pictures in memory
WALKS = 0.4  # share of the longest way, in body heights, from which somebody walks
_TRUNK = [INDEX[f"{side}_{joint}"] for joint in ("shoulder", "hip") for side in ("left", "right")]
_PLACE = [INDEX["nose"], *_TRUNK]


@dataclass(frozen=True)
class EmbeddedLook:
    """Heads and bodies of everybody, the child's body below the neck, why somebody may be missing, and the pictures."""

    tracks: tuple[HeadTrack, ...]
    bodies: tuple[Floats, ...]
    child_body: Floats | None
    doubts: tuple[str, ...]
    scenes: tuple[Scene, ...]


def look_embedded(video: RawVideo, times: Floats, path: CameraPath, params: Deidentify) -> EmbeddedLook:
    """Return the people of a video of these frame times, filmed by a camera of this path."""
    looks = _collect(_looks(video))
    frames = [look.frame for look in looks]
    chains = link_sightings(looks, times, path)
    added, bodies, below, head_counts = [], [], [], []
    for chain in chains:
        points = np.full((len(frames), 23, 3), np.nan, np.float32)
        outlines = np.full((len(frames), 4), np.nan)
        for frame, one in zip(chain.frames, chain.detections, strict=True):
            look = one.person.look
            points[frames.index(frame)] = look.points
            outlines[frames.index(frame)] = heads.head_outline(look.points, look.mask((path.height, path.width)))
        person = heads.boxes_of_person(points, times[frames], params.keypoint_score, outlines)
        present = np.isfinite(person.head[:, 0])
        head_counts.append(int(present.sum()))
        if present.sum() < MIN_LOOKS:
            continue
        track = tracks.empty_track(len(times))
        track.box[frames], track.score[frames] = person.head, person.score
        for frame in np.array(frames)[present].tolist():
            track.source[frame] = "blazepose"
        added.append(tracks.complete(track, times, bridge=BRIDGE_SECONDS, extend=0.0))
        bodies.append(_between(person.body, frames, times))
        below.append(_between(heads.below_neck(person.head, person.body), frames, times))
    child = _smallest_walker(bodies)
    child_body = None if child is None else below[child]
    doubts = [*list_takeovers(chains, times), *list_unfollowed(chains, head_counts)]
    doubts += list_lost_at_ends(chains, frames, path.width)
    scenes = tuple(look.scene for look in looks if look.scene is not None)
    return EmbeddedLook(tuple(added), tuple(bodies), child_body, tuple(doubts), scenes)


def _collect(looks: Iterable[LookAtFrame]) -> list[LookAtFrame]:
    """Return all looks; of their scenes every second one is dropped whenever there are too many."""
    kept: list[LookAtFrame] = []
    scenes: list[int] = []  # which of them have one
    for look in looks:
        kept.append(look)
        if look.scene is not None:
            scenes.append(len(kept) - 1)
        if len(scenes) > MOST_SCENES:
            for n in scenes[1::2]:
                kept[n] = replace(kept[n], scene=None)
            scenes = scenes[::2]
    return kept


@dataclass(frozen=True)
class Sighting:
    """One person in one frame, with the mean colour of the shirt (Lab; NaN where none of it is shown)."""

    person: Person
    colour: Floats
    close: bool = False  # first found by the search for people whom the picture cuts off


@dataclass(frozen=True)
class LookAtFrame:
    """Everybody in one frame, and its small picture."""

    frame: int
    sightings: list[Sighting]
    scene: Scene | None = None


def _looks(video: RawVideo) -> Iterator[LookAtFrame]:
    """Yield the people of the frames that are searched or in which somebody is followed."""
    model = BlazePose("full")
    known: list[Person] = []
    next_look = next_search = next_close = 0.0
    for frame in video.frames():
        now = float(frame.seconds)
        if now < next_look:
            continue
        next_look = now + LOOK_SECONDS - 1e-6
        if search := now >= next_search:
            next_search = now + SEARCH_SECONDS - 1e-6
        rgb = frame.pixels
        known = _people_of_frame(rgb, known, search, model)
        if now >= next_close:
            next_close = now + CLOSE_SECONDS - 1e-6
            close = close_people(rgb, known, model)
            known = known + close
        else:
            close = []
        colours = [shirt_colour(rgb, one.look.points, one.height) for one in known]
        known = without_second_fits([replace(one, colour=c) for one, c in zip(known, colours, strict=True)])
        sightings = [Sighting(one, one.colour, any(one.look is other.look for other in close)) for one in known]
        yield LookAtFrame(frame.index, sightings, make_scene(frame.index, rgb, known))


def without_second_fits(people: Sequence[Person]) -> list[Person]:
    """Return the people without later fits of one body: the same shoulders in a shirt of the same, known colour.

    What a mask leaves over of somebody who was painted over is fitted again as somebody else. Unlike in
    `without_parts`, whoever's colour is unknown stays: a cover too many is better than a bare head.
    """
    kept: list[Person] = []
    for one in people:
        near = [other for other in kept if shoulders_apart(one, other) < SAME_SHOULDERS]
        if not any(
            np.isfinite(one.colour - other.colour).all() and not differs(one.colour, other.colour) for other in near
        ):
            kept.append(one)
    return kept


def link_sightings(looks: Sequence[LookAtFrame], times: Floats, path: CameraPath) -> list[Chain[Sighting]]:
    """Link the sightings of all frames into one chain per person, by place in the room and colour of the shirt."""
    points_to_room = {look.frame: path.to_room[look.frame] for look in looks}

    def begin() -> Chain[Sighting]:
        return Chain()

    def cost(chain: Chain[Sighting], frame: int, one: Sighting) -> float:
        last, before = chain.detections[-1], chain.frames[-1]
        gap = float(times[frame] - times[before])
        a = apply_motion(points_to_room[before], last.person.look.points[_PLACE, :2].astype(np.float64))
        b = apply_motion(points_to_room[frame], one.person.look.points[_PLACE, :2].astype(np.float64))
        away = float(np.linalg.norm(np.median(b - a, axis=0))) / last.person.height
        if gap > BRIDGE_SECONDS or away > REACH + REACH_PER_SECOND * gap or differs(last.colour, one.colour):
            return math.inf
        return away

    return link(((look.frame, look.sightings) for look in looks), cost, begin)


def list_unfollowed(chains: Sequence[Chain[Sighting]], head_counts: Sequence[int]) -> list[str]:
    """List where somebody whom the picture cuts off was seen, but with a head in too few looks to be covered."""
    return [
        f"frame {chain.frames[0]}: somebody may stand so close that the picture cuts off the head"
        for chain, count in zip(chains, head_counts, strict=True)
        if count < MIN_LOOKS and any(one.close for one in chain.detections)
    ]


def list_lost_at_ends(chains: Sequence[Chain[Sighting]], frames: Sequence[int], width: int) -> list[str]:
    """List who is missing in the first or last looks (`frames`), and stood wholly in the picture just beside them.

    Such an end is too short to be a hole of a track, and the network drifts off people before it loses them.
    """
    doubts = []
    for chain in chains:
        for n, end in ((0, frames[0]), (-1, frames[-1])):
            person, edge = chain.detections[n].person, EDGE * chain.detections[n].person.height
            missing = sum(min(end, chain.frames[n]) < frame < max(end, chain.frames[n]) for frame in frames) + 1
            inside = person.box[0] > edge and person.box[2] < width - edge
            if chain.frames[n] == end or missing > ENDS or not inside or len(chain.frames) < MIN_LOOKS:
                continue
            there = [
                one
                for other in chains
                for frame, one in zip(other.frames, other.detections, strict=True)
                if frame == end
            ]
            if all(overlap(person.box, one.person.box) < SAME for one in there):
                first, last = sorted((chain.frames[n], end))
                doubts.append(f"frames {first}-{last}: a person was lost, or appeared, inside the picture")
    return doubts


def list_takeovers(chains: Sequence[Chain[Sighting]], times: Floats) -> list[str]:
    """List where one person was lost and another one, in another shirt, continued at the same place."""
    doubts = []
    for lost in chains:
        for new in chains:
            gap = float(times[new.frames[0]] - times[lost.frames[-1]])
            if not 0 < gap <= BRIDGE_SECONDS or len(lost.frames) + len(new.frames) < MIN_LOOKS:
                continue
            a, b = lost.detections[-1], new.detections[0]
            if overlap(a.person.box, b.person.box) > 0 and differs(a.colour, b.colour):
                doubts.append(f"frames {lost.frames[-1]}-{new.frames[0]}: a person was lost behind another one")
    return doubts


def _people_of_frame(rgb: Pixels, before: list[Person], search: bool, model: BlazePose) -> list[Person]:
    """Return everybody in one frame: who was there before and, if the frame is searched, who is new."""
    tiles = tiles_of((rgb.shape[0], rgb.shape[1]))
    candidates = [person.box for person in before]
    if search:
        candidates += [row[:4] for row in model.detect_people(rgb, tiles, LEAST_DETECTION)]
    people = [one for one in fit_people(rgb, candidates, model) if one.look.presence >= LEAST_PRESENCE]
    hidden = [one.box for one in before if all(overlap(one.box, other.box) < SAME for other in people)]
    if not people or not (search or hidden):
        return people
    rest = without_people(rgb, [one.look for one in people], None)
    if search:
        hidden += [row[:4] for row in model.detect_people(rest, tiles, LEAST_DETECTION)]
    front = np.any([one.look.mask((rgb.shape[0], rgb.shape[1])) for one in people], axis=0)
    for one in fit_people(rest, hidden, model):
        if one.look.presence >= LEAST_PRESENCE and _is_beside(one, front):
            people.append(one)
    return people


def close_people(rgb: Pixels, known: list[Person], model: BlazePose) -> list[Person]:
    """Return further people who stand so close that the picture cuts off their heads or feet.

    Parallel bars and the child who walks between them look like one large person, whose head is on the child's body.
    Somebody close hides the child, not the other way round, and stays when the child is painted over.
    """
    height, width = rgb.shape[:2]
    boxes = [
        np.array([x - 0.2 * tall * height, top * height, x + 0.2 * tall * height, (top + tall) * height])
        for tall, top in CLOSE
        for x in np.linspace(0, width, CLOSE_PLACES)
    ]
    front = np.any([np.zeros((height, width), bool), *(one.look.mask((height, width)) for one in known)], axis=0)
    close = [
        one
        for one in fit_people(rgb, boxes, model)
        if one.look.presence >= CLOSE_PRESENCE
        and one.height >= CLOSE_HEIGHT * height
        and _is_beside(one, front)
        and _share_inside(one, front) >= CLOSE_INSIDE
        and all(overlap(one.box, other.box) < SAME for other in known)
    ]
    if not close or not known:
        return close
    rest = without_people(rgb, [one.look for one in known], None)
    return [one for one in close if not (_has_head_on(one, front) and _vanishes(one, rest, model))]


def _has_head_on(person: Person, front: NDArray[np.bool_]) -> bool:
    """Whether most points of a person's head that the picture shows lie on the people in front."""
    places = np.rint(person.look.points[list(HEAD), :2]).astype(int)
    shown = places[((places >= 0) & (places < front.shape[::-1])).all(axis=1)]
    return bool(len(shown) and front[shown[:, 1], shown[:, 0]].mean() > 0.5)


def _vanishes(person: Person, rest: Pixels, model: BlazePose) -> bool:
    """Whether the network draws nobody in a person's square once the people known are painted over."""
    return model.look(rest, person.look.square).presence < LEAST_PRESENCE


def _share_inside(person: Person, front: NDArray[np.bool_]) -> float:
    """Return the share of a person's points in the picture that lie in their own mask beside the people in front.

    In a square that the picture cuts off, the network draws skeletons between people, or before a door, whose mask is
    elsewhere.
    """
    height, width = front.shape[:2]
    own = person.look.mask((height, width)) & ~front
    places = person.look.points[:, :2]
    places = np.rint(places[np.isfinite(places).all(axis=1)]).astype(int)
    shown = places[((places >= 0) & (places < (width, height))).all(axis=1)]
    return float(own[shown[:, 1], shown[:, 0]].mean()) if len(shown) else 0.0


def _is_beside(person: Person, front: NDArray[np.bool_]) -> bool:
    """Whether enough of a person lies beside the people in front, who were painted over."""
    mask = person.look.mask((front.shape[0], front.shape[1]))
    return bool((mask & ~front).sum() >= BESIDE * max(int(mask.sum()), 1))


def _between(boxes: Floats, frames: list[int], times: Floats) -> Floats:
    """Return boxes (T, 4) of all frames, interpolated between the searched ones; NaN in longer gaps."""
    known = np.flatnonzero(np.isfinite(boxes).all(axis=1))
    result = np.full((len(times), 4), np.nan)
    if not len(known):
        return result
    at = times[np.array(frames)[known]]
    after = np.clip(np.searchsorted(at, times), 0, len(at) - 1)
    before = np.clip(after - (at[after] > times), 0, len(at) - 1)
    near = (at[after] - at[before] <= BRIDGE_SECONDS) & (times >= at[0]) & (times <= at[-1])
    for side in range(4):
        result[near, side] = np.interp(times[near], at, boxes[known, side])
    return result


def _smallest_walker(bodies: list[Floats]) -> int | None:
    """Return the number of the smallest body of those who cover ground or grow and shrink; None without anybody."""
    ways, heights = [], []
    for body in bodies:
        known = body[np.isfinite(body).all(axis=1)]
        if len(known) < 2:
            ways.append(0.0)
            heights.append(np.inf)
            continue
        tall = known[:, 3] - known[:, 1]
        middle = (known[:, :2] + known[:, 2:]) / 2
        ways.append(float(np.ptp(middle, axis=0).max() / np.median(tall) + 2 * np.ptp(np.log(tall))))
        heights.append(float(np.median(tall)))
    walkers = [n for n, way in enumerate(ways) if way > 0 and way >= WALKS * max(ways)]
    return min(walkers, key=lambda n: heights[n]) if walkers else None
