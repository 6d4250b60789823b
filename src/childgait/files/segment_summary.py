"""The form of `segment/{video}.json`: the flat summary of a video's masks, which `segment` writes."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict


class SegmentationFacts(TypedDict):
    """How a backend segmented the video, and who was taken for the child."""

    path: str  # method that was used
    person: str
    camera: str  # static, moving or unclear
    camera_shift_pixels: float | None
    background_known_share: NotRequired[float | None]  # classical only
    people: NotRequired[int]  # blazepose only


class SegmentSummary(SegmentationFacts):
    """The summary of one video."""

    video: str
    subject: str
    view: str
    backend: str
    frames: int
    frames_without_child: int
    frames_below_gate: int
    share_below_gate: float
    median_height_pixels: float
    flags: list[str]
    ok: bool
    selections: int  # manual ones
    keypoints: bool  # some were delivered
