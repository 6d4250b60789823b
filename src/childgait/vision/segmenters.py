"""The backends of `segment` behind one interface: from a film, keypoints and manual selections to one mask per frame.

`classical` needs no weights; `sam3` needs SAM 3's. Each yields masks of the video's size in order, and states as flat
facts which method was used and who was taken for the child. A video that cannot be segmented raises a StepError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.boxes import Box
from childgait.domain.poses import Poses
from childgait.errors import StepError
from childgait.files.masks import Mask, decode, encode
from childgait.files.selections import Selection
from childgait.files.video import read_frames
from childgait.vision.background import Samples
from childgait.vision.camera import camera_shift
from childgait.vision.mask_quality import joints_in
from childgait.vision.motion_regions import MotionTrack, Region, select_track
from childgait.vision.silhouettes import make_plan, sample, silhouettes, working

if TYPE_CHECKING:
    from childgait.files.segment_summary import SegmentationFacts
    from childgait.params import Segment
    from childgait.vision.sam3 import SegmentedObject


@dataclass(frozen=True)
class Film:
    """The result of a first pass over a video: size, time stamps, and samples."""

    path: Path
    size: tuple[int, int]  # height, width
    seconds: NDArray[np.float64]
    scale: float  # working pixels per pixel of the video
    samples: Samples

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def work_size(self) -> tuple[int, int]:
        return self.samples.pictures[0].shape[0], self.samples.pictures[0].shape[1]


@dataclass
class Segmentation:
    """One mask per frame, in order, and facts and flags for the summary."""

    masks: Iterator[Mask]
    facts: SegmentationFacts
    flags: list[str]
    doubtful: set[int] = field(default_factory=set)  # frames a backend marks while it yields their masks


def look_through(path: Path, params: Segment) -> Film:
    """Decode a video once: its size, its time stamps and a bounded number of samples."""
    seconds: list[float] = []
    size: list[tuple[int, int]] = []

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for frame in read_frames(path):
            seconds.append(float(frame.seconds))
            if not size:
                size.append((frame.planes.height, frame.planes.width))
            yield working(frame.planes, _work_size(size[0], params.work_height))

    samples = sample(pictures(), params.samples)
    return Film(path, size[0], np.array(seconds), _work_size(size[0], params.work_height)[0] / size[0][0], samples)


def _work_size(size: tuple[int, int], work_height: int) -> tuple[int, int]:
    """Return height and width of the working picture, never larger than the video, in its proportions."""
    height = min(size[0], work_height)
    return height, max(1, round(size[1] * height / size[0]))


def classical(film: Film, poses: Poses | None, selections: Sequence[Selection], params: Segment) -> Segmentation:
    """Segment by capsules, background and motion (vision/silhouettes.py)."""
    from childgait.vision.capsules import body_of

    body = None if poses is None else body_of(poses, min_score=params.min_score, scale=film.scale)
    if body is not None and not body.present.any():
        body = None
    pointed = [(one.frame, scaled(one.box, film.scale)) for one in selections]
    plan = make_plan(film.samples, body, pointed, params)
    facts: SegmentationFacts = {
        "path": plan.path,
        "person": plan.person,
        "camera": plan.camera,
        "camera_shift_pixels": None if plan.camera_shift is None else round(plan.camera_shift / film.scale, 3),
        "background_known_share": None if plan.known_share is None else round(plan.known_share, 4),
    }
    flags = []
    if plan.camera != "static":
        flags.append(f"the camera is {plan.camera}")
    if plan.body is None and body is not None:
        flags.append("a selection overrules the delivered keypoints' person")
    if plan.path == "motion":
        flags.append("without keypoints and with a room mostly unknown, the outline is only a hull of what moves")
    if plan.body is None and film.samples.step > 1 and _spacing(film) > 0.35:
        flags.append(f"movement was sampled only every {_spacing(film):.2f} s")

    def masks() -> Iterator[Mask]:
        pictures = (working(frame.planes, film.work_size) for frame in read_frames(film.path))
        return (upscaled(mask, film.size) for mask in silhouettes(pictures, plan, params))

    return Segmentation(masks(), facts, flags)


def _spacing(film: Film) -> float:
    """Return the time between two samples in seconds."""
    return float(film.samples.step * film.seconds[-1] / max(len(film) - 1, 1))


def scaled(box: Box, scale: float) -> Box:
    """Return a box of the video in working pixels."""
    x0, y0, x1, y1 = ((value + 0.5) * scale - 0.5 for value in box)
    return x0, y0, x1, y1


def upscaled(mask: Mask, size: tuple[int, int]) -> Mask:
    """Return the mask at a larger size, with a smooth outline."""
    if mask.shape == size:
        return mask
    grey = cv2.resize(mask.view(np.uint8) * 255, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(grey > 127)


@dataclass
class _Object:
    """One object of SAM 3 over the video, its masks run-length encoded."""

    masks: dict[int, bytes]
    boxes: dict[int, Box]
    inside: int = 0  # confident keypoints of the child in its masks


def sam3(film: Film, poses: Poses | None, selections: Sequence[Selection], params: Segment) -> Segmentation:
    """Segment by SAM 3: its tracker from a selection, else its text prompts and the object with the keypoints."""
    from childgait.vision.sam3 import Sam3

    model = Sam3(Path(params.sam3_folder), params.sam3_sha256, key="segment.sam3_sha256", device=params.sam3_device)
    shift = camera_shift([np.ascontiguousarray(one[..., 0]) for one in film.samples.pictures], None)
    camera = "unclear" if shift is None else "moving" if shift > params.camera_pixels else "static"
    pixels = (frame.pixels for frame in read_frames(film.path))
    if selections:
        first = selections[0]
        box, points = (None, [first.box[:2]]) if first.is_point else (first.box, None)
        tracked = model.track(pixels, frame_index=first.frame, box=box, points=points)
        path, person = "sam3 tracker", "the person a selection points at"
        objects = _collect(tracked, poses, params.min_score)
        number: int | None = 1 if objects else None
    else:
        objects = _collect(model.text(pixels, params.sam3_prompts), poses, params.min_score)
        path = "sam3 text"
        number, person = _child_of(objects)
    if number is None:
        raise StepError(
            f"no walker found: SAM 3 finds nothing at {'the selection' if selections else params.sam3_prompts}",
            hint="give a row in selections.csv, other prompts, or name the video in cohort.exclude",
        )
    child = objects[number]
    empty = np.zeros(film.size, bool)
    masks = (decode(child.masks[i], film.size) if i in child.masks else empty for i in range(len(film)))
    facts: SegmentationFacts = {
        "path": path,
        "person": person,
        "camera": camera,
        "camera_shift_pixels": None if shift is None else round(shift / film.scale, 3),
    }
    return Segmentation(masks, facts, [] if camera == "static" else [f"the camera is {camera}"])


def _collect(found: Iterator[dict[int, SegmentedObject]], poses: Poses | None, min_score: float) -> dict[int, _Object]:
    """Collect SAM 3's results by object."""
    objects: dict[int, _Object] = {}
    for frame, results in enumerate(found):
        for number, one in results.items():
            thing = objects.setdefault(number, _Object({}, {}))
            thing.masks[frame], thing.boxes[frame] = encode(one.mask), one.box
            if poses is not None:
                thing.inside += joints_in(one.mask, poses, frame, min_score)[0]
    return objects


def _child_of(objects: dict[int, _Object]) -> tuple[int | None, str]:
    """Return the object with the keypoints and how it was chosen; without keypoints, the object that walks furthest."""
    if not objects:
        return None, ""
    best = max(objects, key=lambda number: (objects[number].inside, -number))
    if objects[best].inside:
        return best, "the one the delivered keypoints are on"
    tracks = {number: _track_of(thing) for number, thing in objects.items()}
    walker = select_track(list(tracks.values()), [])
    if walker is None:
        return (best, "the only one found") if len(objects) == 1 else (None, "")
    return next(n for n, track in tracks.items() if track is walker), "the one who walks furthest of all that was found"


def _track_of(thing: _Object) -> MotionTrack:
    nothing = np.zeros((0, 1, 2), np.int32)
    return MotionTrack(list(thing.boxes), [Region(box, nothing, 0.0) for box in thing.boxes.values()])


BACKENDS: dict[str, Callable[[Film, Poses | None, Sequence[Selection], Segment], Segmentation]] = {
    "classical": classical,
    "sam3": sam3,
}
