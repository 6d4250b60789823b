"""Registration: the facts of a recording, measured by reading it completely, and everything unusual about it.

Reads the raw video and the delivered keypoints of one recording (either may be missing). Writes one flat JSON.
Anything merely unusual (another frame rate, a rotation flag, frames without people) is a sentence in `oddities` and is
handled by later steps; a file that cannot be read stops here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.domain.names import VideoName, parse_video_name
from childgait.engine.flags import Output, Raw
from childgait.errors import StepError
from childgait.files.atomic import write_json
from childgait.files.hashes import sha256, sha256_of_text
from childgait.files.recordings import check_link, check_place, recording_name
from childgait.files.tombstones import refuse_erased
from childgait.params import Register

if TYPE_CHECKING:
    from childgait.files.video import VideoFacts
    from childgait.gait.delivered_keypoints import DeliveredFacts

METHODS = (
    "Every recording was decoded whole; size, rotation, frame times and counts are those of the decoded frames, not of "
    "file headers, and deviations from the expected {expected_rate:g} frames a second were listed."
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
    row: dict[str, Any] = {
        "video": name,
        "subject": parsed.subject,
        "session": parsed.session,
        "view": parsed.view,
        "start": parsed.start,
        "end": parsed.end,
    }
    oddities: list[str] = []
    row |= describe_video(video, params, oddities)
    row |= describe_poses(poses, layout, row, oddities)
    if video is None:
        row |= from_poses(poses, row)
        oddities.append("there is no video, only keypoints")
    compare_name(parsed, row["frames"], oddities)
    write_json(facts, row | {"oddities": oddities})


def check_raw_path(path: Path, name: str) -> None:
    """Fail on a raw file of a cohort whose folder or name is no pseudonym, before its path enters a record or a log."""
    if path.absolute().parent.parent.name != "dataset":  # outside the layout of a cohort: run by hand
        return
    stem = recording_name(path) or path.stem
    check_place(path.absolute(), stem)
    check_link(path.absolute(), path.absolute().parents[2])
    if stem != name:
        raise StepError(f"{path} is not the recording {name}", hint="give --name as in the file's name")


def describe_video(path: Path | None, params: Register, oddities: list[str]) -> dict[str, Any]:
    columns = (
        "file",
        "bytes",
        "sha256",
        "codec",
        "width",
        "height",
        "rotation",
        "rate",
        "frames_per_second",
        "frames",
        "seconds",
        "variable_rate",
        "audio",
    )
    if path is None:
        return dict.fromkeys(columns)
    from childgait.files.video import probe

    facts = probe(path)
    if facts.frames < 2:
        raise StepError(f"{path} has a single frame", hint="exclude it in cohort.exclude")
    variable = facts.is_variable(params.rate_tolerance)
    note_video(facts, variable, params, oddities)
    return dict(
        zip(
            columns,
            (
                path.name,
                path.stat().st_size,
                sha256(path),
                facts.codec,
                facts.width,
                facts.height,
                facts.rotation,
                f"{facts.rate.numerator}/{facts.rate.denominator}",
                round(float(facts.rate), 6),
                facts.frames,
                round(float(facts.seconds[-1]), 6),
                variable,
                "audio" in facts.other_streams,
            ),
            strict=True,
        )
    )


def note_video(facts: VideoFacts, variable: bool, params: Register, oddities: list[str]) -> None:
    rate = float(facts.rate)
    if abs(rate - params.expected_rate) > 0.005 * params.expected_rate:  # 59.94 counts as 60
        oddities.append(f"{rate:.2f} frames a second, not {params.expected_rate:g}")
    if variable:
        steps = [float(b - a) for a, b in zip(facts.seconds, facts.seconds[1:], strict=False)]
        oddities.append(f"the frame rate varies: intervals of {1000 * min(steps):.1f} to {1000 * max(steps):.1f} ms")
    if facts.rotation:
        oddities.append(f"a rotation flag of {facts.rotation} degrees, applied on reading")
    for kind in sorted(set(facts.other_streams)):
        oddities.append(f"the file carries {kind} beside the picture; it is not passed on")
    if any("creation" in key or "location" in key for key in facts.metadata):
        oddities.append("the file says when or where it was made; that is not passed on")


def describe_poses(path: Path | None, layout: str, row: dict[str, Any], oddities: list[str]) -> dict[str, Any]:
    columns = (
        "pose_file",
        "pose_sha256",
        "pose_layout",
        "pose_points",
        "pose_frames",
        "pose_frames_empty",
        "pose_width",
        "pose_height",
        "pose_rate",
    )
    if path is None:
        oddities.append("there are no delivered keypoints")
        return dict.fromkeys(columns)
    from childgait.domain.skeleton import LAYOUTS
    from childgait.gait.delivered_keypoints import inspect_delivered

    facts = inspect_delivered(path, layout)
    oddities += [f"keypoints: {oddity}" for oddity in facts.oddities]
    compare_poses(facts, row, oddities)
    return dict(
        zip(
            columns,
            (
                path.name,
                hash_of_poses(path),
                layout,
                LAYOUTS[layout].size,
                facts.frames,
                facts.frames_empty,
                facts.width,
                facts.height,
                facts.rate,
            ),
            strict=True,
        )
    )


def hash_of_poses(path: Path) -> str:
    """Return the sha256 of the packed file, or of the folder's listing with the hash of each file."""
    if path.is_file():
        return sha256(path)
    return sha256_of_text("".join(f"{file.name} {sha256(file)}\n" for file in sorted(path.glob("*.json"))))


def compare_poses(facts: DeliveredFacts, row: dict[str, Any], oddities: list[str]) -> None:
    """List differences between video and keypoints. More keypoints than frames is an error in deidentify."""
    if row["frames"] is None:
        return
    if facts.frames != row["frames"]:
        oddities.append(f"keypoints for {facts.frames} frames, but the video has {row['frames']}")
    size = (facts.width, facts.height)
    if None not in size and size != (row["width"], row["height"]):
        oddities.append(f"keypoints say {size[0]}x{size[1]} pixels, but the video is {row['width']}x{row['height']}")
    if facts.rate and abs(facts.rate - row["frames_per_second"]) > 0.005 * facts.rate:
        oddities.append(f"keypoints say {facts.rate:.2f} frames a second, the video has {row['frames_per_second']:.2f}")


def from_poses(path: Path | None, row: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a recording without a video, from its keypoints."""
    rate, frames = row["pose_rate"], row["pose_frames"]
    if not rate:
        raise StepError(
            f"no frame of {path} has a frame rate, and there is no video",
            hint="add video_info with fps to one of its frames, or deliver the video",
        )
    return {
        "width": row["pose_width"],
        "height": row["pose_height"],
        "frames": frames,
        "frames_per_second": round(rate, 6),
        "seconds": round((frames - 1) / rate, 6),
        "variable_rate": False,
    }


def compare_name(parsed: VideoName, frames: int, oddities: list[str]) -> None:
    length = parsed.end - parsed.start + 1
    if length != frames:
        oddities.append(f"its name says {length} frames ({parsed.start} to {parsed.end}), but it has {frames}")
