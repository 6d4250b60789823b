"""From a raw video to what must be covered in each frame, and back to a check of what was covered.

`look` decodes the video once and gathers every sighting of a head: faces at some frames, silhouettes at all, what SAM 3
finds; keypoints and what a person wrote down are added to them. `plan` makes tracks of them, then covers, each frame's
reason told.
Only numbers leave this module, and small samples of colour that live as long as the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.regions import Region
from childgait.files.tables import Column, Table
from childgait.files.video import Colour, read_frames
from childgait.params import Deidentify
from childgait.vision import faces, heads, mosaic, tracks
from childgait.vision.tracks import Follow, Track

if TYPE_CHECKING:
    from fractions import Fraction

    import polars as pl

REGIONS = Table(
    "regions",
    ("frame", "region", "whole"),
    (
        Column("frame", "Int32", "index of the frame in the video, from 0"),
        Column("seconds", "Float64", "time since the video's first frame"),
        Column("region", "Int32", "number of the track, from 0"),
        Column("whole", "Boolean", "whether the whole person is covered because no head is known"),
        Column(
            "source",
            "String",
            "detected, keypoints, silhouette, sam3, region (a person's file), joined by +; bridged; extended; hole",
        ),
        Column("score", "Float32", "the best score of what tells it, 0 where nothing was seen"),
        Column("x0", "Int32", "left edge of what is covered"),
        Column("y0", "Int32", "top edge"),
        Column("x1", "Int32", "right edge, exclusive"),
        Column("y1", "Int32", "bottom edge, exclusive"),
        Column("area", "Int32", "pixels of it inside the picture"),
    ),
)


@dataclass
class Seen:
    """One pass over a video: its frames' times and everything that was sighted."""

    seconds: tuple[Fraction, ...]
    width: int
    height: int
    colour: Colour
    looks: int
    tracks: list[Track]
    samples: list[mosaic.Sample] = field(repr=False)
    small: list[NDArray[np.uint8]] = field(repr=False)  # every frame's luma
    scale: float  # pixels of the video for one of `small`
    bodies: list[NDArray[np.float64]] = field(default_factory=list, repr=False)  # of the keypoint tracks, in order

    @property
    def follow(self) -> Follow:
        return Follow(self.small, self.scale)

    @property
    def times(self) -> NDArray[np.float64]:
        return np.array([float(time) for time in self.seconds])


@dataclass
class Plan:
    """What is covered, frame by frame, and why."""

    covers: list[mosaic.Cover]
    table: pl.DataFrame
    still: bool  # the camera, as far as silhouettes tell
    without_head: int  # frames in which somebody is covered whole
    people: int


def detectors(params: Deidentify) -> list[faces.Detector]:
    found: list[faces.Detector] = []
    if "centerface" in params.backends:
        found.append(faces.CenterFace(params.longest_side))
    if "retinaface" in params.backends:
        if not params.retinaface_weights:
            raise StepError(
                "deidentify.backends names retinaface, but deidentify.retinaface_weights is empty",
                hint="give the path and the sha256 of your ONNX file",
            )
        found.append(faces.RetinaFace(Path(params.retinaface_weights), params.retinaface_sha256))
    return found


def look(video: Path, params: Deidentify) -> Seen:
    """Decode once; faces, silhouettes, and SAM 3 where it is asked for."""
    looking = detectors(params)
    faces_found: dict[int, NDArray[np.float64]] = {}
    samples, small, seconds, next_look = [], [], [], 0.0
    for frame in read_frames(video):
        seconds.append(frame.seconds)
        small.append(heads.shrink(frame.planes.y))
        if float(frame.seconds) >= next_look:
            next_look = float(frame.seconds) + params.look_seconds - 1e-6
            samples.append(mosaic.sample(frame.index, frame.planes))
            pixels = frame.pixels if looking else None
            rows = [one.detect(pixels, params.keep_score) for one in looking if pixels is not None]
            faces_found[frame.index] = faces.suppress(np.concatenate([*rows, np.zeros((0, 5))]))
    times = np.array([float(time) for time in seconds])
    scale = frame.planes.width / small[0].shape[1]
    whole = {
        frame: np.column_stack([heads.head_of_face(rows[:, :4]), rows[:, 4]]) for frame, rows in faces_found.items()
    }
    bridge = params.bridge_seconds
    found = tracks.link(whole, times, "detected", birth=params.birth_score, keep=params.keep_score, bridge=bridge)
    found = [tracks.complete(one, times, bridge=bridge, extend=0.0, follow=Follow(small, scale)) for one in found]
    found += _from_sam3(video, len(seconds), params)
    return Seen(
        tuple(seconds),
        frame.planes.width,
        frame.planes.height,
        frame.colour,
        len(faces_found),
        found,
        samples,
        small,
        scale,
    )


def from_keypoints(people: list[NDArray[np.float32]], seen: Seen, params: Deidentify) -> None:
    """Add the heads of everybody who has keypoints, not only of the child."""
    for person in heads.skeletons(people, seen.times, params.keypoint_score):
        known = np.isfinite(person.head[:, 0])
        if known.any():
            track = Track(person.head, ["keypoints" if flag else "" for flag in known], person.score)
            seen.tracks.append(tracks.complete(track, seen.times, bridge=params.bridge_seconds, extend=0.0))
            seen.bodies.append(person.body)


def from_regions(regions: list[Region], frames: int, video: Path, params: Deidentify) -> list[Track]:
    """A person's boxes: on all frames, between the frames named, or followed by SAM 3 from the one frame named."""
    found = []
    for name in sorted({region.name for region in regions}):
        rows = [region for region in regions if region.name == name]
        track = tracks.empty(frames)
        placed = sorted((region.frame, region.box) for region in rows if region.frame is not None)
        for region in rows:
            if region.frame is None:
                track.box[:] = region.box
        if placed:
            at = [frame for frame, _ in placed]
            between = slice(at[0], at[-1] + 1)
            for edge in range(4):
                track.box[between, edge] = np.interp(np.arange(frames), at, [box[edge] for _, box in placed])[between]
        if len(placed) == 1 and "sam3" in params.backends:
            model = _sam3(params)
            follow = model.track((f.pixels for f in read_frames(video)), frame_index=placed[0][0], box=placed[0][1])
            for frame, objects in enumerate(follow):
                if 1 in objects:
                    track.box[frame] = objects[1].box
        known = track.known
        track.source = ["region" if flag else "" for flag in known]
        track.score[known] = 1.0
        found.append(track)
    return found


def _sam3(params: Deidentify):  # type: ignore[no-untyped-def]  # its module needs torch
    from childgait.vision.sam3 import Sam3

    if not params.sam3_weights:
        raise StepError(
            "deidentify.backends names sam3, but deidentify.sam3_weights is empty",
            hint="give the folder of SAM 3 and the sha256 of its weights",
        )
    return Sam3(Path(params.sam3_weights), params.sam3_sha256, device=params.sam3_device)


def _from_sam3(video: Path, frames: int, params: Deidentify) -> list[Track]:
    """A track for every object that SAM 3 finds by words."""
    if "sam3" not in params.backends:
        return []
    found: dict[int, Track] = {}
    pixels = (frame.pixels for frame in read_frames(video))
    for frame, objects in enumerate(_sam3(params).text(pixels, params.sam3_prompts)):
        for number, one in objects.items():
            track = found.setdefault(number, tracks.empty(frames))
            track.box[frame], track.source[frame], track.score[frame] = one.box, "sam3", one.score
    return [found[number] for number in sorted(found)]


def plan(seen: Seen, params: Deidentify) -> Plan:
    """Tracks united, completed and smoothed; what stays unknown covered whole."""
    times, size = seen.times, (seen.width, seen.height)
    fixed = [track for track in seen.tracks if "region" in track.source]
    found, still = _all_tracks(seen, params)
    moving = tracks.merge(found, int(np.searchsorted(times, 0.6)))
    moving = tracks.join_over_holes(moving, times, size)
    covers: list[mosaic.Cover] = []
    rows: list[tuple[object, ...]] = []
    blind = np.zeros(len(times), bool)
    for number, track in enumerate([*moving, *fixed]):
        if number < len(moving):
            track = tracks.complete(
                track, times, bridge=params.bridge_seconds, extend=params.extend_seconds, follow=seen.follow
            )
            for hole in tracks.holes(track, times, size, params.person_seconds):
                if (standing := tracks.stand(track, hole, seen.follow)) is not None:
                    track = standing
                    continue
                whole = {hole[0] + i: _even(box) for i, box in enumerate(tracks.person_box(track, hole, times))}
                blind[hole[0] : hole[1] + 1] = True
                covers.append(_cover(whole, seen, [params.seed, number, hole[0] + 1], params))
                rows += [_row(f, times, number, True, "hole", 0.0, box, size) for f, box in whole.items()]
        boxes: dict[int, NDArray[np.int64]] = {}
        for first, last in tracks.runs(track.known):
            part = slice(first, last + 1)
            told = np.array(["keypoints" in source for source in track.source[part]])
            at_end = np.minimum(times[part] - times[first], times[last] - times[part]) <= params.smooth_seconds
            silhouette_only = np.array(
                [source in ("silhouette", "extended") for source in track.source[part]]
            )  # its top at best
            margin = np.where(
                told & ~at_end,
                params.keypoint_margin,
                np.where(told, 3, np.where(silhouette_only, 2, 1)) * params.margin,
            )
            smooth = tracks.smooth(
                track.box[part],
                times[part],
                sigma=params.smooth_seconds,
                reach=params.extend_seconds,
                growth=params.growth,
                margin=margin,
            )
            assert (smooth[:, :2] <= track.box[part, :2]).all(), "a cover cuts off a head it knows"
            assert (smooth[:, 2:] >= track.box[part, 2:]).all(), "a cover cuts off a head it knows"
            boxes |= {first + i: box for i, box in enumerate(smooth)}
        covers.append(_cover(boxes, seen, [params.seed, number, 0], params))
        rows += [_row(f, times, number, False, track.source[f], track.score[f], box, size) for f, box in boxes.items()]
    return Plan(covers, _table(rows), still, int(blind.sum()), len(moving))


def _all_tracks(seen: Seen, params: Deidentify) -> tuple[list[Track], bool]:
    """All tracks, of the silhouettes only those that are not the body of a known head; and whether the camera is still."""
    kinds = {kind: [t for t in seen.tracks if kind in t.source] for kind in ("keypoints", "detected", "sam3")}
    known = [*kinds["keypoints"], *kinds["detected"]]
    bodies = [*seen.bodies, *(heads.body_of_head(track.box) for track in kinds["detected"])]
    found = heads.find_silhouettes(
        seen.small, seen.times, seen.scale, params.moving_difference, params.silhouette_height, seen.bodies
    )
    silhouettes = _from_silhouettes(found, seen, params) if found.still else []
    least = int(np.searchsorted(seen.times, params.person_seconds))
    return [*known, *kinds["sam3"], *tracks.explain(silhouettes, bodies, known, least)], found.still


def _from_silhouettes(found: heads.Silhouettes, seen: Seen, params: Deidentify) -> list[Track]:
    """A track of heads for every moving figure that can be followed."""
    times, bridge = seen.times, params.bridge_seconds
    reach = int(np.searchsorted(times, 0.2))
    result = []
    for figure in tracks.link(found.figures, times, "silhouette", birth=0.0, keep=0.0, bridge=bridge):
        tops = np.full((len(times), 2), np.nan)
        for frame in np.flatnonzero(figure.known).tolist():
            row = int(np.flatnonzero((found.figures[frame][:, :4] == figure.box[frame]).all(axis=1))[0])
            tops[frame] = found.tops[frame][row]
        values = np.column_stack([figure.box, tops])
        steady = np.stack([heads.rolling(column, reach) for column in values.T], axis=1)
        steady[~figure.known] = np.nan
        track = Track(heads.head_of_figure(steady[:, :4], steady[:, 4:]), figure.source, figure.score * 0.5)
        result.append(tracks.complete(track, times, bridge=bridge, extend=0.0))
    return result


def _even(box: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.concatenate([np.floor(box[:2] / 2), np.ceil(box[2:] / 2)]).astype(np.int64) * 2


def _cover(boxes: dict[int, NDArray[np.int64]], seen: Seen, seed: list[int], params: Deidentify) -> mosaic.Cover:
    if params.style == "solid":
        return mosaic.Cover(mosaic.solid(), boxes)
    return mosaic.Cover(mosaic.texture(boxes, seen.samples, params.cells, seed), boxes)


def _row(
    frame: int,
    times: NDArray[np.float64],
    number: int,
    whole: bool,
    source: str,
    score: float,
    box: NDArray[np.int64],
    size: tuple[int, int],
) -> tuple[object, ...]:
    x0, y0, x1, y1 = (int(v) for v in box)
    area = max(min(x1, size[0]) - max(x0, 0), 0) * max(min(y1, size[1]) - max(y0, 0), 0)
    return frame, float(times[frame]), number, whole, source, round(float(score), 4), x0, y0, x1, y1, area


def _table(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    import polars as pl

    schema = REGIONS.schema()
    return pl.DataFrame(rows, schema=schema, orient="row").sort("frame", "region", "whole")


def covered_frames(video: Path, covers: list[mosaic.Cover]) -> Iterator[mosaic.Planes]:
    """The video's frames, covered. An uncovered one never leaves this loop."""
    for frame in read_frames(video):
        mosaic.draw(frame.planes, frame.index, covers)
        yield frame.planes
