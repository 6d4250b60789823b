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
COMPONENT_COLUMNS = ("id", "component or data set", "status", "evidence", "note")


def table(columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of the page's table with these columns."""
    lines = [line for line in (ROOT / "docs" / "COVERAGE.md").read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")] for line in lines]
    first = next(n for n, row in enumerate(cells) if tuple(row) == columns)
    later = [n for n, row in enumerate(cells[first + 2 :], start=first + 2) if row[0] in ("system", "id")]
    return [dict(zip(columns, row, strict=True)) for row in cells[first + 2 : later[0] if later else None]]


def rows() -> list[dict[str, str]]:
    return table(COLUMNS)


def test_what_is_done_is_registered_and_tested() -> None:
    trained = {path.stem: yaml.safe_load(path.read_text())["finetune"]["models"] for path in PRESETS.glob("*.yaml")}
    for row in rows():
        assert row["status"] in ("done", "protocol", "not yet"), row
        if row["status"] != "done":
            assert row["model"] not in MODELS, f"{row['model']} is registered: its row should say so"
        if row["status"] == "protocol":
            assert (ROOT / row["test"]).is_file(), row
            assert row["note"], row
        if row["status"] != "done":
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


def test_every_component_has_its_evidence() -> None:
    """A component that is done or partly there names a file and a symbol defined in it; one that lacks names none."""
    components = table(COMPONENT_COLUMNS)
    assert [row["id"] for row in components] == [f"K{number:02d}" for number in range(1, len(components) + 1)]
    for row in components:
        assert row["status"] in ("done", "partly", "no"), row
        if row["status"] == "no":
            assert not row["evidence"], row
            continue
        path, _, symbol = row["evidence"].strip("`").partition(":")
        tree = ast.parse((ROOT / path).read_text())
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert symbol in names, row
        assert row["status"] == "done" or row["note"], row


def test_at_least_70_rows_are_done_or_protocol() -> None:
    """At least this many of the systems, components and data sets were to be there, by this page's own numbering."""
    status = [row["status"] for row in rows()] + [row["status"] for row in table(COMPONENT_COLUMNS)]
    assert sum(value in ("done", "protocol") for value in status) >= 70
