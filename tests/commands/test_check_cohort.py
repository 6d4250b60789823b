"""check-cohort lists all faults at once, each with file, reason and correction; a handled one is a note, no error."""

from __future__ import annotations

import csv
import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from childgait.commands.check_cohort import check_cohort
from childgait.commands.pack_poses import pack_poses
from childgait.errors import StepError
from childgait.files.video import write_video
from childgait.gait.delivered_keypoints import frame_record, write_frame
from childgait.params import Cohort
from childgait.preflight import cohort as inventory
from childgait.preflight.cohort import Inventory, take_inventory

COHORT = Cohort.model_validate(
    {"root": "x", "pose_layout": "wholebody133", "modality": "video", "exclude": {}, "annotations": "annotations"}
)
VIEWS = ("forward", "backward", "left", "right")


def write_recording(root: Path, name: str, frames: int = 12, points: int = 133, info: bool = True) -> None:
    folder = root / "dataset" / name[:4]
    folder.mkdir(parents=True, exist_ok=True)
    pixels = [np.full((32, 48, 3), (9 * index) % 250, np.uint8) for index in range(frames)]
    write_video(folder / f"{name}.mp4", pixels, [Fraction(index, 60) for index in range(frames)])
    poses = folder / f"{name}_filtered_pose"
    poses.mkdir()
    told = {"width": 48, "height": 32, "fps": 60, "total_frames": frames} if info else None
    for index in range(frames):
        write_frame(poses, index + 1, frame_record(index, [(np.full((points, 2), 20.0), np.full(points, 0.9))], told))


def write_lists(root: Path, subjects: list[str], **changed: object) -> None:
    scores = {str(number): 0 for number in range(1, 18)}
    rows = [{"patient_id": subject, "left": dict(scores), "right": dict(scores)} for subject in subjects]
    (root / "labels.json").write_text(json.dumps(rows))
    with (root / "subjects.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["patient_id", "age", "sex", "diagnosis", "aid"])
        writer.writerows([subject, 8, "female", "", ""] for subject in subjects)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cohort")
    for subject in ("0001", "0002"):
        for view in VIEWS:
            write_recording(root, f"{subject}-0001_{view}_1-12")
    write_lists(root, ["0001", "0002"])
    return root


@pytest.fixture
def root(good: Path, tmp_path: Path) -> Path:
    return shutil.copytree(good, tmp_path / "cohort")


def told(result: Inventory, level: str) -> str:
    return "\n".join(f"{p.file}: {p.reason}. {p.fix}." for p in result.problems if p.level == level)


def test_a_good_cohort_has_no_problem(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = take_inventory(root, COHORT)
    assert result.problems == []
    assert (len(result.subjects), len(result.recordings), result.video_frames.total()) == (2, 8, 96)
    assert check_cohort(root, COHORT) == 0
    assert "2 children, 8 recordings (2 forward, 2 backward, 2 left, 2 right)" in capsys.readouterr().out


def test_all_faults_are_told_at_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = root / "dataset" / "0001", root / "dataset" / "0002"
    (one / "0001-0001_left_1-12.mp4").write_bytes(b"")
    (one / "0001-0001_right_1-12.mp4").write_bytes(b"not a video at all")
    (one / "holiday.mp4").write_bytes(b"x")
    (two / "0003-0001_left_1-12.mp4").write_bytes((two / "0002-0001_left_1-12.mp4").read_bytes())
    (two / "0002-0001_forward_1-12_filtered_pose" / "frame_000003.json").write_text("{")
    write_recording(root, "0002-0002_left_1-12", points=17)
    labels = json.loads((root / "labels.json").read_text())
    labels[0]["left"]["3"] = 3
    labels += [labels[1], {"patient_id": "../../etc/passwd"}, {"left": {}}]
    (root / "labels.json").write_text(json.dumps(labels))
    with (root / "subjects.csv").open("a") as stream:
        stream.write("0002,9,female,,\n0004,eight,male,,\n0005,8,dog,,\n")
    errors = told(take_inventory(root, COHORT), "error")
    for part in (
        "0001-0001_left_1-12.mp4: is empty",
        "0001-0001_right_1-12.mp4: cannot be opened as a video",
        "holiday.mp4: the name 'holiday' is not of the form",
        "0003-0001_left_1-12.mp4: names child 0003, but is in folder 0002",
        "frame_000003.json is not JSON",
        "has 17 keypoints, but cohort.pose_layout is wholebody133",
        "left, item SAD is scored 3, but 0, 1, 2 or null is expected",
        "scores child 0002 twice",
        "the patient id '../../etc/passwd' is not a number",
        "entry 5 has no patient_id",
        "line 4: child 0002 is listed twice",
        "line 5: age is 'eight'",
        "line 6: sex is 'dog'",
    ):
        assert part in errors, errors
    assert all(problem.fix for problem in take_inventory(root, COHORT).problems)
    assert check_cohort(root, COHORT) == 1
    assert "problem(s) would stop a run" in capsys.readouterr().out


def test_what_is_handled_is_a_note(root: Path) -> None:
    one = root / "dataset" / "0001"
    for path in list(one.glob("*forward*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(one / "0001-0001_left_1-12_filtered_pose")
    write_recording(root, "0001-0002_left_1-240", info=False)
    write_recording(root, "0007-0001_left_1-12")
    poses = one / "0001-0001_right_1-12_filtered_pose"
    write_frame(poses, 2, frame_record(1, [], None))
    (poses / "frame_000012.json").unlink()
    write_lists(root, ["0001", "0002", "0009"])
    result = take_inventory(root, COHORT)
    assert told(result, "error") == ""
    notes = told(result, "note")
    for part in (
        "dataset/0001: has no view forward",
        "0001-0001_left_1-12.mp4: has no keypoints",
        "has 12 frames, but 240 by its name",
        "no frame has video_info",
        "1 frames with nobody",
        "has 11 frames, its video 12",
        "dataset/0007: has no scores",
        "scores child 0009, who has no recording",
    ):
        assert part in notes, notes


def test_phone_videos_are_notes(root: Path) -> None:
    path = root / "dataset" / "0001" / "0001-0001_left_1-12.mp4"
    stamps = [Fraction(index, 30) for index in range(11)] + [Fraction(15, 30)]
    pixels = [np.full((32, 48, 3), 99, np.uint8)] * 12
    write_video(path, pixels, stamps)
    turned = root / "dataset" / "0001" / "0001-0001_right_1-12.mp4"
    rotate(turned)
    steady = root / "dataset" / "0002" / "0002-0001_left_1-12.mp4"
    write_video(steady, pixels, [Fraction(index, 59) for index in range(12)])
    result = take_inventory(root, COHORT)
    assert told(result, "error") == ""
    notes = told(result, "note")
    assert "left_1-12.mp4: its frame rate varies" in notes
    assert "right_1-12.mp4: has a rotation flag of 90 degrees" in notes
    assert "0002-0001_left_1-12.mp4: has a frame rate of 59.00 Hz, not 60" in notes


def rotate(path: Path) -> None:
    """The same packets with a rotation flag."""
    turned = path.with_suffix(".turned.mp4")
    with av.open(str(path)) as source, av.open(str(turned), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        copy.set_display_rotation(90)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    turned.replace(path)


def test_a_video_cut_short_behind_its_index_is_an_error(root: Path) -> None:
    path = root / "dataset" / "0001" / "0001-0001_left_1-12.mp4"
    front = path.with_suffix(".front.mp4")
    with av.open(str(path)) as source, av.open(str(front), "w", options={"movflags": "+faststart"}) as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    whole = front.read_bytes()
    front.unlink()
    path.write_bytes(whole[:-20])
    assert "left_1-12.mp4: is truncated" in told(take_inventory(root, COHORT), "error")
    path.write_bytes(whole)
    assert take_inventory(root, COHORT).problems == []


def test_a_large_cohort_is_looked_into_by_samples(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "READ_WHOLE", 10)
    assert take_inventory(root, COHORT).problems == []
    poses = root / "dataset" / "0001" / "0001-0001_left_1-12_filtered_pose"
    (poses / "frame_000001.json").write_text('{"instance_info": [{"keypoints": [[NaN, 1]], "keypoint_scores": [1]}]}')
    assert "frame_000001.json has 1 keypoints, but cohort.pose_layout is wholebody133, which has 133" in told(
        take_inventory(root, COHORT), "error"
    )
    write_frame(poses, 1, frame_record(0, [], None))
    notes = told(take_inventory(root, COHORT), "note")
    assert "1 of 5 sampled frames have no person" in notes
    assert "1 of 5 sampled frames lack video_info" in notes
    shares = np.full((133, 2), 0.4)
    for index in range(12):
        write_frame(poses, index + 1, frame_record(index, [(shares, np.full(133, 0.9))], None))
    assert "the positions are no pixels of the video" in told(take_inventory(root, COHORT), "error")


def test_a_cohort_of_keypoints_needs_no_video(root: Path) -> None:
    for path in root.glob("dataset/*/*.mp4"):
        path.unlink()
    errors = told(take_inventory(root, COHORT), "error")
    assert errors.count("has no video. add it, or set cohort.modality to keypoints") == 8
    assert take_inventory(root, COHORT.model_copy(update={"modality": "keypoints"})).problems == []


def test_exclusions_need_a_recording_and_a_reason(root: Path) -> None:
    excluded = {"0001-0001_left_1-12": " ", "0009-0001_left_1-12": "blurred"}
    result = take_inventory(root, COHORT.model_copy(update={"exclude": excluded}))
    assert "gives no reason for 0001-0001_left_1-12" in told(result, "error")
    assert "names 0009-0001_left_1-12, which is not in the cohort" in told(result, "error")
    assert "0001-0001_left_1-12" not in result.recordings


def test_a_folder_that_is_no_cohort(tmp_path: Path) -> None:
    errors = told(take_inventory(tmp_path, COHORT), "error")
    for part in ("has no folder 'dataset'", "labels.json: does not exist", "subjects.csv: does not exist"):
        assert part in errors


def test_a_missing_folder_and_a_file_are_one_problem_each(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for name, reason in (("typo", "does not exist"), ("notes.txt", "is no folder")):
        problems = take_inventory(tmp_path / name, COHORT).problems
        assert [problem.reason for problem in problems] == [reason]
        assert problems[0].fix == "give the folder that contains 'dataset', labels.json and subjects.csv"


def test_a_list_of_subjects_without_its_columns_is_one_problem(root: Path) -> None:
    text = (root / "subjects.csv").read_text()
    (root / "subjects.csv").write_text(text.replace("age", "years"))
    assert told(take_inventory(root, COHORT), "error").splitlines() == [
        f"{root}/subjects.csv: lacks the column(s) age. its first line is patient_id, age, sex, separated by "
        "commas (a spreadsheet may write semicolons)."
    ]
    (root / "subjects.csv").write_text(text.replace("age", "age_years"))
    assert take_inventory(root, COHORT).problems == []


def test_packing_keeps_every_byte_and_changes_nothing_that_is_read(root: Path) -> None:
    before = take_inventory(root, COHORT)
    pack_poses(root)
    zips = sorted(root.glob("dataset/*/*.zip"))
    first = [path.read_bytes() for path in zips]
    pack_poses(root, remove=True)
    assert [path.read_bytes() for path in zips] == first
    assert not list(root.glob("dataset/*/*_filtered_pose"))
    after = take_inventory(root, COHORT)
    assert after.problems == before.problems == []
    assert after.pose_frames == before.pose_frames
    with pytest.raises(StepError, match="perhaps everything is packed already"):
        pack_poses(root)


def test_packing_refuses_to_remove_what_it_did_not_pack(root: Path) -> None:
    stray = next(root.glob("dataset/*/*_filtered_pose")) / "notes.txt"
    stray.write_text("seen on Monday")
    with pytest.raises(StepError, match=r"notes\.txt is not in"):
        pack_poses(root, remove=True)
    assert stray.exists()
