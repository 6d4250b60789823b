"""DVC as workflow/run starts it: it parses a text once and prints the workflow's share of the processor time."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from childgait.engine.source_files import ROOT

sys.path.insert(0, str(ROOT / "workflow"))
import run_dvc

COUNT = "sum(i * i for i in range(5_000_000))"  # some tenths of a second of a processor
STAGES = f"""
stages:
  first:
    cmd: mkdir -p .snakemake && echo 0.25 > .snakemake/seconds_of_snakemake.txt && {sys.executable} -c "{COUNT}"
    always_changed: true
"""


def test_a_run_ends_with_its_processor_time_and_the_workflows_share(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(STAGES)
    (tmp_path / ".snakemake").mkdir()
    (tmp_path / ".snakemake/seconds_of_snakemake.txt").write_text("1000\n")  # of an earlier run
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    done = subprocess.run(
        [sys.executable, ROOT / "workflow/run_dvc.py", "repro"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    line = re.search(r"Processor time: ([\d.]+) s, of which ([\d.]+) s \((\d+)%\) in DVC", done.stdout)
    assert line, done.stdout
    total, own, share = map(float, line.groups())
    assert 0.25 < own < total < 1000, "the stage counts as the study's time, an earlier run's Snakemake not at all"
    lowest, highest = (own - 0.05) / (total + 0.05), (own + 0.05) / (total - 0.05)  # both are rounded to a tenth
    assert 100 * lowest - 0.5 <= share <= 100 * highest + 0.5


def test_a_failing_stage_is_a_failing_run(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages:\n  first:\n    cmd: exit 3\n    always_changed: true\n")
    (tmp_path / ".snakemake").mkdir()
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    done = subprocess.run([sys.executable, ROOT / "workflow/run_dvc.py", "repro"], cwd=tmp_path, capture_output=True)
    assert done.returncode != 0


def test_it_is_written_for_the_locked_dvc() -> None:
    """Another version is started as it is; compare the parser with its original before the constant is changed."""
    assert importlib.metadata.version("dvc") == run_dvc.WRITTEN_FOR


class Folder:
    """Stands for an output of DVC."""

    fs_path, hash_name = "out", "md5"


def test_a_folder_is_hashed_once_until_a_stage_has_run(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter(["first look", "second look", "third look", "fourth look"])
    monkeypatch.setattr(run_dvc, "hash_again", lambda output: next(looks))
    monkeypatch.setattr(run_dvc, "hashed", {})

    def stage_that_looks(self: Folder) -> None:
        assert run_dvc.get_hash(self) == "second look", "while a stage runs, nothing seen earlier counts"

    monkeypatch.setattr(run_dvc, "run_stage", stage_that_looks)
    folder = Folder()
    assert [run_dvc.get_hash(folder) for _ in range(2)] == ["first look"] * 2
    run_dvc.run(folder)
    assert [run_dvc.get_hash(folder) for _ in range(2)] == ["third look"] * 2


def test_a_stage_that_fails_discards_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_dvc, "hashed", {("out", "md5"): "before"})
    monkeypatch.setattr(run_dvc, "run_stage", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_dvc.run(Folder())
    assert run_dvc.hashed == {}
    assert run_dvc.running == []


CHAIN = """
stages:
  first:
    cmd: mkdir -p one && cp raw one/file
    deps: [raw]
    outs: [one]
  second:
    cmd: mkdir -p two && cp one/file two/file
    deps: [one]
    outs: [two]
  third:
    cmd: cat one/file two/file > three
    deps: [one, two]
    outs: [three]
"""


def test_a_chain_is_made_anew_as_by_plain_dvc(tmp_path: Path) -> None:
    """A hash that outlived a stage would make the later ones run, too, after an output was changed by hand."""
    printed: dict[str, list[str]] = {"ours": [], "plain": []}
    for name, command in (("ours", [ROOT / "workflow/run_dvc.py"]), ("plain", ["-m", "dvc"])):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "dvc.yaml").write_text(CHAIN)
        (folder / ".snakemake").mkdir()
        subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=folder, check=True)
        for raw, by_hand in (("a", None), ("b", None), ("a", None), ("a", "other")):
            (folder / "raw").write_text(raw)
            if by_hand is not None:
                (folder / "one/file").unlink()  # it may be a link into DVC's cache
                (folder / "one/file").write_text(by_hand)
            done = subprocess.run(
                [sys.executable, *command, "repro"], cwd=folder, check=True, capture_output=True, text=True
            )
            printed[name] += [line for line in done.stdout.splitlines() if line.startswith(("Running", "Stage"))]
            assert (folder / "three").read_text() == raw + raw
    assert printed["ours"] == printed["plain"]
    assert "Stage 'second' didn't change, skipping" in printed["ours"]
    assert (tmp_path / "ours/dvc.lock").read_text() == (tmp_path / "plain/dvc.lock").read_text()


def test_what_was_parsed_once_is_handed_out_as_a_copy() -> None:
    first = run_dvc.parse_yaml("a: {b: 1}\n", "params.yaml")
    first["a"]["b"] = 2
    assert run_dvc.parse_yaml("a: {b: 1}\n", "params.yaml") == {"a": {"b": 1}}
    assert run_dvc.parse_yaml("", "params.yaml") == {}
