"""The step estimate_pose: delivered keypoints on the video's time stamps, and what it refuses."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from childgait.domain.poses import Status, make_poses
from childgait.domain.skeleton import INDEX, POINTS
from childgait.errors import StepError
from childgait.files.atomic import write_json
from childgait.files.masks import FRAMES, Masks, write_masks
from childgait.files.poses import read_poses, write_poses
from childgait.files.segment_summary import SegmentSummary
from childgait.files.tables import write_table
from childgait.files.video import read_frames, write_video
from childgait.gait.delivered_keypoints import frame_record, pack, write_frame
from childgait.gait.leg_identity import DOUBTFUL_SCORE
from childgait.params import EstimatePose
from childgait.steps.estimate_pose import estimate_pose
from childgait.vision.blazepose import Look, Square
from childgait.vision.estimate_blazepose import estimate

DELIVERED = EstimatePose(
    backend="delivered", landmarks="full", weights="", weights_sha256="", device="cpu", batch=2, flip=False
)
SAPIENS = DELIVERED.model_copy(update={"backend": "sapiens2"})


def some_poses(path: Path, frames: int) -> Path:
    xy = np.random.default_rng(0).uniform(0, 300, (frames, 23, 2))
    write_poses(path, make_poses(np.arange(frames) / 59, xy, np.full((frames, 23), 0.9)))
    return path


def some_boxes(path: Path, frames: int) -> Path:
    rows = [
        {
            "frame": n,
            "seconds": n * 1001 / 60000,
            "x0": 0.0,
            "y0": 0.0,
            "x1": 9.0,
            "y1": 9.0,
            "area": 81,
            "area_jump": 0.0,
            "border": False,
            "joints_inside": 1.0,
            "pieces": 1,
            "ok": True,
        }
        for n in range(frames)
    ]
    write_table(path, pl.DataFrame(rows, schema=FRAMES.schema()), FRAMES)
    return path


def test_delivered_points_get_the_videos_own_time_stamps(tmp_path: Path) -> None:
    poses, boxes = some_poses(tmp_path / "in.parquet", 10), some_boxes(tmp_path / "frames.parquet", 12)
    estimate_pose(tmp_path / "out.parquet", DELIVERED, poses=poses, boxes=boxes)
    out = read_poses(tmp_path / "out.parquet")
    assert np.allclose(out.seconds, np.arange(12) * 1001 / 60000)
    assert np.array_equal(out.xy[:10], read_poses(poses).xy)
    assert (out.status[10:] == Status.MISSING).all()


def test_without_a_video_the_deliverys_own_times_stay(tmp_path: Path) -> None:
    poses = some_poses(tmp_path / "in.parquet", 10)
    estimate_pose(tmp_path / "out.parquet", DELIVERED, poses=poses)
    assert np.array_equal(read_poses(tmp_path / "out.parquet").seconds, read_poses(poses).seconds)


def test_a_delivery_itself_is_read_by_its_layout(tmp_path: Path) -> None:
    folder = tmp_path / "a_filtered_pose"
    folder.mkdir()
    info = {"width": 640, "height": 360, "fps": 60, "total_frames": 3}
    for n in range(3):
        person = (np.arange(34.0).reshape(17, 2) + n, np.full(17, 0.8))
        write_frame(folder, n + 1, frame_record(n, [person], info))
    pack(folder, tmp_path / "a.zip")
    estimate_pose(tmp_path / "out.parquet", DELIVERED, poses=tmp_path / "a.zip", layout="coco17")
    assert read_poses(tmp_path / "out.parquet").xy[2, 0].tolist() == [2, 3]
    with pytest.raises(StepError, match=r"17 keypoints, but cohort\.pose_layout is wholebody133"):
        estimate_pose(tmp_path / "out.parquet", DELIVERED, poses=tmp_path / "a.zip", layout="wholebody133")
    with pytest.raises(StepError, match="unknown layout"):
        estimate_pose(tmp_path / "out.parquet", DELIVERED, poses=tmp_path / "a.zip")


def test_what_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with pytest.raises(StepError, match="no keypoints are given"):
        estimate_pose(out, DELIVERED)
    with pytest.raises(StepError, match="keypoints for 10 frames, but the video has 8"):
        estimate_pose(
            out, DELIVERED, poses=some_poses(tmp_path / "a.parquet", 10), boxes=some_boxes(tmp_path / "b.parquet", 8)
        )
    with pytest.raises(StepError, match="none were delivered"):
        estimate_pose(out, DELIVERED, poses=some_poses(tmp_path / "none.parquet", 0))
    with pytest.raises(StepError, match="no video or no table of boxes"):
        estimate_pose(out, SAPIENS, poses=some_poses(tmp_path / "a.parquet", 10))
    (tmp_path / "film.mp4").write_bytes(b"")
    with pytest.raises(StepError, match=r"contains no model\.safetensors"):
        estimate_pose(
            out,
            SAPIENS.model_copy(update={"weights": str(tmp_path)}),
            video=tmp_path / "film.mp4",
            boxes=some_boxes(tmp_path / "b.parquet", 8),
        )


def segment_summary(name: str, backend: str, frames: int) -> SegmentSummary:
    return SegmentSummary(
        video=name,
        subject="0001",
        view="left",
        backend=backend,
        path=backend,
        person="",
        camera="static",
        camera_shift_pixels=0.0,
        frames=frames,
        frames_without_child=0,
        frames_below_gate=0,
        share_below_gate=0.0,
        median_height_pixels=64.0,
        flags=[],
        ok=True,
        selections=0,
        keypoints=False,
    )


class SteadyNetwork:
    """A landmark network that draws the same body and mask in every frame, surely."""

    def __init__(self, landmarks: str) -> None:
        self.landmarks = landmarks

    def look_at_boxes(self, frame: np.ndarray, box: np.ndarray) -> list[Look]:
        x, y = np.meshgrid(np.linspace(8, 24, 5), np.linspace(2, 60, 5))
        points = np.column_stack([x.ravel(), y.ravel(), np.full(25, 0.9)])[: len(POINTS)].astype(np.float32)
        points[[0, -1], :2] = (8, 2), (24, 62)
        mask = np.zeros((256, 256), np.float32)
        mask[:, 32:96] = 1  # columns 8 to 24
        return [Look(points, np.zeros(len(POINTS), np.float32), 1.0, Square(0, 0, 64), mask)]


@pytest.mark.parametrize(("backend", "doubtful"), [("blazepose", True), ("sam3", False)])
def test_frames_in_which_the_masks_of_both_networks_differ_are_doubtful(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, doubtful: bool
) -> None:
    """On a mixture of two people presence and scores stay high; masks of other backends differ everywhere."""
    frames, name = 60, "0001-0001_left_1-60"
    monkeypatch.setattr("childgait.vision.estimate_blazepose.BlazePose", SteadyNetwork)
    video, masks, boxes = (tmp_path / part for part in ("v.mp4", "s.masks", "s.parquet"))
    write_video(video, [np.full((64, 64, 3), 120, np.uint8)] * frames, [Fraction(n, 30) for n in range(frames)])
    mask = np.zeros((64, 64), bool)
    mask[:, 8:24] = True
    write_masks(masks, (np.roll(mask, 3 if n >= 30 else 0, axis=1) for n in range(frames)))
    table = pl.read_parquet(some_boxes(boxes, frames))
    table = table.with_columns(seconds=pl.col("frame") / 30, x0=pl.lit(8.0), x1=pl.lit(24.0), y1=pl.lit(64.0))
    write_table(boxes, table, FRAMES)
    write_json(tmp_path / "s.json", segment_summary(name, backend, frames))
    params = DELIVERED.model_copy(update={"backend": "blazepose", "landmarks": "heavy"})
    inputs = {"video": video, "boxes": boxes, "name": name, "masks": masks, "segmented": tmp_path / "s.json"}
    estimate_pose(tmp_path / "out.parquet", params, summary=tmp_path / "e.json", **inputs)
    marked = (read_poses(tmp_path / "out.parquet").score <= DOUBTFUL_SCORE).all(axis=1)
    assert marked.tolist() == [doubtful and n >= 30 for n in range(frames)]
    assert json.loads((tmp_path / "e.json").read_text())["frames_disagreed"] == marked.sum()
    drawn = SteadyNetwork("heavy").look_at_boxes(video, np.zeros(4))[0].points  # type: ignore[arg-type]
    moved = np.flatnonzero(np.abs(read_poses(tmp_path / "out.parquet").xy[0] - drawn[:, :2]).max(axis=1) > 1e-3)
    assert moved.tolist() == [INDEX["left_hip"]]


def test_the_head_under_a_cover_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segment draws a disc there, of which the network in estimate_pose sees nothing."""
    monkeypatch.setattr("childgait.vision.estimate_blazepose.BlazePose", SteadyNetwork)
    video = tmp_path / "v.mp4"
    write_video(video, [np.full((64, 64, 3), 120, np.uint8)] * 2, [Fraction(n, 30) for n in range(2)])
    mask = np.zeros((64, 64), bool)
    mask[:, 8:24] = True
    mask[:20, :40] = True
    write_masks(tmp_path / "s.masks", iter([mask, mask]))
    box = np.array([[8.0, 0, 24, 64]] * 2)
    covers = {1: np.array([[-4.0, -4, 42, 20]])}
    agreement = estimate(read_frames(video), box, "heavy", covers, Masks(tmp_path / "s.masks")).agreement
    assert agreement[0] < 0.8
    assert agreement[1] == 1


def test_the_square_contains_the_covered_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask without the head has a box that ends at the shoulders."""
    squares: list[np.ndarray] = []

    class Watched(SteadyNetwork):
        def look_at_boxes(self, frame: np.ndarray, box: np.ndarray) -> list[Look]:
            squares.append(box)
            return super().look_at_boxes(frame, box)

    monkeypatch.setattr("childgait.vision.estimate_blazepose.BlazePose", Watched)
    write_video(tmp_path / "v.mp4", [np.full((64, 64, 3), 120, np.uint8)] * 2, [Fraction(n, 30) for n in range(2)])
    box = np.array([[8.0, 14, 24, 64]] * 2)
    estimate(read_frames(tmp_path / "v.mp4"), box, "heavy", {1: np.array([[6.0, 0, 26, 20]])})
    assert squares[0].tolist() == box[0].tolist()
    assert squares[1][1] < 6
