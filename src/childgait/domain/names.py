"""How the files of a cohort are named, in the release's own layout.

    {root}/dataset/0001/0001-0001_left_1-240.mp4                      a video
    {root}/dataset/0001/0001-0001_left_1-240_filtered_pose/frame_000001.json   its delivered keypoints, a file a frame
    {root}/dataset/0001/0001-0001_left_1-240_filtered_pose.zip        ... or the same files, packed
    {root}/labels.json                                                scores per child, limb and item
    {root}/subjects.csv                                               age, sex, diagnosis, aid

Reads names only; opens nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from childgait.errors import StepError

VIDEO_ENDINGS = (".mp4", ".mov", ".mkv", ".avi", ".m4v", ".webm")
POSE_FOLDER = "_filtered_pose"
_NAME = re.compile(
    r"(?P<patient>\d{4,})-(?P<session>\d{4,})_(?P<view>forward|backward|left|right)_(?P<start>\d+)-(?P<end>\d+)"
)


@dataclass(frozen=True, order=True)
class VideoName:
    """What a file name of the release says: `0001-0002_left_1-240`."""

    subject: str
    session: str
    view: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.subject}-{self.session}_{self.view}_{self.start}-{self.end}"


def parse_video_name(stem: str) -> VideoName:
    match = _NAME.fullmatch(stem)
    if match is None:
        raise StepError(
            f"the name {stem!r} is not of the form PATIENT-SESSION_VIEW_START-END",
            hint="rename it like 0001-0001_left_1-240; views are forward, backward, left and right",
        )
    return VideoName(match["patient"], match["session"], match["view"], int(match["start"]), int(match["end"]))
