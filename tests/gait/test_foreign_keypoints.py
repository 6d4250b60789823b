"""Keypoints of other programs: OpenPose frames are read, files per video are named with their conversion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from childgait.domain.skeleton import INDEX, LAYOUTS
from childgait.errors import StepError
from childgait.gait.foreign_keypoints import describe_file
from childgait.gait.keypoint_files import parse_frame


def test_a_frame_of_openpose_is_read() -> None:
    flat = [float(value) for n in range(25) for value in (10 + n, 20 + n, 0.5)]
    flat[14 * 3 : 15 * 3] = [0, 0, 0]  # the left ankle of BODY-25 was not found
    record = {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": flat}]}
    frame = parse_frame("clip_000000000007_keypoints.json", json.dumps(record).encode(), LAYOUTS["body25"])
    assert frame.people.shape == (1, 23, 3)
    assert frame.people[0, INDEX["nose"]].tolist() == [10, 20, 0.5]
    assert frame.people[0, INDEX["right_ankle"]].tolist() == [21, 31, 0.5]
    assert np.isnan(frame.people[0, INDEX["left_ankle"], :2]).all()


def test_a_frame_of_openpose_without_people_is_empty() -> None:
    assert len(parse_frame("a_1.json", b'{"version": 1.3, "people": []}', LAYOUTS["body25"]).people) == 0


@pytest.mark.parametrize(
    "content", ['{"people": [{"pose_keypoints_2d": [1, 2]}]}', '{"people": [3]}', '{"shapes": []}']
)
def test_what_is_no_frame_is_refused(content: str) -> None:
    with pytest.raises(StepError):
        parse_frame("a_1.json", content.encode(), LAYOUTS["body25"])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "scorer,net,net,net\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n0,1,2,0.9\n", "DeepLabCut"),
        ("a.json", '{"meta_info": {"dataset_name": "coco"}, "instance_info": []}', "MMPose"),
        ("a.json", '[{"image_id": 1, "category_id": 1, "keypoints": [1, 2, 2]}]', "COCO"),
        ("a.json", '{"version": 1.3, "people": [{"pose_keypoints_2d": []}]}', "OpenPose"),
        ("a.h5", "", "DeepLabCut"),
    ],
)
def test_other_programs_files_are_named(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    described = describe_file(tmp_path / name)
    assert described is not None
    assert words in described[0]


def test_other_files_are_no_keypoints(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("scorer", encoding="utf-8")
    assert describe_file(tmp_path / "notes.csv") is None
    assert describe_file(tmp_path / "notes.txt") is None
