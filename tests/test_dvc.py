"""Experiments of DVC run in a plain clone, to which nobody has given the address of a remote."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from childgait.engine.source_files import ROOT

STAGES = """\
stages:
  cohort:
    cmd: mkdir -p data/demo && cp params.yaml data/demo/recording
    params: [children]
    outs:
    - data/demo:
        remote: raw
  report:
    cmd: cat data/demo/recording && echo "{\\"accuracy\\":`cut -d' ' -f2 params.yaml`}" > headline.json
    deps: [data/demo]
    params: [children]
    metrics:
    - headline.json:
        cache: false
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Two stages under the repository's own .dvc/config, run and committed once."""
    (tmp_path / "dvc.yaml").write_text(STAGES)
    (tmp_path / "params.yaml").write_text("children: 1\n")
    (tmp_path / ".gitignore").write_text("/data/\n")
    run(tmp_path, "git", "init", "--quiet")
    (tmp_path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", tmp_path / ".dvc")
    shutil.copy(ROOT / ".dvc" / ".gitignore", tmp_path / ".dvc")
    dvc(tmp_path, "repro", "--quiet")
    run(tmp_path, "git", "add", "--all")
    run(tmp_path, "git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "-m", "first")
    return tmp_path


def run(folder: Path, *command: str, fails: bool = False) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def dvc(folder: Path, *arguments: str, fails: bool = False) -> str:
    return run(folder, sys.executable, "-m", "dvc", *arguments, fails=fails)


def test_an_experiment_needs_no_remote_and_a_push_fails_until_there_is_one(clone: Path, tmp_path: Path) -> None:
    dvc(clone, "exp", "run", "--quiet", "-S", "children=2")
    assert json.loads(dvc(clone, "metrics", "diff", "--json"))["headline.json"]["accuracy"]["diff"] == 1
    assert "workspace" in dvc(clone, "exp", "show", "--csv")
    dvc(clone, "push", fails=True)
    assert not Path("/dev/null/no-address").exists()
    for name in ("raw", "derived"):
        dvc(clone, "remote", "add", "--quiet", "--local", name, str(tmp_path / "stores" / name))
    dvc(clone, "push", "--quiet")
    assert len([path for path in (tmp_path / "stores" / "raw").rglob("*") if path.is_file()]) == 2
