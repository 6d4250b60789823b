"""Segments the child without network weights, from keypoints, motion and a background model.

The child's place comes from its keypoints, drawn as capsules (capsules.py), or, without keypoints, from moving regions
(motion_regions.py). Its outline comes from the difference to the empty room (background.py), if the camera is static
and the room behind the child is known. Neither is enough alone: capsules do not include a skirt, and a background does
not distinguish the child from others and cannot be estimated where a child walks towards the lens. The combination
that was used is named in the summary:

    keypoints+background   capsules decide who and where, pixels decide the outline
    keypoints              capsules alone: the camera moves, or the room behind the child is mostly unknown
    motion+background      moving regions decide who and where, pixels decide the outline
    motion                 hulls of moving regions: the room behind the child is mostly unknown

Reads a video twice as YUV pictures of working size, frame by frame; yields one mask per frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.boxes import Box
from childgait.errors import StepError
from childgait.files.masks import Mask
from childgait.files.video import Planes
from childgait.params import Segment
from childgait.vision.background import Background, Samples, Shadow, difference, estimate_background, light_change
from childgait.vision.camera import camera_shift
from childgait.vision.capsules import Body, draw, stations, without_joints
from childgait.vision.motion_regions import MotionTrack, guide, link_regions, select_track

Path_ = Literal["keypoints+background", "keypoints", "motion+background", "motion"]
Patch = tuple[int, int, int, int]
NEAR = 0.035  # body heights beyond the capsules that clothes and hair may reach
LEAST_KNOWN = 0.25  # share of the passed pixels with a known background, below which it is not used
CHANGED_NOISE, CHANGED_SHARE = 6, 0.3  # noise levels, and share of pixels beyond them, of a room that changed
EDGE = 0.5  # of the strongest difference nearby that a pixel needs: at an edge, half of the pixel is the child


@dataclass(frozen=True)
class SilhouettePlan:
    """The result of the first pass: which combination of evidence to use, and the evidence itself."""

    path: Path_
    camera: Literal["static", "moving", "unclear"]
    camera_shift: float | None  # working pixels between samples
    person: str  # who was taken for the child, for the summary
    known_share: float | None  # of the pixels that the child passes, those where the room is known
    body: Body | None
    track: MotionTrack | None
    background: Background | None
    reach: int  # frames by which a track is extended beyond its first and last sample


def working(planes: Planes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the planes as one picture (height, width, 3) of working size."""
    wide = (size[1], size[0])
    shrink = cv2.INTER_AREA if size[0] < planes.height else cv2.INTER_LINEAR
    parts = [
        plane if plane.shape == size else cv2.resize(plane, wide, interpolation=shrink)
        for plane in (planes.y, planes.u, planes.v)
    ]
    return np.asarray(cv2.merge(parts))


def grown(mask: NDArray[np.uint8], pixels: float) -> NDArray[np.bool_]:
    """Return the pixels within this distance of the mask."""
    if not mask.any():
        return np.zeros(mask.shape, bool)
    away = cv2.distanceTransform((mask == 0).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(away <= pixels)


def region_of(
    body: Body | None, track: MotionTrack | None, frame: int, size: tuple[int, int], reach: int
) -> NDArray[np.bool_]:
    """Return where the child may be in a frame, with a wide margin: left out when the background is estimated."""
    if body is not None and body.present[frame]:
        box = body.box(frame, 0.3, size)
        full = np.zeros(size, bool)
        if box[2] > box[0] and box[3] > box[1]:
            height = float(body.height[frame])
            near = grown(draw(body.xy[frame], height, box), 0.06 * height)
            full[box[1] : box[3], box[0] : box[2]] = near
        return full
    if track is not None and (hull := guide(track, frame, size, reach)) is not None:
        box_ = track.box_at(frame, reach)
        assert box_ is not None
        return grown(hull, 0.1 * (box_[3] - box_[1]))
    return np.zeros(size, bool)


def sample(pictures: Iterable[NDArray[np.uint8]], most: int) -> Samples:
    """Sample at most `most` pictures, spread evenly over the video."""
    samples = Samples(most)
    for frame, picture in enumerate(pictures):
        samples.offer(frame, picture)
    return samples


def make_plan(
    samples: Samples, body: Body | None, selections: Sequence[tuple[int, Box]], params: Segment
) -> SilhouettePlan:
    """Classify the camera, find the child, estimate the background. Boxes of selections are in working pixels."""
    size = samples.pictures[0].shape[:2]
    light = [np.ascontiguousarray(picture[..., 0]) for picture in samples.pictures]
    person = "the walker whose keypoints were delivered"
    if body is not None and selections and not _agrees(body, selections):
        body, person = None, "the person a selection points at, not the one whose keypoints were delivered"
    elif selections:
        person = "the person a selection points at"
    away = None if body is None else [~region_of(body, None, frame, size, 0) for frame in samples.frames]
    shift = camera_shift(light, away)
    camera: Literal["static", "moving", "unclear"] = "unclear" if shift is None else "static"
    if shift is not None and shift > params.camera_pixels:
        camera = "moving"
    track, reach = None, 2 * samples.step
    if body is None:
        track = _mover(samples, camera, selections)
        person = person if selections else "the one who walks furthest of all that moves"
    elif camera == "moving":
        return SilhouettePlan("keypoints", camera, shift, person, None, body, None, None, reach)
    free = np.stack([~region_of(body, track, frame, size, reach) for frame in samples.frames])
    background = estimate_background(samples, free, free_share=params.free_share)
    passed = ~free.all(axis=0)
    known_share = float((background.known & passed).sum() / max(passed.sum(), 1))
    path: Path_ = "keypoints+background" if body is not None else "motion+background"
    if known_share < LEAST_KNOWN:
        path = "keypoints" if body is not None else "motion"
    return SilhouettePlan(path, camera, shift, person, known_share, body, track, background, reach)


def _agrees(body: Body, selections: Sequence[tuple[int, Box]]) -> bool:
    """Return whether the delivered person is where more than half of the selections point."""
    hits = []
    for frame, box in selections:
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        there = body.present[frame]
        x0, y0, x1, y1 = body.box(frame, 0.08, (10**6, 10**6)) if there else (0, 0, 0, 0)
        hits.append(there and x0 <= x <= x1 and y0 <= y <= y1)
    return sum(hits) * 2 > len(hits)


def _mover(samples: Samples, camera: str, selections: Sequence[tuple[int, Box]]) -> MotionTrack:
    """Return the track of the child among moving regions; fail if there is none."""
    if camera == "moving":
        raise StepError(
            "the camera moves and there are no keypoints of the child, so the child cannot be separated from the room",
            hint="deliver keypoints, use segment.backend blazepose or sam3, or name the video in cohort.exclude",
        )
    if len(samples.frames) < 6:
        raise StepError(
            f"no walker found: {len(samples.frames)} frames without keypoints are too few to tell",
            hint="deliver keypoints, or name the video in cohort.exclude",
        )
    track = select_track(link_regions(samples), selections)
    if track is None:
        where = "at the selected place" if selections else "in the whole video"
        raise StepError(
            f"no walker found: nothing of a person's size moves {where}",
            hint="give keypoints or a row in selections.csv, or name the video in cohort.exclude",
        )
    return track


def silhouettes(pictures: Iterable[NDArray[np.uint8]], plan: SilhouettePlan, params: Segment) -> Iterator[Mask]:
    """Yield a mask of working size for every picture: the second pass."""
    for frame, picture in enumerate(pictures):
        size = picture.shape[:2]
        mask = np.zeros(size, bool)
        if plan.body is not None:
            if plan.body.present[frame]:
                box = plan.body.box(frame, 0.3, size)
                if box[2] - box[0] > 2 and box[3] - box[1] > 2:
                    mask[box[1] : box[3], box[0] : box[2]] = _by_keypoints(picture, frame, box, plan, params)
        elif plan.track is not None and (hull := guide(plan.track, frame, size, plan.reach)) is not None:
            mask = _by_motion(picture, hull, plan, params)
        yield mask


def _difference_to_room(
    picture: NDArray[np.uint8], box: Patch, near: NDArray[np.bool_], background: Background
) -> NDArray[np.float32] | None:
    """Return each pixel's difference to the empty room in noise levels; None if the room changed (lamp, flare)."""
    elsewhere = background.known.copy()
    elsewhere[box[1] : box[3], box[0] : box[2]] &= ~near
    light = light_change(picture, background, elsewhere)
    grid = (slice(None, None, 8), slice(None, None, 8))
    there = elsewhere[grid]
    if there.sum() >= 50:
        small = Background(background.picture[grid], background.noise[grid], background.known[grid])
        off = difference(np.ascontiguousarray(picture[grid]), small, (0, 0, there.shape[1], there.shape[0]), light)
        if (off[there] > CHANGED_NOISE).mean() > CHANGED_SHARE:
            return None
    return difference(picture, background, box, light)


def _by_keypoints(picture: NDArray[np.uint8], frame: int, box: Patch, plan: SilhouettePlan, params: Segment) -> Mask:
    """Return the mask inside a box: capsules where the child is, pixels at its outline."""
    body, background = plan.body, plan.background
    assert body is not None
    points, height = body.xy[frame], float(body.height[frame])
    capsule = draw(points, height, box)
    if background is None or plan.path == "keypoints":
        return capsule > 0
    off = _difference_to_room(picture, box, grown(capsule, NEAR * height), background)
    if off is None:
        return capsule > 0
    known = background.known[box[1] : box[3], box[0] : box[2]]
    empty = known & (off < params.grow_noise)
    points = without_joints(points, _empty_joints(points, height, box, empty))
    refuted = _empty_strokes(points, box, empty, known)
    capsule = draw(points, height, box, without=refuted)
    inner = capsule > 0
    core = draw(points, height, box, thick=0.6, without=refuted) > 0
    zone = grown(capsule, NEAR * height)
    seen = _hysteresis(off, known & zone, params, height)
    loose = seen & ~inner & ~Shadow().where(picture, background, box)
    mask = core | (seen & inner) | _opened(loose | (seen & inner), 0.03 * height) | (inner & ~known)
    return _tidy(mask, core, height)


def _look_up(places: NDArray[np.float32], box: Patch, *maps: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the values of a box's maps at places of the picture; false outside the box."""
    at = places - np.array([box[0], box[1]], np.float32)
    there = np.isfinite(at).all(axis=-1)
    x = np.round(np.where(there, at[..., 0], -1)).astype(int)
    y = np.round(np.where(there, at[..., 1], -1)).astype(int)
    there &= (x >= 0) & (y >= 0) & (x < box[2] - box[0]) & (y < box[3] - box[1])
    x, y = np.where(there, x, 0), np.where(there, y, 0)
    return [there & one[y, x] for one in maps]


def _empty_joints(
    points: NDArray[np.float32], height: float, box: Patch, empty: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return joints around which the picture is the empty room: outliers. Many at once are due to clothes instead."""
    around = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)], np.float32) * max(1.0, 0.012 * height)
    gone = np.asarray(_look_up(points[:, None] + around, box, empty)[0].all(axis=1))
    return gone if gone.sum() <= 0.4 * len(gone) else np.zeros(len(gone), np.bool_)


def _empty_strokes(
    points: NDArray[np.float32], box: Patch, empty: NDArray[np.bool_], known: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the strokes along which the picture is the empty room."""
    nothing, sure = _look_up(stations(points), box, empty, known)
    return np.asarray((sure.sum(axis=1) >= 8) & (nothing.sum(axis=1) >= 0.7 * sure.sum(axis=1)))


def _disc(diameter: float) -> NDArray[np.uint8]:
    side = max(3, round(diameter) | 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _opened(mask: NDArray[np.bool_], diameter: float) -> NDArray[np.bool_]:
    """Remove parts thinner than `diameter`: rails of a walking frame, edges of the room, artefacts of the codec."""
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disc(diameter)) > 0)


def _hysteresis(
    off: NDArray[np.float32], where: NDArray[np.bool_], params: Segment, height: float
) -> NDArray[np.bool_]:
    """Return pixels that differ clearly from the empty room, and connected pixels that differ less (hysteresis).

    Next to a strong difference a weak one is only blur of the lens, the codec or the halved chroma: a pixel must reach
    a share of the strongest difference nearby.
    """
    nearby = cv2.dilate(np.minimum(off, 6 * params.seed_noise), _disc(0.05 * height))
    low = ((off > np.maximum(params.grow_noise, EDGE * nearby)) & where).astype(np.uint8)
    count, labels = cv2.connectedComponents(low, connectivity=8)
    strong = np.zeros(count, bool)
    strong[labels[(off > params.seed_noise) & where]] = True
    strong[0] = False
    return np.asarray(strong[labels])


def _tidy(mask: Mask, core: NDArray[np.bool_], height: float) -> Mask:
    """Close small gaps, fill small holes, and keep only pieces that contain a part of the core."""
    whole = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, _disc(0.012 * height))
    outlines, order = cv2.findContours(whole, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return whole > 0
    inside = order[0, :, 3] >= 0  # outlines of holes; tracing outlines is far cheaper than labelling pixels
    for outline, hole in zip(outlines, inside, strict=True):
        if hole and cv2.contourArea(outline) < (0.04 * height) ** 2:
            cv2.fillPoly(whole, [outline], 1)
    if (~inside).sum() == 1 and (whole[core] > 0).any():
        return whole > 0
    count, labels = cv2.connectedComponents(whole, connectivity=8)
    kept = np.bincount(labels[core], minlength=count) > 0
    kept[0] = False
    return np.asarray(kept[labels])


def _by_motion(picture: NDArray[np.uint8], hull: NDArray[np.uint8], plan: SilhouettePlan, params: Segment) -> Mask:
    """Return the mask inside and around the hull of a moving region."""
    background = plan.background
    assert background is not None
    x, y, width, height = cv2.boundingRect(hull)
    if plan.path == "motion" or not height:
        return hull > 0
    margin = round(0.15 * height)
    box = (max(0, x - margin), max(0, y - margin), min(hull.shape[1], x + width + margin), y + height + margin)
    box = (*box[:3], min(hull.shape[0], box[3]))
    part = (slice(box[1], box[3]), slice(box[0], box[2]))
    inner = np.ascontiguousarray(hull[part])
    zone = grown(inner, 0.08 * height)
    off = _difference_to_room(picture, box, zone, background)
    if off is None:
        return hull > 0
    known = background.known[part]
    seen = _hysteresis(off, known & zone, params, height)
    seen &= (inner > 0) | ~Shadow().where(picture, background, box)
    mask = np.zeros(hull.shape, bool)
    whole = seen | ((inner > 0) & ~known)
    mask[part] = _largest(_tidy(whole, whole, height))
    return mask


def _largest(mask: Mask) -> Mask:
    """Keep the largest piece and those at least a tenth as large: an arm cut off by a rail is still the child's."""
    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    areas = facts[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return np.asarray((areas >= 0.1 * areas.max())[labels] & mask)
