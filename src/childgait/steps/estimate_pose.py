"""Provides the child's keypoints in every frame: those delivered with the video, or Sapiens 2's.

Reads the keypoints as deidentify passed them on (or a delivery itself, whose kind is `--layout`), and, if there is one,
the de-identified video with segment's boxes. Writes poses on the video's time stamps, without any refinement.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.engine.flags import Input, Output
from childgait.errors import StepError
from childgait.params import EstimatePose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from childgait.domain.poses import Poses
    from childgait.files.masks import Boxes

METHODS = (
    "Keypoints came from the {backend} backend: as delivered, or estimated by Sapiens 2 inside the child's box. Of the "
    "face only eyes, ears and nose were kept, to locate the head; points of the face and of the hands were dropped."
)

log = logging.getLogger(__name__)


def estimate_pose(
    poses_out: Output,
    params: EstimatePose,
    poses: Input | None = None,
    video: Input | None = None,
    boxes: Input | None = None,
    layout: str | None = None,
) -> None:
    """Write the child's keypoints by the backend that params name."""
    from childgait.files.masks import read_boxes
    from childgait.files.poses import write_poses

    child = None if boxes is None else read_boxes(boxes)
    if params.backend == "sapiens2":
        estimated = _sapiens2(video, child, params)
    else:
        estimated = _delivered(poses, layout, None if child is None else child.seconds)
    write_poses(poses_out, estimated)
    share = estimated.seen.mean() if len(estimated) else 0
    log.info("%d frames, %.1f %% of the points", len(estimated), 100 * share)


def _delivered(path: Path | None, layout: str | None, seconds: NDArray[np.float64] | None) -> Poses:
    """Return delivered keypoints on the video's time stamps; without a video, on their own."""
    from childgait.files.poses import fit_to_video, read_poses
    from childgait.gait.delivered_keypoints import read_delivered

    if path is None:
        raise StepError(
            "estimate_pose.backend is delivered, but no keypoints are given",
            hint="bring the delivered keypoints, or set the backend to sapiens2 and give its weights",
        )
    if path.suffix != ".parquet":
        if layout is None:
            raise StepError(f"{path} is a delivery of unknown layout", hint="give --layout, as in cohort.pose_layout")
        return read_delivered(path, layout, seconds).poses
    poses = read_poses(path)
    if not len(poses):
        raise StepError(
            f"{path} contains no keypoints: none were delivered for this video",
            hint="set estimate_pose.backend to sapiens2 and give its weights, or exclude the video in cohort.exclude",
        )
    return poses if seconds is None else fit_to_video(poses, seconds, path)


def _sapiens2(video: Path | None, boxes: Boxes | None, params: EstimatePose) -> Poses:
    """Return Sapiens 2's keypoints inside the child's boxes."""
    from childgait.files.video import read_frames
    from childgait.vision.sapiens import Sapiens2

    if video is None or boxes is None:
        raise StepError(
            "estimate_pose.backend is sapiens2, but there is no video or no table of boxes",
            hint="Sapiens 2 needs pictures: use the delivered keypoints for a cohort without videos",
        )
    model = Sapiens2(Path(params.weights), params.weights_sha256, device=params.device)
    return model.estimate(read_frames(video), boxes.corners, params.batch, params.flip)
