"""Delivered keypoints: the release's quirks are read and told, and what cannot be understood is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from childgait.domain.poses import Status
from childgait.domain.skeleton import INDEX
from childgait.errors import StepError
from childgait.gait.delivered_keypoints import frame_record, inspect_delivered, pack, read_delivered, write_frame

INFO = {"video_name": "a.mp4", "width": 1920, "height": 1080, "fps": 59, "total_frames": 12}


def person(x: float, y: float = 500, size: int = 133, step: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A person of 133 points 200 px tall, each point at a place of its own; `step` moves the left ankle forward."""
    xy = np.stack([x + np.arange(size) % 7, y - 200 * np.arange(size) / size], axis=1)
    if size > 15:
        xy[15, 0] += step
    return xy, np.full(size, 0.9)


def deliver(folder: Path, frames: int = 12, first: int = 1, info_on: tuple[int, ...] = (0,), **changes: Any) -> Path:
    """`changes[f"at{n}"]` replaces the record of the n-th frame."""
    folder.mkdir(parents=True)
    for n in range(frames):
        record = frame_record(n + first, [person(100 + 10 * n)], INFO if n in info_on else None)
        if f"at{n}" in changes:
            record = changes[f"at{n}"](record)
        if record is not None:
            write_frame(folder, n + 1, record)
    return folder


def change(**values: Any):
    return lambda record: {**record, **values}


def test_a_folder_and_its_zip_say_the_same(tmp_path: Path) -> None:
    folder = deliver(tmp_path / "a_filtered_pose")
    pack(folder, tmp_path / "a_filtered_pose.zip")
    one, other = (read_delivered(path, "wholebody133") for path in (folder, tmp_path / "a_filtered_pose.zip"))
    assert np.array_equal(one.poses.xy, other.poses.xy)
    assert one.facts == other.facts
    assert one.poses.xy.shape == (12, 23, 2)
    assert np.allclose(one.poses.xy[:, INDEX["nose"], 0], 100 + 10 * np.arange(12))
    assert np.allclose(one.poses.score, 0.9)


def test_packing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = deliver(tmp_path / "a")
    for name in "xy":
        pack(folder, tmp_path / name)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_video_info_on_one_late_frame_is_enough(tmp_path: Path) -> None:
    facts = inspect_delivered(deliver(tmp_path / "a", info_on=(7,)), "wholebody133")
    assert (facts.width, facts.height, facts.fps, facts.total_frames) == (1920, 1080, 59, 12)
    assert "video_info on 1 of 12 frames only" in facts.oddities


def test_a_cut_frame_rate_is_the_rate_it_was_cut_from(tmp_path: Path) -> None:
    delivered = read_delivered(deliver(tmp_path / "a"), "wholebody133")
    assert delivered.facts.rate == pytest.approx(60000 / 1001)
    assert delivered.poses.seconds[-1] == pytest.approx(11 * 1001 / 60000)
    assert any("59" in oddity for oddity in delivered.facts.oddities)


def test_the_videos_own_time_stamps_win(tmp_path: Path) -> None:
    seconds = np.arange(15) / 25
    delivered = read_delivered(deliver(tmp_path / "a"), "wholebody133", seconds)
    assert np.array_equal(delivered.poses.seconds, seconds)
    assert (delivered.poses.status[12:] == Status.MISSING).all()


def test_without_any_rate_the_delivery_is_refused_but_can_be_looked_at(tmp_path: Path) -> None:
    folder = deliver(tmp_path / "a", info_on=())
    assert "no frame has video_info" in inspect_delivered(folder, "wholebody133").oddities
    with pytest.raises(StepError, match="frame rate"):
        read_delivered(folder, "wholebody133")


def test_empty_and_absent_frames_are_missing_and_told(tmp_path: Path) -> None:
    folder = deliver(tmp_path / "a", at3=change(instance_info=[]), at5=lambda record: None)
    delivered = read_delivered(folder, "wholebody133")
    assert (delivered.poses.status[[3, 5]] == Status.MISSING).all()
    assert (delivered.poses.status[[2, 4, 6]] == Status.MEASURED).all()
    assert (delivered.facts.frames_empty, delivered.facts.frames_present, delivered.facts.frames) == (1, 11, 12)


def test_points_that_are_null_or_nan_are_missing(tmp_path: Path) -> None:
    folder = deliver(tmp_path / "a")
    path = folder / "frame_000003.json"
    record = json.loads(path.read_text())
    record["instance_info"][0]["keypoints"][0] = [None, None]
    record["instance_info"][0]["keypoints"][15] = [float("nan"), 3.0]
    path.write_text(json.dumps(record))
    poses = read_delivered(folder, "wholebody133").poses
    assert (poses.status[2] == Status.MISSING).sum() == 2
    assert poses.status[2, INDEX["left_ankle"]] == Status.MISSING


@pytest.mark.parametrize("first", [0, 1, 203])
def test_frames_may_be_counted_from_anywhere(tmp_path: Path, first: int) -> None:
    poses = read_delivered(deliver(tmp_path / "a", first=first), "wholebody133").poses
    assert np.allclose(poses.xy[:, 0, 0], 100 + 10 * np.arange(12))


def test_a_clip_that_lacks_its_first_frames_is_not_shifted(tmp_path: Path) -> None:
    gone = {f"at{n}": (lambda record: None) for n in range(3)}
    poses = read_delivered(deliver(tmp_path / "a", info_on=(5,), **gone), "wholebody133").poses
    assert (poses.status[:3] == Status.MISSING).all()
    assert poses.xy[3, 0, 0] == pytest.approx(130)


@pytest.mark.parametrize(("gone", "first"), [((), 8), ((0, 1), 8), ((10, 11), 8), ((0, 1), 1), ((), 1)])
def test_a_recordings_name_says_where_its_numbers_begin(tmp_path: Path, gone: tuple[int, ...], first: int) -> None:
    """Twelve frames that are frames 8 to 19 of their source, counted as there or from 1, some not delivered."""
    absent = {f"at{n}": (lambda record: None) for n in gone}
    folder = deliver(tmp_path / "0001-0001_left_8-19_filtered_pose", first=first, info_on=(5,), **absent)
    for file in sorted(folder.glob("*.json"), reverse=True):
        if first > 1:  # names count as the frames do
            file.rename(folder / f"frame_{int(file.stem[-6:]) + first - 1:06d}.json")
    poses = read_delivered(folder, "wholebody133").poses
    there = [n for n in range(12) if n not in gone]
    assert np.allclose(poses.xy[there, 0, 0], 100 + 10 * np.array(there))


def test_of_several_people_the_one_who_walks_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    for n in range(60):
        walker, bystander = person(100 + 8 * n, step=40 * np.sin(n / 8)), person(700, 450)
        both = [bystander, walker] if n % 2 else [walker, bystander]
        write_frame(folder, n + 1, frame_record(n, [bystander] if n in (20, 21) else both, INFO))
    delivered = read_delivered(folder, "wholebody133", np.arange(60) / 60)
    there = np.delete(np.arange(60), [20, 21])
    assert np.allclose(delivered.poses.xy[there, 0, 0], 100 + 8 * there)
    assert (delivered.poses.status[[20, 21]] == Status.MISSING).all()
    assert delivered.facts.people == 2
    assert len(delivered.people[5]) == 2


@pytest.mark.parametrize("box", [(640.0, 390.0, 760.0, 520.0), (700.0, 450.0, 700.0, 450.0)])
def test_a_persons_word_on_who_the_child_is_overrules_who_walks(tmp_path: Path, box: tuple[float, ...]) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    for n in range(60):
        adult, child = person(100 + 8 * n, 900, step=40 * np.sin(n / 8)), person(700, 450)
        write_frame(folder, n + 1, frame_record(n, [child, adult] if n % 2 else [adult, child], INFO))
    seconds = np.arange(60) / 60
    assert read_delivered(folder, "wholebody133", seconds).poses.xy[30, 0, 0] == pytest.approx(340)
    selected = read_delivered(folder, "wholebody133", seconds, [(10, box)]).poses  # type: ignore[list-item]
    assert np.allclose(selected.xy[:, 0, 0], 700)
    elsewhere = read_delivered(folder, "wholebody133", seconds, [(10, (1500.0, 100.0, 1520.0, 120.0))]).poses
    assert not elsewhere.seen.any()  # none of the delivered is the child: segment goes by the word alone


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"at4": change(instance_info=[{"keypoints": [[1, 2]] * 26, "keypoint_scores": [1] * 26}])},
            r"frame_000005.json has 26 keypoints.*wholebody133.*halpe26",
        ),
        ({"at4": change(instance_info=[{"keypoints": [[1, 2]] * 133}])}, "frame_000005.json.*keypoint_scores"),
        ({"at4": change(instance_info=[{"keypoints": [[1, 2, 3]] * 133, "keypoint_scores": [1] * 133}])}, "133x3"),
        ({"at4": change(instance_info={})}, "frame_000005.json is not a frame"),
        ({"at4": change(frame_index=4)}, "frame 4 twice"),
        ({"at4": change(video_info={**INFO, "width": 640})}, "width: 640, 1920|width: 640.0, 1920"),
    ],
)
def test_what_cannot_be_understood_is_named(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    folder = deliver(tmp_path / "a", **changes)
    with pytest.raises(StepError, match=says):
        inspect_delivered(folder, "wholebody133")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    folder = deliver(tmp_path / "a")
    (folder / "frame_000002.json").write_text("{")
    with pytest.raises(StepError, match=r"frame_000002\.json is not JSON"):
        inspect_delivered(folder, "wholebody133")
    (tmp_path / "b.zip").write_bytes(b"PK and no more")
    with pytest.raises(StepError, match=r"b\.zip is not a whole zip"):
        inspect_delivered(tmp_path / "b.zip", "wholebody133")
    (tmp_path / "c").mkdir()
    with pytest.raises(StepError, match="contains no JSON"):
        inspect_delivered(tmp_path / "c", "wholebody133")


def test_keypoints_longer_than_the_video_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"frame 11 .*ends after 10 frames"):
        read_delivered(deliver(tmp_path / "a"), "wholebody133", np.arange(10) / 60)
