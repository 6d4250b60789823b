"""Heads by the embedded model (BlazePose): people from any side, walking or standing, independent of faces and motion.

The detector searches the picture and tiles of it twice a second; in between the landmark
network follows everybody it knows. The head is where the points of the face are or, without them, above the shoulders,
as with delivered keypoints. Returns tracks of source `blazepose`, their bodies, and the child's body: that of the
smallest person among those who walk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from childgait.params import Deidentify
from childgait.vision import heads, tracks
from childgait.vision.blazepose import BlazePose, tiles_of
from childgait.vision.head_covers.raw_video import RawVideo
from childgait.vision.person_tracks import LEAST_DETECTION, Person, fit_people
from childgait.vision.tracks import HeadTrack

Floats = NDArray[np.float64]

LOOK_SECONDS = 0.12  # between two frames in which people are followed
SEARCH_SECONDS = 0.5  # between two searches of the whole picture
BRIDGE_SECONDS = 0.5  # longest gap of a person's track: two searches
MIN_LOOKS = 4  # of a track; anything shorter is a chair or a poster
LEAST_PRESENCE = 0.7  # of a person; lower than that, the model sees people in doors and posters
WALKS = 0.4  # share of the longest way, in body heights, from which somebody walks


@dataclass(frozen=True)
class EmbeddedLook:
    """Heads and bodies of everybody, and the child's body below the neck."""

    tracks: tuple[HeadTrack, ...]
    bodies: tuple[Floats, ...]
    child_body: Floats | None


def look_embedded(video: RawVideo, times: Floats, params: Deidentify) -> EmbeddedLook:
    """Return the people of a video of these frame times."""
    frames, people = _people(video)
    persons = heads.boxes_of_keypoints(people, times[frames], params.keypoint_score)
    persons = [one for one in persons if np.isfinite(one.head[:, 0]).sum() >= MIN_LOOKS]
    added, bodies, below = [], [], []
    for person in persons:
        present = np.isfinite(person.head[:, 0])
        track = tracks.empty_track(len(times))
        track.box[frames], track.score[frames] = person.head, person.score
        for frame in np.array(frames)[present].tolist():
            track.source[frame] = "blazepose"
        added.append(tracks.complete(track, times, bridge=BRIDGE_SECONDS, extend=0.0))
        bodies.append(_between(person.body, frames, times))
        below.append(_between(heads.below_neck(person.head, person.body), frames, times))
    child = _smallest_walker(bodies)
    return EmbeddedLook(tuple(added), tuple(bodies), None if child is None else below[child])


def _people(video: RawVideo) -> tuple[list[int], list[NDArray[np.float32]]]:
    """Return the frames that were searched and the points (n, 23, 3) of the people in them."""
    model = BlazePose("full")
    frames, people = [], []
    known: list[Person] = []
    next_look = next_search = 0.0
    for frame in video.frames():
        now = float(frame.seconds)
        if now < next_look:
            continue
        next_look = now + LOOK_SECONDS - 1e-6
        rgb = frame.pixels
        candidates = [person.box for person in known]
        if now >= next_search:
            next_search = now + SEARCH_SECONDS - 1e-6
            tiles = tiles_of((rgb.shape[0], rgb.shape[1]))
            candidates += [row[:4] for row in model.detect_people(rgb, tiles, LEAST_DETECTION)]
        known = [one for one in fit_people(rgb, candidates, model) if one.look.presence >= LEAST_PRESENCE]
        frames.append(frame.index)
        points = [one.look.points for one in known]
        people.append(np.stack(points) if points else np.zeros((0, 23, 3), np.float32))
    return frames, people


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
