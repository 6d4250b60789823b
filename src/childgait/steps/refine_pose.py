"""Refines keypoints and derives joint angles, gait events and strides from them.

Reads estimated keypoints, segment's boxes (of the frames that passed its gate) and manual corrections. Writes refined
poses with a status per point, angles, events, and a flat summary. The input is never altered.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypedDict

from childgait.engine.flags import Input, Output
from childgait.errors import StepError
from childgait.params import RefinePose

if TYPE_CHECKING:
    from childgait.domain.poses import Poses
    from childgait.gait.events import Gait, Travel

METHODS = (
    "Keypoints below a score of {min_score} or outside the child's box were dropped; swapped legs and arms were given "
    "back to their sides over whole limbs and over time; outliers beyond {outlier_sigmas} robust standard deviations "
    "were dropped, gaps up to {longest_gap_seconds} s filled, and runs low-passed without lag at {distal_hz} Hz "
    "(ankles, feet, wrists) and {proximal_hz} Hz. Manual corrections overruled all of it."
)

log = logging.getLogger(__name__)


def refine_pose(
    name: str,
    poses: Input,
    poses_out: Output,
    angles: Output,
    events: Output,
    summary: Output,
    params: RefinePose,
    boxes: Input | None = None,
    corrections: Input | None = None,
    estimate: Input | None = None,
) -> None:
    """Write refined poses, angles, events and summary of one video."""
    from childgait.domain.names import parse_video_name
    from childgait.files.atomic import write_json
    from childgait.files.corrections import read_corrections, read_side_corrections
    from childgait.files.estimate_summary import read_estimate_summary
    from childgait.files.masks import read_boxes
    from childgait.files.poses import read_poses, write_poses
    from childgait.files.tables import write_table
    from childgait.gait.events import EVENTS
    from childgait.gait.events import as_table as event_table
    from childgait.gait.events.turning import find_turn
    from childgait.gait.kinematics import ANGLES
    from childgait.gait.kinematics import as_table as angle_table
    from childgait.gait.refined_walk import refine_walk

    video = parse_video_name(name)
    estimated = read_poses(poses)
    if not estimated.seen.any():
        raise StepError(
            f"{poses} has no keypoints in any of its {len(estimated)} frames",
            hint="look at the video, or name it in cohort.exclude with the reason",
        )
    manual = [] if corrections is None else read_corrections(corrections, name, len(estimated))
    sides = [] if corrections is None else read_side_corrections(corrections, name, len(estimated))
    trusted = None if boxes is None else read_boxes(boxes, len(estimated)).trusted()
    facts_of_estimate = None if estimate is None else read_estimate_summary(estimate)
    settled = facts_of_estimate is not None and facts_of_estimate["sides_settled"]
    unmeasured = [] if facts_of_estimate is None else facts_of_estimate.get("unmeasured", [])
    walk = refine_walk(estimated, params, video.view, trusted, manual, settled, sides, unmeasured)
    refined, gait = walk.poses, walk.gait
    turn = find_turn(refined, video.view)
    if turn is None:  # refinement gives left and right the order of the view's name, whatever the child does
        turn = find_turn(estimated, video.view)
    write_poses(poses_out, refined)
    write_table(angles, angle_table(walk.angles), ANGLES)
    write_table(events, event_table(gait.events), EVENTS)
    facts = {
        "video": name,
        "subject": video.subject,
        "view": video.view,
        "frames": len(refined),
        "seconds": round(float(refined.seconds[-1]), 6),
        "corrections": len(manual) + len(sides),
        **vars(walk.report),
        **_shares(refined),
        **_describe_walk(walk.travel, gait),
        "turns_at": None if turn is None else round(turn, 2),
    }
    if turn is not None:
        log.warning("%s: the child turns round at %.1f s; cut the video there into two recordings", name, turn)
    write_json(summary, facts)
    log.info(
        "%s: %d frames swapped back, %s", name, walk.report.frames_swapped, gait.reason or f"{len(gait.events)} events"
    )


def _shares(poses: Poses) -> dict[str, float]:
    """Return the share of points per status, and of leg points that are missing."""
    import numpy as np

    from childgait.domain.poses import Status
    from childgait.domain.skeleton import INDEX

    shares = {f"share_{status.label}": round(float((poses.status == status).mean()), 5) for status in Status}
    legs = [index for point, index in INDEX.items() if point.split("_")[-1] in ("hip", "knee", "ankle", "heel", "toe")]
    shares["share_legs_missing"] = round(float(np.mean(poses.status[:, legs] == Status.MISSING)), 5)
    return shares


class WalkSummary(TypedDict):
    """The part of the summary on the walk: its direction, its events and its strides."""

    view_seen: str | None
    view_fits: bool | None
    view_turned: bool
    view_note: str | None
    across_heights: float
    growth: float
    facing: int | None
    events: int
    no_events_because: str | None
    event_method: str | None
    contacts_left: int
    contacts_right: int
    strides_left: int
    strides_right: int
    stride_seconds: float | None


def _describe_walk(travel: Travel, gait: Gait) -> WalkSummary:
    """Return direction of travel, numbers of events and strides, and mean stride duration as plain values."""
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
        "contacts_left": _count_contacts(gait, "left"),
        "contacts_right": _count_contacts(gait, "right"),
        "strides_left": len(gait.strides["left"]),
        "strides_right": len(gait.strides["right"]),
        "stride_seconds": round(sum(lengths) / len(lengths), 4) if lengths else None,
    }


def _count_contacts(gait: Gait, limb: str) -> int:
    return sum(event.limb == limb and event.kind == "contact" for event in gait.events)
