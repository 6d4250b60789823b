"""`childgait audit`: nothing that was changed, lost or added goes unnamed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from childgait.commands.audit import audit
from childgait.engine.flags import Input, Output
from childgait.engine.run_step import run_step
from childgait.files.annotations import rows_by_video, write_video_rows
from childgait.lineage.check import audit_tree
from support import toy_study


@pytest.fixture(autouse=True)
def _study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy_study.run_toy_study(["0001", "0002", "0007"], seed=1)


def findings() -> dict[str, list[str]]:
    result: dict[str, list[str]] = {}
    for finding in audit_tree(Path())[0]:
        result.setdefault(finding.path, []).append(str(finding))
    return result


def study_files() -> list[Path]:
    return sorted(p for root in ("data", "reports") for p in Path(root).rglob("*") if p.is_file())


def test_a_finished_run_is_whole(capsys):
    assert audit() == 0
    assert capsys.readouterr().out.startswith(f"whole: 0 finding(s); {len(study_files())} files")


def test_records_of_another_environment_are_told_and_no_fault(capsys):
    Path("envs").mkdir()
    Path("envs/requirements.lock").write_text("torch==0.1\n")
    assert audit() == 0
    records = len(list(Path().rglob("*.record.json")))
    assert f"note: {records} of the records were made with another envs/requirements.lock" in capsys.readouterr().out


def test_one_flipped_byte_in_any_file_is_found():
    """In each file in turn, records included; the first, the middle or the last byte."""
    for number, path in enumerate(study_files()):
        whole = path.read_bytes()
        place = (0, len(whole) // 2, len(whole) - 1)[number % 3]
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert str(path) in findings(), path
        path.write_bytes(whole)
    assert findings() == {}


def test_a_lost_file_is_found_with_its_step():
    for path in study_files():
        whole = path.read_bytes()
        path.unlink()
        assert findings(), path
        if not path.name.endswith(".record.json"):
            assert findings()[str(path)][0].startswith("missing")
        path.write_bytes(whole)


def test_a_changed_file_is_told_with_step_and_dependants(capsys):
    Path("data/prepare_clips/0007-0001_left_1-240.clip.json").write_text("other")
    assert audit() == 1
    out = capsys.readouterr().out
    assert "made by prepare_clips (data/prepare_clips/0007-0001_left_1-240.record.json)" in out
    assert "reports/figure.png, reports/metrics.json" in out
    assert "FAILED: 1 finding(s)" in out


def test_tables_of_programs_that_are_no_steps_are_not_audited():
    for name in ("reports/peers/peers.md", "reports/tasks/severity.md", "reports/bench/encoder.md"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("| row |")
    assert findings() == {}
    Path("reports/peers/index.html").write_text("x")
    assert list(findings()) == ["reports/peers/index.html"]


def test_an_extra_file_is_found():
    Path("data/register/extra.txt").write_text("x")
    Path("data/register/.partial-h-1-1-y.json").write_text("x")
    by_path = findings()
    assert "no record and no version of DVC names it" in by_path["data/register/extra.txt"][0]
    assert "left by a killed job" in by_path["data/register/.partial-h-1-1-y.json"][0]


def test_results_of_other_params_are_stale():
    toy_study.write_params(seed=2)
    (detail,) = findings()["data/split_subjects/split_subjects.record.json"]
    assert "other values of split_subjects" in detail


def test_results_of_other_code_are_stale(monkeypatch):
    monkeypatch.setattr("childgait.lineage.check.ROOT", Path("elsewhere"))
    assert all("made with other source files" in text for texts in findings().values() for text in texts)
    assert len(findings()) == 7  # one a step


def test_a_silently_restored_stale_file_is_found():
    """Outputs and records of an older run put back under newer ones: each file fits its record, the chain does not."""
    shutil.copytree("data/split_subjects", "kept")
    toy_study.run_toy_study(seed=2)
    shutil.rmtree("data/split_subjects")
    Path("kept").rename("data/split_subjects")
    details = [text for texts in findings().values() for text in texts]
    assert any("finetune read other bytes of data/split_subjects/0.train.csv" in text for text in details)
    assert any("other values of split_subjects" in text for text in details)


def dvc(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True, capture_output=True)


def test_a_forged_record_is_found_through_dvc():
    """Somebody who changes a file and its record, and mends the seal, still meets DVC's version."""
    from childgait.engine.record import seal

    dvc("init", "-q", "--no-scm")
    dvc("add", "-q", "data/register", "reports/metrics.json")
    assert findings() == {}
    facts = Path("data/register/0001-0001_left_1-240.json")
    record = facts.with_suffix(".record.json")
    facts.write_text("forged")
    body = json.loads(record.read_text())
    del body["seal"]
    body["outputs"]["facts"] = [json.loads(json.dumps(body["outputs"]["facts"][0]))]
    import hashlib

    body["outputs"]["facts"][0].update(sha256=hashlib.sha256(b"forged").hexdigest(), bytes=6)
    record.write_text(seal(body))
    assert "md5" in findings()[str(facts)][0]
    assert "md5" in findings()[str(record)][0]
    shutil.rmtree(".dvc/cache")  # without the listing, the folder as a whole still tells
    assert "not the folder of DVC's version" in findings()["data/register"][0]


def test_a_lost_record_is_no_raw_file():
    dvc("init", "-q", "--no-scm")
    dvc("add", "-q", "data/register")
    record = Path("data/register/0001-0001_left_1-240.record.json")
    record.unlink()
    assert findings()[str(record)] == [
        f"missing  {record}: dvc.lock has it (data/register.dvc); no record here names it; nothing depends on it"
    ]


def test_a_whole_folder_without_its_listing_is_whole():
    dvc("init", "-q", "--no-scm")
    dvc("add", "-q", "data/register")
    shutil.rmtree(".dvc/cache")
    assert findings() == {}


def refine(corrections: Input, refined: Output) -> None:
    refined.write_text(corrections.read_text())


def test_rows_of_a_video_are_compared_with_the_table_as_it_is():
    """Their files are written by each plan, so that a clone without them is whole, and an edited table is not."""
    name = "0001-0001_left_1-9"
    table = Path("annotations/corrections.csv")
    table.parent.mkdir()
    table.write_text(f"video,frame,reason\n{name},3,x\n")
    rows = write_video_rows(table, name, rows_by_video(table)[name])
    record = Path(f"data/refine/{name}.record.json")
    run_step(refine, {"corrections": rows, "refined": record.with_name(f"{name}.csv")}, None, record)
    shutil.rmtree(".snakemake")
    assert findings() == {}
    table.write_text(f"video,frame,reason\n0002-0001_left_1-9,1,y\n{name},3,x\n")
    assert findings() == {}
    table.write_text(f"video,frame,reason\n{name},4,x\n")
    assert "changed" in findings()[str(rows)][0]
    table.write_text("video,frame,reason\n")
    assert "missing" in findings()[str(rows)][0]
