"""DVC as workflow/run starts it: each file and folder is read once, and what changed is run as by `dvc` itself."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from childgait.engine.source_files import ROOT

sys.path.insert(0, str(ROOT / "workflow"))
import run_dvc

STAGES = """
stages:
  first:
    cmd: mkdir -p made && cp given/* made/
    deps: [given]
    outs: [made]
  second:
    cmd: cat made/* > pooled.txt
    deps: [made]
    params: [unit]
    outs: [pooled.txt]
  third:
    cmd: cat made/* pooled.txt > all.txt
    deps: [made, pooled.txt]
    params: [times]
    outs: [all.txt]
"""


def run(folder: Path, *command: str) -> str:
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def stages_run(folder: Path, *, plain: bool = False) -> list[str]:
    """Reproduce the study; returns the stages that ran."""
    start = ["-m", "dvc"] if plain else [str(ROOT / "workflow/run_dvc.py")]
    said = run(folder, sys.executable, *start, "repro")
    return [name for name in ("first", "second", "third") if f"Running stage '{name}'" in said]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Three stages, of which two read the folder that the first writes."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given/a.txt").write_text("a")
    (tmp_path / "params.yaml").write_text("unit: byte\ntimes: 1\n")
    (tmp_path / "dvc.yaml").write_text(STAGES)
    run(tmp_path, sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet")
    return tmp_path


def test_it_is_written_for_the_locked_dvc() -> None:
    """Another version is started as it is; compare the replaced functions with their originals before a change."""
    assert importlib.metadata.version("dvc") == run_dvc.WRITTEN_FOR


def test_stages_run_where_dvc_would_run_them_and_nowhere_else(study: Path) -> None:
    assert stages_run(study) == ["first", "second", "third"]
    assert stages_run(study, plain=True) == []
    (study / "given/a.txt").write_text("b")  # `made` was hashed before the first stage rewrites it
    assert stages_run(study) == ["first", "second", "third"]
    assert (study / "all.txt").read_text() == "bb"
    (study / "params.yaml").write_text("unit: byte\ntimes: 2\n")
    assert stages_run(study) == ["third"]
    assert stages_run(study) == []
    assert stages_run(study, plain=True) == []


def test_a_folder_is_hashed_once_until_a_stage_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    class Out:
        fs_path, hash_name = "made", "md5"
        fs = type("Local", (), {"protocol": "local"})

    monkeypatch.setattr(run_dvc, "hash_again", lambda out: hashed.append(out.fs_path))
    monkeypatch.setattr(run_dvc, "run_stage", lambda stage: run_dvc.hash_once(Out()))
    for _ in range(3):
        run_dvc.hash_once(Out())
    assert hashed == ["made"]
    run_dvc.run_and_forget(object())
    assert hashed == ["made", "made"], "a running stage hashes again"
    run_dvc.hash_once(Out())
    assert hashed == ["made", "made", "made"], "what a stage hashed is forgotten when it has ended"
    run_dvc.hashes.clear()


def test_what_was_parsed_once_is_handed_out_as_a_copy() -> None:
    first = run_dvc.parse_yaml("a: {b: 1}\n", "params.yaml")
    first["a"]["b"] = 2
    assert run_dvc.parse_yaml("a: {b: 1}\n", "params.yaml") == {"a": {"b": 1}}
    assert run_dvc.parse_yaml("", "params.yaml") == {}
