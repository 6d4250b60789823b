"""The backend `blazepose` of segment: the child's mask from the embedded model, for videos without keypoints.

Who the child is follows from the whole video (person_tracks.py). Then every frame is one pass of the landmark network
in the child's box: its mask, limited to the neighbourhood of the skeleton it found. Where that skeleton is not at the
child's place, somebody else was more prominent in the square: the frame is tried again around the previous skeleton
and without the other people, else it is doubtful and has only what of the mask lies in the child's box. Where the quick
network does not see anybody for certain, as in some side views, the exact one looks.

Under its cover the child's head is a disc: no network can see more of it there (docs/LOG.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.masks import Mask
from childgait.files.selections import Selection
from childgait.files.video import read_frames
from childgait.params import Segment
from childgait.vision.blazepose import LEAST_PRESENCE, BlazePose, Look
from childgait.vision.camera import camera_shift
from childgait.vision.capsules import draw, head_of
from childgait.vision.drawn_heads import draw_heads, find_head, include_head
from childgait.vision.person_tracks import (
    AT_PLACE,
    Floats,
    PersonTrack,
    camera_path,
    check_height,
    choose_child,
    describe_absence,
    find_people,
    link_people,
    overlap,
    without_people,
)
from childgait.vision.segmenters import Film, Segmentation, scaled
from childgait.vision.silhouettes import grown

if TYPE_CHECKING:
    from childgait.files.segment_summary import SegmentationFacts

NEAR = 0.1  # body heights around the skeleton's capsules in which a mask's pixel may be the child's
CROWDED = 0.15  # overlap with another person's box from which a frame's mask is doubtful
CERTAIN, FILLED = 0.9, 0.8  # presence, and overlap of skeleton and box, below which the exact network looks again


def blazepose(
    film: Film,
    selections: Sequence[Selection],
    params: Segment,
    name: str,
    covers: Mapping[int, Floats] = MappingProxyType({}),
) -> Segmentation:
    """Segment by BlazePose, without keypoints; `covers` are those of heads by frame, in which heads are drawn."""
    model, exact = BlazePose("full"), BlazePose("heavy")
    light = [np.ascontiguousarray(one[..., 0]) for one in film.samples.pictures]
    shift = camera_shift(light, None)
    camera = "unclear" if shift is None else "moving" if shift > params.camera_pixels else "static"
    people = find_people(film.samples, model, camera == "static", covers, film.scale)
    path = camera_path(film.samples, people) if camera != "static" else np.zeros((len(people), 2))
    tracks = link_people(film.samples, film.seconds, people, path)
    if not tracks:
        raise StepError(
            f"{name}: no person found in any of {len(people)} frames that were searched",
            hint="look at the video; give keypoints or a row in selections.csv, or name it in cohort.exclude",
        )
    pointed = [(one.frame, scaled(one.box, film.scale)) for one in selections]
    child, person = choose_child(tracks, pointed, name, film.scale)
    check_height(child, name, film.scale)
    others = [track for track in tracks if track is not child and len(track.frames) >= 3]
    facts: SegmentationFacts = {
        "path": "blazepose",
        "person": person,
        "people": 1 + len(others),
        "camera": camera,
        "camera_shift_pixels": None if shift is None else round(shift / film.scale, 3),
    }
    flags = [] if camera == "static" else [f"the camera is {camera}"]
    if absence := describe_absence(child, film.seconds, film.samples.step):
        flags.append(absence)
    segmentation = Segmentation(iter(()), facts, flags)
    segmentation.masks = _masks(film, child, others, (model, exact), covers, segmentation.doubtful)
    return segmentation


def _masks(
    film: Film,
    child: PersonTrack,
    others: Sequence[PersonTrack],
    models: tuple[BlazePose, BlazePose],
    covers: Mapping[int, Floats],
    doubtful: set[int],
) -> Iterator[Mask]:
    """Yield the child's mask in every frame; frames that cannot be trusted are added to `doubtful`.

    `models` are the quick network and the exact one.
    """
    reach = 2 * film.samples.step
    previous: Floats | None = None
    for frame in read_frames(film.path):
        place = child.box_at(frame.index, reach)
        box = previous if place is None else place / film.scale
        if box is None:
            yield np.zeros(film.size, bool)
            continue
        if frame.index in covers:
            box = include_head(box, covers[frame.index])
        near = [other.box_at(frame.index, 0) for other in others]
        crowd = [one / film.scale for one in near if one is not None and overlap(one / film.scale, box) > 0]
        look, sure = _look(draw_heads(frame.pixels, frame.index, covers), box, previous, crowd, models)
        previous = look.box() if look is not None and sure else None
        if not sure or any(overlap(one, box) > CROWDED for one in crowd):
            doubtful.add(frame.index)
        if look is None:
            yield np.zeros(film.size, bool)
            continue
        mask = _gated(look, box, film.size, sure)
        if sure and frame.index in covers:
            mask |= find_head(covers[frame.index], head_of(look.points[:, :2]).astype(np.float64), film.size)
        yield mask


def _look(
    pixels: NDArray[np.uint8],
    box: Floats,
    previous: Floats | None,
    crowd: Sequence[Floats],
    models: tuple[BlazePose, BlazePose],
) -> tuple[Look | None, bool]:
    """Return a network's result in the child's box, and whether its skeleton is at the child's place.

    The exact one of the `models` runs where the quick one finds nobody at that place or is not certain, or where its
    skeleton does not fill the box: it then often misses the head. A skeleton that fits another person's box better is
    not the child's.
    """
    model, exact = models
    look, sure = _look_again(pixels, box, previous, crowd, model)
    if look is not None and sure and look.presence >= CERTAIN and overlap(look.box(), box) >= FILLED:
        return look, True
    (other,) = exact.look_at_boxes(pixels, box)
    if other is not None and other.presence >= CERTAIN:
        fits = overlap(other.box(), box)
        if fits >= AT_PLACE and all(overlap(other.box(), one) < fits for one in crowd):
            return other, True
    return look, sure


def _look_again(
    pixels: NDArray[np.uint8], box: Floats, previous: Floats | None, crowd: Sequence[Floats], model: BlazePose
) -> tuple[Look | None, bool]:
    """Return the network's result in the child's box, and whether its skeleton is at the child's place.

    If it is not, the network is run again around the previous skeleton, and then without the other people.
    """
    best: Look | None = None
    for attempt in ("box", "previous", "alone"):
        picture, square = pixels, box
        if attempt == "previous":
            if previous is None:
                continue
            square = previous
        elif attempt == "alone":
            known = [look for look in model.look_at_boxes(pixels, np.array(crowd)) if look is not None]
            known = [look for look in known if overlap(look.box(), box) < AT_PLACE]
            if not known:
                continue
            picture = without_people(pixels, known, None)
        (look,) = model.look_at_boxes(picture, square)
        if look is None or look.presence < LEAST_PRESENCE:
            continue
        if overlap(look.box(), box) >= AT_PLACE:
            return look, True
        best = best or look
    return best, False


def _gated(look: Look, box: Floats, size: tuple[int, int], sure: bool) -> Mask:
    """Return the mask near the skeleton; where the skeleton is somebody else's, only within the child's box."""
    mask = look.mask(size)
    height = float(box[3] - box[1])
    grow = NEAR * height
    low = np.clip(np.floor(box[:2] - 3 * grow), 0, [size[1], size[0]]).astype(int)
    high = np.clip(np.ceil(box[2:] + 3 * grow), 0, [size[1], size[0]]).astype(int)
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    gate = np.zeros(size, bool)
    if high[0] - low[0] > 2 and high[1] - low[1] > 2:
        if sure:
            capsules = draw(look.points[:, :2], height, (int(low[0]), int(low[1]), int(high[0]), int(high[1])))
            gate[part] = grown(capsules, grow)
        else:
            gate[part] = True
    return np.asarray(mask & gate)
