"""Corrected keypoints of a recording as the page Correct shows them: refined anew from the estimate, nothing written.

The corrections are those of corrections.csv and of an unsaved draft, which the next run will use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.domain.names import parse_video_name
from childgait.errors import StepError
from childgait.review.study import MAKE_AGAIN, Gone, Study

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from childgait.domain.poses import Poses
    from childgait.gait.refined_walk import RefinedWalk


@dataclass(frozen=True)
class EstimatedWalk:
    """What refinement reads of one recording."""

    video: str
    poses: Poses
    boxes: NDArray[np.float64] | None
    legs_settled: bool
    unmeasured: tuple[str, ...] = ()  # joint curves that the pose estimator does not show


def read_estimate(study: Study, video: str) -> EstimatedWalk:
    """Read the estimated keypoints of a recording, its trusted boxes and whether its legs were settled."""
    from childgait.files.estimate_summary import read_estimate_summary
    from childgait.files.masks import read_boxes
    from childgait.files.poses import read_poses

    path = study.file("estimate_pose", video, ".poses.parquet")
    if not path.is_file():
        raise Gone(f"{path} is missing: {video} has no estimated keypoints", hint=MAKE_AGAIN)
    poses = read_poses(path)
    if not poses.seen.any():
        raise StepError(f"{path} has no keypoints", hint="choose the child first, or exclude the recording")
    boxes = study.file("segment", video, ".frames.parquet")
    summary = study.file("estimate_pose", video, ".summary.json")
    facts = read_estimate_summary(summary) if summary.is_file() else None
    settled = facts is not None and facts["sides_settled"]
    unmeasured = () if facts is None else tuple(facts.get("unmeasured", ()))
    trusted = read_boxes(boxes, len(poses)).trusted() if boxes.is_file() else None
    return EstimatedWalk(video, poses, trusted, settled, unmeasured)


def refine_with(
    study: Study, estimate: EstimatedWalk, table: Path, draft: Sequence[dict[str, str]] = ()
) -> RefinedWalk:
    """Refine a recording with the rows of corrections.csv and with unsaved rows behind them."""
    from childgait.files.corrections import combine_rows, parse_row, read_video_rows
    from childgait.gait.refined_walk import refine_walk

    frames = len(estimate.poses)
    rows = read_video_rows(table, estimate.video, frames) if table.exists() else []
    rows += [parse_row(f"unsaved correction {number}", row, frames) for number, row in enumerate(draft, 1)]
    points, sides = combine_rows(rows)
    view = parse_video_name(estimate.video).view
    settings, settled = study.refinement(), estimate.legs_settled
    return refine_walk(estimate.poses, settings, view, estimate.boxes, points, settled, sides, estimate.unmeasured)


def describe_walk(estimate: EstimatedWalk, walk: RefinedWalk) -> dict[str, object]:
    """Return what the page draws: points, their origin, exchanged sides, curves, and proposed frames."""
    from childgait.gait.correction_proposals import propose_frames

    curves = {
        limb: {name: _rounded(curve) for name, curve in of_limb.items() if _has_numbers(curve)}
        for limb, of_limb in walk.angles.curves.items()
    }
    proposals = propose_frames(estimate.poses, walk, parse_video_name(estimate.video).view)
    return {
        "points": [_rounded(frame.ravel(), 2) for frame in walk.poses.xy],
        "status": walk.poses.status.tolist(),
        "exchanged": {"legs": walk.swaps.legs.tolist(), "arms": walk.swaps.arms.tolist()},
        "curves": curves,
        "proposals": [{"frame": one.frame, "joint": one.joint} for one in proposals],
        "events": [[event.frame, event.limb, event.kind] for event in walk.gait.events],
        "no_events": walk.gait.reason,
    }


def _rounded(values: NDArray[np.floating], digits: int = 3) -> list[float | None]:
    import numpy as np

    return [round(float(value), digits) if np.isfinite(value) else None for value in values]


def _has_numbers(values: NDArray[np.floating]) -> bool:
    import numpy as np

    return bool(np.isfinite(values).any())
