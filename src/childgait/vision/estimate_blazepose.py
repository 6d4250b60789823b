"""Estimate the child's keypoints in every frame with BlazePose, inside segment's boxes.

The boxes decide who the child is. A skeleton that does not lie in its box is somebody else's and is dropped. Points of
the head get half their score: the head is covered in de-identified videos, so they are guesses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import HEAD, POINTS
from childgait.errors import StepError
from childgait.files.video import Frame
from childgait.vision.blazepose import LEAST_PRESENCE, BlazePose
from childgait.vision.drawn_heads import draw_heads
from childgait.vision.person_tracks import AT_PLACE, overlap

HEAD_WEIGHT = 0.5  # of the scores of head points


def estimate(
    frames: Iterable[Frame],
    corners: NDArray[np.float64],
    landmarks: Literal["full", "heavy"],
    covers: Mapping[int, NDArray[np.float64]] = MappingProxyType({}),
) -> tuple[Poses, NDArray[np.float32]]:
    """Return poses and the depth of their points (T, 23), in pixels behind the hips. `corners` (T, 4) are the boxes.

    Heads are drawn in `covers`, those of heads by frame.
    """
    model = BlazePose(landmarks)
    points = np.full((len(corners), len(POINTS), 3), np.nan, np.float32)
    depth = np.full((len(corners), len(POINTS)), np.nan, np.float32)
    seconds: list[float] = []
    for frame in frames:
        if frame.index < len(corners) and np.isfinite(box := corners[frame.index]).all():
            (look,) = model.look_at_boxes(draw_heads(frame.pixels, frame.index, covers), box)
            if look is not None and look.presence >= LEAST_PRESENCE and overlap(look.box(), box) >= AT_PLACE:
                points[frame.index], depth[frame.index] = look.points, look.depth
        seconds.append(float(frame.seconds))
    if len(seconds) != len(corners):
        raise StepError(
            f"the video has {len(seconds)} frames, but the table of boxes has {len(corners)}",
            hint="run segment again: its boxes are of another video",
        )
    points[:, list(HEAD), 2] *= HEAD_WEIGHT
    return make_poses(np.array(seconds), points[..., :2], points[..., 2]), depth
