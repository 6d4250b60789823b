"""What the workflow itself costs as the cohort grows: planning, doing nothing, starting a job. Real rules, empty files.

    .venv/bin/python bench/scale.py                       # 11 and 110 subjects (1,185 videos)
    .venv/bin/python bench/scale.py --subjects 11 110 1000

Writes reports/bench/scale.md. Times are of this machine; what carries over is how they grow.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VIDEOS_A_SUBJECT = 1185 / 110  # of the published cohort
VIEWS = ("forward", "backward", "left", "right")
STARTS = ("register", "deidentify", "segment", "estimate_pose", "refine_pose", "prepare_clips")


@dataclass(frozen=True)
class Timing:
    seconds: float
    peak_mb: float


def timed(command: list[str], folder: Path, rounds: int = 1) -> Timing:
    """Median wall time, and the peak memory of the largest process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    seconds, peaks = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds.append(time.perf_counter() - began)
        peaks.append(usage.ru_maxrss / 1024)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{said.decode()[-3000:]}")
    return Timing(statistics.median(seconds), max(peaks))


def snakemake(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--workflow-profile", "none", "--cores", "2", "--scheduler", "greedy",
            "--max-checksum-file-size", "50GB", "--quiet", "all", *arguments]  # fmt: skip


def make_cohort(folder: Path, subjects: int) -> int:
    """The rules and a cohort of empty recordings, named as the release names them; returns how many."""
    for name in ("Snakefile", "params.yaml", "dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    for name in ("workflow", "profiles", "annotations"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "src").symlink_to(ROOT / "src")
    root, made = folder / "data/demo", 0
    for subject in range(1, subjects + 1):
        here = root / "dataset" / f"{subject:04d}"
        here.mkdir(parents=True)
        while made < round(subject * VIDEOS_A_SUBJECT):
            name = f"{subject:04d}-{1 + made // len(VIEWS):04d}_{VIEWS[made % len(VIEWS)]}_1-300"
            (here / f"{name}.mp4").write_text(name)
            (here / f"{name}_filtered_pose.zip").write_text(name)
            made += 1
    for name in ("labels.json", "subjects.csv", "cohort.json"):
        (root / name).touch()
    return made


def measure(folder: Path, subjects: int) -> dict[str, str]:
    videos = make_cohort(folder, subjects)
    plan = timed(snakemake("--dry-run"), folder)
    assignment = folder / "data/split_subjects/subjects.csv"
    for target in planned_outputs(folder):
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / target).touch()
    assignment.write_text("subject,fold,part\n")
    timed(snakemake("--touch"), folder)
    nothing = timed(snakemake("--dry-run"), folder, rounds=3)
    return {
        "subjects": str(subjects), "videos": str(videos), "plan (s)": f"{plan.seconds:.1f}",
        "plan a subject (ms)": f"{1000 * plan.seconds / subjects:.0f}", "nothing to do (s)": f"{nothing.seconds:.1f}",
        "coordinator (MB)": f"{max(plan.peak_mb, nothing.peak_mb):.0f}",
    }  # fmt: skip


def planned_outputs(folder: Path) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "none", "--cores", "1", "--dry-run"]
    said = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    return [path for line in re.findall(r"^    output: (.*)$", said, re.MULTILINE) for path in line.split(", ")]


def starting_costs(rounds: int) -> list[tuple[str, float]]:
    """From the shell to a step that has parsed its line and its params and looks for its inputs: what every job pays."""
    costs = []
    for step in STARTS:
        command = f"{Path(sys.executable).parent}/childgait {step} --help"
        costs.append((step, timed(["bash", "-c", command], ROOT, rounds).seconds))
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, nargs="+", default=[11, 110])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--report", type=Path, default=ROOT / "reports/bench/scale.md")
    arguments = parser.parse_args()
    rows = []
    for subjects in arguments.subjects:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(Path(folder), subjects))
        print(rows[-1], flush=True)
    lines = ["# The workflow's own cost", "", "Real rules over empty files (`bench/scale.py`); no step runs.", ""]
    lines += ["| " + " | ".join(rows[0]) + " |", "|" + "---:|" * len(rows[0])]
    lines += ["| " + " | ".join(row.values()) + " |" for row in rows]
    lines += ["", "Starting a job, up to the reading of its command line:", "", "| step | s |", "|---|---:|"]
    lines += [f"| {step} | {seconds:.2f} |" for step, seconds in starting_costs(arguments.rounds)]
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    arguments.report.write_text("\n".join(lines) + "\n")
    print(arguments.report.read_text())


if __name__ == "__main__":
    main()
