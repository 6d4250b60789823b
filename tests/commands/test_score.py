"""One child from videos to the page: the study's steps, a bundle, and a sentence for what cannot be scored."""

import contextlib
import csv
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from childgait.commands.score import score
from childgait.domain.evgs import TARGET_NAMES, VIEWS_OF_PLANE
from childgait.errors import StepError
from childgait.files.atomic import atomic_outputs
from childgait.files.clips import open_clip
from childgait.gait.features import measure_items
from childgait.params import Synthesize
from childgait.report.child.compare import read_comparison
from childgait.report.child.find_recordings import Request, find_recordings
from childgait.report.child.record import ChildRecord, read_record
from childgait.report.child.score import score_requests
from childgait.report.child.visits_table import read_requests
from childgait.steps.synthesize import synthesize
from childgait.training.bundle import open_bundle
from support.bundled_study import BundledStudy, make_bundled_study
from support.small_bundle import small_bundle
from support.small_study import PARAMS
from support.walking_videos import write_video


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> BundledStudy:
    return make_bundled_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "cohort"
    small = {"subjects": 2, "width": 320, "height": 180, "seconds": [2.6, 2.8], "missing_views": 0.0, "bystander": 0.0}
    small |= {"sessions": 1, "repeated_visits": 0.0}
    with atomic_outputs([root]) as partial:
        synthesize(partial[root], Synthesize.model_validate(PARAMS["synthesize"] | small))
    return root


def videos_of(cohort: Path, *views: str) -> list[Path]:
    return [path for view in views for path in sorted(cohort.glob(f"dataset/0001/*_{view}_*.mp4"))]


@pytest.fixture(scope="module")
def scored(made: BundledStudy, cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one child, scored on a side view and a front view."""
    out = tmp_path_factory.mktemp("out")
    before = os.umask(0o027)  # as the command line sets it
    score(videos_of(cohort, "left", "forward"), bundle=made.bundle, out=out, processes=1)
    os.umask(before)
    return out


@pytest.mark.slow
def test_the_page_and_the_numbers_are_there(scored: Path, made: BundledStudy) -> None:
    record = read_record(scored / "child.json")
    assert (record.child, record.session, record.synthetic) == ("0001", "0001", True)
    assert record.bundle == open_bundle(made.bundle).hash
    assert [item.target for item in record.items] == list(TARGET_NAMES)
    assert all(one.used for one in record.recordings), record.recordings
    page = (scored / "child.html").read_text()
    assert "Synthetic training data: not for use on a person" in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page), "the page loads something"
    assert len(json.loads(page.split('id="data">')[1].split("</script>")[0])["films"]) == 2
    with (scored / "child.csv").open(newline="") as rows:
        table = list(csv.DictReader(rows))
    assert [row["answer"] for row in table] == [item.answer for item in record.items]


@pytest.mark.slow
def test_no_other_user_can_read_what_was_scored(scored: Path) -> None:
    files = [path for path in scored.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".html", ".mp4", ".npy", ".parquet", ".jpg"}
    assert [path for path in files if path.stat().st_mode & 0o007] == []


@pytest.mark.slow
def test_rules_read_the_values_of_the_study(scored: Path) -> None:
    record = read_record(scored / "child.json")
    clips = [open_clip(path) for path in sorted((scored / "data/prepare_clips").glob("*.clip.json"))]
    table = {(r["video"], r["limb"], r["code"]): r for r in measure_items(clips).iter_rows(named=True)}
    readings = [item for item in record.items if item.rule]
    assert readings
    for item in readings:
        assert item.rule is not None
        row = table[(item.rule.video, item.limb, item.code)]
        assert item.rule.value == pytest.approx(row["value"], abs=5e-4)
        assert (item.rule.score, item.rule.frame) == (row["score"], row["frame"])


@pytest.mark.slow
def test_an_item_without_evidence_is_not_answered(scored: Path) -> None:
    for item in read_record(scored / "child.json").items:
        assert (item.answer == "cannot tell") == (item.reason is not None)


@pytest.mark.slow
def test_a_second_call_computes_nothing(
    scored: Path, made: BundledStudy, cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in scored.rglob("*") if path.is_file()}
    score(videos_of(cohort, "left", "forward"), bundle=made.bundle, out=scored, processes=1)
    assert "nothing to compute, the input is the same" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in scored.rglob("*") if path.is_file()} == before


@pytest.fixture
def copied(scored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scored, tmp_path / "out"))


@pytest.mark.slow
def test_a_missing_view_leaves_its_items_unanswered(copied: Path, made: BundledStudy, cohort: Path) -> None:
    score(videos_of(cohort, "left"), bundle=made.bundle, out=copied, processes=1)
    record = read_record(copied / "child.json")
    described = open_bundle(made.bundle).description
    coronal = [i for i in record.items if set(described.views[i.code]) == set(VIEWS_OF_PLANE["coronal"])]
    assert len(coronal) == 12
    assert {item.reason for item in coronal} == {"no usable recording from the front or from behind"}
    assert all(total.expected_atypical is None for total in record.totals)
    assert "no usable recording from the front" in (copied / "child.html").read_text()


@pytest.mark.slow
def test_a_video_that_cannot_be_read_is_stated_on_the_page(
    copied: Path, made: BundledStudy, cohort: Path, tmp_path: Path
) -> None:
    broken = child_folder(tmp_path / "made") / "0001-0001_right_1-99.mp4"
    broken.write_bytes(b"no video")
    score([*videos_of(cohort, "left"), broken], bundle=made.bundle, out=copied, processes=1)
    record = read_record(copied / "child.json")
    assert [(one.view, one.used) for one in record.recordings] == [("left", True), ("right", False)]
    assert "0001-0001_right_1-99.mp4" in record.recordings[1].reasons[0]
    score([broken], bundle=made.bundle, out=copied, processes=1)
    record = read_record(copied / "child.json")
    assert not record.fit
    assert {item.answer for item in record.items} == {"cannot tell"}
    assert "No recording can be shown" in (copied / "child.html").read_text()


def join_videos(paths: list[Path], target: Path) -> None:
    """Write the first second of each video, one after another: whoever was there is suddenly gone."""
    pictures: list[np.ndarray] = []
    for path in paths:
        with av.open(str(path)) as container:
            pictures += [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), 60)]
    write_video(target, pictures)


@pytest.mark.slow
def test_a_held_video_is_neither_scored_nor_shown(
    made: BundledStudy, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody is lost between two joined videos: nothing after deidentify reads them."""
    bare = tmp_path / "Anna_Mueller" / "anna.MP4"
    bare.parent.mkdir()
    join_videos([*videos_of(cohort, "left"), *cohort.glob("dataset/0002/*_right_*.mp4")], bare)
    score([bare], bundle=made.bundle, out=tmp_path / "out", view=["left"], child="0042", processes=1)
    record = read_record(tmp_path / "out/child.json")
    assert record.child == "0042"
    assert record.recordings[0].reasons[0].startswith("a person must review it first: ")
    assert "no SAM 3" not in record.recordings[0].reasons[0]  # a doubt of its own, not the lack of a detector
    assert "deidentify/*.heads.jpg" in capsys.readouterr().err
    assert "data:image/webp" not in (tmp_path / "out/child.html").read_text().split("<script>")[0]
    assert not (tmp_path / "out/data/segment").exists()
    names = [path for path in (tmp_path / "out").rglob("*") if re.search(rb"(?i)anna", str(path).encode() + read(path))]
    assert names == [], "the folder and the file are named after a person"


def read(path: Path) -> bytes:
    """Read a file, or the target of a link."""
    return str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""


def child_folder(root: Path) -> Path:
    """Make the folder of a child in a cohort that `synthesize` made, whose unseen people a bundle may accept."""
    folder = root / "dataset" / "0001"
    folder.mkdir(parents=True)
    (root / "cohort.json").write_text("{}")
    return folder


def copy_recording(source: Path, stem: Path) -> None:
    """Copy a video with its keypoints to files of another name."""
    for one in source.parent.glob(f"{source.stem}*"):
        target = stem.with_name(one.name.replace(source.stem, stem.name))
        _ = shutil.copytree(one, target) if one.is_dir() else shutil.copy(one, target)


@pytest.mark.slow
def test_two_sessions_are_compared(
    copied: Path, made: BundledStudy, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second session is the first one's side view once more: nothing has changed, and one view is missing."""
    again = child_folder(tmp_path / "made")
    copy_recording(videos_of(cohort, "left")[0], again / "0001-0002_left_1-99")
    paths = [*videos_of(cohort, "left", "forward"), again]
    score(paths, bundle=made.bundle, out=copied, processes=1)
    first, second = (read_record(copied / session / "child.json") for session in ("0001", "0002"))
    comparison = read_comparison(copied / "visits_0001_0002.json")
    assert comparison is not None
    assert comparison.sessions == ("0001", "0002")
    assert not (copied / "child.html").exists()  # of the call with one session
    described = open_bundle(made.bundle).description
    for item, one, two in zip(comparison.items, first.items, second.items, strict=True):
        assert (item.answer_before, item.answer_after) == (one.answer, two.answer)
        assert (item.reason is None) == (one.evidence and two.evidence)
        if "left" not in described.views[item.code]:
            assert "visit 0002: no usable recording" in str(item.reason)
        elif item.probability.change is not None:
            assert item.probability.change == pytest.approx(0.0, abs=1e-4)
        assert item.rule.change in (0.0, None)
    assert {one.rms for one in comparison.curves} == {0.0, None}
    assert "visit 0002: no usable recording" in (copied / "visits_0001_0002.html").read_text()
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.is_file()}
    capsys.readouterr()
    score(paths, bundle=made.bundle, out=copied, processes=1)
    assert capsys.readouterr().out.count("nothing to compute, the input is the same") == 3
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_view_that_nothing_states_is_found_and_shown(
    made: BundledStudy, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = child_folder(tmp_path / "made") / "clip.mp4"
    copy_recording(videos_of(cohort, "left")[0], clip.with_suffix(""))
    score([clip], bundle=made.bundle, out=tmp_path / "out", child="0042", processes=1)
    assert "clip.mp4: the view is left" in capsys.readouterr().err
    record = read_record(tmp_path / "out/child.json")
    assert (record.recordings[0].view, record.recordings[0].used) == ("left", True)
    assert record.recordings[0].remarks[0].startswith("the view was found")
    assert "the view was found" in (tmp_path / "out/child.html").read_text()
    before = (tmp_path / "out/child.html").stat().st_mtime_ns
    score([clip], bundle=made.bundle, out=tmp_path / "out", child="0042", processes=1)
    assert (tmp_path / "out/child.html").stat().st_mtime_ns == before


@pytest.fixture
def registered(made: BundledStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bundle as a version in an MLflow store of its own; returns its address."""
    from childgait.engine.mlflow_registry import register_bundle

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
    assert register_bundle(made.bundle) == "1"
    assert register_bundle(made.bundle) == "1"  # the same hash is not registered again
    return "models:/childgait@study"


@pytest.mark.slow
def test_the_bundle_is_a_model_of_mlflow(registered: str, copied: Path, made: BundledStudy, cohort: Path) -> None:
    """The registered version predicts what the page states, in this process and from a server on 127.0.0.1."""
    import mlflow
    import pandas as pd

    client = mlflow.MlflowClient()
    version = client.get_model_version_by_alias("childgait", "study")
    assert version.tags["bundle"] == open_bundle(made.bundle).hash
    assert any(name.startswith("overall/") for name in client.get_run(version.run_id).data.metrics)
    model = mlflow.pyfunc.load_model(registered)
    assert model.metadata.signature.inputs.input_names()[0] == "path"
    assert model.metadata.saved_input_example_info is not None
    record = read_record(copied / "child.json")
    rows = {"path": [str(path) for path in videos_of(cohort, "left", "forward")]}
    answers = model.predict(pd.DataFrame(rows | {"child": ["0001", "0001"]}), params={"out": str(copied)})
    check_answers(answers.to_dict("records"), record)
    with pytest.raises(mlflow.MlflowException, match="does not exist"):
        model.predict(pd.DataFrame({"path": ["nothing.mp4"]}))
    with serving(registered) as address:
        body = {"dataframe_records": [{"path": path, "child": "0001"} for path in rows["path"]]}
        served = post(f"{address}/invocations", body | {"params": {"out": str(copied)}})
    check_answers(served["predictions"], record)


def check_answers(rows: list[dict[str, Any]], record: ChildRecord) -> None:
    assert [row["target"] for row in rows] == [item.target for item in record.items]
    for row, item in zip(rows, record.items, strict=True):
        assert (row["answer"], row["reason"]) == (item.answer, item.reason or "")
        number = row["probability"]
        if item.probability is None:
            assert number is None or math.isnan(number)
        else:
            assert number == pytest.approx(item.probability, abs=1e-6)


@contextlib.contextmanager
def serving(model: str) -> Iterator[str]:
    """Start `mlflow models serve` in this environment on a free port of 127.0.0.1; stop it with its workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    process = subprocess.Popen([*command, "-h", "127.0.0.1", "-p", str(port)], start_new_session=True)
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            assert process.poll() is None, "the server has ended"
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
                break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def post(address: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.loads(answer.read())


def test_a_record_of_another_form_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "child.json"
    path.write_text("{}")
    with pytest.raises(StepError, match=r"child.json: format: field required"):
        read_record(path)
    assert ChildRecord.model_fields["format"].is_required()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for child in ("0001", "0002"):
        place = tmp_path / "dataset" / child
        place.mkdir(parents=True)
        (place / f"{child}-0001_left_1-100.mp4").touch()
        (place / f"{child}-0001_left_1-100_filtered_pose.zip").touch()
    return tmp_path


def test_recordings_are_found_in_every_layout(folder: Path) -> None:
    video = folder / "dataset/0002/0002-0001_left_1-100.mp4"
    for path in (video, video.parent):
        found = find_recordings(Request([path]))
        assert [(one.name, one.subject) for one in found] == [("0002-0001_left_1-100", "0002")]
        assert found[0].poses is not None
    assert [one.subject for one in find_recordings(Request([folder], child="0001"))] == ["0001"]


@pytest.mark.parametrize(
    ("request_of", "sentence"),
    [
        (lambda f: Request([f]), "there are recordings of 2 children"),
        (lambda f: Request([f], child="0009"), "there is no recording of child 0009"),
        (lambda f: Request([f / "nothing"]), "nothing does not exist"),
        (lambda f: Request([]), "there is no recording of a child in no path"),
        (lambda f: Request([f / "notes.txt"]), "notes.txt is no video"),
        (lambda f: Request([f / "clip.mp4"]), r"1 video\(s\) have names without a view, but 0 view\(s\) were given"),
        (lambda f: Request([f / "clip.mp4"], views=["side"]), "'side' is no view"),
        (lambda f: Request([f], child="../x"), "the child's number is"),
        (lambda f: Request([f], child="Anna"), "the child's number is"),
        (lambda f: Request([f], age_years=-3.0), "the age is -3 years"),
        (lambda f: Request([f], age_years=float("nan")), "the age is nan years"),
    ],
)
def test_a_request_that_names_no_child_is_one_sentence(folder: Path, request_of: object, sentence: str) -> None:
    (folder / "notes.txt").touch()
    (folder / "clip.mp4").touch()
    assert callable(request_of)
    with pytest.raises(StepError, match=sentence):
        find_recordings(request_of(folder))


def test_no_bundle_is_one_sentence(folder: Path) -> None:
    with pytest.raises(StepError, match="there is no bundle in"):
        score([folder], bundle=folder / "bundle")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "lacks the column"),
        (b"child,age\n0001,8\n", "lacks the column"),
        (b"path\n", "has no row"),
        (b"path,wish\na.mp4,x\n", "has the unknown column"),
        (b"path,age\n,3\n", "line 2: the path is empty"),
        (b"path,age\na.mp4,old\n", "line 2: the age .* is no number"),
        (b"path,sex\na.mp4,boy\n", "line 2: the sex .* is unknown"),
        (b"path,child,age\na.mp4,0001,3\nb.mp4,0001,5\n", "age differs between rows of one child"),
        (b"\xff\xfe\x00", "visits.csv"),
    ],
)
def test_a_bad_table_of_visits_is_one_sentence(tmp_path: Path, text: bytes, sentence: str) -> None:
    table = tmp_path / "visits.csv"
    table.write_bytes(text)
    with pytest.raises(StepError, match=sentence):
        read_requests(table)


def test_rows_of_one_child_are_its_recordings(tmp_path: Path) -> None:
    table = tmp_path / "visits.csv"
    table.write_text("path,child,age,sex,view\na.mp4,0001,8.5,F,left\n/b.mp4,0001,,,forward\nfolder,,,,\n")
    first, second = read_requests(table)
    assert first == Request([tmp_path / "a.mp4", Path("/b.mp4")], ["left", "forward"], "0001", 8.5, "female")
    assert second == Request([tmp_path / "folder"])


def test_ages_may_differ_between_the_sessions_of_a_table(tmp_path: Path) -> None:
    table = tmp_path / "visits.csv"
    rows = [
        "path,child,session,age,view",
        "a.mp4,0001,0001,8.5,left",
        "b.mp4,0001,0002,9.25,left",
        "c.mp4,0001,0002,,forward",
    ]
    table.write_text("\n".join(rows) + "\n")
    (request,) = read_requests(table)
    assert request.sessions == ["0001", "0002", "0002"]
    assert request.ages_years == {"0001": 8.5, "0002": 9.25}


def test_a_session_of_a_table_is_that_of_a_file_that_states_it(tmp_path: Path) -> None:
    table = tmp_path / "visits.csv"
    rows = ["path,session,age,child"] + [f"0001-000{n}_left_1-99.mp4,000{n},{7 + n}.5,0001" for n in (1, 2)]
    table.write_text("\n".join(rows) + "\n")
    (request,) = read_requests(table)
    assert request.sessions == []  # the names state them
    assert request.ages_years == {"0001": 8.5, "0002": 9.5}
    table.write_text("path,session,child\n0001-0001_left_1-99.mp4,0002,0001\n")
    with pytest.raises(StepError, match="line 2: the session is '0002', but the file's name states 0001"):
        read_requests(table)


def test_two_rows_of_a_child_that_do_not_state_it_are_refused(tmp_path: Path) -> None:
    for name in ("0001-0001_left_1-99.mp4", "0001-0001_right_1-99.mp4"):
        (tmp_path / name).touch()
    bundle = open_bundle(small_bundle(tmp_path / "bundle"))
    requests = [Request([path]) for path in sorted(tmp_path.glob("*.mp4"))]
    with pytest.raises(StepError, match=r"two rows are of child 0001 and do not state it: .*left.* and .*right"):
        score_requests(requests, bundle, tmp_path / "out", None, 1)
    assert not (tmp_path / "out").exists()


def test_sessions_are_named_like_views(folder: Path) -> None:
    (folder / "clip.mp4").touch()
    for sessions, sentence in (
        (["0001", "0002"], r"1 video\(s\) have names without a session"),
        (["two"], "the session is"),
    ):
        with pytest.raises(StepError, match=sentence):
            find_recordings(Request([folder / "clip.mp4"], views=["left"], sessions=sessions))
