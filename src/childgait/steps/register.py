"""Registration: the facts of a recording, measured by reading it completely, and everything unusual about it.

Reads the raw video and the delivered keypoints of one recording (either may be missing). Writes one flat JSON.
Anything merely unusual (another frame rate, a rotation flag, frames without people) is a sentence in `oddities` and is
handled by later steps; a file that cannot be read stops here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from childgait.domain.names import VideoName, parse_video_name
from childgait.engine.flags import Output, Raw
from childgait.errors import StepError
from childgait.files.atomic import write_json
from childgait.files.hashes import sha256, sha256_of_text
from childgait.files.recordings import check_link, check_place, recording_name
from childgait.files.tombstones import refuse_erased
from childgait.params import Register

if TYPE_CHECKING:
    from childgait.files.recording_facts import PoseFacts, RecordingFacts, VideoFacts
    from childgait.files.video import VideoFacts as ProbedVideo
    from childgait.gait.delivered_keypoints import DeliveredFacts

METHODS = (
    "Every recording was decoded whole; size, rotation, frame times and counts are those of the decoded frames, not of "
    "file headers, and deviations from the expected {expected_rate:g} frames per second were listed."
)
METHODS_OF_KEYPOINTS = "Every recording's delivered keypoints were read whole; there are no videos."


def register(video: Raw | None, poses: Raw | None, name: str, layout: str, facts: Output, params: Register) -> None:
    from childgait.domain.skeleton import LAYOUTS

    if layout not in LAYOUTS:
        raise StepError(f"the keypoint layout {layout!r} is unknown", hint=f"known are {', '.join(LAYOUTS)}")
    if video is None and poses is None:
        raise StepError(f"recording {name} has neither a video nor keypoints", hint="check its folder")
    parsed = parse_video_name(name)
    for path in (video, poses):
        if path is not None:
            check_raw_path(path, name)
    refuse_erased(parsed.subject)
    oddities: list[str] = []
    of_video = None if video is None else describe_video(video, params, oddities)
    of_poses = describe_poses(poses, layout, of_video, oddities)
    if of_video is None:
        of_video = from_poses(poses, of_poses)
        oddities.append("there is no video, only keypoints")
    compare_name(parsed, of_video["frames"], oddities)
    row: RecordingFacts = {
        "video": name,
        "subject": parsed.subject,
        "session": parsed.session,
        "view": parsed.view,
        "start": parsed.start,
        "end": parsed.end,
        **of_video,
        **of_poses,
        "oddities": oddities,
    }
    write_json(facts, row)


def check_raw_path(path: Path, name: str) -> None:
    """Fail on a raw file of a cohort whose folder or name is no pseudonym, before its path enters a record or a log."""
    if path.absolute().parent.parent.name != "dataset":  # outside the layout of a cohort: run by hand
        return
    stem = recording_name(path) or path.stem
    check_place(path.absolute(), stem)
    check_link(path.absolute(), path.absolute().parents[2])
    if stem != name:
        raise StepError(f"{path} is not the recording {name}", hint="give --name as in the file's name")


def describe_video(path: Path, params: Register, oddities: list[str]) -> VideoFacts:
    """Return the facts of a video, decoded whole."""
    from childgait.files.video import probe

    facts = probe(path)
    if facts.frames < 2:
        raise StepError(f"{path} has a single frame", hint="exclude it in cohort.exclude")
    variable = facts.is_variable(params.rate_tolerance)
    note_video(facts, variable, params, oddities)
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "codec": facts.codec,
        "width": facts.width,
        "height": facts.height,
        "rotation": facts.rotation,
        "rate": f"{facts.rate.numerator}/{facts.rate.denominator}",
        "frames_per_second": round(float(facts.rate), 6),
        "frames": facts.frames,
        "seconds": round(float(facts.seconds[-1]), 6),
        "variable_rate": variable,
        "audio": "audio" in facts.other_streams,
    }


def note_video(facts: ProbedVideo, variable: bool, params: Register, oddities: list[str]) -> None:
    rate = float(facts.rate)
    if abs(rate - params.expected_rate) > 0.005 * params.expected_rate:  # 59.94 counts as 60
        oddities.append(f"{rate:.2f} frames per second, not {params.expected_rate:g}")
    if variable:
        steps = [float(b - a) for a, b in zip(facts.seconds, facts.seconds[1:], strict=False)]
        oddities.append(f"the frame rate varies: intervals of {1000 * min(steps):.1f} to {1000 * max(steps):.1f} ms")
    if facts.rotation:
        oddities.append(f"a rotation flag of {facts.rotation} degrees, applied on reading")
    for kind in sorted(set(facts.other_streams)):
        oddities.append(f"the file carries {kind} beside the picture; it is not passed on")
    if any("creation" in key or "location" in key for key in facts.metadata):
        oddities.append("the file contains when or where it was made; that is not passed on")


def describe_poses(path: Path | None, layout: str, video: VideoFacts | None, oddities: list[str]) -> PoseFacts:
    """Return the facts of the delivered keypoints, compared with those of the video."""
    if path is None:
        oddities.append("there are no delivered keypoints")
        return {
            "pose_file": None,
            "pose_sha256": None,
            "pose_layout": None,
            "pose_points": None,
            "pose_frames": None,
            "pose_frames_empty": None,
            "pose_width": None,
            "pose_height": None,
            "pose_rate": None,
        }
    from childgait.domain.skeleton import LAYOUTS
    from childgait.gait.delivered_keypoints import inspect_delivered

    facts = inspect_delivered(path, layout)
    oddities += [f"keypoints: {oddity}" for oddity in facts.oddities]
    if video is not None:
        compare_poses(facts, video, oddities)
    return {
        "pose_file": path.name,
        "pose_sha256": hash_of_poses(path),
        "pose_layout": layout,
        "pose_points": LAYOUTS[layout].size,
        "pose_frames": facts.frames,
        "pose_frames_empty": facts.frames_empty,
        "pose_width": facts.width,
        "pose_height": facts.height,
        "pose_rate": facts.rate,
    }


def hash_of_poses(path: Path) -> str:
    """Return the sha256 of the packed file, or of the folder's listing with the hash of each file."""
    if path.is_file():
        return sha256(path)
    return sha256_of_text("".join(f"{file.name} {sha256(file)}\n" for file in sorted(path.glob("*.json"))))


def compare_poses(facts: DeliveredFacts, video: VideoFacts, oddities: list[str]) -> None:
    """List differences between video and keypoints. More keypoints than frames is an error in deidentify."""
    if facts.frames != video["frames"]:
        oddities.append(f"keypoints for {facts.frames} frames, but the video has {video['frames']}")
    size = (facts.width, facts.height)
    if None not in size and size != (video["width"], video["height"]):
        oddities.append(
            f"keypoints state {size[0]}x{size[1]} pixels, but the video is {video['width']}x{video['height']}"
        )
    if facts.rate and abs(facts.rate - video["frames_per_second"]) > 0.005 * facts.rate:
        oddities.append(
            f"keypoints state {facts.rate:.2f} frames per second, the video has {video['frames_per_second']:.2f}"
        )


def from_poses(path: Path | None, poses: PoseFacts) -> VideoFacts:
    """Return the facts of a recording without a video, from its keypoints."""
    rate, frames = poses["pose_rate"], poses["pose_frames"]
    if not rate or frames is None:
        raise StepError(
            f"no frame of {path} has a frame rate, and there is no video",
            hint="add video_info with fps to one of its frames, or deliver the video",
        )
    return {
        "file": None,
        "bytes": None,
        "sha256": None,
        "codec": None,
        "width": poses["pose_width"],
        "height": poses["pose_height"],
        "rotation": None,
        "rate": None,
        "frames_per_second": round(rate, 6),
        "frames": frames,
        "seconds": round((frames - 1) / rate, 6),
        "variable_rate": False,
        "audio": None,
    }


def compare_name(parsed: VideoName, frames: int, oddities: list[str]) -> None:
    length = parsed.end - parsed.start + 1
    if length != frames:
        oddities.append(f"its name states {length} frames ({parsed.start} to {parsed.end}), but it has {frames}")
