"""De-identification: every head and every manually marked region is covered for good, and the covers are verified.

Reads the raw video, the delivered keypoints (either may be missing), the facts from `register`, and the manual files
`regions.csv` (video, region, frame, x0, y0, x1, y1; an empty frame means all frames) and `cleared.csv` (video, sha256,
reviewer, reason). Writes the covered video, the delivered keypoints without face and hands, a row per frame and region,
and one flat JSON of evidence with a verdict:

    covered     every person's head is known in every frame, or nearly (max_whole_person_share); with the embedded
                model (blazepose) it also knows everybody whom other detectors know
    held        somebody is covered whole for longer, or a person may have been missed (deidentify.unseen): a manual
                review is needed; the gate is shut
    cleared     ... and a reviewer accepted exactly these decoded pixels, by their hash
    keypoints   there is no video

De-identified is not anonymous: gait is itself biometric.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from childgait.domain.names import parse_video_name
from childgait.engine.flags import Input, Output, Raw
from childgait.errors import StepError
from childgait.files.atomic import write_json
from childgait.params import Deidentify
from childgait.user_files import read_facts

if TYPE_CHECKING:
    from childgait.vision.head_covers.plan import CoverPlan

METHODS = (
    "Heads were detected by {backends}, by the delivered keypoints and by moving silhouettes, tracked in both "
    "directions of time and covered whole; each track shows one {style} texture of at most {cells} cells. People "
    "without a known head were covered whole. Without blazepose or SAM 3 a person who stands still with the back to "
    "the camera and has no keypoints is not detected (unseen: {unseen}). The videos are de-identified, not anonymous: "
    "gait itself identifies."
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
    """Cover the heads in the video of one recording; without a video only strip its keypoints."""
    parsed = parse_video_name(name)
    pose_layout = read_layout(register, poses)
    row = {"video": name, "subject": parsed.subject, "view": parsed.view}
    for output in (covered, regions_found, heads, poses_out, evidence):
        if output is not None:
            output.parent.chmod(0o750)  # readable by owner and group only
    if video is None:
        _strip_keypoints(poses, pose_layout, name, poses_out)
        write_json(evidence, row | {"verdict": "keypoints", "reasons": ["there is no video"]})
        return
    if covered is None or regions_found is None or heads is None:
        raise StepError(
            f"{name} has a video, but no output is given for it", hint="give --covered, --regions-found and --heads"
        )
    import cv2

    from childgait.domain.poses import no_poses
    from childgait.files.poses import write_poses
    from childgait.files.regions import cleared_by, read_cover_changes
    from childgait.threads import threads
    from childgait.vision.head_covers.draw import draw
    from childgait.vision.head_covers.evidence import describe, review_reasons
    from childgait.vision.head_covers.look import look
    from childgait.vision.head_covers.plan import plan
    from childgait.vision.head_covers.raw_video import RawVideo
    from childgait.vision.head_covers.sources import add_tracks, read_keypoints

    cv2.setNumThreads(threads())
    raw = RawVideo(video)
    observation = look(raw, params)
    delivered = read_keypoints(poses, pose_layout, observation, name, selections)
    changes = read_cover_changes(regions, name, len(observation.seconds))
    covers = plan(add_tracks(observation, delivered, regions, name, raw, params), params, changes)
    if covers.table.is_empty():
        raise StepError(
            f"no person was detected in {video}: no face, no keypoints, no movement",
            hint="watch the video; exclude it in cohort.exclude, or mark the head in regions.csv",
        )
    draw(raw, covered, covers, params)
    covered.chmod(0o640)
    decoded_sha256 = _verify_and_show(covered, name, covers, regions_found, heads, params)
    write_poses(poses_out, no_poses() if delivered is None else delivered.poses)
    reasons = review_reasons(covers, delivered is not None, params)
    verdict = "held" if reasons else "covered"
    if reasons and (acceptance := cleared_by(cleared, name, decoded_sha256)):
        verdict, reasons = "cleared", [*reasons, acceptance]
    facts = describe(covers, params) | {"verdict": verdict, "reasons": reasons}
    write_json(evidence, row | facts | {"decoded_sha256": decoded_sha256})


def read_layout(register: Path, poses: Path | None) -> str:
    """Read the layout of the delivered keypoints that `register` noted."""
    from childgait.domain.skeleton import LAYOUTS

    layout = str(read_facts(register, "pose_layout")["pose_layout"])
    if poses is not None and layout not in LAYOUTS:
        raise StepError(f"{register} names no layout for the keypoints {poses}", hint="run register again")
    return layout


def _strip_keypoints(poses: Path | None, pose_layout: str, name: str, poses_out: Path) -> None:
    """Write the delivered keypoints without face and hands."""
    from childgait.files.poses import write_poses
    from childgait.gait.delivered_keypoints import read_delivered

    if poses is None:
        raise StepError(f"recording {name} has neither video nor keypoints", hint="check its folder")
    write_poses(poses_out, read_delivered(poses, pose_layout).poses)


def _verify_and_show(
    covered: Path, name: str, covers: CoverPlan, regions_found: Path, heads: Path, params: Deidentify
) -> str:
    """Verify the written video; write the table of its covers and the head strip. Return the hash of its pixels."""
    from childgait.files.regions import REGIONS
    from childgait.files.tables import write_table
    from childgait.vision.head_covers.verify import verify
    from childgait.vision.head_sheet import riskiest_frames, write_head_strip

    frames = len(covers.observation.seconds)
    result = verify(covered, name, covers, lossless=params.lossless, keep=riskiest_frames(covers.table, frames))
    write_table(regions_found, covers.table, REGIONS)
    write_head_strip(heads, result.frames, name, frames, covers.table, f"sha256 {result.sha256}")
    heads.chmod(0o640)
    return result.sha256
