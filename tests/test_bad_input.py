"""A broken input file on a real command line: one sentence, exit 1, no partial output.

A full disk and a folder that cannot be written are tried in files/test_atomic.py, strange cohorts in
commands/test_check_cohort.py, rows that break a promise in test_quality.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from childgait.files.video import write_video
from childgait.gait.delivered_keypoints import frame_record, write_frame

ROOT = Path(__file__).parents[1]
NAME = "0001-0001_left_1-12"


def childgait(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "childgait", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Run a command that must fail: one sentence with a hint, no traceback, exit 1."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert ". Hint: " in lines[0]
    for word in words:
        assert word in lines[0], lines[0]


def make_video(path: Path, frames: int = 12) -> Path:
    pixels = [np.full((32, 48, 3), (9 * index) % 250, np.uint8) for index in range(frames)]
    write_video(path, pixels, [Fraction(index, 60) for index in range(frames)])
    return path


def make_poses(folder: Path, points: int) -> Path:
    folder.mkdir()
    video_info = {"width": 48, "height": 32, "fps": 60, "total_frames": 3}
    for index in range(3):
        write_frame(
            folder, index + 1, frame_record(index, [(np.full((points, 2), 9.0), np.full(points, 0.9))], video_info)
        )
    return folder


def register(
    tmp_path: Path, video: Path | None = None, poses: Path | None = None, facts: Path | None = None, name: str = NAME
) -> subprocess.CompletedProcess[str]:
    given = [("--video", video), ("--poses", poses)]
    return childgait(
        "register",
        *(part for flag, path in given if path for part in (flag, path)),
        "--name",
        name,
        "--layout",
        "wholebody133",
        "--facts",
        facts or tmp_path / "out" / "facts.json",
    )


def test_an_unreadable_a_truncated_and_an_empty_video(tmp_path: Path) -> None:
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"no video" * 99)
    refused(register(tmp_path, noise), "noise.mp4", "cannot be opened as a video")
    whole = make_video(tmp_path / "cut.mp4", 60).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    refused(register(tmp_path, tmp_path / "cut.mp4"), "cut.mp4")
    (tmp_path / "none.mp4").write_bytes(b"")
    refused(register(tmp_path, tmp_path / "none.mp4"), "none.mp4")
    assert not list((tmp_path / "out").glob("*")), "nothing half-written"


@pytest.mark.parametrize("points", [17, 308])
def test_keypoints_of_another_layout(tmp_path: Path, points: int) -> None:
    poses = make_poses(tmp_path / "poses", points)
    refused(
        register(tmp_path, poses=poses), f"has {points} keypoints", "wholebody133", "Hint: set cohort.pose_layout to"
    )


def test_a_missing_file_and_a_name_with_a_path_in_it(tmp_path: Path) -> None:
    refused(register(tmp_path, tmp_path / "gone.mp4"), "gone.mp4", "does not exist")
    refused(register(tmp_path, make_video(tmp_path / "v.mp4"), name="../0001-0001_left_1-12"), "PATIENT-SESSION")


def labels(tmp_path: Path, scores: list[dict], lines: list[str]) -> subprocess.CompletedProcess[str]:
    (tmp_path / "labels.json").write_text(json.dumps(scores))
    (tmp_path / "subjects.csv").write_text("patient_id,age,sex,diagnosis,aid\n" + "\n".join(lines) + "\n")
    (tmp_path / "clips.parquet").touch()  # not reached
    out = tmp_path / "out"
    return childgait(
        "build_labels",
        "--labels",
        tmp_path / "labels.json",
        "--subjects",
        tmp_path / "subjects.csv",
        "--clips",
        tmp_path / "clips.parquet",
        "--labels-out",
        out / "labels.parquet",
        "--totals",
        out / "totals.parquet",
        "--subjects-out",
        out / "subjects.parquet",
        "--agreement",
        out / "agreement.json",
    )


def test_a_score_of_three_a_child_twice_and_an_id_that_is_a_path(tmp_path: Path) -> None:
    good = {"patient_id": "0001", "left": {"1": 0}, "right": {"1": 2}}
    refused(labels(tmp_path, [good | {"left": {"1": 3}}], ["0001,8,female,,"]), "labels.json: child 0001", "scored 3")
    refused(
        labels(tmp_path, [good], ["0001,8,female,,", "1,9,male,,"]), "subjects.csv, line 3: child 0001 is there twice"
    )
    refused(labels(tmp_path, [good, good], ["0001,8,female,,"]), "scores child 0001 twice")
    refused(labels(tmp_path, [good | {"patient_id": "../0001"}], ["0001,8,female,,"]), "'../0001' is not a number")
    assert not list((tmp_path / "out").glob("*")), "nothing half-written"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check-submission", "nowhere.csv"), "nowhere.csv"),
        (("explain", "nowhere"), "nowhere has no model.json"),
        (("audit",), "there is no record and no dvc.lock here"),
        (("pack-poses", "nowhere"), "nowhere"),
        (("lineage", "reports/metrics.json"), "there is no record"),
    ],
)
def test_a_command_on_what_is_not_there(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    refused(childgait(*arguments, cwd=tmp_path), message)


def test_a_path_with_a_blank_is_refused_before_a_command_line_breaks_at_it(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text().replace("root: data/demo ", "root: data/my videos ", 1)
    (tmp_path / "params.yaml").write_text(text)
    refused(
        childgait("check-params", "--params", tmp_path / "params.yaml"),
        "cohort.root is 'data/my videos'",
        "without blanks",
    )


@pytest.mark.parametrize(("name", "near"), [("predict", "score"), ("train", "finetune"), ("deidentfy", "deidentify")])
def test_an_unknown_command_names_the_nearest(name: str, near: str) -> None:
    result = childgait(name)
    assert result.returncode == 1
    assert f"no step or command '{name}'. Hint: did you mean '{near}'?" in result.stderr
