"""Detection of heads in a raw video: faces in some frames, silhouettes in all, SAM 3, keypoints and manual regions.

`look` passes over the video once and returns an `Observation`; `with_keypoints` and `with_regions` add tracks to it.
SAM 3, where it is on, is one more pass. Nothing is written: an observation contains coordinates, every frame's luma at
320 pixels, and small colour samples, and lives as long as the process.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.regions import Region
from childgait.files.video import Colour, Frame
from childgait.params import Deidentify
from childgait.vision import faces, heads, mosaic, tracks
from childgait.vision.camera_path import estimate_path
from childgait.vision.head_covers.raw_video import RawVideo
from childgait.vision.head_covers.unexplained import Scene
from childgait.vision.tracks import HeadTrack, PatchTracker

if TYPE_CHECKING:
    from childgait.domain.poses import Poses
    from childgait.vision.sam3 import Sam3


@dataclass(frozen=True)
class Observation:
    """The frame times of a video and everything that was detected in it."""

    seconds: tuple[Fraction, ...]
    width: int
    height: int
    colour: Colour
    detection_frames: int  # frames in which faces were detected
    tracks: tuple[HeadTrack, ...]
    samples: tuple[mosaic.Sample, ...] = field(repr=False)
    small: tuple[NDArray[np.uint8], ...] = field(repr=False)  # luma of every frame
    scale: float  # pixels of the video per pixel of `small`
    bodies: tuple[NDArray[np.float64], ...] = field(default=(), repr=False)  # of keypoint and blazepose tracks in order
    child_body: NDArray[np.float64] | None = field(default=None, repr=False)  # (T, 4) below the neck, NaN where unknown
    doubts: tuple[str, ...] = ()  # why somebody may be missing, with frames; of the embedded model only
    scenes: tuple[Scene, ...] = field(default=(), repr=False)  # small pictures with the embedded model's people

    @property
    def times(self) -> NDArray[np.float64]:
        return np.array([float(time) for time in self.seconds])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height

    @property
    def tracker(self) -> PatchTracker:
        return PatchTracker(self.small, self.scale)


def look(video: RawVideo, params: Deidentify) -> Observation:
    """Pass over a video once and detect faces, and heads by SAM 3 where it is on."""
    detectors = make_detectors(params)
    detections: dict[int, NDArray[np.float64]] = {}
    samples, small, seconds, next_detection = [], [], [], 0.0
    for frame in video.frames():
        seconds.append(frame.seconds)
        small.append(heads.shrink(frame.planes.y))
        if float(frame.seconds) >= next_detection:
            next_detection = float(frame.seconds) + params.look_seconds - 1e-6
            samples.append(mosaic.sample(frame.index, frame.planes))
            detections[frame.index] = _detect(detectors, frame, params.keep_score)
    observation = Observation(
        seconds=tuple(seconds),
        width=frame.planes.width,
        height=frame.planes.height,
        colour=frame.colour,
        detection_frames=len(detections),
        tracks=(),
        samples=tuple(samples),
        small=tuple(small),
        scale=frame.planes.width / small[0].shape[1],
    )
    face_tracks = _tracks_of_faces(detections, observation, params)
    return replace(observation, tracks=(*face_tracks, *_tracks_of_sam3(video, len(seconds), params)))


def make_detectors(params: Deidentify) -> list[faces.Detector]:
    """Load the face detectors that `deidentify.backends` lists."""
    detectors: list[faces.Detector] = []
    if "centerface" in params.backends:
        detectors.append(faces.CenterFace(params.longest_side))
    if "retinaface" in params.backends:
        if not params.retinaface_weights:
            raise StepError(
                "deidentify.backends lists retinaface, but deidentify.retinaface_weights is empty",
                hint="give the path and the sha256 of your ONNX file",
            )
        detectors.append(faces.RetinaFace(Path(params.retinaface_weights), params.retinaface_sha256))
    return detectors


def _detect(detectors: list[faces.Detector], frame: Frame, min_score: float) -> NDArray[np.float64]:
    """Return the faces of one frame, (n, 5), united over all detectors."""
    pixels = frame.pixels if detectors else None
    rows = [detector.detect(pixels, min_score) for detector in detectors if pixels is not None]
    return faces.suppress(np.concatenate([*rows, np.zeros((0, 5))]))


def _tracks_of_faces(
    detections: dict[int, NDArray[np.float64]], observation: Observation, params: Deidentify
) -> list[HeadTrack]:
    """Link the faces into tracks of whole heads, without gaps of up to `bridge_seconds`."""
    times, bridge = observation.times, params.bridge_seconds
    boxes = {
        frame: np.column_stack([heads.head_of_face(rows[:, :4]), rows[:, 4]]) for frame, rows in detections.items()
    }
    linked = tracks.link_heads(
        boxes, times, "detected", birth=params.birth_score, keep=params.keep_score, bridge=bridge
    )
    tracker = observation.tracker
    return [tracks.complete(track, times, bridge=bridge, extend=0.0, tracker=tracker) for track in linked]


def _load_sam3(params: Deidentify) -> Sam3:
    from childgait.vision.sam3 import Sam3

    if not params.sam3_weights:
        raise StepError(
            "deidentify.backends lists sam3, but deidentify.sam3_weights is empty",
            hint="give the folder of SAM 3 and the sha256 of its weights",
        )
    return Sam3(Path(params.sam3_weights), params.sam3_sha256, key="deidentify.sam3_sha256", device=params.sam3_device)


def _tracks_of_sam3(video: RawVideo, frames: int, params: Deidentify) -> list[HeadTrack]:
    """Return one track per object that SAM 3 segments for `sam3_prompts`."""
    if "sam3" not in params.backends:
        return []
    tracks_by_object: dict[int, HeadTrack] = {}
    pixels = (frame.pixels for frame in video.frames())
    for frame, objects in enumerate(_load_sam3(params).text(pixels, params.sam3_prompts)):
        for number, one in objects.items():
            track = tracks_by_object.setdefault(number, tracks.empty_track(frames))
            track.box[frame], track.source[frame], track.score[frame] = one.box, "sam3", one.score
    return [tracks_by_object[number] for number in sorted(tracks_by_object)]


def with_keypoints(
    observation: Observation, people: list[NDArray[np.float32]], params: Deidentify, child: Poses | None = None
) -> Observation:
    """Add the heads of all people with keypoints (n, 23, 3) per frame, not only of the child.

    `child` are the child's own keypoints: no whole-person cover lies on its body while its head is known.
    """
    added, bodies, child_bodies = [], [], []
    for person in heads.boxes_of_keypoints(people, observation.times, params.keypoint_score):
        present = np.isfinite(person.head[:, 0])
        if present.any():
            track = HeadTrack(person.head, ["keypoints" if flag else "" for flag in present], person.score)
            added.append(tracks.complete(track, observation.times, bridge=params.bridge_seconds, extend=0.0))
            bodies.append(person.body)
            child_bodies.append(heads.below_neck(person.head, person.body))
    observation = replace(observation, tracks=(*observation.tracks, *added), bodies=(*observation.bodies, *bodies))
    if child is None or not child_bodies:
        return observation
    points = np.where(child.seen[..., None], child.xy, np.nan)
    hits = [heads.frames_inside(points, body) for body in child_bodies]
    return replace(observation, child_body=child_bodies[int(np.argmax(hits))])


def with_embedded(observation: Observation, video: RawVideo, params: Deidentify) -> Observation:
    """Add the heads of all people that the embedded model shows, if `deidentify.backends` lists it."""
    from childgait.vision.head_covers.embedded import look_embedded

    if "blazepose" not in params.backends:
        return observation
    path = estimate_path(observation.small, observation.scale, observation.size, observation.bodies)
    added = look_embedded(video, observation.times, path, params)
    child = observation.child_body if observation.child_body is not None else added.child_body
    return replace(
        observation,
        tracks=(*observation.tracks, *added.tracks),
        bodies=(*observation.bodies, *added.bodies),
        child_body=child,
        doubts=added.doubts,
        scenes=added.scenes,
    )


def with_regions(observation: Observation, regions: list[Region], video: RawVideo, params: Deidentify) -> Observation:
    """Add the tracks of manual regions."""
    added = tracks_of_regions(regions, len(observation.seconds), video, params)
    return replace(observation, tracks=(*observation.tracks, *added))


def tracks_of_regions(regions: list[Region], frames: int, video: RawVideo, params: Deidentify) -> list[HeadTrack]:
    """Return one track per manual region.

    Its boxes are on all frames, or interpolated between the frames given; with SAM 3, a region given on a single frame
    is tracked from there through the video.
    """
    return [
        _track_of_region([region for region in regions if region.name == name], frames, video, params)
        for name in sorted({region.name for region in regions})
    ]


def _track_of_region(rows: list[Region], frames: int, video: RawVideo, params: Deidentify) -> HeadTrack:
    track = tracks.empty_track(frames)
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
        pixels = (frame.pixels for frame in video.frames())
        objects_by_frame = _load_sam3(params).track(pixels, frame_index=placed[0][0], box=placed[0][1])
        for number, objects in enumerate(objects_by_frame):
            if 1 in objects:
                track.box[number] = objects[1].box
    present = track.present
    track.source = ["region" if flag else "" for flag in present]
    track.score[present] = 1.0
    return track
