"""No stale result is recorded as current: two cases in which DVC with Snakemake kept old bytes.

Back and forth between commits (files come back newer than what they were made of), and linked caches (files that are
touched when DVC lets go of them). Each ends in the right number, and `dvc status`, the audit and the number agree. Nor
does a clock that jumped between two runs keep an old number alive.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from small_workflow import make_clone, run, set_factor

SUM = 2 * (1 + 2 + 3 + 4 + 5 + 6)


def number(folder: Path) -> int:
    return json.loads((folder / "reports" / "metrics.json").read_text())["headline"]["accuracy"]


@pytest.mark.slow
@pytest.mark.parametrize("link", ["copy", "hardlink", "symlink"])
def test_back_and_forth(tmp_path, link):
    folder = make_clone(tmp_path / "clone", link=link)
    locks = {}
    for factor in (10, 13):
        set_factor(folder, factor)
        run(folder, "workflow/run")
        assert number(folder) == factor * SUM
        locks[factor] = (folder / "dvc.lock").read_text()
        run(folder, "git", "add", ".")
        run(folder, "git", "commit", "-q", "-m", str(factor))
    run(folder, "git", "checkout", "-q", "HEAD~1")
    run(folder, "dvc", "checkout", "-q")
    assert number(folder) == 10 * SUM
    set_factor(folder, 13)
    run(folder, "workflow/run")
    assert number(folder) == 13 * SUM
    assert (folder / "dvc.lock").read_text() == locks[13]
    assert "up to date" in run(folder, "dvc", "status")
    (folder / "in" / "0.txt").write_text("100")
    run(folder, "workflow/run")
    assert number(folder) == 13 * (SUM + 2 * 99)


@pytest.mark.slow
@pytest.mark.parametrize("days", [-3, 3])
def test_a_clock_that_jumps(tmp_path, days):
    """Files written under a wrong clock are dated days away from new files or from their own inputs."""
    folder = make_clone(tmp_path / "clone")
    run(folder, "workflow/run")
    date(folder, ("data", "reports", ".snakemake", ".cache", ".dvc"), days)
    lock = (folder / "dvc.lock").read_text()
    run(folder, "workflow/run")
    assert (folder / "dvc.lock").read_text() == lock
    (folder / "in" / "0.txt").write_text("100")
    set_factor(folder, 10)
    date(folder, ("in", "params.yaml"), -days)
    run(folder, "workflow/run")
    assert number(folder) == 10 * (SUM + 2 * 99)
    assert "up to date" in run(folder, "dvc", "status")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["code/add.sha256", "annotations/regions/add.csv"])
def test_inputs_in_a_hidden_folder_after_the_clock_was_set_back(tmp_path, name):
    """The stamp of sources is an input of every job: with a date in the future Snakemake refuses what the job wrote."""
    folder = make_clone(tmp_path / "clone")
    rules = folder / "workflow/rules/report.smk"
    first, second = rules.read_text().rsplit('code="steps.py"', 1)
    rules.write_text(f'{first}code=".snakemake/{name}"{second}')
    stamp = folder / ".snakemake" / name
    stamp.parent.mkdir(parents=True)
    stamp.write_text("stamp")
    date(folder, (f".snakemake/{name}",), 2)
    run(folder, "workflow/stage", "report")
    assert number(folder) == SUM
    assert stamp.stat().st_mtime <= time.time()


def date(folder: Path, names: tuple[str, ...], days: int) -> None:
    when = time.time() + days * 86400
    for path in (p for name in names for p in (folder / name, *(folder / name).rglob("*"))):
        os.utime(path, (when, when))
