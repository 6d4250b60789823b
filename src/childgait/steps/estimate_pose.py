"""Provides the child's keypoints in every frame: those delivered with the video, or those of BlazePose or Sapiens 2.

Reads the keypoints as deidentify passed them on (or a delivery itself, whose kind is `--layout`), and, if there is one,
the de-identified video with segment's boxes. Writes poses on the video's time stamps and a flat summary. Nothing is
refined, except that BlazePose's exchanged legs are given back to their sides (gait/leg_identity.py).
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
    from childgait.files.estimate_summary import LegFacts
    from childgait.files.masks import Boxes, Masks

METHODS = (
    "Keypoints came from the {backend} backend (auto: delivered where there are any, else blazepose): as delivered, or "
    "estimated by BlazePose ({landmarks}) or Sapiens 2 inside the child's box. BlazePose has no small toes; its legs "
    "were given back to their sides over the whole walk; doubtful frames have low scores: those with doubtful legs, "
    "and those in which the masks of both its networks differ. Of the face only eyes, ears and nose were kept, to "
    "locate the head; points of the face and of the hands were dropped."
)

# Seen from the front or behind, its hips tilt with the legs and not with the pelvis (docs/LOG.md).
BLAZEPOSE_UNMEASURED = ("obliquity",)

log = logging.getLogger(__name__)


def estimate_pose(
    poses_out: Output,
    params: EstimatePose,
    poses: Input | None = None,
    video: Input | None = None,
    boxes: Input | None = None,
    layout: str | None = None,
    name: str | None = None,
    summary: Output | None = None,
    regions: Input | None = None,
    masks: Input | None = None,
    segmented: Input | None = None,
) -> None:
    """Write the child's keypoints by the backend that params name. The view in `name` settles left and right.

    For BlazePose: `regions` are deidentify's covers, `masks` and `segmented` the masks of segment and their summary.
    """
    from childgait.files.estimate_summary import write_estimate_summary
    from childgait.files.masks import read_boxes
    from childgait.files.poses import write_poses

    child = None if boxes is None else read_boxes(boxes)
    backend = params.backend if params.backend != "auto" else _choose_backend(poses)
    legs: LegFacts | None = None
    if backend == "blazepose":
        estimated, legs = _blazepose(video, child, params, name, regions, _masks_of_blazepose(masks, segmented))
    elif backend == "sapiens2":
        estimated = _sapiens2(video, child, params)
    else:
        estimated = _delivered(poses, layout, None if child is None else child.seconds)
    write_poses(poses_out, estimated)
    if summary is not None:
        unmeasured = BLAZEPOSE_UNMEASURED if backend == "blazepose" else ()
        write_estimate_summary(summary, name, backend, legs, unmeasured)
    share = estimated.seen.mean() if len(estimated) else 0
    log.info("%s: %d frames, %.1f %% of the points", backend, len(estimated), 100 * share)


def _choose_backend(poses: Path | None) -> str:
    """Return `delivered` if keypoints were delivered, else `blazepose`."""
    from childgait.files.poses import read_poses

    if poses is None:
        return "blazepose"
    return "delivered" if poses.suffix != ".parquet" or len(read_poses(poses)) else "blazepose"


def _masks_of_blazepose(masks: Path | None, segmented: Path | None) -> Masks | None:
    """Return segment's masks if BlazePose made them; those of other backends differ from its masks everywhere."""
    from childgait.files.json_files import read_typed
    from childgait.files.masks import Masks
    from childgait.files.segment_summary import SegmentSummary

    if masks is None or segmented is None:
        return None
    summary = read_typed(segmented, SegmentSummary, hint="run segment again for this video")
    return Masks(masks) if summary["backend"] == "blazepose" else None


def _blazepose(
    video: Path | None,
    boxes: Boxes | None,
    params: EstimatePose,
    name: str | None,
    regions: Path | None,
    masks: Masks | None,
) -> tuple[Poses, LegFacts]:
    """Return BlazePose's keypoints inside the child's boxes with settled legs, and how the legs were settled."""
    import numpy as np

    from childgait.domain.names import parse_video_name
    from childgait.files.video import read_frames
    from childgait.gait.leg_identity import DOUBTFUL_SCORE, lower_doubtful_scores, settle_legs
    from childgait.vision.blazepose_hip import move_near_hip
    from childgait.vision.drawn_heads import read_head_covers
    from childgait.vision.estimate_blazepose import estimate, find_disagreement

    if video is None or boxes is None:
        raise StepError(
            "estimate_pose needs a video and its table of boxes to estimate keypoints, because none were delivered",
            hint="deliver the keypoints of a cohort without videos, or name the video in cohort.exclude",
        )
    covers = read_head_covers(regions)
    estimated, depth, agreement = estimate(read_frames(video), boxes.corners, params.landmarks, covers, masks)
    if not estimated.seen.any():
        raise StepError(
            f"{name or video}: no person found inside the child's boxes in any of {len(estimated)} frames",
            hint="look at the video; give a row in selections.csv, or name it in cohort.exclude",
        )
    view = None if name is None else parse_video_name(name).view
    settled, legs = settle_legs(estimated, depth, view)
    lower_doubtful_scores(settled, legs)
    move_near_hip(settled, view)
    disagreement = find_disagreement(agreement, settled.seconds)
    settled.score[disagreement] = np.minimum(settled.score[disagreement], DOUBTFUL_SCORE)
    facts: LegFacts = {
        "sides_by": legs.decided_by,
        "frames_mirrored": int(legs.mirrored.sum()),
        "frames_exchanged": int(legs.exchanged.sum()),
        "frames_doubtful": int(legs.doubtful.sum()),
        "frames_disagreed": int(disagreement.sum()),
        "frames_without_pose": int((~estimated.seen.any(axis=1)).sum()),
    }
    return settled, facts


def _delivered(path: Path | None, layout: str | None, seconds: NDArray[np.float64] | None) -> Poses:
    """Return delivered keypoints on the video's time stamps; without a video, on their own."""
    from childgait.files.poses import fit_to_video, read_poses
    from childgait.gait.delivered_keypoints import read_delivered

    if path is None:
        raise StepError(
            "estimate_pose.backend is delivered, but no keypoints are given",
            hint="bring the delivered keypoints, or set the backend to auto or blazepose",
        )
    if path.suffix != ".parquet":
        if layout is None:
            raise StepError(f"{path} is a delivery of unknown layout", hint="give --layout, as in cohort.pose_layout")
        return read_delivered(path, layout, seconds).poses
    poses = read_poses(path)
    if not len(poses):
        raise StepError(
            f"{path} contains no keypoints: none were delivered for this video",
            hint="set estimate_pose.backend to auto or blazepose, or exclude the video in cohort.exclude",
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
