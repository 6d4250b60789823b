"""Keypoints survive each annotation tool's format; a file that is no such export is a sentence."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from childgait.domain.skeleton import POINTS
from childgait.errors import StepError
from childgait.files.annotation_formats import (
    FILE_NAMES,
    FORMATS,
    FramePoints,
    cvat_labels,
    label_studio_config,
    read_baseline,
    read_frames,
    write_baseline,
    write_frames,
)

VIDEO = "0001-0001_left_1-240"
WHOLE = {name: (100.125 + 7 * n, 1079.0 - 11.5 * n) for n, name in enumerate(POINTS)}
PARTLY = {name: place for name, place in WHOLE.items() if not name.endswith("heel")}
FRAMES = [
    FramePoints(VIDEO, 3, 1920, 1080, WHOLE, frozenset({"left_knee"})),
    FramePoints(VIDEO, 120, 1920, 1080, PARTLY),
    FramePoints("0002-0001_right_1-9", 0, 640, 360, {"nose": (0.0, 0.0)}),
]


def assert_alike(frames: list[FramePoints], expected: list[FramePoints], tolerance: float = 1e-3) -> None:
    assert [(one.image, one.width, one.height, one.interpolated) for one in frames] == [
        (one.image, one.width, one.height, one.interpolated) for one in expected
    ]
    for one, other in zip(frames, expected, strict=True):
        assert one.points.keys() == other.points.keys()
        for name, place in one.points.items():
            assert place == pytest.approx(other.points[name], abs=tolerance), name


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_is_read(tmp_path: Path, format: str) -> None:
    path = tmp_path / FILE_NAMES[format]
    write_frames(path, format, [*FRAMES, FramePoints(VIDEO, 7, 1920, 1080, {})])
    frames, without_skeleton = read_frames(path, format)
    assert_alike(frames, FRAMES)
    assert [name.split("/")[-1].split("=")[-1] for name in without_skeleton] == [f"{VIDEO}_000007.png"]


def test_pycocotools_reads_and_writes_the_keypoints(tmp_path: Path) -> None:
    """COCO's own library reads the file, a keypoint is moved and one hidden, and its data set is read back."""
    from pycocotools.coco import COCO

    path = tmp_path / "annotations.json"
    write_frames(path, "coco", FRAMES)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    (category,) = coco.loadCats(coco.getCatIds(["child"]))
    assert tuple(category["keypoints"]) == POINTS
    assert [POINTS[a - 1].split("_")[-1] for a, _ in category["skeleton"]][:2] == ["shoulder", "hip"]
    (annotation,) = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert annotation["num_keypoints"] == 23
    knee, heel = (3 * POINTS.index(name) for name in ("left_knee", "right_heel"))
    assert annotation["keypoints"][knee : knee + 3] == [*WHOLE["left_knee"], 1]
    annotation["keypoints"][knee : knee + 3] = [12.5, 13.5, 2]
    annotation["keypoints"][heel : heel + 3] = [0, 0, 0]
    path.write_text(json.dumps(coco.dataset))
    frames, without_skeleton = read_frames(path, "coco")
    moved = {name: place for name, place in WHOLE.items() if name != "right_heel"} | {"left_knee": (12.5, 13.5)}
    assert_alike(frames, [FramePoints(VIDEO, 3, 1920, 1080, moved), *FRAMES[1:]])
    assert without_skeleton == []


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
  <meta><task><id>4</id><name>gait</name><labels><label><name>child</name><type>skeleton</type></label></labels></task></meta>
  <image id="0" name="images/{video}_000003.png" width="1920" height="1080">
    <skeleton label="child" source="manual" z_order="0">
      <points label="left_knee" source="manual" outside="0" occluded="1" points="54.47,94.81"></points>
      <points label="nose" source="manual" outside="1" occluded="0" points="60.21,98.16"></points>
    </skeleton>
  </image>
</annotations>"""


def test_a_file_as_cvat_exports_it_is_read(tmp_path: Path) -> None:
    """The form of CVAT's documentation: a folder before the name, hundredths of a pixel, hidden points outside."""
    path = tmp_path / "annotations.xml"
    path.write_text(CVAT.format(video=VIDEO))
    (frame,), _ = read_frames(path, "cvat")
    assert_alike([frame], [FramePoints(VIDEO, 3, 1920, 1080, {"left_knee": (53.97, 94.31)}, frozenset({"left_knee"}))])


def test_the_labels_of_a_cvat_task_join_the_joints() -> None:
    (skeleton,) = cvat_labels()
    assert [one["name"] for one in skeleton["sublabels"]] == list(POINTS)
    assert re.findall(r'data-label-name="(\w+)"', skeleton["svg"]) == list(POINTS)


def test_an_export_of_label_studio_is_read(tmp_path: Path) -> None:
    """A person's annotation counts before the prediction; uploads have a prefix before the picture's name."""
    path = tmp_path / "tasks.json"
    write_frames(path, "label-studio", FRAMES[:1])
    (task,) = json.loads(path.read_text())
    result = [one for one in task["predictions"][0]["result"] if one["value"]["keypointlabels"] != ["nose"]]
    result[0]["value"] |= {"x": 50.0, "y": 25.0}
    task["data"] = {"image": f"/data/upload/3/8ab1c2d3-{VIDEO}_000003.png"}
    task["annotations"] = [{"was_cancelled": True, "result": []}, {"id": 9, "result": result}]
    path.write_text(json.dumps([task]))
    (frame,), _ = read_frames(path, "label-studio")
    assert "nose" not in frame.points
    assert frame.points[POINTS[1]] == pytest.approx((959.5, 269.5))
    assert all(f'<Label value="{name}"/>' in label_studio_config() for name in POINTS)


@pytest.mark.parametrize(
    ("format", "text", "sentence"),
    [
        ("coco", "[]", "is no file of coco"),
        ("coco", '{"images": [], "categories": []}', "is no file of coco"),
        ("label-studio", '{"tasks": 3}', "is no file of label-studio"),
        ("cvat", "<annotations>", "is no XML"),
        ("cvat", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotations/>", "declares a document type"),
        ("cvat", "<other/>", "has the root"),
        ("cvat", CVAT.format(video="holiday"), "was not exported by childgait"),
        ("cvat", CVAT.format(video=VIDEO).replace("left_knee", "tail"), "there is no joint"),
        ("cvat", CVAT.format(video=VIDEO).replace("nose", "left_knee").replace('"1" occ', '"0" occ'), "there twice"),
        ("cvat", CVAT.format(video=VIDEO).replace("54.47,94.81", "54.47"), "is no file of cvat"),
        ("cvat", CVAT.format(video=VIDEO).replace("54.47,94.81", "nan,1"), "is at nan"),
    ],
)
def test_a_file_that_is_no_such_export_is_a_sentence(tmp_path: Path, format: str, text: str, sentence: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(StepError, match=sentence):
        read_frames(path, format)


def test_the_baseline_keeps_what_was_exported(tmp_path: Path) -> None:
    write_baseline(tmp_path / "exported.json", [*FRAMES, FramePoints(VIDEO, 7, 1920, 1080, {})], {VIDEO: "ab"})
    frames, hashes = read_baseline(tmp_path / "exported.json")
    assert hashes == {VIDEO: "ab"}
    assert_alike([frames[one.image] for one in FRAMES], FRAMES)
    assert frames[f"{VIDEO}_000007.png"].points == {}
    with pytest.raises(StepError, match="is missing"):
        read_baseline(tmp_path / "other.json")
