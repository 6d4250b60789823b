"""Nobody recognisable: every head and every other region that identifies is covered, for good, and it is shown.

Reads the raw video, the delivered keypoints (either may be missing), its facts from `register`, and what a person
wrote: `regions.csv` (video, region, frame, x0, y0, x1, y1; an empty frame means all of them) and `cleared.csv` (video,
sha256, reviewer, reason). Yields the covered video, the delivered points less face and hands, a row for each frame and
region, and one flat JSON of evidence with a verdict:

    covered     every person's head is known in every frame, or nearly (max_whole_person_share)
    held        somebody had to be covered whole for longer, or nobody could tell (deidentify.unseen): a person must
                look; the gate is shut
    cleared     ... and did, and accepts exactly these decoded pixels by their hash
    keypoints   there is no video

De-identified is not anonymous: gait is itself biometric.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.domain.names import parse_video_name
from childgait.engine.flags import Input, Output, Raw
from childgait.errors import StepError
from childgait.files.atomic import write_json
from childgait.params import Deidentify

if TYPE_CHECKING:
    import polars as pl

    from childgait.gait.delivered_keypoints import DeliveredFacts
    from childgait.vision.cover import Plan, Seen

METHODS = (
    "Heads were found by {backends}, by the delivered keypoints and by moving silhouettes, followed in both directions "
    "of time and covered whole; each track shows one {style} texture of at most {cells} cells. People without a known "
    "head were covered whole. Without SAM 3 nobody finds who stands still with the back to the camera and has no keypoints "
    "(unseen: {unseen}). The videos are de-identified, not anonymous: gait itself identifies."
)
METHODS_OF_KEYPOINTS = (
    "Points of the face and of the hands were left out of the delivered keypoints before anything read them."
)
LOSSY_TOLERANCE = 6  # levels by which a lossy copy may miss a texture on average


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
    from childgait.files.regions import cleared_by, read_regions
    from childgait.files.selections import read_selections
    from childgait.files.tables import write_table
    from childgait.files.video import write_video
    from childgait.gait.delivered_keypoints import read_delivered
    from childgait.threads import threads
    from childgait.vision import cover
    from childgait.vision.head_sheet import write_head_strip

    cv2.setNumThreads(threads())
    said = parse_video_name(name)
    facts = json.loads(register.read_text(encoding="utf-8"))
    row: dict[str, Any] = {"video": name, "subject": said.subject, "view": said.view}
    for output in (covered, regions_found, heads, poses_out, evidence):
        if output is not None:
            output.parent.chmod(0o750)  # the folder is no place for everybody
    if video is None:
        if poses is None:
            raise StepError(f"recording {name} has neither video nor keypoints", hint="look into its folder")
        write_poses(poses_out, read_delivered(poses, facts["pose_layout"]).poses)
        write_json(evidence, row | {"verdict": "keypoints", "reasons": ["there is no video"]})
        return
    if covered is None or regions_found is None or heads is None:
        raise StepError(
            f"{name} has a video, but no output is named for it", hint="give --covered, --regions-found and --heads"
        )
    seen = cover.look(video, params)
    who = [] if selections is None else read_selections(selections, name, len(seen.seconds), (seen.height, seen.width))
    child = [(one.frame, one.box) for one in who]
    delivered = None if poses is None else read_delivered(poses, facts["pose_layout"], seen.times, child)
    if delivered is not None:
        same_picture(delivered.facts, seen, name)
        cover.from_keypoints(delivered.people, seen, params)
    frames = len(seen.seconds)
    seen.tracks += cover.from_regions(read_regions(regions, name, frames), frames, video, params)
    plan = cover.plan(seen, params)
    if plan.table.is_empty():
        raise StepError(
            f"no person was found in {video}: no face, no keypoints, nobody moving",
            hint="look at the video; exclude it in cohort.exclude, or name the head in regions.csv",
        )
    write_video(
        covered,
        cover.covered_frames(video, plan.covers),
        seen.seconds,
        lossless=params.lossless,
        crf=params.crf,
        colour=seen.colour,
    )
    covered.chmod(0o640)
    sha256 = verify(covered, name, seen, plan, 0 if params.lossless else LOSSY_TOLERANCE)
    write_table(regions_found, plan.table, cover.REGIONS)
    write_head_strip(heads, covered, name, frames, plan.table, f"sha256 {sha256}")
    heads.chmod(0o640)
    write_poses(poses_out, _nobody() if delivered is None else delivered.poses)
    found = describe(seen, plan, params) | judge(seen, plan, delivered is not None, params)
    if found["verdict"] == "held" and (accepted := cleared_by(cleared, name, sha256)):
        found |= {"verdict": "cleared", "reasons": [*found["reasons"], accepted]}
    write_json(evidence, row | found | {"decoded_sha256": sha256})


def same_picture(said: DeliveredFacts, seen: Seen, name: str) -> None:
    """Keypoints of a scaled or turned copy would put every head beside its place."""
    size = (said.width, said.height)
    if None not in size and size != (seen.width, seen.height):
        raise StepError(
            f"{name}: its keypoints are of {size[0]}x{size[1]} pixels, but the video is {seen.width}x{seen.height}",
            hint="deliver keypoints of this very file, upright and at its size, or leave them away",
        )


def verify(covered: Path, name: str, seen: Seen, plan: Plan, tolerance: int) -> str:
    """Read the output back: every frame and time is there, every cover lies where it must. Yields the decoded hash."""
    import hashlib

    from childgait.files.video import read_frames, update_hash
    from childgait.vision.mosaic import is_covered

    digest, times = hashlib.sha256(), []
    for frame in read_frames(covered):
        update_hash(digest, frame)
        times.append(frame.seconds)
        if not is_covered(frame.planes, frame.index, plan.covers, tolerance):
            raise StepError(
                f"{name}: frame {frame.index} of the covered video shows something else than its covers",
                hint="nothing was kept; raise deidentify.crf's quality or set deidentify.lossless",
            )
    if tuple(times) != seen.seconds or (frame.planes.width, frame.planes.height) != (seen.width, seen.height):
        raise StepError(
            f"{name}: the covered video has {len(times)} frames of {frame.planes.width}x{frame.planes.height}, "
            f"the raw one {len(seen.seconds)} of {seen.width}x{seen.height}, or other times",
            hint="nothing was kept; look at the raw video's time stamps",
        )
    return digest.hexdigest()


def describe(seen: Seen, plan: Plan, params: Deidentify) -> dict[str, Any]:
    """What was found and covered, a number or a word a key."""
    import polars as pl

    frames, heads = len(seen.seconds), plan.table.filter(~pl.col("whole"))
    covered = plan.table["frame"].n_unique()

    def share(source: str) -> float:
        rows = heads.filter(pl.col("source").str.contains(source))
        return round(rows["frame"].n_unique() / frames, 6)

    return {
        "frames": frames,
        "width": seen.width,
        "height": seen.height,
        "seconds": float(seen.seconds[-1]),
        "backends": params.backends,
        "style": params.style,
        "cells": params.cells,
        "looks": seen.looks,
        "unseen": params.unseen,
        "camera_still": plan.still,
        "people": plan.people,
        "frames_covered": covered,
        "frames_without_head": plan.without_head,
        "share_of_picture": _share_of_picture(plan.table, seen),
        **{
            f"share_{source}": share(source)
            for source in ("detected", "keypoints", "silhouette", "sam3", "region", "bridged", "extended")
        },
    }


def _share_of_picture(table: pl.DataFrame, seen: Seen) -> float:
    """Covered pixels of all; where covers overlap they count twice."""
    return round(float(table["area"].sum()) / (len(seen.seconds) * seen.width * seen.height), 6)


def judge(seen: Seen, plan: Plan, has_keypoints: bool, params: Deidentify) -> dict[str, Any]:
    """The verdict and its reasons. Where nobody can tell, a person must look: it fails closed."""
    frames, reasons = len(seen.seconds), []
    if plan.without_head > params.max_whole_person_share * frames:
        reasons.append(f"in {plan.without_head} of {frames} frames somebody without a known head is covered whole")
    if not has_keypoints and "sam3" not in params.backends:
        # Measured: before a wall as dark as the hair, or beside another walker, a silhouette loses the head.
        reasons.append("there are no keypoints and no SAM 3: who turns away is known by a silhouette at best")
    elif params.unseen == "hold" and "sam3" not in params.backends:
        # Measured: who stands still with the back to the camera, and has no keypoints, stays bare from end to end.
        reasons.append("without SAM 3 nothing here sees somebody who stands still with the back to the camera")
    return {"verdict": "held" if reasons else "covered", "reasons": reasons}


def _nobody() -> Any:
    import numpy as np

    from childgait.domain.poses import make_poses

    return make_poses(np.zeros(0), np.zeros((0, 23, 2), np.float32), np.zeros((0, 23), np.float32))
