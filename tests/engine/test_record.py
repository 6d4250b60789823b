"""Records are deterministic, sealed and true to the inputs; what differs between runs is only in the log."""

import ast
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from childgait.engine import record, source_files
from childgait.engine.flags import Input, Output, Raw
from childgait.engine.run_step import run_step
from childgait.engine.source_files import PACKAGE
from childgait.errors import StepError
from childgait.params import section_for_record
from support import toy_study


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def copy(source: Input, target: Output) -> None:
    target.write_bytes(source.read_bytes())


def run_copy(source="in.txt", target="out.txt", function=copy):
    run_step(function, {"source": Path(source), "target": Path(target)}, None, Path("out.record.json"))
    return json.loads(Path("out.record.json").read_text())


def test_a_record_names_what_went_in_and_out():
    Path("in.txt").write_text("hello")
    result = run_copy()
    hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # sha256 of "hello", as sha256sum says
    assert result["inputs"] == {"source": [{"path": "in.txt", "sha256": hello, "bytes": 5}]}
    assert result["outputs"] == {"target": [{"path": "out.txt", "sha256": hello, "bytes": 5}]}
    assert result["step"] == "copy"
    assert len(result["environment"]["lock_sha256"]) == 64
    assert result["environment"]["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert any(name.endswith("test_record.py") for name in result["code"])


def test_the_same_run_gives_the_same_bytes():
    toy_study.run_toy_study()
    first = {path: path.read_bytes() for path in Path().rglob("*.record.json")}
    toy_study.run_toy_study(cohort=False)
    assert first == {path: path.read_bytes() for path in Path().rglob("*.record.json")}
    assert len(first) == 17


def test_params_stand_under_their_section():
    toy_study.run_toy_study(seed=2)
    result = json.loads(Path("data/split_subjects/split_subjects.record.json").read_text())
    assert result["params"]["split_subjects"]["seed"] == 2


def test_a_run_is_told_without_the_study_around_it():
    """Another model, another seed or overrides of another model do not change the record of this run."""
    section = {"models": ["a"], "folds": ["0"], "seeds": [1], "epochs": 3, "overrides": {"a": {"epochs": 4}}}
    description = section_for_record("finetune", section, {"model_name": "a", "fold": "0"})
    assert description == {"epochs": 3, "overrides": {"epochs": 4}}
    wider = section | {"models": ["a", "b"], "seeds": [1, 2], "overrides": {"a": {"epochs": 4}, "b": {}}}
    assert section_for_record("finetune", wider, {"model_name": "a"}) == description
    assert section_for_record("finetune", section | {"epochs": 5}, {"model_name": "a"}) != description
    assert section_for_record("evaluate", {"windows_per_video": 4}, {"model_name": "a"}) == {"windows_per_video": 4}


def test_a_table_says_which_children_are_in_it():
    toy_study.run_toy_study(seed=1)
    outputs = json.loads(Path("data/split_subjects/split_subjects.record.json").read_text())["outputs"]
    assert outputs["train"][0]["subjects"] == ["0001", "0007"]
    assert outputs["test"][0]["subjects"] == ["0002"]


def test_children_of_a_parquet_table():
    import polars as pl

    pl.DataFrame({"subject": ["0002", "0001", "0002"], "x": [1, 2, 3]}).write_parquet("t.parquet")
    pl.DataFrame({"x": [1]}).write_parquet("u.parquet")
    assert record.subjects_in(Path("t.parquet")) == ["0001", "0002"]
    assert record.subjects_in(Path("u.parquet")) is None


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_any_changed_byte_of_a_record_breaks_its_seal(place):
    Path("in.txt").write_text("hello")
    run_copy()
    text = Path("out.record.json").read_text()
    assert record.seal_holds(text)
    other = "x" if text[place] != "x" else "y"
    assert not record.seal_holds(text[:place] + other + text[place + 1 :])


def test_an_input_that_changes_meanwhile_gives_no_record():
    def meddle(source: Input, target: Output) -> None:
        target.write_bytes(source.read_bytes())
        source.write_text("something else")

    Path("in.txt").write_text("hello")
    with pytest.raises(StepError, match=r"in\.txt changed while meddle was reading it"):
        run_copy(function=meddle)
    assert not Path("out.record.json").exists()


def test_a_source_file_that_changes_meanwhile_gives_no_record(monkeypatch):
    Path("in.txt").write_text("hello")
    description = iter([{"src/a.py": "1"}, {"src/a.py": "2"}])
    monkeypatch.setattr(record, "describe_code", lambda function: next(description))
    with pytest.raises(StepError, match=r"src/a\.py changed while copy"):
        run_copy()


def test_a_folder_is_one_thing_by_names_and_contents():
    for name, text in (("a", "1"), ("b/c", "2")):
        path = Path("folder") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    first = record.describe_input(Path("folder"))
    assert (first["files"], first["bytes"]) == (2, 2)
    Path("folder/b/c").rename("folder/b/d")
    assert record.describe_input(Path("folder"))["sha256"] != first["sha256"]


def test_a_folder_that_a_step_makes_is_named_file_by_file():
    def unpack(target: Output) -> None:
        (target / "inner").mkdir(parents=True)
        (target / "inner" / "a.txt").write_text("a")

    for _ in range(2):  # the second time, over the first
        run_step(unpack, {"target": Path("made")}, None, Path("made/unpack.record.json"))
    result = json.loads(Path("made/unpack.record.json").read_text())
    assert [entry["path"] for entry in result["outputs"]["target"][0]["contents"]] == ["made/inner/a.txt"]


def test_raw_files_carry_dvcs_name():
    def take(source: Raw, target: Output) -> None:
        target.write_bytes(source.read_bytes())

    Path("in.txt").write_text("hello")
    assert run_copy(function=take)["inputs"]["source"][0]["md5"] == "5d41402abc4b2a76b9719d911017c592"  # md5sum's


def _many_lines(folder: str) -> None:
    import os

    os.chdir(folder)
    watch = record.Watch(copy, [])
    for _ in range(50):
        record.log_run(Path("x.record.json"), "copy", watch)


def test_the_log_of_parallel_jobs_does_not_mix(tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.map(_many_lines, [str(tmp_path)] * 4)
    lines = [json.loads(line) for line in Path("logs/runs.jsonl").read_text().splitlines()]
    assert len(lines) == 200
    assert {"commit", "clean", "host", "device", "seconds", "peak_memory_mb", "versions"} <= lines[0].keys()


def test_a_step_can_add_to_its_log_line(monkeypatch):
    monkeypatch.setattr(record, "_notes", {})
    record.add_run_note(mlflow_run="run of MLflow")
    Path("in.txt").write_text("hello")
    run_copy()
    assert json.loads(Path("logs/runs.jsonl").read_text())["mlflow_run"] == "run of MLflow"
    assert "run of MLflow" not in Path("out.record.json").read_text()


def test_what_a_run_writes_does_not_make_the_tree_unclean(monkeypatch):
    """Otherwise only the first stage of a run would be clean. The workflow and a step run by hand agree."""
    for name in ("CHILDGAIT_COMMIT", "CHILDGAIT_CLEAN"):
        monkeypatch.delenv(name, raising=False)
    script = source_files.ROOT / "workflow" / "environment"

    def clean() -> tuple[bool, str]:
        record.git_state.cache_clear()
        description = subprocess.run(
            ["bash", "-c", f"source {script}; echo $CHILDGAIT_CLEAN"], capture_output=True, text=True
        )
        return record.git_state()["clean"], description.stdout.strip()

    monkeypatch.setenv("CHILDGAIT_COMMIT", "none")  # what the workflow says where there is no git
    record.git_state.cache_clear()
    assert record.git_state() == {"commit": None, "clean": None}
    monkeypatch.delenv("CHILDGAIT_COMMIT")
    subprocess.run(["git", "init", "-q"], check=True)
    Path(".gitignore").write_text("/.snakemake/\n/.dvc/\n/logs/\n/.cache/\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["add", "."], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], check=True)
    Path("reports").mkdir()
    for name in record.WRITTEN_BY_RUN:
        Path(name).write_text("made by the run")
    assert clean() == (True, "1")
    Path("reports/other").write_text("not by the run")
    assert clean() == (False, "0")
    record.git_state.cache_clear()


def test_a_step_without_memory_says_so():
    def hungry(source: Input, target: Output) -> None:
        raise MemoryError

    Path("in.txt").write_text("hello")
    with pytest.raises(StepError, match=r"hungry ran out of memory.*mem_mb"):
        run_copy(function=hungry)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_quick_walk_misses_nothing_that_a_whole_parse_finds(path):
    assert source_files._imports(path) >= source_files._imported_by(ast.parse(path.read_text()))
