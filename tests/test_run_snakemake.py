"""Snakemake as workflow/stage starts it: one planned selection at a time, a faster planning with the same result."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import threading
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from childgait.engine.source_files import ROOT

sys.path.insert(0, str(ROOT / "workflow"))
import planning_shortcuts
from run_snakemake import reevaluate_once
from snakemake.dag import DAG
from snakemake.exceptions import ChildIOException
from snakemake.io import IOFile, flag, is_flagged
from snakemake.scheduling.job_scheduler import JobScheduler

RULES = """
configfile: "settings.yaml"

include: "shared.smk"
include: "shared.smk"

rule all:
    input:
        expand("made/{name}.txt", name=NAMES),
        "pooled.txt",

rule copy:
    input:
        text="given/{name}.txt",
        code=ancient("code.txt"),
    output:
        text="made/{name}.txt",
        size="made/{name}.size",
    params:
        times=config["times"],
        call=lambda wildcards, input, output: f"cp {input.text} {output.text}",
    shell:
        "{params.call} && wc -c < {output.text} > {output.size}"

rule pool:
    input:
        lambda wildcards: [f"made/{name}.size" for name in NAMES],
    output:
        "pooled.txt",
    params:
        lambda wildcards: config["unit"],
    benchmark:
        "pool.tsv"
    shell:
        "cat {input} > {output} && echo {params[0]} >> {output}"
"""
SHARED = 'from pathlib import Path\n\nNAMES = sorted(path.stem for path in Path("given").glob("*.txt"))\n'


@dataclass(frozen=True, order=True)
class Planned:
    """A job, as far as its outputs."""

    output: tuple[str, ...]


class Scheduler:
    """Counts its selections as Snakemake's scheduler does, by a semaphore."""

    def __init__(self) -> None:
        self._open_jobs = threading.Semaphore(0)


def test_many_requests_plan_one_selection_and_the_next_one_another() -> None:
    scheduler = Scheduler()
    for _ in range(20):
        reevaluate_once(scheduler, 0.05)
    assert scheduler._open_jobs.acquire(timeout=5)
    assert not scheduler._open_jobs.acquire(timeout=0.2)
    reevaluate_once(scheduler, 0.05)
    assert scheduler._open_jobs.acquire(timeout=5)


def test_the_locked_snakemake_plans_selections_where_the_replacement_stands() -> None:
    source = Path(sys.modules[JobScheduler.__module__].__file__ or "").read_text(encoding="utf-8")
    assert "def _schedule_reevalutation(self, delay" in source
    assert source.count("self._schedule_reevalutation(") == 2
    assert "self._open_jobs.release()" in source


def test_the_shortcuts_are_written_for_the_locked_snakemake() -> None:
    """Another version plans without them; compare each with its original, then change the constant."""
    assert importlib.metadata.version("snakemake") == planning_shortcuts.WRITTEN_FOR


def run(folder: Path, *arguments: str, plain: bool = False) -> str:
    """Run Snakemake with the shortcuts or without; returns what it prints, sorted: jobs have no fixed order."""
    start = ["-m", "snakemake"] if plain else [str(ROOT / "workflow/run_snakemake.py")]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")}
    done = subprocess.run(
        [sys.executable, *start, "--workflow-profile", "none", "--cores", "1", "--scheduler", "greedy", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    printed = (done.stdout + done.stderr).split("Building DAG of jobs...")[1]
    printed = re.sub(r"^\[.*\]\n|^ *jobid: \d+\n", "", printed, flags=re.MULTILINE)  # times, and numbers by that order
    printed = re.sub(r"[\w./]+(?:, [\w./]+)+", lambda files: ", ".join(sorted(files[0].split(", "))), printed)
    blocks = re.split(r"\n(?! {4})", printed)  # a rule's line and those indented below it stay together
    return "\n".join(sorted(blocks))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small workflow, run once without the shortcuts."""
    folder = tmp_path_factory.mktemp("workflow")
    (folder / "given").mkdir()
    for name in "abcdef":
        (folder / f"given/{name}.txt").write_text(name)
    (folder / "code.txt").write_text("1")
    (folder / "settings.yaml").write_text("times: 1\nunit: byte\n")
    (folder / "Snakefile").write_text(RULES)
    (folder / "shared.smk").write_text(SHARED)
    run(folder, plain=True)
    return folder


def record_of(folder: Path, output: str) -> Path:
    return folder / ".snakemake/metadata" / urlsafe_b64encode(output.encode()).decode()


def test_the_shortcuts_plan_the_same_jobs_for_the_same_reasons(finished: Path) -> None:
    nothing = run(finished, "--dry-run")
    assert "Nothing to be done" in nothing
    assert nothing == run(finished, "--dry-run", plain=True)

    record_of(finished, "made/a.size").unlink()
    record = record_of(finished, "made/b.txt")
    record.write_text(record.read_text()[:40])  # by a killed process
    (finished / "made/c.size").unlink()
    (finished / "given/d.txt").write_text("changed")
    (finished / "code.txt").write_text("2")  # ancient
    (finished / "given/e.txt").touch()  # the same content
    (finished / "given/g.txt").write_text("new")
    changed = run(finished, "--dry-run")
    assert changed == run(finished, "--dry-run", plain=True)
    copied = re.findall(r"^rule copy:.*?wildcards: name=(\w)", changed, re.MULTILINE | re.DOTALL)
    assert sorted(copied) == ["c", "d", "g"]  # a missing record alone reruns nothing

    run(finished)
    assert (finished / "pooled.txt").read_text() == "1\n1\n1\n7\n1\n1\n3\nbyte\n"
    assert "Nothing to be done" in run(finished, "--dry-run", plain=True)


def test_the_shortcuts_see_a_changed_parameter_and_only_its_rule(finished: Path) -> None:
    run(finished)
    settings = finished / "settings.yaml"
    settings.write_text(settings.read_text().replace("unit: byte", "unit: octet"))
    pooled = run(finished, "--dry-run")
    assert pooled == run(finished, "--dry-run", plain=True)
    assert "rule pool:" in pooled
    assert "rule copy:" not in pooled
    settings.write_text(settings.read_text().replace("times: 1", "times: 2"))
    copied = run(finished, "--dry-run")
    assert copied == run(finished, "--dry-run", plain=True)
    assert copied.count("rule copy:") >= 5  # those without a record have no params to compare


@pytest.mark.parametrize(
    "value", ["text", IOFile("text"), flag("text", "temp"), IOFile(flag("text", "temp")), re.compile("x"), print]
)
def test_flags_are_read_as_snakemake_reads_them(value: object) -> None:
    for name in ("temp", "ancient"):
        assert planning_shortcuts.is_flagged(value, name) is is_flagged(value, name)


@pytest.mark.parametrize(
    ("outputs", "fails"),
    [
        ({"one": ["folder", "other"], "two": ["folder/file"]}, True),
        ({"one": ["folder", "folder/file"], "two": ["folder.txt", "folder-2/file"]}, False),
        ({"one": ["a/b"], "two": ["a/b.c", "a/b/c"]}, True),
        ({"one": ["a/b"], "two": ["a/b"]}, False),
    ],
)
def test_an_output_in_the_folder_of_another_job_is_refused(outputs: dict[str, list[str]], fails: bool) -> None:
    graph = SimpleNamespace(jobs=[Planned(tuple(files)) for files in outputs.values()])
    for check in (DAG.check_directory_outputs, planning_shortcuts.check_directory_outputs):
        if fails:
            with pytest.raises(ChildIOException):
                check(graph)
        else:
            check(graph)
