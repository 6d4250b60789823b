"""The form of `register/{video}.json`: the facts of a recording, flat, which `register` measures."""

from __future__ import annotations

from typing import TypedDict


class VideoFacts(TypedDict):
    """Facts of the video; of a recording without one, those that its keypoints state, and None."""

    file: str | None
    bytes: int | None
    sha256: str | None
    codec: str | None
    width: int | None
    height: int | None
    rotation: int | None  # degrees
    rate: str | None  # frames per second, as a fraction
    frames_per_second: float
    frames: int
    seconds: float  # time of the last frame
    variable_rate: bool
    audio: bool | None


class PoseFacts(TypedDict):
    """Facts of the delivered keypoints; all None where there are none."""

    pose_file: str | None
    pose_sha256: str | None
    pose_layout: str | None
    pose_points: int | None
    pose_frames: int | None
    pose_frames_empty: int | None
    pose_width: int | None
    pose_height: int | None
    pose_rate: float | None


class RecordingFacts(VideoFacts, PoseFacts):
    """Everything that is known of a recording."""

    video: str  # name of the recording
    subject: str
    session: str
    view: str
    start: int
    end: int
    oddities: list[str]
