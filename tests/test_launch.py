"""The start of a training job: as one process, or under torchrun as several, and the errors of a wrong number."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from childgait.engine.source_files import ROOT


def launch(*arguments: str, profile: Path | None = None, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    folders = [str(path)] if path else []
    environment = os.environ | {
        "PATH": ":".join([*folders, str(Path(sys.executable).parent), os.environ["PATH"]]),
        "SNAKEMAKE_PROFILE": str(profile or ROOT / "profiles/default"),
    }
    return subprocess.run([ROOT / "workflow/launch", *arguments], capture_output=True, text=True, env=environment)


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """A mock of torchrun that prints its arguments."""
    (tmp_path / "torchrun").write_text('#!/bin/sh\necho "torchrun $@"\n')
    (tmp_path / "torchrun").chmod(0o755)
    return tmp_path


def test_one_process_is_started_as_it_stands(said: Path) -> None:
    assert launch("1", "1", "echo", "a b", "c", path=said).stdout == "a b c\n"


def test_several_are_started_by_torchrun(said: Path) -> None:
    output = launch("4", "1", "echo", "a", path=said).stdout
    assert output.startswith("torchrun --standalone --nproc-per-node 4 --no-python /")
    assert output.endswith("/echo a\n")


def test_over_several_nodes_the_profile_starts_them_on_each(said: Path) -> None:
    profile = said / "profile"
    profile.mkdir()
    (profile / "each-node").write_text('#!/bin/sh\necho "each node: $@"\n')
    (profile / "each-node").chmod(0o755)
    output = launch("4", "2", "echo", "a", profile=profile, path=said).stdout
    assert output.startswith("each node: 2 torchrun --nnodes 2 --nproc-per-node 2 --rdzv-backend c10d")


def test_a_profile_that_cannot_reach_other_nodes_says_so() -> None:
    done = launch("4", "2", "echo", "a")
    assert done.returncode == 1
    assert "the job has 2 nodes, but" in done.stderr
    assert "Hint: see profiles/slurm/each-node" in done.stderr


def test_processes_that_do_not_divide_among_nodes_are_refused() -> None:
    done = launch("3", "2", "echo", "a")
    assert done.returncode == 1
    assert "error: 3 processes cannot be divided among 2 nodes. Hint: change finetune.processes" in done.stderr


def each_node(folder: Path, wanted: str, given: str) -> subprocess.CompletedProcess[str]:
    """The each-node script of the Slurm profile, in a job with this number of nodes."""
    for name, text in {"squeue": f"echo {given}", "srun": 'echo "srun $@"'}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    command = [ROOT / "profiles/slurm/each-node", wanted, "echo", "a"]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_slurm_starts_it_on_every_node_of_the_job(tmp_path: Path) -> None:
    output = each_node(tmp_path, "2", given="2").stdout
    assert output.startswith("srun --jobid 7 --overlap --nodes 2 --ntasks 2 --ntasks-per-node 1 ")
    assert output.endswith(" echo a\n")


def test_a_job_that_got_fewer_nodes_does_not_wait_for_the_others(tmp_path: Path) -> None:
    done = each_node(tmp_path, "2", given="1")
    assert done.returncode == 1
    assert "error: Slurm gave the job 1 node(s), not 2. Hint: without GPUs write {nodes: 2, tasks: 2}" in done.stderr
