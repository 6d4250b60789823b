"""No bench rots: each imports what it measures, and those that need neither a study nor minutes run at a small size."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from childgait.engine.source_files import ROOT

BENCHES = sorted((ROOT / "bench").glob("*.py"))
SMALL: dict[str, list[str]] = {
    "cohort": ["--subjects", "2", "--out", "OUT"],
    "explanations": [
        "--train",
        "4",
        "--test",
        "4",
        "--networks",
        "stgcn",
        "--epochs",
        "1",
        "--seeds",
        "0",
        "--out",
        "OUT",
    ],
    "rules": ["--subjects", "2", "--out", "OUT"],
    "loader": ["--windows", "1", "--rounds", "1", "--pixels", "32", "--out", "OUT"],
}


def test_there_are_benches() -> None:
    assert {path.stem for path in BENCHES} > set(SMALL)


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.stem)
def test_what_a_bench_imports_exists(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(path.parent))  # some share functions
    spec = importlib.util.spec_from_file_location(f"bench_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    assert callable(module.main)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_bench_runs_at_a_small_size(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out.md"
    flags = [str(out) if flag == "OUT" else flag for flag in SMALL[name]]
    kept = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / f"{name}.py"), *flags], cwd=ROOT, env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "|" in out.read_text()
