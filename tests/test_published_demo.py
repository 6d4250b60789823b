"""The committed dvc.lock and figures of the demo belong to the params and sources of their commit."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from childgait.engine.source_files import ROOT

LOCK = ROOT / "dvc.lock"
SOURCES = ("src/childgait", "workflow", "dvc.yaml", "params.yaml")

pytestmark = pytest.mark.skipif(not LOCK.exists(), reason="no demo is published")


def git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def stages() -> dict[str, Any]:
    return dict(YAML(typ="safe").load(LOCK)["stages"])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sources of the commit that published the lock."""
    commit = git("log", "-1", "--format=%H", "--", "dvc.lock").decode().strip()
    if not commit:
        pytest.skip("dvc.lock is not committed here")
    folder = tmp_path_factory.mktemp("published")
    with tarfile.open(fileobj=io.BytesIO(git("archive", commit, *SOURCES))) as archive:
        archive.extractall(folder, filter="data")
    return folder


def md5_of(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_the_lock_has_every_stage(stages: dict[str, Any]) -> None:
    assert set(stages) == set(YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"])


def test_the_figures_are_those_of_the_lock(stages: dict[str, Any]) -> None:
    outputs = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}
    for name in ("reports/headline.json", "reports/metrics.json"):
        assert outputs[name] == md5_of(ROOT / name)


def test_the_params_are_those_of_the_lock(stages: dict[str, Any], published: Path) -> None:
    params = YAML(typ="safe").load(published / "params.yaml")
    sections = 0
    for stage in stages.values():
        for section, values in stage.get("params", {}).get("params.yaml", {}).items():
            assert values == params[section], section
            sections += 1
    assert sections > len(stages)


def test_the_sources_are_those_of_the_lock(stages: dict[str, Any], published: Path) -> None:
    done = subprocess.run(
        [sys.executable, "workflow/borders.py", "--write"],
        cwd=published,
        env=os.environ | {"PYTHONPATH": str(published / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    stamps = {out["path"]: out["md5"] for out in stages["sources"]["outs"]}
    assert len(stamps) == len(stages) - 1
    for name, digest in stamps.items():
        assert digest == md5_of(published / name), name
