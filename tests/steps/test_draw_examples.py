"""The report's pictures: the same moments covered, as the network receives them, and with its evidence."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from childgait.domain.poses import make_poses
from childgait.files.clips import open_clip
from childgait.files.masks import write_masks
from childgait.files.poses import write_poses
from childgait.files.video import write_video
from childgait.report.examples import SIDE
from childgait.steps.draw_examples import draw_examples
from childgait.training.examined_window import PRUNED, examine_windows
from support.bundled_study import BundledStudy, make_bundled_study
from support.small_study import LENGTH


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> BundledStudy:
    return make_bundled_study(tmp_path_factory.mktemp("study"))


def files_of(clip_file: Path, folder: Path) -> dict[str, Path]:
    """Write the clip's frames as its de-identified video, with masks and keypoints."""
    clip, index = open_clip(clip_file), np.arange(LENGTH)
    paths = {name: folder / f"{clip.video}{end}" for name, end in (("videos", ".mp4"), ("masks", ".masks"))}
    paths["poses"] = folder / f"{clip.video}.poses.parquet"
    times = [Fraction(n, 30) for n in range(LENGTH)]
    write_video(paths["videos"], list(clip.frames(index)), times)
    write_masks(paths["masks"], clip.masks(index))
    points = clip.points(index)
    write_poses(paths["poses"], make_poses(np.array(times, float), points[..., :2], points[..., 2]))
    return {"clips": clip_file, **paths}


def test_every_recording_has_a_strip_on_each_picture(made: BundledStudy, tmp_path: Path) -> None:
    clips = [clip for clip in made.study.clips if clip.name.startswith("0006")]
    files = [files_of(clip, tmp_path) for clip in clips]
    pictures = {name: tmp_path / f"{name}.jpg" for name in ("covered", "received", "evidence")}
    draw_examples(
        **{name: [one[name] for one in files] for name in ("clips", "videos", "masks", "poses")},
        weights=made.run_file("childgait_video", "weights.safetensors"),
        model=made.run_file("childgait_video", "model.json"),
        **pictures,
    )
    for path in pictures.values():
        pixels = cv2.imread(str(path))
        assert pixels is not None
        assert pixels.shape == (len(clips) * SIDE, 4 * SIDE, 3)  # windows of four frames
        assert pixels.std() > 5


def test_patches_that_are_left_out_are_dark(made: BundledStudy) -> None:
    from safetensors.numpy import load_file

    from childgait.files.model_description import ModelDescription
    from childgait.files.parts import open_part
    from childgait.models.registry import find_model
    from childgait.report.examples import visible_items
    from childgait.training.predict import settings_from

    part = open_part(made.study.test, made.study.clips)
    part = part.filter([video == part.table["video"][0] for video in part.table["video"]])
    described = ModelDescription.read(made.run_file("childgait_video", "model.json"))
    weights = load_file(made.run_file("childgait_video", "weights.safetensors"))
    model, settings = find_model("childgait_video"), settings_from(described)
    (window,) = examine_windows(model, settings, weights, described.facts, part, visible_items(part))
    received = np.isfinite(window.evidence.amount)
    assert received.sum() > 0
    side, cell = window.frames.shape[1], window.evidence.cell
    kept = received.reshape(received.shape[0], side // cell, side // cell)
    for moment in range(len(kept)):
        frame = int(window.evidence.frames[moment])
        for y, x in zip(*np.nonzero(~kept[moment]), strict=True):
            box = np.s_[frame, y * cell : (y + 1) * cell, x * cell : (x + 1) * cell]
            assert window.received[box].max() <= 255 * PRUNED


def test_an_ordinal_model_has_one_window_per_recording_too(made: BundledStudy) -> None:
    from childgait.domain.evgs import TARGET_NAMES
    from childgait.files.model_description import ModelDescription
    from childgait.files.parts import open_part
    from childgait.models.registry import find_model
    from childgait.report.examples import visible_items
    from childgait.training.predict import settings_from

    part = open_part(made.study.test, made.study.clips)
    described = ModelDescription.read(made.run_file("childgait_video", "model.json"))
    model, settings = find_model("childgait_video"), settings_from(described).model_copy(update={"loss": "corn"})
    network = model.build(settings, described.facts["pixels"])
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    windows = examine_windows(model, settings, weights, described.facts, part, visible_items(part))
    assert [one.video for one in windows] == part.table["video"].to_list()
    assert {one.target for one in windows} <= set(TARGET_NAMES)
