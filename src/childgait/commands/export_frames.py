"""Write de-identified frames with the present keypoints as a project of an annotation tool.

    childgait export-frames --format cvat                       # the 20 frames per video that a correction helps most
    childgait export-frames --format label-studio --frames all
    childgait export-frames --format coco --videos 0001-0001_left_459-740 --out logs/exchange/first

Frames of held videos are refused. Keep the output folder below logs, which an erasure searches. `childgait
import-corrections` takes the corrected project back.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from childgait.errors import StepError

if TYPE_CHECKING:
    from childgait.files.annotation_formats import FramePoints
    from childgait.review.study import Study

SELECTIONS = ("proposed", "all")


def export_frames(
    format: str = "cvat",
    videos: list[str] | None = None,
    frames: str = "proposed",
    out: Path = Path("logs/exchange"),
    data: Path = Path("data"),
    params: Path = Path("params.yaml"),
) -> None:
    """Write pictures and the project file to the folder `out`; `frames` is `proposed` or `all`."""
    from childgait.files.annotation_formats import FILE_NAMES, FORMATS, write_baseline, write_frames
    from childgait.review.study import open_study

    if format not in FORMATS:
        raise StepError(f"the format {format!r} is unknown", hint=f"known are {', '.join(FORMATS)}")
    if frames not in SELECTIONS:
        raise StepError(f"--frames is {frames!r}", hint="give proposed or all")
    study = open_study(params, None, data)
    exported: list[FramePoints] = []
    hashes = {}
    for video in dict.fromkeys(videos or exportable(study)):
        hashes[video] = study.evidence(video)["decoded_sha256"]
        exported += frames_of(study, video, frames)
    if not exported:
        raise StepError(f"{data} has no frame to export", hint="`make run` estimates the keypoints")
    write_pictures(study, exported, out / "images")
    write_frames(out / FILE_NAMES[format], format, exported)
    write_baseline(out / "exported.json", exported, hashes)
    write_setup(out, format)
    print(f"{len(exported)} frames of {len(hashes)} videos in {out}/images, keypoints in {out / FILE_NAMES[format]}")


def exportable(study: Study) -> list[str]:
    """List the recordings that are covered or cleared and have keypoints."""
    from childgait.review.study import CLEAR

    steps = {"estimate_pose": ".poses.parquet", "deidentify": ".mp4"}
    names = [str(name) for name in study.recordings()]
    with_files = [name for name in names if all(study.has(step, name, ending) for step, ending in steps.items())]
    return [name for name in with_files if study.evidence(name)["verdict"] in CLEAR]


def frames_of(study: Study, video: str, selection: str) -> list[FramePoints]:
    """Return the keypoints of the selected frames, as the next run refines them."""
    import numpy as np

    from childgait.domain.names import parse_video_name
    from childgait.domain.poses import Status
    from childgait.domain.skeleton import POINTS
    from childgait.files.annotation_formats import FramePoints
    from childgait.gait.correction_proposals import propose_frames
    from childgait.review.correcting import read_estimate, refine_with
    from childgait.review.study import CLEAR

    evidence = study.evidence(video)
    if evidence["verdict"] not in CLEAR:
        raise StepError(f"{video} is {evidence['verdict']}: its frames stay here", hint="clear it first")
    estimate = read_estimate(study, video)
    walk = refine_with(study, estimate, study.annotations / "corrections.csv")
    proposals = propose_frames(estimate.poses, walk, parse_video_name(video).view)
    wanted = range(len(walk.poses)) if selection == "all" else sorted(one.frame for one in proposals)
    result = []
    for frame in wanted:
        xy, status = walk.poses.xy[frame].astype(np.float64), walk.poses.status[frame]
        known = [index for index in range(len(POINTS)) if np.isfinite(xy[index]).all()]
        points = {POINTS[index]: (round(float(xy[index, 0]), 3), round(float(xy[index, 1]), 3)) for index in known}
        interpolated = frozenset(POINTS[index] for index in known if status[index] == Status.FILLED)
        result.append(FramePoints(video, frame, evidence["width"], evidence["height"], points, interpolated))
    return result


def write_pictures(study: Study, frames: list[FramePoints], folder: Path) -> None:
    """Write the frames of the de-identified videos as PNG; each video's hash is compared first."""
    import cv2

    from childgait.files.atomic import atomic_outputs
    from childgait.files.video import read_frames

    for video in dict.fromkeys(frame.video for frame in frames):
        wanted = {frame.frame: folder / frame.image for frame in frames if frame.video == video}
        for index, picture in enumerate(read_frames(study.covered_video(video))):
            if index in wanted:
                with atomic_outputs([wanted[index]]) as partial:
                    cv2.imwrite(str(partial[wanted[index]]), cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2BGR))


def write_setup(out: Path, format: str) -> None:
    """Write the labels that a new project of the tool needs."""
    from childgait.files.annotation_formats import cvat_labels, label_studio_config
    from childgait.files.atomic import write_json, write_text

    if format == "cvat":
        write_json(out / "labels.json", cvat_labels())
    elif format == "label-studio":
        write_text(out / "labelling-interface.xml", label_studio_config())
