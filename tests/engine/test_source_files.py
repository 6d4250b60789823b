"""The stamp of a step's source files changes if and only if one of them does."""

import os
from pathlib import Path

import pytest

from childgait.engine import source_files


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make two source files that a step reaches, a day old."""
    (tmp_path / "src").mkdir()
    for name in ("a.py", "b.py"):
        (tmp_path / "src" / name).write_text(f"NAME = '{name}'\n")
        os.utime(tmp_path / "src" / name, (1_700_000_000, 1_700_000_000))
    monkeypatch.setattr(source_files, "ROOT", tmp_path)
    monkeypatch.setattr(source_files, "code_of", lambda step: [Path("src/a.py"), Path("src/b.py")])
    return tmp_path


def stamp(sources: Path) -> Path:
    source_files._sha256.cache_clear()  # each planning is a process of its own
    return source_files.stamp_of("gate", sources / "stamps")


def test_the_first_stamp_is_as_old_as_the_newest_source(sources: Path) -> None:
    os.utime(sources / "src" / "b.py", (1_700_000_500, 1_700_000_500))
    assert stamp(sources).stat().st_mtime == 1_700_000_500


def test_a_touch_and_a_look_leave_the_stamp_alone(sources: Path) -> None:
    first = stamp(sources).stat().st_mtime_ns
    (sources / "src" / "a.py").touch()
    assert stamp(sources).stat().st_mtime_ns == first


def test_an_edit_and_its_undoing_each_make_it_new(sources: Path) -> None:
    before = stamp(sources).read_text()
    assert [line.split("  ")[1] for line in before.splitlines()] == ["src/a.py", "src/b.py"]
    (sources / "src" / "a.py").write_text("NAME = 'another'\n")
    os.utime(sources / "src" / "a.py", (1_700_000_000, 1_700_000_000))  # the date tells nothing
    edited = stamp(sources)
    assert edited.read_text() != before
    assert edited.stat().st_mtime > 1_700_000_000
    (sources / "src" / "a.py").write_text("NAME = 'a.py'\n")
    assert stamp(sources).read_text() == before


def test_a_source_that_is_no_longer_reached_makes_it_new(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stamp(sources).read_text()
    monkeypatch.setattr(source_files, "code_of", lambda step: [Path("src/a.py")])
    assert stamp(sources).read_text() != before


def test_a_text_that_is_filled_in_counts_as_code_of_who_fills_it_in() -> None:
    template = Path("src/childgait/report/templates/report.html")
    assert template in source_files.code_of("write_report")
    assert template not in source_files.code_of("finetune")
    assert template not in source_files.code_of("evaluate")


def test_an_import_string_counts_as_an_import() -> None:
    registry = source_files.PACKAGE / "models" / "registry.py"
    reached = source_files.reachable_files(registry)
    assert {source_files.PACKAGE / "models" / f"{name}.py" for name in ("agrm", "majority", "network")} <= set(reached)
