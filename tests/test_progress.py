"""A stage prints its progress and names every failed job once at its end, without what Snakemake does in between."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from childgait.engine.source_files import ROOT

RULES = """
rule segment:
    input:
        "in/{video}.txt",
    output:
        "data/{video}.txt",
    log:
        "logs/segment/{video}.log",
    cache: True
    shell:
        "{{ case {wildcards.video} in odd) exit 3;; bad) echo 'error: no child. Hint: look'; exit 1;; "
        "*) echo first line; touch {output};; esac; }} > {log} 2>&1"


rule report_all:
    input:
        expand("data/{video}.txt", video=config["videos"].split()),
"""
DVC = "stages:\n  perceive:\n    cmd: workflow/stage perceive\n  report:\n    cmd: workflow/stage report\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow", ignore=shutil.ignore_patterns("rules", "presets"))
    (tmp_path / "workflow" / "rules").mkdir()
    (tmp_path / "workflow" / "rules" / "report.smk").write_text(RULES)
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "in").mkdir()
    for video in ("one", "two", "bad", "odd"):
        (tmp_path / "in" / f"{video}.txt").write_text(video)
    return tmp_path


def run_stage(folder: Path, videos: str) -> subprocess.CompletedProcess[str]:
    profile = folder / "profiles" / "test"
    profile.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "profiles" / "default" / "config.yaml").read_text()
    (profile / "config.yaml").write_text(f'{text}config:\n  videos: "{videos}"\n')
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["workflow/stage", "report"],
        cwd=folder,
        env=kept | {"PATH": path, "SNAKEMAKE_PROFILE": str(profile)},
        capture_output=True,
        text=True,
    )


def test_a_stage_that_passes_prints_one_line_and_keeps_its_times(folder: Path) -> None:
    done = run_stage(folder, "one two")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith("Using profile")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("[2/2 report] 3 of 3 jobs done in ")
    assert "cache" not in done.stdout + done.stderr
    (times,) = map(json.loads, (folder / "logs" / "stages.jsonl").read_text().splitlines())
    assert (times["stage"], times["jobs"]) == ("report", 3)


def test_every_failure_is_named_once_with_its_reason(folder: Path) -> None:
    done = run_stage(folder, "one bad odd two")
    assert done.returncode == 1
    end = done.stderr.split("The stage 'report' stopped:\n")[1]
    assert end.count("error: no child. Hint: look") == 1
    assert "segment odd: no log in logs/segment/odd.log" in end
    assert "segment one" not in end
    assert done.stderr.count("failed: segment bad, see logs/segment/bad.log") == 1
    again = run_stage(folder, "one two")
    assert again.returncode == 0
    assert not (folder / ".snakemake" / "failed.txt").read_text()


def test_time_left_follows_from_an_earlier_run_and_then_from_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHILDGAIT_STAGE", "segment")
    monkeypatch.syspath_prepend(str(ROOT / "workflow" / "plugins"))
    from snakemake_logger_plugin_childgait import LogHandler, duration

    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "stages.jsonl").write_text('{"stage": "segment", "jobs": 10, "seconds": 50.0}\n')
    view = LogHandler(None, None)
    assert view.seconds_left() is None
    view.began, view.total = 0.0, 100
    assert view.seconds_left() == pytest.approx(500.0)
    monkeypatch.setattr("time.monotonic", lambda: 40.0)
    view.done = 20
    assert view.seconds_left() == pytest.approx(160.0)
    view.running = {7: "segment 0001-0001_left_1-240"}
    assert view.status() == "[segment] 20 of 100 jobs done, running segment 0001-0001_left_1-240, about 3 min left"
    assert [duration(seconds) for seconds in (40, 720, 11_100)] == ["40 s", "12 min", "3 h 05 min"]
