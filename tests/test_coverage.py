"""docs/COVERAGE.md lists a system as done only if its model is registered and its test exists."""

from __future__ import annotations

import ast
from pathlib import Path

import yaml

from childgait.models.registry import MODELS
from childgait.report.published import AVERAGES

ROOT = Path(__file__).resolve().parent.parent
PRESETS = ROOT / "workflow" / "presets"
COLUMNS = ("system", "model", "status", "preset", "test", "note")


def rows() -> list[dict[str, str]]:
    lines = [line for line in (ROOT / "docs" / "COVERAGE.md").read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert tuple(cells[0]) == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in cells[2:]]


def test_what_is_done_is_registered_and_tested() -> None:
    trained = {path.stem: yaml.safe_load(path.read_text())["finetune"]["models"] for path in PRESETS.glob("*.yaml")}
    for row in rows():
        assert row["status"] in ("done", "not yet"), row
        if row["status"] == "not yet":
            assert row["model"] not in MODELS, f"{row['model']} is registered: its row should say so"
            continue
        assert row["model"] in MODELS, f"{row['system']} is said to be done, but there is no model {row['model']}"
        for preset in row["preset"].split(", "):
            assert preset in ("any", "bench") or row["model"] in trained[preset], (
                f"{preset} does not train {row['model']}"
            )
        tested = ROOT / row["test"]
        tree = ast.parse(tested.read_text())
        assert any(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in ast.walk(tree)), row
        assert row["model"] in tested.read_text().lower() or "MODELS" in tested.read_text(), (
            f"{row['test']}: {row['model']}"
        )


def test_every_registered_model_has_a_row() -> None:
    assert {row["model"] for row in rows() if row["status"] == "done"} == set(MODELS)


def test_every_published_row_is_named() -> None:
    """Every published result in the report is in docs/COVERAGE.md, whether or not its model can be run."""
    named = " ".join(row["system"] for row in rows())
    missing = [published.name for published in AVERAGES if published.name.split(" (")[0] not in named]
    assert not missing, missing
