"""The step segment: the right child in every frame, what is to be said is said, and bad input gets its sentence."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from childgait.domain.poses import Poses, make_poses
from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.files.masks import FRAMES, Masks
from childgait.files.poses import write_poses
from childgait.files.tables import read_table
from childgait.files.video import write_video
from childgait.params import Segment, load_section
from childgait.steps.segment import segment
from support.walk_scene import Scene

NAME = "0001-0001_left_1-60"
PARAMS = load_section(Path(__file__).parents[2] / "params.yaml", Segment).model_copy(update={"backend": "classical"})


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


class Run:
    """One run of the step in a folder."""

    def __init__(self, folder: Path, scene: Scene, **changes: Any) -> None:
        self.folder, self.scene = folder, scene
        self.params = Segment.model_validate(PARAMS.model_dump() | changes)
        film = list(scene.film())
        self.truth = [mask for _, mask in film]
        write_video(folder / "v.mp4", (pixels for pixels, _ in film), [Fraction(i, 60) for i in range(len(film))])

    def __call__(self, poses: Poses | None = None, selections: str | None = None) -> dict[str, Any]:
        given = {}
        if poses is not None:
            given["poses"] = self.folder / "p.parquet"
            write_poses(given["poses"], poses)
        if selections is not None:
            given["selections"] = self.folder / "selections.csv"
            given["selections"].write_text("video,frame,x0,y0,x1,y1\n" + selections)
        out = [self.folder / f"o{ending}" for ending in (".masks", ".frames.parquet", ".summary.json")]
        segment(NAME, self.folder / "v.mp4", *out, self.params, **given)
        self.masks, self.rows = Masks(out[0]), read_table(out[1], FRAMES)
        facts: dict[str, Any] = json.loads(out[2].read_text())
        return facts

    def median_overlap(self) -> float:
        return float(np.median([overlap(mask, true) for mask, true in zip(self.masks, self.truth, strict=True)]))


@pytest.fixture
def side(tmp_path: Path) -> Run:
    return Run(tmp_path, Scene(frames=60))


def test_a_walk_from_the_side(side: Run) -> None:
    facts = side(side.scene.poses())
    assert (facts["path"], facts["camera"], facts["ok"]) == ("keypoints+background", "static", True)
    assert (facts["video"], facts["subject"], facts["view"], facts["frames"]) == (NAME, "0001", "left", 60)
    assert side.median_overlap() > 0.8
    box = side.rows.row(30, named=True)
    rows, columns = np.nonzero(side.masks[30])
    assert (box["x0"], box["y0"], box["x1"], box["y1"]) == (
        columns.min(),
        rows.min(),
        columns.max() + 1,
        rows.max() + 1,
    )
    assert box["area"] == len(rows)
    assert box["joints_inside"] > 0.9
    assert side.rows["seconds"].to_list() == pytest.approx([i / 60 for i in range(60)])
    assert (side.folder / "o.masks").stat().st_size < 3000 * 60


def test_at_the_lens(tmp_path: Path) -> None:
    run = Run(tmp_path, Scene(frames=60, coronal=True))
    assert run(run.scene.poses())["path"] == "keypoints+background"
    assert run.median_overlap() > 0.75


def test_faulty_keypoints_do_little_harm(side: Run) -> None:
    poses = side.scene.poses()
    rng = np.random.default_rng(0)
    left, right = [9, 13, 15], [10, 14, 16]
    poses.xy[20:26, left], poses.xy[20:26, right] = poses.xy[20:26, right].copy(), poses.xy[20:26, left].copy()
    for point in range(23):
        start = int(rng.integers(0, 55))
        poses.xy[start : start + 3, point] += rng.normal(0, 60, 2)
        poses.xy[start + 4 : start + 9, point], poses.score[start + 4 : start + 9, point] = 5.0, 0.05
    assert side(poses)["path"] == "keypoints+background"
    assert side.median_overlap() > 0.75
    assert min(overlap(m, t) for m, t in zip(list(side.masks)[3:-3], side.truth[3:-3], strict=True)) > 0.5


def test_the_same_input_gives_the_same_bytes(side: Run) -> None:
    poses = side.scene.poses()
    side(poses)
    names = ("o.masks", "o.frames.parquet", "o.summary.json")
    first = [(side.folder / name).read_bytes() for name in names]
    side(poses)
    assert first == [(side.folder / name).read_bytes() for name in names]


def test_a_moving_camera_is_said_and_leaves_the_keypoints(tmp_path: Path) -> None:
    run = Run(tmp_path, Scene(frames=60, pan=1.5))
    facts = run(run.scene.poses())
    assert (facts["path"], facts["camera"]) == ("keypoints", "moving")
    assert facts["camera_shift_pixels"] > 1
    assert "the camera is moving" in facts["flags"]
    assert run.median_overlap() > 0.6


def test_without_keypoints_what_walks_is_the_child(tmp_path: Path) -> None:
    run = Run(tmp_path, Scene(frames=90, bystander=True))
    facts = run()
    assert (facts["path"], facts["keypoints"]) == ("motion+background", False)
    assert run.median_overlap() > 0.75  # the bystander sways, the child crosses


def test_empty_keypoints_are_none(side: Run) -> None:
    nothing = make_poses(np.zeros(0), np.zeros((0, 23, 2), np.float32), np.zeros((0, 23), np.float32))
    assert side(nothing)["path"] == "motion+background"


def test_a_selection_overrules_the_keypoints(tmp_path: Path) -> None:
    run = Run(tmp_path, Scene(frames=60, bystander=True))
    wrong = run.scene.poses()
    wrong.xy[:] = run.scene.points(30) + np.array([0.28 * 320, 0], np.float32)  # the keypoints are on the bystander
    x, y = run.scene.points(30)[11]
    facts = run(wrong, f"{NAME},30,{x:.0f},{y:.0f},,\n{NAME.replace('left', 'right')},9999,1,1,2,2\n")
    assert facts["person"].startswith("the person a selection points at")
    assert facts["selections"] == 1
    assert run.median_overlap() > 0.7
    agreed = run(run.scene.poses(), f"{NAME},30,{x - 5:.0f},{y - 5:.0f},{x + 5:.0f},{y + 5:.0f}\n")
    assert agreed["path"] == "keypoints+background"


def test_what_falls_below_the_gate_is_listed(side: Run) -> None:
    side.params = Segment.model_validate(side.params.model_dump() | {"min_joints_inside": 1.0})
    poses = side.scene.poses()
    poses.xy[10:20, :15] += [90, 0]  # for ten frames most of the body is said to be elsewhere
    facts = side(poses)
    assert facts["frames_below_gate"] == (~side.rows["ok"]).sum() >= 8
    assert facts["ok"] is False
    assert any("below the gate" in flag for flag in facts["flags"])


def test_keypoints_longer_than_the_video(side: Run) -> None:
    with pytest.raises(StepError, match=r"keypoints for 70 frames, but the video has 60"):
        side(Scene(frames=70).poses())


def test_no_walker(tmp_path: Path) -> None:
    run = Run(tmp_path, Scene(frames=30))
    still = next(run.scene.film())[0]
    write_video(tmp_path / "v.mp4", [still] * 30, [Fraction(i, 60) for i in range(30)])
    with pytest.raises(StepError, match="no walker found"):
        run()


def test_a_moving_camera_without_keypoints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="the camera moves and there are no keypoints"):
        Run(tmp_path, Scene(frames=60, pan=1.5))()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("20,300,20,340,90", r"line 2: the selection 300, 20, 340, 90 lies outside the frame of 320x180"),
        ("60,30,20,40,90", r"frame 60 is not in the video, which has 60"),
        ("20,30,twenty,40,90", r"not numbers"),
    ],
)
def test_a_bad_selection_is_refused(side: Run, row: str, sentence: str) -> None:
    with pytest.raises(StepError, match=sentence):
        side(side.scene.poses(), f"{NAME},{row}\n")


def test_selections_of_another_form_are_refused(side: Run) -> None:
    side.folder.joinpath("selections.csv").write_text("video,frame\n")
    with pytest.raises(StepError, match=r"lacks the column\(s\) x0, y0, x1, y1"):
        segment(
            NAME,
            side.folder / "v.mp4",
            side.folder / "a",
            side.folder / "b",
            side.folder / "c",
            side.params,
            selections=side.folder / "selections.csv",
        )


def test_sam3_runs_behind_the_same_interface(tmp_path: Path, sam3_folder: Path) -> None:
    expected = sha256(sam3_folder / "model.safetensors")
    weights = {"backend": "sam3", "sam3_folder": str(sam3_folder), "sam3_sha256": expected}
    run = Run(tmp_path, Scene(frames=8), **weights)
    facts = run(run.scene.poses())
    assert (facts["path"], facts["person"]) == ("sam3 text", "the one the delivered keypoints are on")
    assert len(run.masks) == 8
    assert run(None, f"{NAME},3,20,20,60,160\n")["path"] == "sam3 tracker"
    run.params = Segment.model_validate(run.params.model_dump() | {"sam3_sha256": "0" * 64})
    with pytest.raises(StepError, match="other weights"):
        run()


def test_the_table_is_what_its_schema_says(side: Run) -> None:
    side(side.scene.poses())
    assert side.rows.columns == [column.name for column in FRAMES.columns]
    assert side.rows.schema["frame"] == pl.Int32
