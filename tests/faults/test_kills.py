"""A killed run is finished by the next one, with the outputs of an undisturbed one; no partial file is ever accepted."""

from __future__ import annotations

import contextlib
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


def start(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        ["workflow/run"], cwd=folder, env=environment(), start_new_session=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def kill(process: subprocess.Popen, chance: random.Random) -> None:
    """All of its processes at once, or any one of them, while the others go on as they can."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    if chance.random() < 0.5:
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(psutil.NoSuchProcess):
        chance.choice(family).kill()


@pytest.mark.slow
def test_a_run_killed_25_times_ends_as_an_undisturbed_one(tmp_path, undisturbed):
    wanted, lock = undisturbed
    folder = make_clone(tmp_path / "clone")
    chance = random.Random(8)
    kills = 0
    while kills < KILLS:
        process = start(folder)
        time.sleep(chance.uniform(0.2, 4))
        if process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                kill(process, chance)
                kills += 1
        process.communicate(timeout=150)
        for name, content in outputs(folder).items():
            assert content == wanted[name], f"{name} is not whole"
        if (folder / "reports" / "metrics.json").exists() and process.returncode == 0:
            for top in ("data", "reports", ".cache", "dvc.lock"):  # it got through: from the beginning again
                path = folder / top
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    run(folder, "workflow/run")  # at the first try, without a person
    assert outputs(folder) == wanted
    assert (folder / "dvc.lock").read_text() == lock
    assert not list(folder.rglob(".partial-*"))
    assert "up to date" in run(folder, "dvc", "status")


@pytest.mark.slow
def test_two_runs_at_once_in_one_clone(tmp_path, undisturbed):
    wanted, lock = undisturbed
    folder = make_clone(tmp_path / "clone")
    both = [start(folder) for _ in range(2)]
    told = [process.communicate(timeout=200)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert any("Another run" in text for text in told)
    assert outputs(folder) == wanted
    assert (folder / "dvc.lock").read_text() == lock


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_said(tmp_path, undisturbed):
    """Snakemake's output cache on a read-only place: a plain file stands where the folder should be."""
    folder = make_clone(tmp_path / "clone")
    (folder / ".cache").write_text("not a folder")
    done = subprocess.run(["workflow/run"], cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode != 0
    assert ".cache" in done.stderr
    assert not (folder / "reports").exists() or outputs(folder).keys() <= undisturbed[0].keys()
