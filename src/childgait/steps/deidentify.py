"""De-identification: every head and every manually marked region is covered for good, and the covers are verified.

Reads the raw video, the delivered keypoints (either may be missing), the facts from `register`, and the manual files
`regions.csv` (video, region, frame, x0, y0, x1, y1; an empty frame means all frames) and `cleared.csv` (video, sha256,
reviewer, reason). Writes the covered video, the delivered keypoints without face and hands, a row per frame and region,
and one flat JSON of evidence with a verdict:

    covered     every person's head is known in every frame, or nearly (max_whole_person_share)
    held        somebody is covered whole for longer, or a person may have been missed (deidentify.unseen): a manual
                review is needed; the gate is shut
    cleared     ... and a reviewer accepted exactly these decoded pixels, by their hash
    keypoints   there is no video

De-identified is not anonymous: gait is itself biometric.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.domain.names import parse_video_name
from childgait.engine.flags import Input, Output, Raw
from childgait.errors import StepError
from childgait.files.atomic import write_json
from childgait.params import Deidentify
from childgait.user_files import read_facts

if TYPE_CHECKING:
    import polars as pl

    from childgait.gait.delivered_keypoints import Delivered, DeliveredFacts
    from childgait.vision.head_covers.look import Observation
    from childgait.vision.head_covers.plan import CoverPlan

METHODS = (
    "Heads were detected by {backends}, by the delivered keypoints and by moving silhouettes, tracked in both "
    "directions of time and covered whole; each track shows one {style} texture of at most {cells} cells. People "
    "without a known head were covered whole. Without SAM 3 a person who stands still with the back to the camera and "
    "has no keypoints is not detected (unseen: {unseen}). The videos are de-identified, not anonymous: gait itself "
    "identifies."
)
METHODS_OF_KEYPOINTS = (
    "Points of the face and of the hands were left out of the delivered keypoints before anything read them."
)


def deidentify(
    video: Raw | None,
    poses: Raw | None,
    register: Input,
    regions: Input | None,
    cleared: Input | None,
    name: str,
    covered: Output | None,
    regions_found: Output | None,
    heads: Output | None,
    poses_out: Output,
    evidence: Output,
    params: Deidentify,
    selections: Input | None = None,
) -> None:
    import cv2

    from childgait.files.poses import write_poses
    from childgait.files.regions import REGIONS, cleared_by
    from childgait.files.tables import write_table
    from childgait.gait.delivered_keypoints import read_delivered
    from childgait.threads import threads
    from childgait.vision.head_covers.draw import draw
    from childgait.vision.head_covers.look import look
    from childgait.vision.head_covers.plan import plan
    from childgait.vision.head_covers.verify import verify
    from childgait.vision.head_sheet import riskiest_frames, write_head_strip

    cv2.setNumThreads(threads())
    parsed = parse_video_name(name)
    pose_layout = read_layout(register, poses)
    row: dict[str, Any] = {"video": name, "subject": parsed.subject, "view": parsed.view}
    for output in (covered, regions_found, heads, poses_out, evidence):
        if output is not None:
            output.parent.chmod(0o750)  # readable by owner and group only
    if video is None:
        if poses is None:
            raise StepError(f"recording {name} has neither video nor keypoints", hint="check its folder")
        write_poses(poses_out, read_delivered(poses, pose_layout).poses)
        write_json(evidence, row | {"verdict": "keypoints", "reasons": ["there is no video"]})
        return
    if covered is None or regions_found is None or heads is None:
        raise StepError(
            f"{name} has a video, but no output is given for it", hint="give --covered, --regions-found and --heads"
        )
    observation = look(video, params)
    delivered = read_keypoints(poses, pose_layout, observation, name, selections)
    covers = plan(add_tracks(observation, delivered, regions, name, video, params), params)
    if covers.table.is_empty():
        raise StepError(
            f"no person was detected in {video}: no face, no keypoints, no movement",
            hint="watch the video; exclude it in cohort.exclude, or mark the head in regions.csv",
        )
    draw(video, covered, covers, params)
    covered.chmod(0o640)
    frames = len(observation.seconds)
    result = verify(covered, name, covers, lossless=params.lossless, keep=riskiest_frames(covers.table, frames))
    write_table(regions_found, covers.table, REGIONS)
    write_head_strip(heads, result.frames, name, frames, covers.table, f"sha256 {result.sha256}")
    heads.chmod(0o640)
    write_poses(poses_out, _no_poses() if delivered is None else delivered.poses)
    facts = describe(covers, params) | verdict_of(covers, delivered is not None, params)
    if facts["verdict"] == "held" and (acceptance := cleared_by(cleared, name, result.sha256)):
        facts |= {"verdict": "cleared", "reasons": [*facts["reasons"], acceptance]}
    write_json(evidence, row | facts | {"decoded_sha256": result.sha256})


def read_layout(register: Path, poses: Path | None) -> str:
    """Read the layout of the delivered keypoints that `register` noted."""
    from childgait.domain.skeleton import LAYOUTS

    layout = str(read_facts(register, "pose_layout")["pose_layout"])
    if poses is not None and layout not in LAYOUTS:
        raise StepError(f"{register} names no layout for the keypoints {poses}", hint="run register again")
    return layout


def read_keypoints(
    poses: Path | None, layout: str, observation: Observation, name: str, selections: Path | None
) -> Delivered | None:
    """Read the delivered keypoints on the frame times of the video; `selections` may state which person is the child.

    The selections are checked even where no keypoints were delivered.
    """
    from childgait.files.selections import read_selections
    from childgait.gait.delivered_keypoints import read_delivered

    size = (observation.height, observation.width)
    rows = [] if selections is None else read_selections(selections, name, len(observation.seconds), size)
    if poses is None:
        return None
    delivered = read_delivered(poses, layout, observation.times, [(row.frame, row.box) for row in rows])
    check_same_size(delivered.facts, observation, name)
    return delivered


def check_same_size(facts: DeliveredFacts, observation: Observation, name: str) -> None:
    """Refuse keypoints of a scaled or rotated copy: every head cover would be misplaced."""
    size = (facts.width, facts.height)
    if None not in size and size != observation.size:
        raise StepError(
            f"{name}: its keypoints are of {size[0]}x{size[1]} pixels, but the video is "
            f"{observation.width}x{observation.height}",
            hint="deliver keypoints of this very file, upright and at its size, or leave them out",
        )


def add_tracks(
    observation: Observation,
    delivered: Delivered | None,
    regions: Path | None,
    name: str,
    video: Path,
    params: Deidentify,
) -> Observation:
    """Add the heads from keypoints and the manual regions."""
    from childgait.files.regions import read_regions
    from childgait.vision.head_covers.look import with_keypoints, with_regions

    if delivered is not None:
        observation = with_keypoints(observation, delivered.people, params)
    return with_regions(observation, read_regions(regions, name, len(observation.seconds)), video, params)


def describe(covers: CoverPlan, params: Deidentify) -> dict[str, Any]:
    """Return what was detected and covered, as flat facts."""
    import polars as pl

    observation = covers.observation
    frames, heads = len(observation.seconds), covers.table.filter(~pl.col("whole"))

    def share(source: str) -> float:
        rows = heads.filter(pl.col("source").str.contains(source))
        return round(rows["frame"].n_unique() / frames, 6)

    return {
        "frames": frames,
        "width": observation.width,
        "height": observation.height,
        "seconds": float(observation.seconds[-1]),
        "backends": params.backends,
        "style": params.style,
        "cells": params.cells,
        "looks": observation.detection_frames,
        "unseen": params.unseen,
        "camera_still": covers.static_camera,
        "people": covers.people,
        "frames_covered": covers.table["frame"].n_unique(),
        "frames_without_head": covers.frames_without_head,
        "share_of_picture": _share_of_picture(covers.table, observation),
        **{
            f"share_{source}": share(source)
            for source in ("detected", "keypoints", "silhouette", "sam3", "region", "bridged", "extended")
        },
    }


def _share_of_picture(table: pl.DataFrame, observation: Observation) -> float:
    """Return the covered share of all pixels; where covers overlap they count twice."""
    return round(float(table["area"].sum()) / (len(observation.seconds) * observation.width * observation.height), 6)


def verdict_of(covers: CoverPlan, has_keypoints: bool, params: Deidentify) -> dict[str, Any]:
    """Return the verdict and its reasons. Where a person may have been missed a review is needed: it fails closed."""
    frames, reasons = len(covers.observation.seconds), []
    if covers.frames_without_head > params.max_whole_person_share * frames:
        reasons.append(
            f"in {covers.frames_without_head} of {frames} frames somebody without a known head is covered whole"
        )
    if not has_keypoints and "sam3" not in params.backends:
        # Measured: before a background as dark as the hair, or beside another walker, a silhouette loses the head.
        reasons.append("there are no keypoints and no SAM 3: who turns away is known by a silhouette at best")
    elif params.unseen == "hold" and "sam3" not in params.backends:
        # Measured: a person who stands still with the back to the camera and has no keypoints is never covered.
        reasons.append("without SAM 3 nothing here sees somebody who stands still with the back to the camera")
    return {"verdict": "held" if reasons else "covered", "reasons": reasons}


def _no_poses() -> Any:
    import numpy as np

    from childgait.domain.poses import make_poses

    return make_poses(np.zeros(0), np.zeros((0, 23, 2), np.float32), np.zeros((0, 23), np.float32))
