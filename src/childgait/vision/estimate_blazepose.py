"""Estimate the child's keypoints in every frame with BlazePose, inside segment's boxes.

The boxes decide who the child is. A skeleton that does not lie in its box is somebody else's and is dropped. Points of
the head get half their score: the head is covered in de-identified videos, so they are guesses.

Two networks see every frame: `full` in segment, and the one here. On a child whom nobody hides their masks are alike;
on a mixture of two people they differ, while presence and scores stay high. Frames in which they differ beside the
covers are doubtful.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import HEAD, POINTS
from childgait.errors import StepError
from childgait.files.masks import Masks
from childgait.files.video import Frame
from childgait.vision import heads
from childgait.vision.blazepose import LEAST_PRESENCE, BlazePose
from childgait.vision.drawn_heads import draw_heads, include_head
from childgait.vision.person_tracks import AT_PLACE, overlap

HEAD_WEIGHT = 0.5  # of the scores of head points
LEAST_AGREEMENT = 0.9  # overlap (IoU) of the masks of both networks, below which joints are doubtful
AGREEMENT_SECONDS = 0.25  # half window of its running median


class Estimate(NamedTuple):
    """The poses, the depth of their points (T, 23) in pixels behind the hips, and the masks' overlap (T,)."""

    poses: Poses
    depth: NDArray[np.float32]
    agreement: NDArray[np.float64]  # NaN where unknown


def estimate(
    frames: Iterable[Frame],
    corners: NDArray[np.float64],
    landmarks: Literal["full", "heavy"],
    covers: Mapping[int, NDArray[np.float64]] = MappingProxyType({}),
    masks: Masks | None = None,
) -> Estimate:
    """Estimate the poses in the boxes `corners` (T, 4); heads are drawn in `covers`, those of heads by frame.

    `masks` are those of another network in the same boxes.
    """
    model = BlazePose(landmarks)
    points = np.full((len(corners), len(POINTS), 3), np.nan, np.float32)
    depth = np.full((len(corners), len(POINTS)), np.nan, np.float32)
    agreement = np.full(len(corners), np.nan)
    seconds: list[float] = []
    for frame in frames:
        if frame.index < len(corners) and np.isfinite(box := corners[frame.index]).all():
            if frame.index in covers:
                box = include_head(box, covers[frame.index])
            (look,) = model.look_at_boxes(draw_heads(frame.pixels, frame.index, covers), box)
            if look is not None and look.presence >= LEAST_PRESENCE and overlap(look.box(), box) >= AT_PLACE:
                points[frame.index], depth[frame.index] = look.points, look.depth
                if masks is not None:
                    beside = _beside(covers.get(frame.index), masks.shape)
                    agreement[frame.index] = _mask_overlap(look.mask(masks.shape) & beside, masks[frame.index] & beside)
        seconds.append(float(frame.seconds))
    if len(seconds) != len(corners):
        raise StepError(
            f"the video has {len(seconds)} frames, but the table of boxes has {len(corners)}",
            hint="run segment again: its boxes are of another video",
        )
    points[:, list(HEAD), 2] *= HEAD_WEIGHT
    return Estimate(make_poses(np.array(seconds), points[..., :2], points[..., 2]), depth, agreement)


def _beside(covers: NDArray[np.float64] | None, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels that no cover (n, 4) hides: below one, segment draws a disc and the network sees nothing."""
    beside = np.ones(size, bool)
    for x0, y0, x1, y1 in [] if covers is None else covers.clip(0).astype(int).tolist():
        beside[y0:y1, x0:x1] = False
    return beside


def _mask_overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max(int((a | b).sum()), 1))


def find_disagreement(agreement: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return in which frames the masks of both networks differ, over half a second."""
    if len(seconds) < 2:
        return np.zeros(len(seconds), bool)
    reach = max(1, round(AGREEMENT_SECONDS / float(np.median(np.diff(seconds)))))
    known = np.isfinite(agreement)
    return np.asarray(known & (heads.running_nanmedian(agreement, reach, shrink_ends=False) < LEAST_AGREEMENT))
