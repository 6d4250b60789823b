"""Parses the names of a cohort's files, in the layout of the release.

    {root}/dataset/0001/0001-0001_left_1-240.mp4                      a video
    {root}/dataset/0001/0001-0001_left_1-240_filtered_pose/frame_000001.json  delivered keypoints
    {root}/dataset/0001/0001-0001_left_1-240_filtered_pose.zip        ... or the same files, packed
    {root}/dataset/0001/0001-0001_left_1-240_filtered_pose.csv        ... or one file of another program (.csv, .json)
    {root}/labels.json                                                scores per child, limb and item
    {root}/subjects.csv                                               age, sex, diagnosis, aid

Reads names only and opens no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from childgait.domain.evgs import VIEWS, View
from childgait.errors import StepError
from childgait.user_files import shorten

VIDEO_ENDINGS = (".mp4", ".mov", ".mkv", ".avi", ".m4v", ".webm")
POSE_FOLDER = "_filtered_pose"
_NAME = re.compile(
    r"(?P<patient>[0-9]{4,12})-(?P<session>[0-9]{4,12})_(?P<view>forward|backward|left|right)"
    r"_(?P<start>[0-9]{1,9})-(?P<end>[0-9]{1,9})"
)


@dataclass(frozen=True, order=True)
class VideoName:
    """The parts of a recording's name in the release: `0001-0002_left_1-240`."""

    subject: str
    session: str
    view: View
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.subject}-{self.session}_{self.view}_{self.start}-{self.end}"


SUBJECT = re.compile(r"[0-9]{4,12}")  # the name of a child's folder


def parse_video_name(stem: str) -> VideoName:
    """Parse a recording's name, without its ending."""
    match = _NAME.fullmatch(stem)
    if match is None:
        raise StepError(
            f"the name {shorten(stem)} is not of the form PATIENT-SESSION_VIEW_START-END",
            hint="rename it like 0001-0001_left_1-240; views are forward, backward, left and right",
        )
    view = next(view for view in VIEWS if view == match["view"])
    return VideoName(match["patient"], match["session"], view, int(match["start"]), int(match["end"]))
