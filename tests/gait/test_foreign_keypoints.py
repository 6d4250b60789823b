"""Keypoints of other programs: OpenPose frames and files per video are read; others are named with a conversion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from childgait.domain.skeleton import INDEX, LAYOUTS
from childgait.errors import StepError
from childgait.files.recordings import collect_recordings, list_recordings
from childgait.gait.delivered_keypoints import read_delivered
from childgait.gait.foreign_keypoints import describe_file, point_of
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


NAME = "0001-0001_left_1-12"
SECONDS = np.arange(12) / 30
PARTS = (
    *("nose", "LShoulder", "RShoulder", "left_hip", "hip_r", "left_knee", "RKnee", "lankle", "right_ankle"),
    *("left_heel", "rightheel", "Left Big Toe", "hallux_r", "walker"),
)


def deeplabcut(rows: int = 12, individuals: tuple[str, ...] = (), parts: tuple[str, ...] = PARTS) -> list[list[str]]:
    """Lines of a CSV file: point n of individual i lies at (100 i + frame, n), with likelihood .9."""
    people = individuals or ("",)
    lines = [["scorer", *["net"] * (3 * len(parts) * len(people))]]
    if individuals:
        lines.append(["individuals", *(one for one in people for _ in parts for _ in range(3))])
    lines.append(["bodyparts", *(part for _ in people for part in parts for _ in range(3))])
    lines.append(["coords", *["x", "y", "likelihood"] * (len(parts) * len(people))])
    for frame in range(rows):
        values = [f"{100 * i + frame},{10 + n},0.9" for i in range(len(people)) for n in range(len(parts))]
        lines.append(f"{frame},{','.join(values)}".split(","))
    return lines


def write_csv(folder: Path, lines: list[list[str]]) -> Path:
    path = folder / f"{NAME}_filtered_pose.csv"
    path.write_text("\n".join(",".join(line) for line in lines) + "\n", encoding="utf-8")
    return path


def write_json(folder: Path, content: object) -> Path:
    path = folder / f"{NAME}_filtered_pose.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "point"),
    [
        ("LKnee", "left_knee"),
        ("rankle", "right_ankle"),
        ("left big toe", "left_big_toe"),
        ("toe_r", "right_big_toe"),
        ("Nose", "nose"),
        ("left_right_knee", None),
        ("knee", None),
        ("tail", None),
        ("ear", None),
        ("left_ear", "left_ear"),
    ],
)
def test_body_parts_are_matched_by_name(name: str, point: str | None) -> None:
    assert point_of(name) == point


@pytest.mark.parametrize("individuals", [(), ("child", "therapist")])
def test_deeplabcut_is_read(tmp_path: Path, individuals: tuple[str, ...]) -> None:
    lines = deeplabcut(individuals=individuals)
    lines[-1][4:7] = ["", "", ""]  # the left shoulder of the last frame has no position
    delivered = read_delivered(write_csv(tmp_path, lines), "wholebody133", SECONDS)  # of another layout: names count
    assert len(delivered.people[0]) == max(len(individuals), 1)
    child = delivered.people[5][0]
    assert child[INDEX["right_knee"]].tolist() == pytest.approx([5, 16, 0.9])
    assert child[INDEX["right_big_toe"]].tolist() == pytest.approx([5, 22, 0.9])
    assert np.isnan(child[INDEX["left_small_toe"], :2]).all()
    assert np.isnan(delivered.people[11][0][INDEX["left_shoulder"], :2]).all()
    assert "DeepLabCut: body parts that are not used: walker" in delivered.facts.oddities


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[5].pop(), "40 values|42 values"),
        (lambda lines: lines[6].__setitem__(0, "2"), "the frame is '2'"),
        (lambda lines: lines[6].__setitem__(0, "img03.png"), "the frame is 'img03.png'"),
        (lambda lines: lines[4].__setitem__(1, "here"), "are no numbers"),
        (lambda lines: lines[4].__setitem__(3, "3"), "the likelihood is 3"),
        (lambda lines: lines[1].__setitem__(slice(16, 19), ["tail"] * 3), "no body part for left_knee"),
        (lambda lines: lines[1].__setitem__(slice(16, 19), ["hip_l"] * 3), "two body parts are named left_hip"),
        (lambda lines: lines[2].__setitem__(2, "z"), "columns are not x, y, likelihood"),
        (lambda lines: lines.pop(2), "no CSV file of DeepLabCut"),
        (lambda lines: lines.__delitem__(slice(3, None)), "contains no frame"),
    ],
)
def test_a_damaged_deeplabcut_file_is_refused(tmp_path: Path, change: object, words: str) -> None:
    lines = deeplabcut()
    change(lines)  # type: ignore[operator]
    with pytest.raises(StepError, match=words):
        read_delivered(write_csv(tmp_path, lines), "coco17", SECONDS)


def coco(number: int, third: float, key: object = None) -> dict[str, object]:
    flat = [float(value) for n in range(17) for value in (10 + n, 20 + number, third)]
    flat[:3] = [0.0, 0.0, 0.0]  # the nose was not labelled
    return {"image_id": number if key is None else key, "category_id": 1, "keypoints": flat, "score": 0.8}


IMAGE = {"id": 7, "file_name": "a_1.png"}


def test_results_of_coco_are_read(tmp_path: Path) -> None:
    path = write_json(tmp_path, [coco(n, 0.7, f"frame_{n + 1:06d}.png") for n in range(12)])
    delivered = read_delivered(path, "coco17", SECONDS)
    assert delivered.people[3][0, INDEX["left_ankle"]].tolist() == pytest.approx([25, 23, 0.7])
    assert np.isnan(delivered.people[3][0, INDEX["nose"], :2]).all()


def test_annotations_of_coco_are_read(tmp_path: Path) -> None:
    images = [{"id": 100 + n, "file_name": f"clip_{n:05d}.jpg"} for n in range(12)]
    rows = [coco(n, 2 if n % 2 else 1, 100 + n) for n in range(10)]  # nobody in the last two frames
    delivered = read_delivered(write_json(tmp_path, {"images": images, "annotations": rows}), "coco17", SECONDS)
    assert [len(people) for people in delivered.people[8:]] == [1, 1, 0, 0]
    assert delivered.people[0][0, INDEX["left_knee"], 2] == 0.5  # labelled, but hidden
    assert delivered.people[1][0, INDEX["left_knee"], 2] == 1.0


def test_results_of_mmpose_are_read(tmp_path: Path) -> None:
    def instances(frame: int) -> list[dict[str, object]]:
        return [{"keypoints": [[100 * i + frame, n] for n in range(26)], "keypoint_scores": [0.9] * 26} for i in (0, 1)]

    entries = [{"frame_id": frame + 1, "instances": instances(frame)} for frame in range(12)]
    path = write_json(tmp_path, {"meta_info": {"dataset_name": "halpe26"}, "instance_info": entries})
    delivered = read_delivered(path, "halpe26", SECONDS)
    assert delivered.people[4][1, INDEX["left_heel"]].tolist() == pytest.approx([104, 24, 0.9])
    with pytest.raises(StepError, match=r"has 26 keypoints, but cohort.pose_layout is coco17"):
        read_delivered(path, "coco17", SECONDS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"instance_info": [{"frame_id": 1}]}, "instances is no list of objects"),
        ({"instance_info": [{"frame_id": -1, "instances": []}]}, "frame_id -1"),
        ({"instance_info": [{"frame_id": 1, "instances": []}, {"frame_id": 1, "instances": []}]}, "frame 1 twice"),
        ({"instance_info": []}, "contains no frame"),
        ([coco(0, 3.0)], "third value of a keypoint is 3"),
        ([coco(0, 0.9, "image.png")], "has no frame number"),
        ([{"image_id": 0, "keypoints": [1, 2]}], "cannot be read"),
        ({"shapes": []}, "images is no list of objects"),
        ({"images": [IMAGE, IMAGE | {"file_name": "a_2.png"}], "annotations": []}, "same id or number"),
        ({"images": [IMAGE, IMAGE | {"id": 8}], "annotations": []}, "'a_1.png' and 'a_1.png' have the same id"),
        ({"images": [IMAGE], "annotations": [coco(0, 0.9, 1)]}, "of the image 1, which is not in images"),
        ([coco(0, 0.9, "a_1.png"), coco(0, 0.9, "b_1.png")], "'a_1.png' and 'b_1.png' have the same id or number"),
        ([coco(0, 0.9) | {"keypoints": [0.4, 0.5, 0.9] * 17}], "no pixels of the video"),
    ],
)
def test_a_damaged_json_file_is_refused(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(StepError, match=words):
        read_delivered(write_json(tmp_path, content), "coco17", SECONDS)


def test_a_file_per_video_belongs_to_its_recording(tmp_path: Path) -> None:
    folder = tmp_path / "dataset" / "0001"
    folder.mkdir(parents=True)
    (folder / f"{NAME}.mp4").touch()
    path = write_csv(folder, deeplabcut())
    (recording,) = list_recordings(tmp_path)
    assert (recording.name, recording.poses) == (NAME, path)
    with pytest.raises(StepError, match="has keypoints twice"):
        collect_recordings([path, write_json(folder, [coco(0, 0.9)])])
