"""Videos without delivered keypoints: segment, estimate_pose, refine_pose and prepare_clips by the embedded model."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from childgait.domain.poses import make_poses
from childgait.domain.skeleton import INDEX
from childgait.errors import StepError
from childgait.files.masks import Masks, read_boxes
from childgait.files.poses import read_poses, write_poses
from childgait.files.video import write_video
from childgait.params import EstimatePose, PrepareClips, RefinePose, Segment, Synthesize, load_section
from childgait.steps.estimate_pose import estimate_pose
from childgait.steps.prepare_clips import prepare_clips
from childgait.steps.refine_pose import refine_pose
from childgait.steps.segment import segment
from childgait.synthetic.cohort import write_cohort
from childgait.synthetic.truth import Truth, load_truth
from support.walk_scene import Scene

PARAMS = Path(__file__).parents[2] / "params.yaml"
ESTIMATE = load_section(PARAMS, EstimatePose).model_copy(update={"landmarks": "full"})
BODY = [index for name, index in INDEX.items() if index > 4 and not name.endswith("small_toe")]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cohort")
    section = load_section(PARAMS, Synthesize).model_dump()
    section |= {"subjects": 2, "seed": 21, "seconds": (1.0, 1.2), "bystander": 0.0, "missing_views": 0.0}
    write_cohort(root, Synthesize.model_validate(section), 1)
    return root


class Run:
    """The four steps on one video, in a folder."""

    def __init__(self, folder: Path, video: Path) -> None:
        self.folder, self.video, self.name = folder, video, video.stem
        self.nothing = folder / "nothing.parquet"
        write_poses(self.nothing, make_poses(np.zeros(0), np.zeros((0, 23, 2)), np.zeros((0, 23))))

    def segment(self, **changes: Any) -> dict[str, Any]:
        params = load_section(PARAMS, Segment).model_copy(update=changes)
        out = [self.folder / name for name in ("s.masks", "s.frames.parquet", "s.summary.json")]
        segment(self.name, self.video, *out, params, poses=self.nothing)
        return dict(json.loads(out[2].read_text()))

    def estimate(self) -> dict[str, Any]:
        out, summary = self.folder / "e.parquet", self.folder / "e.json"
        boxes = self.folder / "s.frames.parquet"
        inputs = {"video": self.video, "boxes": boxes, "name": self.name, "summary": summary}
        if (self.folder / "s.masks").exists():
            inputs |= {"masks": self.folder / "s.masks", "segmented": self.folder / "s.summary.json"}
        estimate_pose(out, ESTIMATE, poses=self.nothing, **inputs)
        return dict(json.loads(summary.read_text()))

    def finish(self) -> dict[str, Any]:
        f = self.folder
        outputs = [f / name for name in ("r.parquet", "r.angles.parquet", "r.events.parquet", "r.json")]
        refine_pose(
            self.name,
            f / "e.parquet",
            *outputs,
            load_section(PARAMS, RefinePose),
            boxes=f / "s.frames.parquet",
            estimate=f / "e.json",
        )
        prepare_clips(
            name=self.name,
            points=f / "c.points.npy",
            clip=f / "c.json",
            params=load_section(PARAMS, PrepareClips),
            poses=outputs[0],
            events=outputs[2],
            estimate=f / "e.json",
            video=self.video,
            masks=f / "s.masks",
            boxes=f / "s.frames.parquet",
            frames=f / "c.frames.npy",
            mask_bits=f / "c.masks.npy",
        )
        return dict(json.loads(outputs[3].read_text()))


def near_share(xy: np.ndarray, truth: Truth) -> float:
    """PCK@0.05 over body points."""
    off = np.linalg.norm(xy - truth.points, axis=2)[:, BODY] / np.ptp(truth.points[..., 1], axis=1)[:, None]
    return float((off[np.isfinite(off)] < 0.05).mean())


@pytest.mark.slow
@pytest.mark.parametrize("view", ["left", "forward"])
def test_a_video_without_keypoints_goes_all_the_way(tmp_path: Path, cohort: Path, view: str) -> None:
    video = sorted(cohort.glob(f"dataset/*/*_{view}_*.mp4"))[0]
    truth = load_truth(cohort / "truth" / f"{video.stem}.npz")
    run = Run(tmp_path, video)
    facts = run.segment()
    assert (facts["backend"], facts["person"], facts["keypoints"]) == ("blazepose", "the one who walks", False)
    masks = Masks(tmp_path / "s.masks")
    there = [n for n in range(len(masks)) if truth.mask(n).sum() > 50]
    ious = [(masks[n] & truth.mask(n)).sum() / (masks[n] | truth.mask(n)).sum() for n in there]
    assert np.median(ious) > 0.8
    estimate = run.estimate()
    assert (estimate["backend"], estimate["sides_settled"]) == ("blazepose", True)
    poses = read_poses(tmp_path / "e.parquet")
    assert np.isnan(poses.xy[:, INDEX["left_small_toe"]]).all()
    assert near_share(poses.xy, truth) > 0.75
    refined = run.finish()
    assert refined["sides"] == "when estimated"
    assert near_share(read_poses(tmp_path / "r.parquet").xy, truth) > 0.75
    assert len(np.load(tmp_path / "c.frames.npy")) > 20
    assert json.loads((tmp_path / "c.json").read_text())["unmeasured"] == ["obliquity"]
    assert pl.read_parquet(tmp_path / "r.angles.parquet")["obliquity"].null_count() == 2 * len(poses)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name[0] in "se"}
    run.segment()
    run.estimate()
    assert first == {name: (tmp_path / name).read_bytes() for name in first}


def test_nobody_in_the_picture(tmp_path: Path) -> None:
    wall = Scene(frames=1).wall[:, :320]
    video = tmp_path / "0001-0001_left_1-24.mp4"
    write_video(video, [wall] * 24, [Fraction(i, 60) for i in range(24)])
    with pytest.raises(StepError, match=r"0001-0001_left_1-24: no (person found in any of|walker found)"):
        Run(tmp_path, video).segment()


def test_boxes_on_a_wall_hold_nobody(tmp_path: Path) -> None:
    from test_estimate_pose import some_boxes

    video = tmp_path / "0001-0001_left_1-8.mp4"
    write_video(video, [np.full((96, 128, 3), 120, np.uint8)] * 8, [Fraction(i, 60) for i in range(8)])
    run = Run(tmp_path, video)
    some_boxes(tmp_path / "s.frames.parquet", 8)
    with pytest.raises(StepError, match="no person found inside the child's boxes in any of 8 frames"):
        run.estimate()
    some_boxes(tmp_path / "s.frames.parquet", 9)
    assert len(read_boxes(tmp_path / "s.frames.parquet").seconds) == 9
    with pytest.raises(StepError, match="the video has 8 frames, but the table of boxes has 9"):
        run.estimate()


def test_without_a_video_nothing_can_be_estimated(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="needs a video and its table of boxes"):
        estimate_pose(tmp_path / "out.parquet", ESTIMATE)
