"""A gate lets good rows through as one table, and stops bad ones with a sentence; what it found outlives the stop."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from childgait.engine.flags import find_function
from childgait.engine.run_step import run_step
from childgait.errors import StepError
from childgait.params import Gate, load_params
from childgait.steps.gate import gate
from test_gates import good_register

LIMITS: Gate = load_params(Path(__file__).parents[2] / "params.yaml")["gate"]  # type: ignore[assignment]


def write_rows(folder: Path, rows: list[dict]) -> list[Path]:
    paths = []
    for row in rows:
        paths.append(folder / f"{row['video']}.json")
        paths[-1].write_text(json.dumps(row))
    return paths


def test_good_rows_pass_as_one_table(tmp_path: Path) -> None:
    paths = write_rows(tmp_path, good_register())
    gate("register", paths, tmp_path / "p.parquet", tmp_path / "r.json", tmp_path / "docs", LIMITS)
    assert pl.read_parquet(tmp_path / "p.parquet").height == 6
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["passed"]
    assert results["rows"] == 6
    assert (tmp_path / "docs" / "index.html").exists()


def test_a_closed_gate_leaves_no_table_but_what_it_found(tmp_path: Path) -> None:
    rows = good_register()
    rows[3]["view"] = "above"
    values = {
        "step": "register",
        "rows": write_rows(tmp_path, rows),
        "pooled": tmp_path / "p.parquet",
        "results": tmp_path / "r.json",
        "docs": tmp_path / "docs",
    }
    result = find_function("gate")
    assert result is not None
    with pytest.raises(StepError, match=r"views have four names .*0004-0001_left_1-240 \(above\)"):
        run_step(result[0], values, Path(__file__).parents[2] / "params.yaml", tmp_path / "gate.record.json")
    assert not (tmp_path / "p.parquet").exists()
    assert not (tmp_path / "r.json").exists()
    assert not (tmp_path / "gate.record.json").exists()
    kept = json.loads((tmp_path / "docs" / "results.json").read_text())
    assert kept["critical_failures"] == 1
    pages = "".join(page.read_text() for page in (tmp_path / "docs").rglob("validations/**/*.html"))
    assert "above" in pages, "Data Docs show the failing value"


def test_the_pages_are_of_the_last_run_and_nothing_else_is_touched(tmp_path: Path) -> None:
    paths = write_rows(tmp_path, good_register())
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "mine.txt").write_text("keep")
    for _ in range(2):
        gate("register", paths, tmp_path / "p.parquet", tmp_path / "r.json", tmp_path / "docs", LIMITS)
    assert len(list((tmp_path / "docs" / "validations").rglob("*.html"))) == 1
    assert (tmp_path / "docs" / "mine.txt").read_text() == "keep"


def test_an_unknown_gate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="the step 'registre' has no gate"):
        gate("registre", [], tmp_path / "p", tmp_path / "r", tmp_path / "d", LIMITS)
