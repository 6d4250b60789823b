"""What the workflow itself costs as the cohort grows: planning, doing nothing, one more video, starting a job.

    .venv/bin/python bench/scale.py                       # 11 and 110 subjects (118 and 1,185 videos)
    .venv/bin/python bench/scale.py --subjects 11 110 1000

The rules, dvc.yaml and params are the real ones; the files are empty, so no step runs, but for the starting costs, which
are taken on one synthetic child. Writes reports/bench/scale.md. Times are of this machine; what carries over is how they grow.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VIDEOS_A_SUBJECT = 1185 / 110  # of the published cohort
VIEWS = ("forward", "backward", "left", "right")
VIDEO_STEPS = ("register", "deidentify", "segment", "estimate_pose", "refine_pose", "prepare_clips")
EVERYTHING = ("--", "perceive_all", "report_all")  # the sheets for a reviewer feed nothing, so the report alone plans none
COPIED = ("Snakefile", "params.yaml", "dvc.yaml", ".dvcignore", ".gitignore", "workflow", "profiles", "annotations")


@dataclass(frozen=True)
class Timing:
    seconds: float  # median, on the wall
    cpu: float  # median, of a processor: what the wall would say on an idle machine, near enough
    peak_mb: float  # largest
    said: str  # by the last


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SNAKEMAKE", "CHILDGAIT"))}
    who = {f"GIT_{role}_{what}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = {"PYTHONPATH": str(ROOT / "src"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return kept | who | path | {"SNAKEMAKE_OUTPUT_CACHE": "cache", "DVC_NO_ANALYTICS": "1"}


def timed(command: list[str], folder: Path, rounds: int = 1) -> Timing:
    seconds, cpu, peaks, said = [], [], [], b""
    for _ in range(rounds):
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds.append(time.perf_counter() - began)
        cpu.append(usage.ru_utime + usage.ru_stime)
        peaks.append(usage.ru_maxrss / 1024)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{said.decode()[-3000:]}")
    return Timing(statistics.median(seconds), statistics.median(cpu), max(peaks), said.decode())


def snakemake(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--workflow-profile", "none", "--cores", "2", "--scheduler", "greedy",
            "--max-checksum-file-size", "50GB", *arguments]  # fmt: skip


def copy_rules(folder: Path) -> None:
    for name in COPIED:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    (folder / "src").symlink_to(ROOT / "src")


def make_recordings(folder: Path, subjects: int) -> int:
    """Empty recordings, named as the release names them; returns how many."""
    root, made = folder / "data/demo", 0
    for subject in range(1, subjects + 1):
        while made < round(subject * VIDEOS_A_SUBJECT):
            add_recording(root, subject, 1 + made // len(VIEWS), VIEWS[made % len(VIEWS)])
            made += 1
    for name in ("labels.json", "subjects.csv", "cohort.json", "synthesize.record.json"):
        (root / name).touch()
    return made


def add_recording(root: Path, subject: int, session: int, view: str) -> None:
    name = f"{subject:04d}-{session:04d}_{view}_1-300"
    for ending in (".mp4", "_filtered_pose.zip"):
        path = root / "dataset" / f"{subject:04d}" / f"{name}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def pretend_finished(folder: Path, plan: str) -> None:
    """Every planned output, empty, known to Snakemake and to DVC as made of what is there."""
    for path in [path for line in re.findall(r"^    output: (.*)$", plan, re.MULTILINE) for path in line.split(", ")]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    (folder / "data/split_subjects/subjects.csv").write_text("subject,fold,part\n")
    timed(snakemake("--touch", "--forceall", "--quiet", "all", *EVERYTHING), folder)
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"], ["dvc", "commit", "--force"]):
        timed(command, folder)


def measure(folder: Path, subjects: int, rounds: int) -> tuple[dict[str, str], Counter[str], float]:
    """The row of the table, what one more video plans, and processor seconds of planning."""
    copy_rules(folder)
    videos = make_recordings(folder, subjects)
    plan = timed(snakemake("--dry-run", *EVERYTHING), folder)
    one = f"data/register/{next(folder.glob('data/demo/dataset/0001/*.mp4')).stem}.json"
    alone = timed(snakemake("--dry-run", "--allowed-rules", "register", "--", one), folder, rounds)
    pretend_finished(folder, plan.said)
    nothing = timed(snakemake("--dry-run", *EVERYTHING), folder, rounds)
    if "Nothing to be done" not in nothing.said:
        sys.exit(f"something is left to do:\n{nothing.said[-3000:]}")
    nothing_dvc = timed(["dvc", "repro", "report"], folder, rounds)
    if "Running stage" in nothing_dvc.said:
        sys.exit(f"DVC found something to do:\n{nothing_dvc.said[-3000:]}")
    add_recording(folder / "data/demo", 1, 99, "left")
    more = timed(snakemake("--dry-run", *EVERYTHING), folder)
    planned = Counter(re.findall(r"^rule (\w+):", more.said, re.MULTILINE))
    jobs = len(re.findall(r"^rule ", plan.said, re.MULTILINE))
    row = {
        "subjects": str(subjects), "videos": f"{videos:,}", "jobs": f"{jobs:,}", "plan all (s)": both(plan),
        "plan one job (s)": both(alone), "Snakemake, nothing to do (s)": both(nothing),
        "`dvc repro`, nothing to do (s)": both(nothing_dvc),
        "coordinator (MB)": f"{max(plan.peak_mb, nothing.peak_mb, more.peak_mb):.0f}",
    }  # fmt: skip
    return row, planned, plan.cpu


def both(timing: Timing) -> str:
    return f"{timing.seconds:.2f} ({timing.cpu:.2f})"


def starting_costs(folder: Path, rounds: int) -> list[tuple[str, str, str]]:
    """Of one video's jobs: seconds to the reading of the command line, and all that a job takes beside its step's own work."""
    copy_rules(folder)
    timed(["childgait", "preset", "smoke"], folder)
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("  subjects: 6\n", "  subjects: 2\n", 1))
    timed(["childgait", "synthesize", "--out", "data/demo"], folder)
    video = sorted((folder / "data/demo/dataset").glob("*/*_left_*.mp4"))[0].stem
    target = f"data/prepare_clips/{video}.clip.json"
    plan = timed(snakemake("--dry-run", "--printshellcmds", "--", target), folder).said
    commands = {step: re.findall(rf"^ *(childgait {step} .*?) > ", plan, re.MULTILINE)[0] for step in VIDEO_STEPS}
    (folder / ".snakemake").mkdir(exist_ok=True)
    costs = []
    for step, command in commands.items():
        beside = []
        for _ in range(rounds):
            whole = timed(["bash", "-c", command], folder)
            last = json.loads((folder / "logs/runs.jsonl").read_text().splitlines()[-1])
            beside.append(whole.seconds - last["seconds"])
        line_read = timed(["bash", "-c", f"childgait {step} --help"], folder, rounds)
        costs.append((step, both(line_read), f"{statistics.median(beside):.2f}"))
    return costs


def write(
    path: Path, rows: list[dict[str, str]], planned: Counter[str], growth: str, costs: list[tuple[str, str, str]]
) -> None:
    lines = ["# The workflow's own cost", "", "Real rules over empty files (`bench/scale.py`); no step runs. In brackets:"]
    lines += ["processor seconds, which a busy machine does not stretch as it does the wall's.", ""]
    lines += ["| " + " | ".join(rows[0]) + " |", "|" + "---:|" * len(rows[0])]
    lines += ["| " + " | ".join(row.values()) + " |" for row in rows]
    lines += ["", growth, "", "One more video plans, beside the targets that only name files:", ""]
    lines += ["| rule | jobs |", "|---|---:|"]
    lines += [f"| {rule} | {count} |" for rule, count in planned.items() if not rule.endswith("_all")]
    lines += ["", "Starting a video's job: until its command line is read, and all that it takes beside its step's own"]
    lines += ["work (interpreter, params, hashes, record).", ""]
    lines += ["| step | line read (s) | beside its work (s) |", "|---|---:|---:|"]
    lines += [f"| {step} | {line} | {beside} |" for step, line, beside in costs]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    print(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, nargs="+", default=[11, 110])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--report", type=Path, default=ROOT / "reports/bench/scale.md")
    arguments = parser.parse_args()
    rows, seconds, planned = [], [], Counter[str]()
    for subjects in arguments.subjects:
        with tempfile.TemporaryDirectory() as folder:
            row, planned, plan = measure(Path(folder), subjects, arguments.rounds)
        rows.append(row)
        seconds.append(plan / subjects)
        print(row, flush=True)
    growth = (
        f"Planning takes {1000 * seconds[-1]:.0f} ms a subject with {arguments.subjects[-1]} subjects and "
        f"{1000 * seconds[0]:.0f} ms with {arguments.subjects[0]}: {seconds[-1] / seconds[0]:.2f} of it."
    )
    with tempfile.TemporaryDirectory() as folder:
        costs = starting_costs(Path(folder), arguments.rounds)
    write(arguments.report, rows, planned, growth, costs)


if __name__ == "__main__":
    main()
