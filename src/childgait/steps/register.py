"""What a recording is: its facts, found by reading it whole, and everything odd about it, named.

Reads the raw video and the delivered keypoints of one recording (either may be missing). Yields one flat JSON. What is
merely odd (another frame rate, a rotation flag, frames without anybody) is a sentence in `oddities` and is handled
later; what cannot be read stops here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.domain.names import VideoName, parse_video_name
from childgait.engine.flags import Output, Raw
from childgait.errors import StepError
from childgait.files.atomic import write_json
from childgait.files.hashes import sha256, sha256_of_text
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
        raise StepError(f"recording {name} has neither a video nor keypoints", hint="look into its folder")
    said = parse_video_name(name)
    refuse_erased(said.subject)
    row: dict[str, Any] = {
        "video": name,
        "subject": said.subject,
        "session": said.session,
        "view": said.view,
        "start": said.start,
        "end": said.end,
    }
    oddities: list[str] = []
    row |= describe_video(video, params, oddities)
    row |= describe_poses(poses, layout, row, oddities)
    if video is None:
        row |= from_poses(poses, row)
        oddities.append("there is no video, only keypoints")
    compare_name(said, row["frames"], oddities)
    write_json(facts, row | {"oddities": oddities})


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

    found = probe(path)
    if found.frames < 2:
        raise StepError(f"{path} holds a single frame", hint="exclude it in cohort.exclude")
    variable = found.is_variable(params.rate_tolerance)
    note_video(found, variable, params, oddities)
    return dict(
        zip(
            columns,
            (
                path.name,
                path.stat().st_size,
                sha256(path),
                found.codec,
                found.width,
                found.height,
                found.rotation,
                f"{found.rate.numerator}/{found.rate.denominator}",
                round(float(found.rate), 6),
                found.frames,
                round(float(found.seconds[-1]), 6),
                variable,
                "audio" in found.other_streams,
            ),
            strict=True,
        )
    )


def note_video(found: VideoFacts, variable: bool, params: Register, oddities: list[str]) -> None:
    rate = float(found.rate)
    if abs(rate - params.expected_rate) > 0.005 * params.expected_rate:  # 59.94 is a 60 of television
        oddities.append(f"{rate:.2f} frames a second, not {params.expected_rate:g}")
    if variable:
        steps = [float(b - a) for a, b in zip(found.seconds, found.seconds[1:], strict=False)]
        oddities.append(f"the frame rate varies: intervals of {1000 * min(steps):.1f} to {1000 * max(steps):.1f} ms")
    if found.rotation:
        oddities.append(f"a rotation flag of {found.rotation} degrees, applied on reading")
    for kind in sorted(set(found.other_streams)):
        oddities.append(f"the file carries {kind} beside the picture; it is not passed on")
    if any("creation" in key or "location" in key for key in found.metadata):
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

    found = inspect_delivered(path, layout)
    oddities += [f"keypoints: {oddity}" for oddity in found.oddities]
    compare_poses(found, row, oddities)
    return dict(
        zip(
            columns,
            (
                path.name,
                hash_of_poses(path),
                layout,
                LAYOUTS[layout].size,
                found.frames,
                found.frames_empty,
                found.width,
                found.height,
                found.rate,
            ),
            strict=True,
        )
    )


def hash_of_poses(path: Path) -> str:
    """Of the packed file, or of the folder's listing with each file's hash."""
    if path.is_file():
        return sha256(path)
    return sha256_of_text("".join(f"{file.name} {sha256(file)}\n" for file in sorted(path.glob("*.json"))))


def compare_poses(found: DeliveredFacts, row: dict[str, Any], oddities: list[str]) -> None:
    """Where video and keypoints say different things. More keypoints than frames is an error of deidentify's."""
    if row["frames"] is None:
        return
    if found.frames != row["frames"]:
        oddities.append(f"keypoints for {found.frames} frames, but the video has {row['frames']}")
    size = (found.width, found.height)
    if None not in size and size != (row["width"], row["height"]):
        oddities.append(f"keypoints say {size[0]}x{size[1]} pixels, but the video is {row['width']}x{row['height']}")
    if found.rate and abs(found.rate - row["frames_per_second"]) > 0.005 * found.rate:
        oddities.append(f"keypoints say {found.rate:.2f} frames a second, the video has {row['frames_per_second']:.2f}")


def from_poses(path: Path | None, row: dict[str, Any]) -> dict[str, Any]:
    """The facts of a recording without a video, as far as its keypoints say them."""
    rate, frames = row["pose_rate"], row["pose_frames"]
    if not rate:
        raise StepError(
            f"no frame of {path} says its frame rate, and there is no video that could",
            hint="put video_info with fps into one of its frames, or bring the video",
        )
    return {
        "width": row["pose_width"],
        "height": row["pose_height"],
        "frames": frames,
        "frames_per_second": round(rate, 6),
        "seconds": round((frames - 1) / rate, 6),
        "variable_rate": False,
    }


def compare_name(said: VideoName, frames: int, oddities: list[str]) -> None:
    length = said.end - said.start + 1
    if length != frames:
        oddities.append(f"its name says {length} frames ({said.start} to {said.end}), but it has {frames}")
