"""Failures on a real cluster: the real scripts, profile and DVC around a workflow of failing jobs.

One run meets them all at once (a job that needs more memory than it asked for, one over its time, one that a person
cancels, one whose node dies, one that is simply wrong); then a run is cancelled, and one loses its coordinator.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.slurm import SlurmCluster, missing_programs, small_profile
from faults.small_workflow import environment, make_clone, run

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        bool(missing_programs()), reason=f"Slurm is not installed here: no {', '.join(missing_programs())}"
    ),
]

NAMES = ("hungry", "late", "cancelled", "lost", "wrong", "calm")
TROUBLES = """
import json, os, sys, time
from pathlib import Path

name, target = sys.argv[1], Path(sys.argv[2])
diary = Path("attempts") / name
diary.parent.mkdir(exist_ok=True)
def note(what):
    with diary.open("a") as stream:
        stream.write(json.dumps({"what": what, "pid": os.getpid(), "job": os.environ["SLURM_JOB_ID"]}) + "\\n")
notes = [json.loads(line) for line in diary.read_text().splitlines()] if diary.exists() else []
over = {line["pid"] for line in notes if line["what"] == "end"}
if any(line["what"] == "begin" and line["pid"] not in over and Path(f"/proc/{line['pid']}").exists() for line in notes):
    note("doubled")
note("begin")
first = not notes
trouble = name if TROUBLED else ""
if trouble == "hungry":
    held = bytearray(450_000_000)
    time.sleep(8)
elif trouble in ("late", "cancelled", "lost") and first:
    time.sleep(600)
elif trouble == "wrong":
    sys.exit("error: the measure of wrong.txt is 7, not 5. Hint: measure again.")
time.sleep(SECONDS)
target.write_text(name)
note("end")
"""
RULE = """
rule trouble:
    input: code="troubles.py"
    output: "data/trouble/{name}.txt"
    log: "logs/trouble/{name}.log"
    resources:
        mem_mb=lambda wildcards, attempt: 550 * attempt,
        runtime=lambda wildcards, attempt: attempt,
        slurm_extra=lambda wildcards: "" if wildcards.name == "lost" else "--exclude=n2",
    shell: "python troubles.py {wildcards.name} {output} > {log} 2>&1"
"""


@dataclass
class Clone:
    """A clone with the failing jobs, whose runs are sent to the cluster."""

    folder: Path
    cluster: SlurmCluster

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["workflow/run"],
            cwd=self.folder,
            env=self.environment(),
            start_new_session=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def environment(self) -> dict[str, str]:
        return self.cluster.environment_over(environment())

    def attempts(self, name: str) -> list[str]:
        path = self.folder / "attempts" / name
        return [json.loads(line)["what"] for line in path.read_text().splitlines()] if path.exists() else []

    def jobs_of(self, name: str) -> list[dict[str, str]]:
        return [job for job in self.cluster.jobs() if job["Comment"] == f"rule_trouble_wildcards_{name}"]

    def set_troubles(self, troubled: bool, seconds: float) -> None:
        text = TROUBLES.replace("TROUBLED", str(troubled)).replace("SECONDS", str(seconds))
        (self.folder / "troubles.py").write_text(text)


def wait_for(what: str, holds: Callable[[], object], seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"after {seconds} s still not: {what}"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    folder = make_clone(tmp_path_factory.mktemp("faults") / "clone")
    rules = folder / "workflow/rules/report.smk"
    targets = ", ".join(f'"data/trouble/{name}.txt"' for name in NAMES)
    text = rules.read_text().replace('"reports/add.record.json"\n', f'"reports/add.record.json", {targets}\n', 1)
    rules.write_text(text + RULE)
    dvc = folder / "dvc.yaml"
    stage = dvc.read_text().replace("[in, steps.py]", "[in, steps.py, troubles.py]")
    dvc.write_text(stage.replace("data/double, ", "data/double, data/trouble, "))
    keep_away = "slurm_extra: \"'--exclude=n2'\""  # of the node that is to die
    small_profile(
        folder,
        {
            "  mem_mb: 2000\n": f"  mem_mb: 2000\n  {keep_away}\n",
            "retries: 2 ": "retries: 1 ",
            "groups:\n": "groups:\n  double: doubles\n",
            "group-components:\n": "group-components:\n  doubles: 3\n",
        },
    )
    with SlurmCluster(tmp_path_factory.mktemp("slurm"), cpus=8, first_choice="n2") as cluster:
        yield Clone(folder, cluster)


@pytest.fixture(scope="module")
def told(clone: Clone) -> str:
    """The output of a run with all the failures."""
    clone.set_troubles(True, 0.5)
    process = clone.start()
    wait_for("the jobs at work", lambda: clone.attempts("cancelled") and clone.attempts("lost"))
    clone.cluster.run("scancel", clone.jobs_of("cancelled")[0]["JobId"])
    [lost] = clone.jobs_of("lost")
    clone.cluster.kill_node(lost["NodeList"])
    clone.cluster.run("scontrol", "update", f"nodename={lost['NodeList']}", "state=down", "reason=died")
    wait_for("the job of the dead node is queued again", lambda: clone.jobs_of("lost")[0]["JobState"] == "PENDING")
    # Slurm holds it back for two minutes; nobody here waits for that.
    clone.cluster.run("scontrol", "update", f"jobid={lost['JobId']}", "StartTime=now")
    output, _ = process.communicate(timeout=400)
    assert process.returncode != 0, "a job is wrong, and the run says so"
    return output


def memory(job: dict[str, str]) -> int:
    return int(job["TRES"].split("mem=")[1].split("M")[0])


def test_a_job_that_needs_more_memory_gets_it(clone: Clone, told: str) -> None:
    first, second = clone.jobs_of("hungry")
    assert (first["JobState"], second["JobState"]) == ("FAILED", "COMPLETED")
    assert (memory(first), memory(second)) == (550, 1100)


def test_a_job_over_its_time_gets_more(clone: Clone, told: str) -> None:
    first, second = clone.jobs_of("late")
    assert (first["JobState"], second["JobState"]) == ("TIMEOUT", "COMPLETED")
    assert (first["TimeLimit"], second["TimeLimit"]) == ("00:01:00", "00:02:00")


def test_a_cancelled_job_is_started_again(clone: Clone, told: str) -> None:
    assert [job["JobState"] for job in clone.jobs_of("cancelled")] == ["CANCELLED", "COMPLETED"]


def test_the_job_of_a_dead_node_runs_elsewhere(clone: Clone, told: str) -> None:
    [job] = clone.jobs_of("lost")
    assert job["JobState"] == "COMPLETED"
    assert job["Restarts"] == "1"
    assert clone.attempts("lost") == ["begin", "begin", "end"]


def test_the_others_went_on_and_short_jobs_travelled_together(clone: Clone, told: str) -> None:
    assert (clone.folder / "reports/metrics.json").exists()
    assert [job["JobState"] for job in clone.jobs_of("calm")] == ["COMPLETED"]
    assert sum("double" in job["Comment"] for job in clone.cluster.jobs()) == 2


def test_the_message_says_what_was_wrong_and_where_its_log_is(clone: Clone, told: str) -> None:
    assert clone.attempts("wrong") == ["begin", "begin"], "tried once more, then given up"
    last = told[told.rindex("The stage 'report' stopped:") :]
    assert "logs/trouble/wrong.log:error: the measure of wrong.txt is 7, not 5. Hint: measure again." in last
    log = next(line for line in told.splitlines() if f"{clone.jobs_of('wrong')[-1]['JobId']}.log" in line)
    assert "logs/slurm/rule_trouble/wrong/" in log


def test_a_run_is_cancelled_as_a_whole(clone: Clone, told: str) -> None:
    clone.set_troubles(False, 300)
    process = clone.start()
    wait_for("jobs at work", lambda: clone.attempts("calm").count("begin") == 2)
    done = subprocess.run(
        ["workflow/cancel"], cwd=clone.folder, env=clone.environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert clone.cluster.run("squeue", "--noheader").stdout == ""
    process.communicate(timeout=400)
    assert process.returncode != 0
    assert clone.attempts("calm")[-1] == "begin", "it did not end"
    assert not (clone.folder / "data/trouble/calm.txt").exists()


def test_a_killed_coordinator_is_taken_over_and_no_job_is_doubled(clone: Clone, told: str) -> None:
    before = len(clone.attempts("calm"))
    clone.set_troubles(False, 25)  # the jobs outlive their coordinator, unless somebody ends them
    process = clone.start()
    wait_for("jobs at work", lambda: len(clone.attempts("calm")) > before)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert clone.cluster.run("squeue", "--noheader").stdout, "its jobs run on"
    again = clone.start()
    predicted, _ = again.communicate(timeout=400)
    assert again.returncode == 0, predicted
    assert "Cancelling" in predicted
    assert [job["JobState"] for job in clone.jobs_of("calm")][-2:] == ["CANCELLED", "COMPLETED"]
    for name in NAMES:
        assert (clone.folder / f"data/trouble/{name}.txt").read_text() == name
        assert "doubled" not in clone.attempts(name)
    assert Counter(job["JobState"] for job in clone.cluster.jobs())["RUNNING"] == 0
    assert "up to date" in run(clone.folder, "dvc", "status")
