"""Frames and keypoints go to annotation tools and come back as corrections; only de-identified frames leave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from childgait.commands import export_frames as exporting
from childgait.commands import import_corrections as importing
from childgait.domain.skeleton import INDEX
from childgait.errors import StepError
from childgait.files.annotation_formats import FILE_NAMES, FORMATS, read_frames, write_frames
from childgait.files.corrections import read_corrections
from childgait.review.study import Study
from support.review_study import COUNT, COVERED, HEIGHT, HELD, WIDTH, write_study

VIDEO = COVERED[0]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    own = write_study(tmp_path / "study")
    monkeypatch.setattr("childgait.review.study.open_study", lambda *_: own)
    return own


def export(out: Path, format: str, **options: str) -> None:
    exporting.export_frames(format, [VIDEO], out=out, **options)


def take_back(out: Path, format: str, reviewer: str | None = "AB") -> None:
    importing.import_corrections(out / FILE_NAMES[format], format, out, reviewer)


@pytest.mark.parametrize("format", FORMATS)
def test_a_round_trip_loses_nothing_and_a_change_is_a_row(study: Study, tmp_path: Path, format: str) -> None:
    out, table = tmp_path / "out", study.annotations / "corrections.csv"
    export(out, format, frames="all")
    assert len(list((out / "images").glob("*.png"))) == COUNT
    picture = cv2.imread(str(out / "images" / f"{VIDEO}_000000.png"))
    assert picture.shape == (HEIGHT, WIDTH, 3)
    take_back(out, format)
    assert table.read_text().count("\n") == 1  # nothing was changed, so nothing is corrected
    frames, _ = read_frames(out / FILE_NAMES[format], format)
    points = dict(frames[4].points)
    points["left_knee"] = (points["left_knee"][0] + 3, points["left_knee"][1] - 2)
    del points["right_heel"]
    write_frames(out / FILE_NAMES[format], format, [*frames[:4], replace(frames[4], points=points), *frames[5:]])
    take_back(out, format)
    moved, unseen = read_corrections(table, VIDEO, COUNT)
    assert (moved.frame, moved.point) == (4, INDEX["left_knee"])
    assert (moved.x, moved.y) == pytest.approx(points["left_knee"], abs=0.01)
    assert (unseen.frame, unseen.point, unseen.seen) == (4, INDEX["right_heel"], False)


def test_only_proposed_frames_of_covered_videos_leave(study: Study, tmp_path: Path) -> None:
    export(tmp_path / "out", "cvat")
    assert 0 < len(list((tmp_path / "out" / "images").glob("*.png"))) <= 20
    with pytest.raises(StepError, match="is held: its frames stay here"):
        exporting.export_frames("cvat", [HELD[0]], out=tmp_path / "held")
    assert VIDEO in exporting.exportable(study)
    evidence = study.file("deidentify", VIDEO, ".evidence.json")
    text = evidence.read_text()
    evidence.write_text(text.replace('"covered"', '"held"'))  # made again, and held now: its keypoints are old
    assert VIDEO not in exporting.exportable(study)
    evidence.write_text(text)
    video = study.file("deidentify", VIDEO, ".mp4")
    video.write_bytes(video.read_bytes() + b"raw")
    with pytest.raises(StepError, match="is not the file that deidentify wrote"):
        export(tmp_path / "raw", "cvat")
    assert not (tmp_path / "held").exists()
    assert not (tmp_path / "raw").exists()


def test_what_cannot_be_taken_back_is_a_sentence(study: Study, tmp_path: Path) -> None:
    export(tmp_path, "coco")
    with pytest.raises(StepError, match="nobody corrected"):
        take_back(tmp_path, "coco", None)
    with pytest.raises(StepError, match="the format 'yolo' is unknown"):
        export(tmp_path, "yolo")
    frames, _ = read_frames(tmp_path / "annotations.json", "coco")
    write_frames(tmp_path / "annotations.json", "coco", [replace(frames[0], video="0009-0001_left_1-24")])
    with pytest.raises(StepError, match="is not among the exported pictures"):
        take_back(tmp_path, "coco")
    write_frames(tmp_path / "annotations.json", "coco", frames)
    path = study.file("deidentify", VIDEO, ".evidence.json")
    path.write_text(path.read_text().replace('"decoded_sha256": "', '"decoded_sha256": "00'))
    with pytest.raises(StepError, match="was made again after the export"):
        take_back(tmp_path, "coco")
    assert (study.annotations / "corrections.csv").read_text().count("\n") == 1
