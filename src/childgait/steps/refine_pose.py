"""Keypoints worth trusting, and what follows from them: joint angles, gait events, strides.

Reads estimated keypoints, segment's boxes (of the frames that passed its gate) and a person's corrections. Yields
refined poses in which every point says what it is, angles, events, and a flat summary. The input is never altered.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.engine.flags import Input, Output
from childgait.errors import StepError
from childgait.params import RefinePose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from childgait.domain.poses import Poses
    from childgait.gait.events import Gait, Travel

METHODS = (
    "Keypoints below a score of {min_score} or outside the child's box were dropped; swapped legs and arms were given "
    "back to their sides over whole limbs and over time; outliers beyond {outlier_sigmas} robust standard deviations "
    "were dropped, gaps up to {longest_gap_seconds} s filled, and runs low-passed without lag at {distal_hz} Hz (ankles, "
    "feet, wrists) and {proximal_hz} Hz. Manual corrections overruled all of it."
)

log = logging.getLogger(__name__)


def refine_pose(
    name: str,
    keypoints: Input,
    refined: Output,
    angles: Output,
    events: Output,
    summary: Output,
    params: RefinePose,
    frames: Input | None = None,
    corrections: Input | None = None,
) -> None:
    from childgait.domain.evgs import VIEWS
    from childgait.domain.names import parse_video_name
    from childgait.files.atomic import write_json
    from childgait.files.corrections import read_corrections
    from childgait.files.poses import read_poses, write_poses
    from childgait.files.tables import write_table
    from childgait.gait.events import EVENTS, find_events, find_travel
    from childgait.gait.events import as_table as event_table
    from childgait.gait.kinematics import ANGLES, measure_angles
    from childgait.gait.kinematics import as_table as angle_table
    from childgait.gait.refine import refine

    video = parse_video_name(name)
    view = next(known for known in VIEWS if known == video.view)
    poses = read_poses(keypoints)
    if not poses.seen.any():
        raise StepError(
            f"{keypoints} has no keypoints in any of its {len(poses)} frames",
            hint="look at the video, or name it in cohort.exclude with the reason",
        )
    words = [] if corrections is None else read_corrections(corrections, name, len(poses))
    boxes = None if frames is None else _boxes(frames, len(poses))
    better, report = refine(poses, params, view, boxes, words)
    travel = find_travel(better, view)
    gait = find_events(better, view, travel.facing)
    write_poses(refined, better)
    write_table(angles, angle_table(measure_angles(better, view, travel.facing or 1)), ANGLES)
    write_table(events, event_table(gait.events), EVENTS)
    facts = {
        "video": name,
        "subject": video.subject,
        "view": video.view,
        "frames": len(better),
        "seconds": round(float(better.seconds[-1]), 6),
        "corrections": len(words),
        **vars(report),
        **_shares(better),
        **_walk(travel, gait),
    }
    write_json(summary, facts)
    log.info("%s: %d frames swapped back, %s", name, report.frames_swapped, gait.reason or f"{len(gait.events)} events")


def _boxes(path: Path, count: int) -> NDArray[np.float64]:
    """The child's box a frame, NaN where there is none or where segment does not trust it itself."""
    import polars as pl

    from childgait.files.masks import FRAMES
    from childgait.files.tables import read_table

    table = read_table(path, FRAMES).sort("frame")
    if table.height != count:
        raise StepError(
            f"{path} has {table.height} frames, but the keypoints have {count}",
            hint="run segment and estimate_pose again: they are of different videos",
        )
    corners = [pl.when(pl.col("ok")).then(pl.col(name)).cast(pl.Float64) for name in ("x0", "y0", "x1", "y1")]
    return table.select(corners).to_numpy()


def _shares(poses: Poses) -> dict[str, float]:
    """How much of all points is what, and of the legs is missing."""
    import numpy as np

    from childgait.domain.poses import Status
    from childgait.domain.skeleton import INDEX

    shares = {f"share_{status.label}": round(float((poses.status == status).mean()), 5) for status in Status}
    legs = [index for point, index in INDEX.items() if point.split("_")[-1] in ("hip", "knee", "ankle", "heel", "toe")]
    shares["share_legs_missing"] = round(float(np.mean(poses.status[:, legs] == Status.MISSING)), 5)
    return shares


def _walk(travel: Travel, gait: Gait) -> dict[str, Any]:
    """Where the child went and how it stepped, in plain values."""
    lengths = [stride.next_contact - stride.contact for strides in gait.strides.values() for stride in strides]
    return {
        "view_seen": travel.view,
        "view_fits": travel.fits_name,
        "view_turned": travel.name_reversed,
        "view_note": travel.note,
        "across_heights": round(travel.across, 4),
        "growth": round(travel.growth, 4),
        "facing": travel.facing,
        "events": len(gait.events),
        "no_events_because": gait.reason,
        "event_method": gait.events[0].method if gait.events else None,
        "contacts_left": _count(gait, "left"),
        "contacts_right": _count(gait, "right"),
        "strides_left": len(gait.strides["left"]),
        "strides_right": len(gait.strides["right"]),
        "stride_seconds": round(sum(lengths) / len(lengths), 4) if lengths else None,
    }


def _count(gait: Gait, limb: str) -> int:
    return sum(event.limb == limb and event.kind == "contact" for event in gait.events)
