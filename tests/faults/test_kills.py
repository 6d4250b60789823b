"""The next run finishes a killed one with the outputs of an undisturbed run; no partial file is accepted."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from small_workflow import environment, make_clone, outputs, run

KILLS = 25


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = make_clone(tmp_path_factory.mktemp("undisturbed") / "clone")
    run(folder, "workflow/run")
    return outputs(folder), (folder / "dvc.lock").read_text()


@pytest.fixture(scope="module")
def duration(tmp_path_factory):
    """Measure the duration of a whole run, so that the kills fall within one."""
    folder = make_clone(tmp_path_factory.mktemp("timed") / "clone")
    began = time.monotonic()
    run(folder, "workflow/run")
    return time.monotonic() - began


def start(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        ["workflow/run"],
        cwd=folder,
        env=environment(),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill(process: subprocess.Popen, chance: random.Random) -> None:
    """Kill all processes of a run at once, or a single one while the others continue."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    if chance.random() < 0.5:
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(psutil.NoSuchProcess):
        chance.choice(family).kill()


@pytest.mark.slow
def test_a_run_killed_25_times_ends_as_an_undisturbed_one(tmp_path, undisturbed, duration):
    wanted, lock = undisturbed
    folder = make_clone(tmp_path / "clone")
    chance = random.Random(8)
    kills = 0
    while kills < KILLS:
        process = start(folder)
        time.sleep(chance.uniform(0, 0.9 * duration))
        if process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                kill(process, chance)
                kills += 1
        process.communicate(timeout=150)
        for name, content in outputs(folder).items():
            assert content == wanted[name], f"{name} is not whole"
        if (folder / "reports" / "metrics.json").exists() and process.returncode == 0:
            # The run finished: start again, without DVC's cache, or later runs would end before they can be killed.
            for top in ("data", "reports", ".cache", ".dvc/cache", "dvc.lock"):
                path = folder / top
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    run(folder, "workflow/run")  # at the first try, without a person
    assert outputs(folder) == wanted
    assert (folder / "dvc.lock").read_text() == lock
    assert not list(folder.rglob(".partial-*"))
    assert "up to date" in run(folder, "dvc", "status")


@pytest.mark.slow
@pytest.mark.parametrize(
    "left", ["an empty list of readers", "a reader of a number in use", "no record", "half a record"]
)
def test_what_a_killed_dvc_leaves_is_mended(tmp_path, undisturbed, left):
    """DVC writes these two files in place; the id of a dead process may have been reused."""
    wanted, lock = undisturbed
    folder = make_clone(tmp_path / "clone")
    readers = folder / ".dvc" / "tmp" / "rwlock"
    readers.parent.mkdir(exist_ok=True)
    match left:
        case "an empty list of readers":
            readers.write_text("")
        case "a reader of a number in use":
            writer = {"pid": os.getpid(), "cmd": "dvc repro"}
            readers.write_text(json.dumps({"write": {str(folder / "reports"): writer}, "read": {}}))
        case "no record":
            (folder / "dvc.lock").write_text("")
        case "half a record":
            (folder / "dvc.lock").write_text(lock[: len(lock) // 2])
    run(folder, "workflow/run")
    assert outputs(folder) == wanted
    assert (folder / "dvc.lock").read_text() == lock


@pytest.mark.slow
def test_two_runs_at_once_in_one_clone(tmp_path, undisturbed):
    wanted, lock = undisturbed
    folder = make_clone(tmp_path / "clone")
    both = [start(folder) for _ in range(2)]
    texts = [process.communicate(timeout=200)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], texts
    assert any("Another run" in text for text in texts)
    assert outputs(folder) == wanted
    assert (folder / "dvc.lock").read_text() == lock


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_said(tmp_path, undisturbed):
    """An unwritable output cache of Snakemake: a file is in the place of its folder."""
    folder = make_clone(tmp_path / "clone")
    (folder / ".cache").write_text("not a folder")
    done = subprocess.run(["workflow/run"], cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode != 0
    assert ".cache" in done.stderr
    assert not (folder / "reports").exists() or outputs(folder).keys() <= undisturbed[0].keys()
