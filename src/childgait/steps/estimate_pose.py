"""The child's keypoints in every frame: those that were delivered, or Sapiens 2's.

Reads the keypoints as deidentify let them through (or a delivery itself: `--layout` says its kind), and where there is
one the de-identified video with segment's boxes. Yields poses on the video's own time stamps; nothing is improved here.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.engine.flags import Input, Output
from childgait.errors import StepError
from childgait.params import EstimatePose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from childgait.domain.poses import Poses

METHODS = (
    "Keypoints came from the {backend} backend: as delivered, or estimated by Sapiens 2 inside the child's box. Of the "
    "face only eyes, ears and nose were kept, to say where the head is; points of the face and of the hands were dropped."
)

log = logging.getLogger(__name__)


def estimate_pose(
    keypoints: Output,
    params: EstimatePose,
    poses: Input | None = None,
    video: Input | None = None,
    frames: Input | None = None,
    layout: str | None = None,
) -> None:
    from childgait.files.poses import write_poses

    boxes = None if frames is None else _boxes(frames)
    if params.backend == "sapiens2":
        found = _sapiens2(video, boxes, params)
    else:
        found = _delivered(poses, layout, None if boxes is None else boxes["seconds"].to_numpy())
    write_poses(keypoints, found)
    log.info("%d frames, %.1f %% of the points", len(found), 100 * found.seen.mean() if len(found) else 0)


def _boxes(path: Path) -> Any:
    from childgait.files.masks import FRAMES
    from childgait.files.tables import read_table

    return read_table(path, FRAMES)


def _delivered(path: Path | None, layout: str | None, seconds: NDArray[np.float64] | None) -> Poses:
    """The delivery on the video's time stamps; where it ends early, the rest is missing."""
    import numpy as np

    from childgait.domain.poses import make_poses
    from childgait.files.poses import read_poses
    from childgait.gait.delivered_keypoints import read_delivered

    if path is None:
        raise StepError(
            "estimate_pose.backend is delivered, but no keypoints are given",
            hint="bring the delivered keypoints, or set the backend to sapiens2 and give its weights",
        )
    if path.suffix != ".parquet":
        if layout is None:
            raise StepError(
                f"{path} is a delivery of unknown layout", hint="say it with --layout, as cohort.pose_layout"
            )
        return read_delivered(path, layout, seconds).poses
    poses = read_poses(path)
    if not len(poses):
        raise StepError(
            f"{path} holds no keypoints: none were delivered for this video",
            hint="set estimate_pose.backend to sapiens2 and give its weights, or exclude the video in cohort.exclude",
        )
    if seconds is None:
        return poses
    if len(poses) > len(seconds):
        raise StepError(
            f"{path} has keypoints for {len(poses)} frames, but the video has {len(seconds)}",
            hint="keypoints and video do not belong together; deliver the matching pair",
        )
    rest = len(seconds) - len(poses)
    xy = np.pad(poses.xy, ((0, rest), (0, 0), (0, 0)), constant_values=np.nan)
    return make_poses(seconds, xy, np.pad(poses.score, ((0, rest), (0, 0))))


def _sapiens2(video: Path | None, boxes: Any, params: EstimatePose) -> Poses:
    from childgait.files.video import read_frames
    from childgait.vision.sapiens import Sapiens2

    if video is None or boxes is None:
        raise StepError(
            "estimate_pose.backend is sapiens2, but there is no video or no table of boxes",
            hint="Sapiens 2 looks at pictures: use the delivered keypoints for a cohort without videos",
        )
    model = Sapiens2(Path(params.weights), params.weights_sha256, device=params.device)
    return model.estimate(
        read_frames(video), boxes.select("x0", "y0", "x1", "y1").to_numpy(), params.batch, params.flip
    )
