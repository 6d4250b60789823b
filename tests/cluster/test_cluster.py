"""A whole study on a real Slurm: two nodes on this host, jobs through the cluster's own commands.

The rules, the profile and the scripts are the real ones; the study is the smoke study with fewer children. Beside it
the same study runs here, without a cluster, and must come to the same bytes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from childgait.engine.source_files import ROOT
from cluster.slurm import SlurmCluster, missing_programs, small_profile
from support.cloned_study import Study, clone

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.timeout(1800),  # ends a test that hangs; two slow cores needed 900 s for the two studies
    pytest.mark.skipif(
        bool(missing_programs()), reason=f"Slurm is not installed here: no {', '.join(missing_programs())}"
    ),
]

SMALLER = {  # than the smoke study
    "  root: data/demo\n": "  root: data/raw\n",
    "  subjects: 6\n": "  subjects: 5\n",
    "  holdout: 0.34\n": "  holdout: 0.2\n",
    "  models: [childgait_video, kinematic_trees, rules]\n": "  models: [childgait_video]\n",
    "  epochs: 3\n": "  epochs: 2\n  processes: 2\n  micro_batch_size: 4\n",
}
# Two processes train together: here side by side, there on two nodes. No GPU computes, but jobs go where GPUs are.
MODEL = "data/finetune/childgait_video/holdout-0/model.json"
PLACES = "set-resources:\n  finetune: {nodes: 2, tasks: 2}\n  evaluate: {gpu: 1}\ngroups:\n"


@dataclass(frozen=True)
class OnCluster(Study):
    """A study whose jobs are sent to the cluster."""

    cluster: SlurmCluster

    def environment(self) -> dict[str, str]:
        return self.cluster.environment_over(super().environment())


def small_study(folder: Path) -> Study:
    """A clone with the params of the study, without its cohort."""
    study = clone(folder)
    for old, new in SMALLER.items():
        study.replace("workflow/presets/smoke.yaml", old, new)
    study.run("childgait", "preset", "smoke")
    return study


def make_raw_cohort(study: Study) -> None:
    """One child with three views, four with one."""
    study.run("childgait", "synthesize", "--out", "data/raw")
    for path in (study.folder / "data/raw/dataset").glob("*/*"):
        if "_left_" not in path.name and not (path.name.startswith("0001-") and "_backward_" not in path.name):
            path.unlink()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OnCluster, Study]]:
    """The study finished on the cluster and on this host; both run at the same time."""
    here = small_study(tmp_path_factory.mktemp("here"))
    there = small_study(tmp_path_factory.mktemp("there"))
    make_raw_cohort(here)
    shutil.copytree(here.folder / "data/raw", there.folder / "data/raw")
    for study in (here, there):
        study.commit("a small study")
    small_profile(there.folder, {"groups:\n": PLACES})
    running = subprocess.Popen(
        ["workflow/run"],
        cwd=here.folder,
        env=here.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with SlurmCluster(tmp_path_factory.mktemp("slurm")) as cluster:
        on_cluster = OnCluster(there.folder, cluster)
        on_cluster.study()
        output, _ = running.communicate()
        assert running.returncode == 0, output[-4000:]
        table = ROOT / "logs/cluster-jobs.md"
        table.parent.mkdir(exist_ok=True)
        table.write_text(cluster.table())
        yield on_cluster, here


def jobs_of(study: OnCluster, name: str) -> list[dict[str, str]]:
    """List the jobs of a rule or of a group of rules."""
    return [job for job in study.cluster.jobs() if job["Comment"].startswith(f"rule_{name}_")]


def test_every_job_ran_once_and_ended_well(both: tuple[OnCluster, Study]) -> None:
    jobs = both[0].cluster.jobs()
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    assert {job["JobName"].startswith("childgait") for job in jobs} == {True}
    assert (both[0].folder / "reports/index.html").exists()


def test_the_cluster_gives_the_bytes_of_one_machine(both: tuple[OnCluster, Study]) -> None:
    there, here = both
    assert there.lock() == here.lock()


def test_the_jobs_of_a_child_travel_together(both: tuple[OnCluster, Study]) -> None:
    there, _ = both
    rows = json.loads((there.folder / "data/raw/labels.json").read_text())  # one per child and rater
    children = len({row["patient_id"] for row in rows})
    assert len(jobs_of(there, "subject")) == children
    steps = Counter(job["step"] for job in there.jobs())
    assert steps["segment"] == steps["register"] > children
    assert len(jobs_of(there, "recordings")) == len(jobs_of(there, "covering")) == 1, "up to eleven videos a job"


def test_a_group_asks_for_one_job_after_another(both: tuple[OnCluster, Study]) -> None:
    """The sums of the rules: three videos of 15 + 10 + 5 + 10 minutes and a sheet of 10; the largest memory."""
    jobs = jobs_of(both[0], "subject")
    assert sorted(job["TimeLimit"] for job in jobs) == ["00:50:00"] * 4 + ["02:10:00"]
    assert {job["TRES"] for job in jobs} == {"cpu=1,mem=2000M,node=1,billing=1"}


def test_what_asks_for_a_gpu_goes_where_gpus_are(both: tuple[OnCluster, Study]) -> None:
    for job in both[0].cluster.jobs():
        asks = "rule_evaluate" in job["Comment"]
        assert job["Partition"] == ("gpu" if asks else "cpu"), job
        assert job["TresPerJob"] == ("gres:gpu:1" if asks else ""), job


def test_training_is_spread_over_two_nodes(both: tuple[OnCluster, Study]) -> None:
    there, here = both
    nodes = {job["NodeList"] for job in jobs_of(there, "finetune")}
    assert nodes == {"n[1-2]"}
    for study in (there, here):
        assert json.loads((study.folder / MODEL).read_text())["settings"]["processes"] == 2


def test_every_job_asks_for_processors_memory_and_time(both: tuple[OnCluster, Study]) -> None:
    for job in both[0].cluster.jobs():
        tres = dict(part.split("=") for part in job["TRES"].split(","))
        assert int(tres["cpu"]) >= 1
        assert tres["mem"].endswith(("M", "G"))
        assert job["TimeLimit"] not in ("", "UNLIMITED", "06:00:00"), f"{job}: the limit is the partition's own"
