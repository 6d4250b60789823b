"""Cuts each video to child-centred frames at one rate, with the mask and keypoints of the same crop.

Reads the de-identified video and its covers, the child's masks and boxes, the refined keypoints and gait events. Writes
one clip (files/clips.py) from the first to the last frame with the child; in a study of keypoints the clip has points
alone. Frames in which a cover hides more than `most_covered` of the child's body or of a leg are listed: no window
shows them, and a video with too many of them stops the study (gate.most_covered_frames).
"""

from __future__ import annotations

import logging

from childgait.engine.flags import Input, Output
from childgait.params import PrepareClips
from childgait.threads import threads

METHODS = (
    "Frames were resampled to {rate:g} per second by time stamp and cropped to a square that follows the child "
    "smoothly, {size} pixels per side."
)
METHODS_OF_KEYPOINTS = (
    "Keypoints were resampled to {rate:g} per second by time stamp and placed in a square of {size} units that follows "
    "the child smoothly."
)

log = logging.getLogger(__name__)


def prepare_clips(
    name: str,
    poses: Input,
    points: Output,
    clip: Output,
    params: PrepareClips,
    video: Input | None = None,
    masks: Input | None = None,
    boxes: Input | None = None,
    events: Input | None = None,
    regions: Input | None = None,
    estimate: Input | None = None,
    frames: Output | None = None,
    mask_bits: Output | None = None,
) -> None:
    """Write the clip of one video: its description and points, and with a video its frames and mask bits."""
    import cv2

    from childgait.files.atomic import write_json
    from childgait.files.estimate_summary import read_estimate_summary
    from childgait.files.hashes import sha256
    from childgait.files.poses import read_poses
    from childgait.vision.clip_arrays import (
        clip_events,
        corners_of_child,
        describe_clip,
        list_covered_frames,
        plan_clip,
        write_frames,
        write_masks,
        write_points,
    )

    cv2.setNumThreads(threads())
    refined = read_poses(poses)
    plan = plan_clip(name, refined.seconds, corners_of_child(refined, boxes), params)
    facts = describe_clip(name, refined, plan, params)
    facts["events"] = clip_events(events, refined, plan) if events is not None else []
    if estimate is not None and (unmeasured := read_estimate_summary(estimate).get("unmeasured")):
        facts["unmeasured"] = unmeasured
    facts |= write_points(points, name, refined, plan, params)
    if video is not None:
        assert masks is not None
        assert frames is not None
        assert mask_bits is not None
        write_frames(frames, video, len(refined), plan, params)
        facts |= write_masks(mask_bits, masks, len(refined), plan, params)
        if regions is not None:
            facts |= list_covered_frames(regions, masks, refined, corners_of_child(refined, boxes), plan, params)
    # Later steps have this file alone as input, so it must change with every pixel and point of the arrays beside it.
    arrays = {"frames": frames, "masks": mask_bits, "points": points}
    facts |= {f"{part}_sha256": sha256(path) for part, path in arrays.items() if path is not None}
    write_json(clip, facts)
    log.info("%s: %d frames of %d pixels", name, len(plan.source), params.size)
