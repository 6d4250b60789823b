"""The step refine_pose end to end on a stick child: four files, a flat summary, corrections, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from childgait.domain.poses import Status, make_poses
from childgait.domain.skeleton import INDEX
from childgait.errors import StepError
from childgait.files.masks import FRAMES
from childgait.files.poses import read_poses, write_poses
from childgait.files.tables import read_table, write_table
from childgait.gait.events import EVENTS
from childgait.gait.kinematics import ANGLES
from childgait.params import RefinePose
from childgait.steps.refine_pose import refine_pose
from support.stick_child import walk

PARAMS = RefinePose(
    min_score=0.3,
    box_margin=0.2,
    swap_penalty=0.15,
    outlier_sigmas=5,
    longest_gap_seconds=0.15,
    joint_noise=1,
    distal_hz=8,
    proximal_hz=6,
)
NAME = "0001-0001_right_1-240"
ENDINGS = ("poses.parquet", "angles.parquet", "events.parquet", "summary.json")


def given(path: Path, view: str = "right") -> Path:
    true = walk(view)
    xy = true.xy + np.random.default_rng(0).normal(0, 1, true.xy.shape)
    write_poses(path, make_poses(true.seconds, xy, np.full(xy.shape[:2], 0.9)))
    return path


def run(folder: Path, name: str = NAME, poses: Path | None = None, **others: Path) -> dict[str, object]:
    poses = poses or given(folder / "in.parquet")
    refine_pose(name, poses, *(folder / ending for ending in ENDINGS), params=PARAMS, **others)
    return dict(json.loads((folder / "summary.json").read_text()))


def corrections(folder: Path, *rows: str, header: str = "video,frame,joint,x,y,reason,who") -> Path:
    path = folder / "corrections.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def boxes(path: Path, frames: int, x1: float = 640.0, ok: bool = True) -> Path:
    rows = [
        {
            "frame": n,
            "seconds": n / 60,
            "x0": 0.0,
            "y0": 0.0,
            "x1": x1,
            "y1": 360.0,
            "area": 81,
            "area_jump": 0.0,
            "border": False,
            "joints_inside": 1.0,
            "pieces": 1,
            "ok": ok,
        }
        for n in range(frames)
    ]
    write_table(path, pl.DataFrame(rows, schema=FRAMES.schema()), FRAMES)
    return path


def test_a_side_view_yields_points_angles_events_and_a_flat_summary(tmp_path: Path) -> None:
    facts = run(tmp_path)
    assert all(value is None or isinstance(value, str | int | float | bool) for value in facts.values())
    assert (facts["video"], facts["subject"], facts["view"], facts["view_fits"]) == (NAME, "0001", "right", True)
    assert facts["no_events_because"] == ""
    assert facts["strides_left"] >= 2
    assert facts["stride_seconds"] == pytest.approx(0.95, abs=0.03)
    assert len(read_poses(tmp_path / "poses.parquet")) == 240
    angles = read_table(tmp_path / "angles.parquet", ANGLES)
    assert angles.height == 480
    assert 50 < angles["knee"].max() < 70
    assert angles["obliquity"].null_count() == 480
    assert read_table(tmp_path / "events.parquet", EVENTS).height == facts["events"] > 10


def test_the_same_input_gives_the_same_bytes_and_is_left_alone(tmp_path: Path) -> None:
    keypoints = given(tmp_path / "in.parquet")
    before = keypoints.read_bytes()
    outputs = []
    for name in "ab":
        (tmp_path / name).mkdir()
        run(tmp_path / name, poses=keypoints)
        outputs.append([(tmp_path / name / ending).read_bytes() for ending in ENDINGS])
    assert outputs[0] == outputs[1]
    assert keypoints.read_bytes() == before


def test_a_video_that_shows_another_view_than_named_says_so(tmp_path: Path) -> None:
    facts = run(tmp_path, name="0001-0001_left_1-240")
    assert facts["view_fits"] is False
    assert facts["view_note"] == "named left, but the child is seen to walk to the right"


def test_no_events_has_a_reason_and_is_no_error(tmp_path: Path) -> None:
    true = walk("right")
    xy = np.repeat(true.xy[:1], 240, axis=0) + np.random.default_rng(0).normal(0, 0.5, true.xy.shape)
    write_poses(tmp_path / "in.parquet", make_poses(true.seconds, xy, np.ones(xy.shape[:2])))
    facts = run(tmp_path, poses=tmp_path / "in.parquet")
    assert facts["events"] == 0
    assert facts["no_events_because"]
    assert facts["view_seen"] is None
    assert read_table(tmp_path / "events.parquet", EVENTS).height == 0


def test_corrections_of_this_video_override_and_others_do_not(tmp_path: Path) -> None:
    table = corrections(
        tmp_path,
        f"{NAME},50,left_knee,100.5,200.25,blurred,A",
        "0002-0001_left_1-9,60,left_knee,1,2,other,A",
        f"{NAME},50,left_knee,101.5,200.25,looked again,A",
    )
    facts = run(tmp_path, corrections=table)
    poses = read_poses(tmp_path / "poses.parquet")
    assert facts["corrections"] == 1
    assert poses.xy[50, INDEX["left_knee"]].tolist() == [101.5, 200.25]  # the later row
    assert poses.status[50, INDEX["left_knee"]] == Status.CORRECTED
    assert (poses.status[60] == Status.MEASURED).all()


WIDE = "video,frame,last,joint,action,x,y,reason"


def test_points_are_marked_as_unseen_and_sides_exchanged_over_a_range(tmp_path: Path) -> None:
    plain = (run(tmp_path), read_poses(tmp_path / "poses.parquet"))[1]
    table = corrections(
        tmp_path,
        f"{NAME},50,52,left_heel,unseen,,,hidden by the other foot",
        f"{NAME},100,140,legs,exchange,,,the legs cross",
        f"{NAME},120,140,legs,keep,,,no further than this",
        header=WIDE,
    )
    facts = run(tmp_path, corrections=table)
    poses = read_poses(tmp_path / "poses.parquet")
    left, right = INDEX["left_ankle"], INDEX["right_ankle"]
    assert facts["corrections"] == 5
    assert (poses.status[50:53, INDEX["left_heel"]] == Status.MISSING).all()  # three frames would be filled otherwise
    assert poses.seen[[49, 53], INDEX["left_heel"]].all()
    assert np.abs(poses.xy[105:115, left] - plain.xy[105:115, right]).max() < 3
    assert np.abs(poses.xy[125:135, left] - plain.xy[125:135, left]).max() < 3


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (f"{NAME},50,,left_knee,exchange,,,x", "there is no joint 'left_knee'.*legs, arms"),
        (f"{NAME},50,,legs,unseen,,,x", "there is no joint 'legs'"),
        (f"{NAME},50,,left_knee,hide,,,x", "there is no action 'hide'"),
        (f"{NAME},50,40,left_knee,unseen,,,x", "the range is 50 to 40"),
        (f"{NAME},50,52,left_knee,,1,2,x", "the range is 50 to 52"),
        (f"{NAME},50,240,legs,keep,,,x", "frame 240 is not in the video"),
        (f"{NAME},50,x,legs,keep,,,x", "not numbers"),
    ],
)
def test_a_range_or_action_that_cannot_be_meant_is_named(tmp_path: Path, row: str, says: str) -> None:
    with pytest.raises(StepError, match=says):
        run(tmp_path, corrections=corrections(tmp_path, row, header=WIDE))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (f"{NAME},50,left_kne,1,2,blurred,A", "line 2: there is no joint 'left_kne'.*did you mean left_knee"),
        (f"{NAME},240,left_knee,1,2,blurred,A", "frame 240 is not in the video, which has 240"),
        (f"{NAME},50,left_knee,,2,blurred,A", "not numbers"),
        (f"{NAME},50,left_knee,nan,2,blurred,A", "x and y are nan and 2"),
        (f"{NAME},50,left_knee,1,2,,A", "no reason"),
    ],
)
def test_a_correction_that_cannot_be_meant_is_named(tmp_path: Path, row: str, says: str) -> None:
    with pytest.raises(StepError, match=says):
        run(tmp_path, corrections=corrections(tmp_path, row))


def test_a_correction_table_without_its_columns_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"corrections\.csv lacks the column\(s\) joint"):
        run(tmp_path, corrections=corrections(tmp_path, header="video,frame,x,y,reason"))


def test_boxes_gate_points_only_where_segment_trusts_them(tmp_path: Path) -> None:
    left_half = run(tmp_path, boxes=boxes(tmp_path / "f.parquet", 240, x1=320.0))
    assert left_half["share_missing"] > 0.2
    doubted = run(tmp_path, boxes=boxes(tmp_path / "f.parquet", 240, x1=320.0, ok=False))
    assert doubted["share_missing"] == 0


def test_what_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="has boxes for 100 frames, but the keypoints have 240"):
        run(tmp_path, boxes=boxes(tmp_path / "f.parquet", 100))
    nobody = make_poses(np.arange(9) / 60, np.full((9, 23, 2), np.nan), np.zeros((9, 23)))
    write_poses(tmp_path / "nobody.parquet", nobody)
    with pytest.raises(StepError, match="no keypoints in any of its 9 frames"):
        run(tmp_path, poses=tmp_path / "nobody.parquet")
