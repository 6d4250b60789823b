"""DVC as workflow/run starts it: it parses a text once and prints the workflow's share of the processor time."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

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


def test_what_was_parsed_once_is_handed_out_as_a_copy() -> None:
    first = run_dvc.parse_yaml("a: {b: 1}\n", "params.yaml")
    first["a"]["b"] = 2
    assert run_dvc.parse_yaml("a: {b: 1}\n", "params.yaml") == {"a": {"b": 1}}
    assert run_dvc.parse_yaml("", "params.yaml") == {}
