"""A group of jobs that exceeds the limit of its partition, on a real Slurm: it is split, and every part ends well."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cluster.slurm import SlurmCluster, missing_programs, small_profile
from faults.small_workflow import ITEMS, environment, make_clone

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        bool(missing_programs()), reason=f"Slurm is not installed here: no {', '.join(missing_programs())}"
    ),
]

LIMIT = 360  # minutes, of the partitions of SlurmCluster
MINUTES = 150  # of a job: three exceed the limit, two do not


def make_grouped_clone(folder: Path) -> Path:
    """Write the small workflow with three jobs in one group, and the limit in partitions.yaml."""
    clone = make_clone(folder)
    rules = clone / "workflow/rules/report.smk"
    text = rules.read_text().replace(f"range({len(ITEMS)})", "range(3)")
    rules.write_text(text.replace("    cache: True\n", f"    resources: runtime={MINUTES}\n", 1))
    small_profile(
        clone,
        {
            "groups:\n": "groups:\n  double: doubles\n",
            "group-components:\n": "group-components:\n  doubles: 3\n",
        },
    )
    partitions = clone / "profiles/slurm/partitions.yaml"
    text = partitions.read_text()
    partitions.write_text(text.replace("    max_gpu: 0\n", f"    max_gpu: 0\n    max_runtime: {LIMIT}\n"))
    return clone


def test_a_group_over_the_limit_of_its_partition_runs_in_parts(tmp_path: Path) -> None:
    clone = make_grouped_clone(tmp_path / "clone")
    with SlurmCluster(tmp_path / "slurm") as cluster:
        whole = cluster.run("sbatch", f"--time={3 * MINUTES}", "--wrap", "true")
        assert "time limit" in whole.stderr, "this Slurm refuses the group as it was"
        done = subprocess.run(
            ["workflow/run"],
            cwd=clone,
            env=cluster.environment_over(environment()),
            capture_output=True,
            text=True,
        )
        parts = [job for job in cluster.jobs() if "double" in job["Comment"]]
    assert done.returncode == 0, done.stdout + done.stderr
    assert "needs 450 minutes, 360 are allowed: submitted in smaller groups" in done.stderr
    assert {job["JobState"] for job in parts} == {"COMPLETED"}
    assert sorted(job["TimeLimit"] for job in parts) == ["02:30:00", "05:00:00"], "one job, and two"
    assert len(list((clone / "data/double").glob("*.txt"))) == 3
