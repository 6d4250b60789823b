"""Covers of a video: the tracks of all sources are merged, completed and smoothed; what stays unknown is covered whole.

`plan` turns an `Observation` into a `CoverPlan`: the covers, and a row per frame and region with the reason for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.regions import REGIONS, CoverChange
from childgait.gait.filters import runs_of_true
from childgait.params import Deidentify
from childgait.vision import heads, mosaic, tracks
from childgait.vision.camera_path import CameraPath, estimate_path
from childgait.vision.head_covers.look import Observation
from childgait.vision.head_covers.unexplained import list_shared_heads, list_unexplained
from childgait.vision.tracks import HeadTrack

if TYPE_CHECKING:
    import polars as pl

MERGE_SECONDS = 0.6  # half window over which the top of a silhouette reaches as high as at its highest
STEADY_SECONDS = 0.2  # half window of the running median of a silhouette's box
SILHOUETTE_SCORE = 0.5  # of a head that only a silhouette shows
CROSSING = 1.6  # head sizes between two heads, below which one may hide the other
ENTER_SECONDS = 0.5  # by which both ends of a track are held with the embedded model, which sees half a person late
MAX_SHAKE = 0.005  # of the picture's width: a camera that moves more is not static to the embedded model's checks
EMBEDDED_SMOOTHING = 0.5  # of `deidentify.smooth_seconds`: its heads are exact, and a cover off their path is larger
EMBEDDED_MARGIN, SILHOUETTE_MARGIN, KEYPOINT_END_MARGIN = 1.5, 2, 3  # times `deidentify.margin`


@dataclass(frozen=True)
class CoverPlan:
    """What is covered in each frame of an observed video, and why."""

    observation: Observation
    covers: list[mosaic.Cover]
    table: pl.DataFrame  # files/regions.py REGIONS
    static_camera: bool  # as far as silhouettes show
    frames_without_head: int  # frames in which somebody is covered whole
    people: int
    changes: tuple[str, ...] = ()  # what reviewers changed in regions.csv
    doubts: tuple[str, ...] = ()  # why somebody may be missing, with frames; of the embedded model only


@dataclass(frozen=True)
class _Planned:
    """One cover before it is drawn: a track's head, or a part of one of its holes."""

    number: int  # of the track
    hole: int  # first frame of the hole, from 1; 0 for the head
    part: int
    boxes: dict[int, NDArray[np.int64]]


class _Row(NamedTuple):
    """One row of REGIONS."""

    frame: int
    seconds: float
    region: int
    whole: bool
    source: str
    score: float
    x0: int
    y0: int
    x1: int
    y1: int
    area: int


def plan(observation: Observation, params: Deidentify, changes: Sequence[CoverChange] = ()) -> CoverPlan:
    """Decide what is covered in each frame; `changes` are the covers that a reviewer removed or ended."""
    times, size = observation.times, observation.size
    fixed = [track for track in observation.tracks if "region" in track.source]
    moving, static_camera = _source_tracks(observation, params)
    moving = tracks.merge(moving, int(np.searchsorted(times, MERGE_SECONDS)))
    path = _camera_path(observation) if not static_camera else None
    moving = [_map(track, path.boxes_to_room) for track in moving] if path else moving
    moving = tracks.join_over_holes(moving, times, size, path)
    completed = [_complete(track, observation, params, path) for track in moving]
    doubts = list(observation.doubts)
    if "blazepose" in params.backends:
        doubts += _hidden_stills(moving, completed, observation, params, path)
        completed, lost = _explain_crossings(completed)
        doubts += [*lost, *list_shared_heads(moving, times, params.person_seconds)]
        doubts += [text for track in moving if (text := _unconfirmed(track, times, params))]
    heads_known = [_map(track, path.boxes_to_picture) if path else track for track, _ in completed]
    child = _visible_child(observation, heads_known)
    everybody = [*heads_known, *fixed]
    planned: list[_Planned] = []
    for number, track in enumerate(everybody):
        if number < len(moving):
            in_room, unknown = completed[number]
            for hole in unknown:
                parts = _parts_of_hole(in_room, hole, observation, path, child)
                planned += [_Planned(number, hole[0] + 1, part, boxes) for part, boxes in enumerate(parts)]
        boxes = _boxes_of_head(track, times, params)
        if path is not None:
            boxes = {f: box for f, box in boxes.items() if _in_picture(box, size)}
        is_coarse = number < len(moving) and tracks.is_silhouette(track)
        parts = _parts_beside(boxes, child) if is_coarse else [boxes]
        planned += [_Planned(number, 0, part, pieces) for part, pieces in enumerate(parts)]
    planned = [one for one in _change(planned, changes) if one.boxes]
    covers = [_cover(one.boxes, observation, _seed(one, params), params) for one in planned]
    rows = [row for one in planned for row in _rows_of(one, everybody[one.number], observation)]
    doubts += _list_unexplained(observation, planned, path)
    fully_covered = {frame for one in planned if one.hole for frame in one.boxes}
    texts = tuple(str(change) for change in changes)
    return CoverPlan(
        observation, covers, _table(rows), static_camera, len(fully_covered), len(moving), texts, tuple(doubts)
    )


def _list_unexplained(observation: Observation, planned: Sequence[_Planned], path: CameraPath | None) -> list[str]:
    """List where parts of somebody move whose head no planned cover hides."""
    covers: dict[int, list[NDArray[np.int64]]] = {}
    for one in planned:
        for frame, box in one.boxes.items():
            covers.setdefault(frame, []).append(box)
    return list_unexplained(observation.scenes, observation.times, observation.bodies, covers, path)


def _change(planned: list[_Planned], changes: Sequence[CoverChange]) -> list[_Planned]:
    """Remove or end the covers that a reviewer marked; a mark that meets no cover is an error."""
    for change in changes:
        x, y = (change.box[0] + change.box[2]) / 2, (change.box[1] + change.box[3]) / 2
        met = [
            one
            for one in planned
            if (box := one.boxes.get(change.frame)) is not None and box[0] <= x < box[2] and box[1] <= y < box[3]
        ]
        if not met:
            raise StepError(
                f"{change.where}: no cover lies at the centre of this box in frame {change.frame}",
                hint="take frame and box from the review sheet; a cover that is gone already needs no row",
            )
        best = min(met, key=lambda one: _difference(one.boxes[change.frame], change.box))
        first = 0 if change.action == "remove" else change.frame
        planned = [
            replace(one, boxes={f: box for f, box in one.boxes.items() if f < first})
            if (one.number, one.hole) == (best.number, best.hole)
            else one
            for one in planned
        ]
    return planned


def _difference(box: NDArray[np.int64], other: Sequence[float]) -> float:
    """Return the sum of the distances of the four edges, in pixels."""
    return float(np.abs(box - np.array(other)).sum())


def _seed(one: _Planned, params: Deidentify) -> list[int]:
    return [params.seed, one.number, one.hole, *([one.part] if one.part else [])]


def _rows_of(one: _Planned, track: HeadTrack, observation: Observation) -> list[_Row]:
    times, size = observation.times, observation.size
    return [
        _row(f, times, one.number, True, "hole", 0.0, box, size)
        if one.hole
        else _row(f, times, one.number, False, track.source[f], track.score[f], box, size)
        for f, box in one.boxes.items()
    ]


def _camera_path(observation: Observation) -> CameraPath:
    """Estimate how the camera moves, from the background beside everybody whose body is known."""
    return estimate_path(observation.small, observation.scale, observation.size, observation.bodies)


def _map(track: HeadTrack, mapping: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> HeadTrack:
    """Return the track with its boxes mapped to or from the coordinates of the room."""
    return HeadTrack(mapping(track.box), list(track.source), track.score)


def _unconfirmed(track: HeadTrack, times: NDArray[np.float64], params: Deidentify) -> str:
    """Return why a person whom the embedded model does not know is in doubt; an empty text for everybody else.

    A person known to it alone stands still or shows the back. But if it misses people whom others know, it may miss
    more of them.
    """
    names = {name for source in track.source for name in source.split("+")} & {*tracks.HEAD_SOURCES, "silhouette"}
    if len(names) != 1 or "blazepose" in names or not tracks.is_person(track, times, params.person_seconds):
        return ""
    return f"frames {track.first}-{track.last}: one detector alone knows a person ({names.pop()})"


def _hidden_stills(
    tracks_before: Sequence[HeadTrack],
    completed: Sequence[tuple[HeadTrack, list[tuple[int, int]]]],
    observation: Observation,
    params: Deidentify,
    path: CameraPath | None,
) -> list[str]:
    """List where somebody who stands still was lost or appeared beside another head.

    The place stays covered, but who was lost may have been taken for the other one.
    """
    doubts = []
    for number, track in enumerate(tracks_before):
        if not tracks.stands_still(track, observation.times):
            continue
        others = [other for n, (other, _) in enumerate(completed) if n != number]
        for hole in tracks.holes(track, observation.times, observation.size, params.person_seconds, path):
            ends = [f for f in (hole[0] - 1, hole[1] + 1) if 0 <= f < len(track.score) and track.present[f]]
            if any(_is_beside(track.box[end], other.box[end]) for end in ends for other in others):
                doubts.append(f"frames {hole[0]}-{hole[1]}: a person who stands still was lost beside another one")
    return doubts


def _explain_crossings(
    completed: list[tuple[HeadTrack, list[tuple[int, int]]]],
) -> tuple[list[tuple[HeadTrack, list[tuple[int, int]]]], list[str]]:
    """Remove holes that begin or end beside another known head; return the rest, and the doubts they leave.

    Whoever is lost there is behind somebody else, or has been taken for them. Covering them whole would hide the other
    person for seconds; a reviewer decides instead.
    """
    result, doubts = [], []
    for number, (track, unknown) in enumerate(completed):
        others = [other for n, (other, _) in enumerate(completed) if n != number]
        unexplained = []
        for hole in unknown:
            ends = [f for f in (hole[0] - 1, hole[1] + 1) if 0 <= f < len(track.score) and track.present[f]]
            if not any(_is_beside(track.box[end], other.box[end]) for end in ends for other in others):
                unexplained.append(hole)
            else:
                doubts.append(f"frames {hole[0]}-{hole[1]}: a person was lost beside another one")
        result.append((track, unexplained))
    return result, doubts


def _is_beside(box: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two heads are so near that one may hide the other."""
    gap = np.abs((box[:2] + box[2:]) / 2 - (other[:2] + other[2:]) / 2)
    return bool(np.isfinite(other).all() and (gap < CROSSING * (box[2:] - box[:2])).all())


def _in_picture(box: NDArray[np.int64] | NDArray[np.float64], size: tuple[int, int]) -> bool:
    return bool(box[2] > 0 and box[3] > 0 and box[0] < size[0] and box[1] < size[1])


def _source_tracks(observation: Observation, params: Deidentify) -> tuple[list[HeadTrack], bool]:
    """Return the tracks of all sources but manual regions, and whether the camera is static.

    Silhouettes that are the body of a known head are left out.
    """
    by_source = {
        source: [track for track in observation.tracks if source in track.source]
        for source in ("keypoints", "blazepose", "detected", "sam3")
    }
    known_heads = [*by_source["keypoints"], *by_source["blazepose"], *by_source["detected"]]
    bodies = [*observation.bodies, *(heads.body_of_head(track.box) for track in by_source["detected"])]
    silhouettes = heads.find_silhouettes(
        list(observation.small),
        observation.times,
        observation.scale,
        params.moving_difference,
        params.silhouette_height,
        list(observation.bodies),
    )
    static_camera = silhouettes.static_camera
    if static_camera and "blazepose" in params.backends:  # a hand's shake makes figures of a wall
        static_camera = _camera_path(observation).largest_shift() <= MAX_SHAKE * observation.width
    figures = _tracks_of_silhouettes(silhouettes, observation, params) if static_camera else []
    min_frames = int(np.searchsorted(observation.times, params.person_seconds))
    others = tracks.without_bodies(figures, bodies, known_heads, min_frames)
    faces = [tracks.narrow_face(face, by_source["blazepose"]) for face in by_source["detected"]]
    return [*by_source["keypoints"], *by_source["blazepose"], *faces, *by_source["sam3"], *others], static_camera


def _tracks_of_silhouettes(
    silhouettes: heads.Silhouettes, observation: Observation, params: Deidentify
) -> list[HeadTrack]:
    """Return a track of the head of every moving figure that can be linked over frames."""
    times, bridge = observation.times, params.bridge_seconds
    reach = int(np.searchsorted(times, STEADY_SECONDS))
    result = []
    for figure in tracks.link_heads(silhouettes.figures, times, "silhouette", birth=0.0, keep=0.0, bridge=bridge):
        tops = np.full((len(times), 2), np.nan)
        for frame in np.flatnonzero(figure.present).tolist():
            same = (silhouettes.figures[frame][:, :4] == figure.box[frame]).all(axis=1)
            tops[frame] = silhouettes.tops[frame][int(np.flatnonzero(same)[0])]
        values = np.column_stack([figure.box, tops])
        steady = np.stack([heads.running_nanmedian(column, reach) for column in values.T], axis=1)
        steady[~figure.present] = np.nan
        head = heads.head_of_figure(steady[:, :4], steady[:, 4:])
        track = HeadTrack(head, figure.source, figure.score * SILHOUETTE_SCORE)
        result.append(tracks.complete(track, times, bridge=bridge, extend=0.0))
    return result


def _complete(
    track: HeadTrack, observation: Observation, params: Deidentify, path: CameraPath | None
) -> tuple[HeadTrack, list[tuple[int, int]]]:
    """Fill gaps, extend ends and hold static people; return the track and the holes (first, last) that remain.

    With a `path` the track is in coordinates of the room, so that who stands still does not move with the camera.
    """
    times, tracker = observation.times, observation.tracker
    tracker = tracker if path is None else tracks.RoomTracker(tracker, path)
    embedded = "blazepose" in params.backends
    extend = max(params.extend_seconds, ENTER_SECONDS) if embedded else params.extend_seconds
    stands = embedded and tracks.stands_still(track, times)
    track = tracks.complete(track, times, bridge=params.bridge_seconds, extend=extend, tracker=tracker)
    remaining = []
    for hole in tracks.holes(track, times, observation.size, params.person_seconds, path):
        if stands or tracks.is_silhouette(track):
            track = tracks.hold_static(track, hole, tracker)
        else:
            remaining.append(hole)
    if stands:  # the camera pans to and from them: their place is covered as long as it is in the picture
        for first, end in runs_of_true(~track.present):
            track = tracks.hold_static(track, (first, end - 1), tracker)
    return track, remaining


def _parts_of_hole(
    track: HeadTrack,
    hole: tuple[int, int],
    observation: Observation,
    path: CameraPath | None,
    child: NDArray[np.float64] | None,
) -> list[dict[int, NDArray[np.int64]]]:
    """Return the whole-person cover of each frame of a hole, on even pixels, in parts around the child's body.

    Where the camera moves, frames in which the person's place has left the picture have no cover.
    """
    boxes = tracks.person_boxes(track, hole, observation.times)
    shown = np.ones(len(boxes), bool)
    if path is not None:
        places = path.boxes_to_picture(tracks.place_boxes(track, hole), hole[0])
        boxes = path.boxes_to_picture(boxes, hole[0])
        shown = np.array([_in_picture(place, observation.size) for place in places])
    visible = {hole[0] + i: _even(box) for i, box in enumerate(boxes) if shown[i]}
    return _parts_beside(visible, child)


def _parts_beside(
    boxes: dict[int, NDArray[np.int64]], child: NDArray[np.float64] | None
) -> list[dict[int, NDArray[np.int64]]]:
    """Split the cover of each frame into parts around the child's body."""
    parts: list[dict[int, NDArray[np.int64]]] = [{}, {}, {}, {}]
    for frame, box in boxes.items():
        for part, piece in enumerate(_beside(box, None if child is None else child[frame])):
            if (piece[2:] > piece[:2]).all():
                parts[part][frame] = piece
    return parts


def _beside(box: NDArray[np.int64], body: NDArray[np.float64] | None) -> list[NDArray[np.int64]]:
    """Return the parts of a cover left of, right of, above and below a body; the whole cover where they do not meet."""
    if body is None or not np.isfinite(body).all():
        return [box]
    x0, y0, x1, y1 = (int(v) for v in (*(np.floor(body[:2] / 2) * 2), *(np.ceil(body[2:] / 2) * 2)))
    if x0 >= box[2] or x1 <= box[0] or y0 >= box[3] or y1 <= box[1]:
        return [box]
    left, right = max(int(box[0]), x0), min(int(box[2]), x1)
    corners = [(box[0], box[1], left, box[3]), (right, box[1], box[2], box[3])]
    corners += [(left, box[1], right, min(y0, box[3])), (left, max(y1, box[1]), right, box[3])]
    return [np.array(corner, np.int64) for corner in corners]


def _visible_child(observation: Observation, known: list[HeadTrack]) -> NDArray[np.float64] | None:
    """Return the child's body below the neck (T, 4) in frames in which its head is known and covered; else NaN."""
    body = observation.child_body
    if body is None:
        return None
    middle = (body[:, 0] + body[:, 2]) / 2
    reach = 0.06 * (body[:, 3] - body[:, 1])
    has_head = np.zeros(len(body), bool)
    for track in known:
        inside = (track.box[:, 0] < middle) & (middle < track.box[:, 2])
        has_head |= inside & (track.box[:, 1] < body[:, 1] - reach) & (track.box[:, 3] > body[:, 1] - reach)
    return np.where(has_head[:, None], body, np.nan)


def _boxes_of_head(track: HeadTrack, times: NDArray[np.float64], params: Deidentify) -> dict[int, NDArray[np.int64]]:
    """Return the head cover of each frame with a box."""
    boxes: dict[int, NDArray[np.int64]] = {}
    smoothing = EMBEDDED_SMOOTHING if any("blazepose" in name for name in track.source) else 1.0
    for first, end in runs_of_true(track.present):
        part = slice(first, end)
        cover = tracks.cover_boxes(
            track.box[part],
            times[part],
            sigma=smoothing * params.smooth_seconds,
            reach=params.extend_seconds,
            growth=params.growth,
            margin=_margins(track.source[part], times[part], params),
        )
        assert (cover[:, :2] <= track.box[part, :2]).all(), "a cover does not contain its head box"
        assert (cover[:, 2:] >= track.box[part, 2:]).all(), "a cover does not contain its head box"
        boxes |= {first + i: box for i, box in enumerate(cover)}
    return boxes


def _margins(source: list[str], times: NDArray[np.float64], params: Deidentify) -> NDArray[np.float64]:
    """Return the margin of each frame of an unbroken stretch, as a share of its box.

    It is smallest where keypoints give the head, away from the ends of the stretch, and larger at these ends and where
    a silhouette shows the top of the head at best, or the embedded model shows a head for the first or last time.
    Between two looks of the embedded model a head sways, and a small one is a few pixels: there it is larger, too.
    """
    keypoints = np.array(["keypoints" in name for name in source])
    at_end = np.minimum(times - times[0], times[-1] - times) <= params.smooth_seconds
    silhouette_only = np.array([name in ("silhouette", "extended") for name in source])
    embedded = np.array(["blazepose" in name for name in source])
    usual = EMBEDDED_MARGIN if embedded.any() else 1
    large = silhouette_only | (embedded & at_end)
    factor = np.where(keypoints, KEYPOINT_END_MARGIN, np.where(large, SILHOUETTE_MARGIN, usual))
    return np.where(keypoints & ~at_end, params.keypoint_margin, factor * params.margin)


def _even(box: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.concatenate([np.floor(box[:2] / 2), np.ceil(box[2:] / 2)]).astype(np.int64) * 2


def _cover(
    boxes: dict[int, NDArray[np.int64]], observation: Observation, seed: list[int], params: Deidentify
) -> mosaic.Cover:
    if params.style == "solid":
        return mosaic.Cover(mosaic.solid(), boxes)
    return mosaic.Cover(mosaic.texture(boxes, list(observation.samples), params.cells, seed), boxes)


def _row(
    frame: int,
    times: NDArray[np.float64],
    number: int,
    whole: bool,
    source: str,
    score: float,
    box: NDArray[np.int64],
    size: tuple[int, int],
) -> _Row:
    x0, y0, x1, y1 = (int(v) for v in box)
    area = max(min(x1, size[0]) - max(x0, 0), 0) * max(min(y1, size[1]) - max(y0, 0), 0)
    return _Row(frame, float(times[frame]), number, whole, source, round(float(score), 4), x0, y0, x1, y1, area)


def _table(rows: list[_Row]) -> pl.DataFrame:
    import polars as pl

    schema = REGIONS.schema()
    return pl.DataFrame(rows, schema=schema, orient="row").sort("frame", "region", "whole")
