"""Recognises keypoints of other programs: OpenPose frames are read, other files are named with their conversion.

OpenPose writes one file per frame, `{"people": [{"pose_keypoints_2d": [x, y, c, ...]}]}`; a point that it did not find
is 0, 0, 0. DeepLabCut, COCO and MMPose write one file per video; `describe_file` states what such a file is and how its
content becomes one file per frame, which is what this package reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

HEAD_BYTES = 4096  # of a file, enough to recognise its format
FRAME_FORM = (
    'write one file per frame, frame_000001.json with {"instance_info": [{"keypoints": [[x, y], ...], '
    '"keypoint_scores": [...]}]}, into {video}_filtered_pose/ beside the video'
)


def is_openpose(record: Any) -> bool:
    """Return whether a parsed frame is OpenPose's."""
    return isinstance(record, dict) and "instance_info" not in record and isinstance(record.get("people"), list)


def people_of_openpose(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return OpenPose's people as those of the release; a point with confidence 0 has no position.

    A list that is no flat list of triples comes back as it is, for the caller to refuse.
    """
    people = []
    for person in record["people"]:
        flat = person.get("pose_keypoints_2d") if isinstance(person, dict) else None
        if not isinstance(flat, list) or len(flat) % 3:
            people.append({"keypoints": flat, "keypoint_scores": None})
            continue
        triples = [flat[n : n + 3] for n in range(0, len(flat), 3)]
        points = [[None, None] if score == 0 else [x, y] for x, y, score in triples]
        people.append({"keypoints": points, "keypoint_scores": [score for _, _, score in triples]})
    return people


def describe_file(path: Path) -> tuple[str, str] | None:
    """Return what a file with keypoints of another program is, and its conversion; None for any other file."""
    if path.suffix.lower() == ".h5":
        return "is an HDF5 file, as DeepLabCut writes", f"export it as CSV and {FRAME_FORM}"
    if path.suffix.lower() not in (".csv", ".json"):
        return None
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES).decode("utf-8", errors="replace")
    if path.suffix.lower() == ".csv":
        lines = [line.split(",", 1)[0].strip() for line in head.splitlines()[:4]]
        if lines[:2] == ["scorer", "bodyparts"] or lines[:3] == ["scorer", "individuals", "bodyparts"]:
            return (
                "is a CSV file of DeepLabCut",
                "its columns are x, y, likelihood per body part: bring the body parts into the order of a layout of "
                f"cohort.pose_layout and {FRAME_FORM}",
            )
        return None
    if '"pose_keypoints_2d"' in head:
        return (
            "is a frame of OpenPose",
            "move the frames into {video}_filtered_pose/ and set cohort.pose_layout: body25",
        )
    if '"meta_info"' in head or '"instances"' in head:
        return "is a result file of MMPose", f"each entry of instance_info has the instances of one frame: {FRAME_FORM}"
    if '"keypoints"' in head and ('"image_id"' in head or '"annotations"' in head):
        return (
            "is a file of COCO keypoints",
            f"its keypoints are x, y, visibility in a row, its image_id is the frame: {FRAME_FORM}",
        )
    return None
