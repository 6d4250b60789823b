"""The facts of a recording, with every oddity listed; files that cannot be read are refused by name."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from childgait.errors import StepError
from childgait.files.video import write_video
from childgait.gait.delivered_keypoints import frame_record, pack, write_frame
from childgait.params import Register
from childgait.steps.register import register

PARAMS = Register(expected_rate=60.0, rate_tolerance=0.05)
NAME = "0007-0001_left_1-12"


def make_video(path: Path, frames: int = 12, seconds: list[Fraction] | None = None) -> Path:
    seconds = seconds or [Fraction(index, 60) for index in range(frames)]
    pixels = [np.full((32, 48, 3), (10 * index) % 250, np.uint8) for index in range(len(seconds))]
    write_video(path, pixels, seconds)
    return path


def make_poses(folder: Path, frames: int = 12, points: int = 133, info: tuple[int, ...] = (0,)) -> Path:
    folder.mkdir()
    person = (np.full((points, 2), 20.0), np.full(points, 0.9))
    video_info = {"width": 48, "height": 32, "fps": 60, "total_frames": frames}
    for index in range(frames):
        write_frame(folder, index + 1, frame_record(index, [person], video_info if index in info else None))
    return folder


def run(tmp_path: Path, video: Path | None, poses: Path | None, name: str = NAME) -> dict:
    register(video, poses, name, "wholebody133", tmp_path / "facts.json", PARAMS)
    return json.loads((tmp_path / "facts.json").read_text())


def test_a_plain_recording_has_its_facts_and_no_oddity(tmp_path: Path) -> None:
    row = run(tmp_path, make_video(tmp_path / "a.mp4"), make_poses(tmp_path / "p", info=tuple(range(12))))
    assert (row["subject"], row["session"], row["view"]) == ("0007", "0001", "left")
    assert (row["frames"], row["rate"], row["width"], row["height"]) == (12, "60/1", 48, 32)
    assert (row["pose_frames"], row["pose_points"], row["variable_rate"], row["audio"]) == (12, 133, False, False)
    assert row["seconds"] == pytest.approx(11 / 60, abs=1e-6)
    assert row["oddities"] == []
    assert all(not isinstance(value, dict) for value in row.values()), "one level, so that the gate makes a row of it"


def test_the_same_recording_gives_the_same_bytes(tmp_path: Path) -> None:
    video, poses = make_video(tmp_path / "a.mp4"), make_poses(tmp_path / "p")
    run(tmp_path, video, poses)
    first = (tmp_path / "facts.json").read_bytes()
    run(tmp_path, video, poses)
    assert (tmp_path / "facts.json").read_bytes() == first


@pytest.mark.parametrize(
    ("rate", "named"), [(59, True), (Fraction(60000, 1001), False), (30, True)], ids=["59", "59.94", "30"]
)
def test_another_rate_is_named_but_not_that_of_television(tmp_path: Path, rate: Fraction, named: bool) -> None:
    video = make_video(tmp_path / "a.mp4", seconds=[index / Fraction(rate) for index in range(12)])
    row = run(tmp_path, video, None)
    assert any("frames per second, not 60" in oddity for oddity in row["oddities"]) is named
    assert Fraction(row["rate"]) == rate


def test_a_variable_rate_is_named(tmp_path: Path) -> None:
    times = [Fraction(index, 60) for index in range(11)] + [Fraction(20, 60)]
    row = run(tmp_path, make_video(tmp_path / "a.mp4", seconds=times), None)
    assert row["variable_rate"] is True
    assert any("varies: intervals of 16.7 to 166.7 ms" in oddity for oddity in row["oddities"])


def test_what_readers_of_the_release_trip_over_is_named(tmp_path: Path) -> None:
    poses = make_poses(tmp_path / "p", frames=10, info=(4,))
    write_frame(poses, 3, frame_record(2, [], None))  # without people
    row = run(tmp_path, make_video(tmp_path / "a.mp4"), poses, name="0007-0001_left_1-240")
    text = " | ".join(row["oddities"])
    for sentence in (
        "video_info on 1 of 10 frames only",
        "1 frames with nobody",
        "keypoints for 10 frames, but the video has 12",
        "its name states 240 frames (1 to 240), but it has 12",
    ):
        assert sentence in text
    assert row["pose_frames_empty"] == 1


def test_a_keypoint_recording_needs_no_video(tmp_path: Path) -> None:
    row = run(tmp_path, None, make_poses(tmp_path / "p"))
    assert (row["frames"], row["frames_per_second"], row["width"], row["sha256"]) == (12, 60, 48, None)
    assert "there is no video, only keypoints" in row["oddities"]


def test_packed_keypoints_are_the_same_keypoints(tmp_path: Path) -> None:
    folder = make_poses(tmp_path / "p")
    pack(folder, tmp_path / "p.zip")
    one, other = run(tmp_path, None, folder), run(tmp_path, None, tmp_path / "p.zip")
    differing = {key for key in one if one[key] != other[key]}
    assert differing == {"pose_file", "pose_sha256"}


def broken_video(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / f"{kind}.mp4"
    if kind == "unreadable":
        path.write_bytes(b"this is not a video")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "one-frame":
        make_video(path, frames=1)
    else:
        whole = make_video(tmp_path / "whole.mp4", frames=60).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    return path


@pytest.mark.parametrize("kind", ["unreadable", "empty", "one-frame", "truncated"])
def test_a_video_that_cannot_be_used_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    with pytest.raises(StepError, match=rf"{kind}\.mp4.*Hint: "):
        run(tmp_path, broken_video(tmp_path, kind), None)
    assert not (tmp_path / "facts.json").exists()


@pytest.mark.parametrize("points", [17, 308])
def test_another_count_of_points_than_declared_is_refused(tmp_path: Path, points: int) -> None:
    with pytest.raises(StepError, match=rf"frame_000001.json has {points} keypoints, but .* is wholebody133"):
        run(tmp_path, None, make_poses(tmp_path / "p", points=points))


def test_points_that_are_not_numbers_are_named(tmp_path: Path) -> None:
    poses = make_poses(tmp_path / "p")
    text = (poses / "frame_000005.json").read_text()
    (poses / "frame_000005.json").write_text(text.replace("20.0", "NaN"))
    assert "keypoints: 1 frames with points that have no position" in run(tmp_path, None, poses)["oddities"]


def test_keypoints_without_rate_and_video_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="has a frame rate"):
        run(tmp_path, None, make_poses(tmp_path / "p", info=()))


def test_nothing_at_all_and_a_name_out_of_form_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="neither a video nor keypoints"):
        run(tmp_path, None, None)
    with pytest.raises(StepError, match="PATIENT-SESSION_VIEW_START-END"):
        run(tmp_path, None, make_poses(tmp_path / "p"), name="../etc/passwd")
