"""The form of a delivered keypoint file, one JSON object per frame, in the layout of the release."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class PersonRecord(TypedDict):
    """One person in a frame."""

    keypoints: list[list[float | None]]  # [x, y] per point in pixels; None where the point has no position
    keypoint_scores: list[float]
    gt_bbox_xywh_px: list[float]


class VideoInfo(TypedDict, total=False):
    """What a frame's file states about the video."""

    video_name: str
    width: int
    height: int
    fps: float
    total_frames: int


class FrameRecord(TypedDict):
    """The content of one frame's file."""

    frame_index: int
    instance_info: list[PersonRecord]
    video_info: NotRequired[VideoInfo]
