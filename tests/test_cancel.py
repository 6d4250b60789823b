"""`make cancel` and the start of a run: which process is interrupted, and which jobs are cancelled."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from childgait.engine.source_files import ROOT

SQUEUE = (
    '#!/bin/sh\necho "$@" >> asked\n'
    '[ ! -e broken ] || { echo "squeue: no controller answers" >&2; exit 1; }\ncat queue\n'
)
SCANCEL = '#!/bin/sh\nfor job; do sed -i "/^$job$/d" queue; done\n'  # takes numbers; --name would match one run alone


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The scripts, the profile, and a Slurm mocked by two commands."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("rules", "presets"))
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    (folder / ".snakemake/log").mkdir(parents=True)
    (folder / "bin").mkdir()
    for name, text in {"squeue": SQUEUE, "scancel": SCANCEL, "sleep": "#!/bin/sh\n"}.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    (folder / "queue").touch()
    return folder


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def call(clone: Path, script: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{clone / 'bin'}:{os.environ['PATH']}", "SNAKEMAKE_PROFILE": "profiles/slurm"}
    return subprocess.run([clone / script], cwd=clone, env=environment, capture_output=True, text=True, timeout=30)


def hold(clone: Path, name: str, started: list[subprocess.Popen[bytes]]) -> None:
    """A process that holds the lock."""
    lock = clone / f".snakemake/{name}.lock"
    started.append(subprocess.Popen(["flock", lock, "/bin/sleep", "60"]))
    until = time.monotonic() + 10
    while subprocess.run(["flock", "--nonblock", lock, "true"]).returncode == 0:
        assert time.monotonic() < until


def coordinator(clone: Path, works_in: Path, started: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["/bin/sleep", "60"], cwd=works_in)
    started.append(process)
    (clone / ".snakemake/coordinator.pid").write_text(f"{process.pid}\n")
    return process


def two_stages_ran(clone: Path) -> None:
    for stage in ("first", "second"):
        (clone / f".snakemake/log/{stage}.snakemake.log").write_text(f"host: login\nSLURM run ID: childgait_{stage}\n")


def test_the_coordinator_of_this_clone_is_interrupted(clone: Path, started: list[subprocess.Popen[bytes]]) -> None:
    hold(clone, "stage", started)
    process = coordinator(clone, clone, started)
    assert "Cancelled." in call(clone, "workflow/cancel").stdout
    assert process.wait(timeout=10) == -signal.SIGINT


def test_a_stranger_with_its_number_is_left_alone(clone: Path, started: list[subprocess.Popen[bytes]]) -> None:
    hold(clone, "stage", started)
    process = coordinator(clone, clone.parent, started)
    done = call(clone, "workflow/cancel")
    assert done.returncode == 1
    assert "error: the run of this clone was started on another machine, or is between two stages. Hint:" in done.stderr
    assert process.poll() is None


def test_between_two_stages_it_does_not_say_cancelled(clone: Path, started: list[subprocess.Popen[bytes]]) -> None:
    hold(clone, "run", started)
    done = call(clone, "workflow/cancel")
    assert done.returncode == 1
    assert "Cancelled" not in done.stdout


def test_what_any_stage_left_in_the_queue_is_cancelled(clone: Path) -> None:
    two_stages_ran(clone)
    (clone / "queue").write_text("11\n12\n")
    done = call(clone, "workflow/cancel")
    assert done.returncode == 0, done.stderr
    assert "Cancelling 2 job(s)" in done.stderr
    assert (clone / "queue").read_text() == ""
    assert "--name childgait_first,childgait_second" in (clone / "asked").read_text()


def test_nothing_is_asked_of_a_cluster_that_this_clone_never_used(clone: Path) -> None:
    (clone / "queue").write_text("11\n")
    assert call(clone, "workflow/cancel").returncode == 0
    assert (clone / "queue").read_text() == "11\n"


def test_a_queue_that_cannot_be_read_is_not_taken_for_empty(clone: Path) -> None:
    two_stages_ran(clone)
    (clone / "broken").touch()
    done = call(clone, "profiles/slurm/recover")
    assert done.returncode != 0
    assert "no controller answers" in done.stderr


def test_jobs_that_do_not_leave_stop_the_run(clone: Path) -> None:
    two_stages_ran(clone)
    (clone / "queue").write_text("stuck\n")
    (clone / "bin/scancel").write_text("#!/bin/sh\nexit 1\n")
    done = call(clone, "profiles/slurm/recover")
    assert done.returncode == 1
    assert "error: jobs of an earlier run are still in the queue. Hint: see `squeue --name" in done.stderr
