"""Covers of a video: the tracks of all sources are merged, completed and smoothed; what stays unknown is covered whole.

`plan` turns an `Observation` into a `CoverPlan`: the covers, and a row per frame and region with the reason for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from childgait.files.regions import REGIONS
from childgait.gait.filters import runs_of_true
from childgait.params import Deidentify
from childgait.vision import heads, mosaic, tracks
from childgait.vision.head_covers.look import Observation
from childgait.vision.tracks import HeadTrack

if TYPE_CHECKING:
    import polars as pl

MERGE_SECONDS = 0.6  # half window over which the top of a silhouette reaches as high as at its highest
STEADY_SECONDS = 0.2  # half window of the running median of a silhouette's box
SILHOUETTE_SCORE = 0.5  # of a head that only a silhouette shows
SILHOUETTE_MARGIN, KEYPOINT_END_MARGIN = 2, 3  # times `deidentify.margin`


@dataclass(frozen=True)
class CoverPlan:
    """What is covered in each frame of an observed video, and why."""

    observation: Observation
    covers: list[mosaic.Cover]
    table: pl.DataFrame  # files/regions.py REGIONS
    static_camera: bool  # as far as silhouettes show
    frames_without_head: int  # frames in which somebody is covered whole
    people: int


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


def plan(observation: Observation, params: Deidentify) -> CoverPlan:
    """Decide what is covered in each frame."""
    times, size = observation.times, observation.size
    fixed = [track for track in observation.tracks if "region" in track.source]
    moving, static_camera = _source_tracks(observation, params)
    moving = tracks.merge(moving, int(np.searchsorted(times, MERGE_SECONDS)))
    moving = tracks.join_over_holes(moving, times, size)
    covers: list[mosaic.Cover] = []
    rows: list[_Row] = []
    fully_covered = np.zeros(len(times), bool)
    for number, track in enumerate([*moving, *fixed]):
        if number < len(moving):
            track, unknown = _complete(track, observation, params)
            for hole in unknown:
                boxes = _boxes_of_hole(track, hole, times)
                fully_covered[hole[0] : hole[1] + 1] = True
                covers.append(_cover(boxes, observation, [params.seed, number, hole[0] + 1], params))
                rows += [_row(f, times, number, True, "hole", 0.0, box, size) for f, box in boxes.items()]
        boxes = _boxes_of_head(track, times, params)
        covers.append(_cover(boxes, observation, [params.seed, number, 0], params))
        rows += [_row(f, times, number, False, track.source[f], track.score[f], box, size) for f, box in boxes.items()]
    return CoverPlan(observation, covers, _table(rows), static_camera, int(fully_covered.sum()), len(moving))


def _source_tracks(observation: Observation, params: Deidentify) -> tuple[list[HeadTrack], bool]:
    """Return the tracks of all sources but manual regions, and whether the camera is static.

    Silhouettes that are the body of a known head are left out.
    """
    by_source = {
        source: [track for track in observation.tracks if source in track.source]
        for source in ("keypoints", "detected", "sam3")
    }
    known_heads = [*by_source["keypoints"], *by_source["detected"]]
    bodies = [*observation.bodies, *(heads.body_of_head(track.box) for track in by_source["detected"])]
    silhouettes = heads.find_silhouettes(
        list(observation.small),
        observation.times,
        observation.scale,
        params.moving_difference,
        params.silhouette_height,
        list(observation.bodies),
    )
    figures = _tracks_of_silhouettes(silhouettes, observation, params) if silhouettes.static_camera else []
    min_frames = int(np.searchsorted(observation.times, params.person_seconds))
    others = tracks.without_bodies(figures, bodies, known_heads, min_frames)
    return [*known_heads, *by_source["sam3"], *others], silhouettes.static_camera


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
    track: HeadTrack, observation: Observation, params: Deidentify
) -> tuple[HeadTrack, list[tuple[int, int]]]:
    """Fill gaps, extend ends and hold static people; return the track and the holes (first, last) that remain."""
    times, tracker = observation.times, observation.tracker
    track = tracks.complete(track, times, bridge=params.bridge_seconds, extend=params.extend_seconds, tracker=tracker)
    remaining = []
    for hole in tracks.holes(track, times, observation.size, params.person_seconds):
        if (held := tracks.hold_static(track, hole, tracker)) is not None:
            track = held
        else:
            remaining.append(hole)
    return track, remaining


def _boxes_of_hole(track: HeadTrack, hole: tuple[int, int], times: NDArray[np.float64]) -> dict[int, NDArray[np.int64]]:
    """Return the whole-person cover of each frame of a hole, on even pixels."""
    return {hole[0] + i: _even(box) for i, box in enumerate(tracks.person_boxes(track, hole, times))}


def _boxes_of_head(track: HeadTrack, times: NDArray[np.float64], params: Deidentify) -> dict[int, NDArray[np.int64]]:
    """Return the head cover of each frame with a box."""
    boxes: dict[int, NDArray[np.int64]] = {}
    for first, end in runs_of_true(track.present):
        part = slice(first, end)
        cover = tracks.cover_boxes(
            track.box[part],
            times[part],
            sigma=params.smooth_seconds,
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
    a silhouette shows the top of the head at best.
    """
    keypoints = np.array(["keypoints" in name for name in source])
    at_end = np.minimum(times - times[0], times[-1] - times) <= params.smooth_seconds
    silhouette_only = np.array([name in ("silhouette", "extended") for name in source])
    factor = np.where(keypoints, KEYPOINT_END_MARGIN, np.where(silhouette_only, SILHOUETTE_MARGIN, 1))
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
