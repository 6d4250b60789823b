"""Every format keeps keypoints, angles, events and features; read back from the bytes and by each format's library."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import ezc3d
import numpy as np
import openpyxl
import polars as pl
import pycocotools.coco
import pycocotools.cocoeval
import pytest

from childgait.commands.export import FORMATS, export
from childgait.domain.names import parse_video_name
from childgait.domain.poses import Status
from childgait.domain.skeleton import INDEX, POINTS
from childgait.errors import StepError
from childgait.files.clips import open_clip
from childgait.files.lab_c3d import write_c3d
from childgait.files.poses import read_poses, write_poses
from childgait.files.tables import write_table
from childgait.gait.events import EVENTS, GaitEvent
from childgait.gait.events import as_table as events_table
from childgait.gait.feature_names import NAMES
from childgait.gait.features import describe_limb, features_of_clips, measure_clip
from childgait.gait.kinematics import ANGLES
from childgait.gait.kinematics import as_table as angles_table
from childgait.gait.lab_angles import read_lab_angles
from childgait.lineage.search import mentions, names_of
from support.walking_study import make_walking_study

VIDEO = "0001-0001_left_1-240"
GONE = INDEX["left_ear"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of two recordings, as register, refine_pose and prepare_clips leave them."""
    folder = tmp_path_factory.mktemp("data")
    study = make_walking_study(folder / "prepare_clips", 2, 2, neutral=False, rate=30.0, pictures=False)
    for name in ("register", "refine_pose"):
        (folder / name).mkdir()
    for path in study.clips[:2]:
        clip = open_clip(path)
        walk, poses = measure_clip(clip), clip.poses()
        poses.xy[3, GONE], poses.score[3, GONE], poses.status[3, GONE] = np.nan, 0, Status.MISSING
        poses.status[4, GONE] = Status.FILLED
        target = folder / "refine_pose" / clip.video
        write_poses(target.with_name(f"{clip.video}.poses.parquet"), poses)
        write_table(target.with_name(f"{clip.video}.angles.parquet"), angles_table(walk.angles), ANGLES)
        events = [GaitEvent("left", "contact", 0.5, 15, "zeni"), GaitEvent("right", "foot_off", 0.7, 21, "zeni")]
        write_table(target.with_name(f"{clip.video}.events.parquet"), events_table(events), EVENTS)
        facts = {"width": 640, "height": 360, "frames_per_second": 30.0}
        (folder / "register" / f"{clip.video}.json").write_text(json.dumps(facts))
    return folder


def run(data: Path, out: Path, format: str, height: float | None = None) -> None:
    export(format, [VIDEO], out, height, data)


def test_csv_has_all_182_features_and_the_tables(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, "csv")
    tables = {path.name.split(".")[1]: pl.read_csv(path) for path in tmp_path.iterdir()}
    assert set(tables) == {"keypoints", "angles", "events", "strides", "features"}
    clip = open_clip(data / "prepare_clips" / f"{VIDEO}.clip.json")
    features = tables["features"]
    assert features["feature"].to_list() == [*NAMES, *NAMES]
    assert features["limb"].to_list() == ["left"] * len(NAMES) + ["right"] * len(NAMES)
    values = features["value"].to_numpy().astype(np.float32)
    np.testing.assert_array_equal(values, features_of_clips([clip])[0])
    assert np.isfinite(values).sum() > 60
    assert features["unit"].null_count() == 0
    assert tables["keypoints"].height == clip.length * len(POINTS)
    walk = measure_clip(clip)
    assert tables["strides"].height == sum(len(strides) for strides in walk.strides.values()) > 0
    left = tables["strides"].filter(pl.col("limb") == "left")
    assert left["stance_share"].median() == pytest.approx(describe_limb(walk, "left")["stance share"])


def test_xlsx_has_the_tables_of_csv_as_sheets(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, "csv")
    run(data, tmp_path, "xlsx")
    main = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(tmp_path / f"{VIDEO}.xlsx") as archive:
        assert archive.testzip() is None
        book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
        names = [sheet.attrib["name"] for sheet in book.iter(f"{main}sheet")]
        for number, name in enumerate(names, 1):
            sheet = ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{number}.xml"))
            rows = [["".join(cell.itertext()) for cell in row] for row in sheet.iter(f"{main}row")]
            with (tmp_path / f"{VIDEO}.{name}.csv").open(newline="") as stream:
                written = list(csv.reader(stream))
            for row, read in zip(written, rows, strict=True):
                assert all(a == b or float(a) == pytest.approx(float(b)) for a, b in zip(row, read, strict=True))
    assert names == ["keypoints", "angles", "events", "strides", "features"]


def read_trc(path: Path) -> tuple[dict[str, str], np.ndarray, np.ndarray]:
    """Read the header, the times and the markers (frames, markers, 3), NaN where a cell is empty."""
    lines = path.read_text().split("\n")
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert [name for name in lines[3].split("\t") if name] == ["Frame#", "Time", *POINTS]
    assert lines[5] == ""
    cells = [[float(cell or "nan") for cell in line.split("\t")] for line in lines[6:] if line]
    table = np.array(cells)
    return header, table[:, 1], table[:, 2:].reshape(len(table), -1, 3)


@pytest.mark.parametrize("height", [None, 1.2])
def test_trc_keeps_the_keypoints_with_y_upwards(data: Path, tmp_path: Path, height: float | None) -> None:
    run(data, tmp_path, "trc", height)
    header, seconds, markers = read_trc(tmp_path / f"{VIDEO}.trc")
    poses = read_poses(data / "refine_pose" / f"{VIDEO}.poses.parquet")
    assert (int(header["NumFrames"]), int(header["NumMarkers"])) == poses.score.shape
    np.testing.assert_allclose(seconds, poses.seconds, atol=1e-6)
    assert np.isnan(markers[3, GONE]).all()
    assert np.isnan(markers).sum() == 3
    nose, ankle = (markers[:, INDEX[name], 1] for name in ("nose", "left_ankle"))
    assert (nose > ankle).all()
    if height is None:
        assert header["Units"] == "px"
        np.testing.assert_allclose(markers[..., 0], poses.xy[..., 0], atol=1e-3)
        np.testing.assert_allclose(359 - markers[..., 1], poses.xy[..., 1], atol=1e-3)
    else:
        assert header["Units"] == "m"
        shoulders = markers[:, INDEX["left_shoulder"], 1]
        assert float(np.median(shoulders - ankle)) == pytest.approx(0.78 * height, rel=0.05)


def test_mot_keeps_the_angles(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, "mot")
    lines = (tmp_path / f"{VIDEO}.mot").read_text().splitlines()
    end = lines.index("endheader")
    header = dict(line.split("=") for line in lines[1:end])
    names = lines[end + 1].split("\t")
    table = np.array([[float(cell) for cell in line.split("\t")] for line in lines[end + 2 :]])
    assert table.shape == (int(header["nRows"]), int(header["nColumns"]))
    assert header["inDegrees"] == "yes"
    assert "pelvis_obliquity_l" not in names, "a side view does not show it"
    angles = pl.read_parquet(data / "refine_pose" / f"{VIDEO}.angles.parquet").filter(pl.col("limb") == "left")
    np.testing.assert_allclose(table[:, names.index("knee_angle_l")], angles["knee"].to_numpy(), atol=1e-5)
    np.testing.assert_allclose(table[:, 0], angles["seconds"].to_numpy(), atol=1e-6)


def test_coco_keeps_the_keypoints_and_marks_what_is_missing(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, "coco")
    result = json.loads((tmp_path / f"{VIDEO}.coco.json").read_text())
    poses = read_poses(data / "refine_pose" / f"{VIDEO}.poses.parquet")
    assert result["categories"][0]["keypoints"] == list(POINTS)
    assert [image["id"] for image in result["images"]] == list(range(1, len(poses) + 1))
    for row in result["annotations"]:
        points = np.array(row["keypoints"]).reshape(-1, 3)
        frame = row["image_id"] - 1
        there = points[:, 2] > 0
        assert row["num_keypoints"] == there.sum()
        np.testing.assert_allclose(points[there, :2], poses.xy[frame, there], atol=1e-3)
        left, top, width, height = row["bbox"]
        assert (points[there, :2] >= np.array([left, top]) - 2e-3).all()
        assert (points[there, :2] <= np.array([left + width, top + height]) + 2e-3).all()
    marks = [result["annotations"][frame]["keypoints"][3 * GONE + 2] for frame in (2, 3, 4)]
    assert marks == [2, 0, 1]


def test_openpyxl_reads_the_workbook_as_it_was_written(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, "csv")
    run(data, tmp_path, "xlsx")
    book = openpyxl.load_workbook(tmp_path / f"{VIDEO}.xlsx", read_only=True)
    assert book.sheetnames == ["keypoints", "angles", "events", "strides", "features"]
    for sheet in book:
        written = pl.read_csv(tmp_path / f"{VIDEO}.{sheet.title}.csv", infer_schema_length=None)
        rows = list(sheet.iter_rows(values_only=True))
        assert list(rows[0]) == written.columns
        assert len(rows) == written.height + 1
        for read, row in zip(rows[1:], written.iter_rows(), strict=True):
            filled = (*read, *[None] * (len(row) - len(read)))  # openpyxl leaves out empty cells at a row's end
            assert all(a == b or a == pytest.approx(b, rel=1e-6) for a, b in zip(filled, row, strict=True)), row


def test_pycocotools_loads_the_keypoints(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, "coco")
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = pycocotools.coco.COCO(str(tmp_path / f"{VIDEO}.coco.json"))
        marks = dataset.loadAnns(dataset.getAnnIds(imgIds=[5], catIds=dataset.getCatIds(catNms=["person"])))
        detections = [{"image_id": 5, "category_id": 1, "keypoints": marks[0]["keypoints"], "score": 1.0}]
        scores = pycocotools.cocoeval.COCOeval(dataset, dataset.loadRes(detections), "keypoints")
    scores.params.kpt_oks_sigmas = np.full(len(POINTS), 0.05)
    scores.params.imgIds = [5]
    scores.evaluate()
    assert scores.ious[5, 1] == pytest.approx(1.0), "the object keypoint similarity of the child to itself"


@pytest.mark.parametrize("height", [None, 1.2])
def test_ezc3d_reads_markers_angles_and_events(data: Path, tmp_path: Path, height: float | None) -> None:
    run(data, tmp_path, "c3d", height)
    path = tmp_path / f"{VIDEO}.c3d"
    file = ezc3d.c3d(str(path))
    poses = read_poses(data / "refine_pose" / f"{VIDEO}.poses.parquet")
    labels = file["parameters"]["POINT"]["LABELS"]["value"]
    points, residuals = file["data"]["points"], file["data"]["meta_points"]["residuals"][0]
    assert labels[: len(POINTS)] == list(POINTS)
    assert points.shape[2] == len(poses)
    assert file["parameters"]["POINT"]["RATE"]["value"][0] == 30
    assert file["parameters"]["POINT"]["UNITS"]["value"] == [("px" if height is None else "mm")]
    missing = ~poses.seen.T
    assert missing.sum() == 1
    np.testing.assert_array_equal(residuals[: len(POINTS)] < 0, missing)
    np.testing.assert_array_equal(np.isnan(points[0, : len(POINTS)]), missing)
    shown = points[:, : len(POINTS)][:, ~missing]
    xy = poses.xy.transpose(2, 1, 0)[:, ~missing]
    unit = 1.0 if height is None else shown[0, 0] / xy[0, 0]
    np.testing.assert_allclose(shown[0], xy[0] * unit, rtol=1e-5)
    np.testing.assert_allclose(shown[1], 0)
    np.testing.assert_allclose(shown[2], (359 - xy[1]) * unit, rtol=1e-5, atol=1e-3)
    events = file["parameters"]["EVENT"]
    assert events["CONTEXTS"]["value"] == ["Left", "Right"]
    assert events["LABELS"]["value"] == ["Foot Strike", "Foot Off"]
    np.testing.assert_allclose(events["TIMES"]["value"], [[0, 0], [0.5, 0.7]], atol=1e-6)


def test_exported_angles_are_read_as_a_laboratory_s(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, "c3d")
    angles = data / "refine_pose" / f"{VIDEO}.angles.parquet"
    read = read_lab_angles(tmp_path / f"{VIDEO}.c3d")
    assert set(read.curves) == {(limb, joint) for limb in ("left", "right") for joint in ("hip", "knee", "ankle")}
    for (limb, joint), curve in read.curves.items():
        own = pl.read_parquet(angles).filter(pl.col("limb") == limb).sort("frame")[joint].to_numpy()
        np.testing.assert_allclose(curve, own, rtol=1e-5)


OPENSIM = """
import json, math, sys
import opensim
marks = opensim.TimeSeriesTableVec3(sys.argv[1])
curves = opensim.TimeSeriesTable(sys.argv[2])

def position(row, column):
    point = marks.getRowAtIndex(row)[column]
    return [None if math.isnan(point[axis]) else point[axis] for axis in range(3)]

json.dump({
    "points": list(marks.getColumnLabels()), "unit": marks.getTableMetaDataString("Units"),
    "seconds": list(marks.getIndependentColumn()),
    "markers": [[position(row, n) for n in range(marks.getNumColumns())] for row in range(marks.getNumRows())],
    "degrees": curves.getTableMetaDataString("inDegrees"), "moments": list(curves.getIndependentColumn()),
    "curves": {label: list(curves.getDependentColumn(label).to_numpy()) for label in curves.getColumnLabels()},
}, sys.stdout)
"""  # in a process of its own: it brings its own BLAS and writes a log into the current folder


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="OpenSim has no release for Python 3.14")
def test_opensim_reads_markers_and_angles(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, "trc", 1.2)
    run(data, tmp_path, "mot")
    paths = [str(tmp_path / f"{VIDEO}.{ending}") for ending in ("trc", "mot")]
    command = [sys.executable, "-c", OPENSIM, *paths]
    read = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout)
    poses = read_poses(data / "refine_pose" / f"{VIDEO}.poses.parquet")
    assert (read["points"], read["unit"], read["degrees"]) == (list(POINTS), "m", "yes")
    np.testing.assert_allclose(read["seconds"], poses.seconds, atol=1e-6)
    np.testing.assert_allclose(read["moments"], poses.seconds, atol=1e-6)
    markers = np.array(read["markers"], dtype=float)
    np.testing.assert_array_equal(np.isfinite(markers).all(axis=2), poses.seen)
    scale = markers[0, 0, 0] / poses.xy[0, 0, 0]
    np.testing.assert_allclose(markers[..., 0], poses.xy[..., 0] * scale, atol=1e-3)
    np.testing.assert_allclose(markers[..., 1], (359 - poses.xy[..., 1]) * scale, atol=1e-3)
    angles = pl.read_parquet(data / "refine_pose" / f"{VIDEO}.angles.parquet").filter(pl.col("limb") == "right")
    np.testing.assert_allclose(read["curves"]["knee_angle_r"], angles.sort("frame")["knee"].to_numpy(), atol=1e-5)


def test_c3d_refuses_a_recording_without_a_constant_rate(data: Path, tmp_path: Path) -> None:
    poses = read_poses(data / "refine_pose" / f"{VIDEO}.poses.parquet")
    poses.seconds[5:] += 0.05
    with pytest.raises(StepError, match="C3D has one rate"):
        write_c3d(tmp_path / "walk.c3d", poses, 30.0, 360, None, {}, [])


@pytest.mark.parametrize("format", FORMATS)
def test_the_name_of_a_file_leads_an_erasure_to_it(data: Path, tmp_path: Path, format: str) -> None:
    export(format, None, tmp_path, None, data)
    paths = list(tmp_path.iterdir())
    assert {path.name.split(".")[0] for path in paths} == {VIDEO, "0002-0001_left_1-240"}
    for path in paths:
        child = parse_video_name(path.name.split(".")[0]).subject
        assert mentions(child).search(names_of(path)), "an erasure would not find it"


def test_an_impossible_request_is_refused(data: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("pdf", None), "known are csv, xlsx"),
        (("csv", ["0009-0001_left_1-2"]), "no recording"),
    ):
        with pytest.raises(StepError, match=words):
            export(*arguments, tmp_path, None, data)
    with pytest.raises(StepError, match="impossible"):
        export("trc", None, tmp_path, 122.0, data)
    with pytest.raises(StepError, match="make run"):
        export("csv", None, tmp_path, None, tmp_path)
