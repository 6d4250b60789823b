"""Measures the workflow's own cost as the cohort grows: planning, a no-op, one more video, starting a job.

    .venv/bin/python bench/scale.py                       # 11 and 110 subjects (118 and 1,185 videos)
    .venv/bin/python bench/scale.py --subjects 11 110 1000
    .venv/bin/python bench/scale.py --parts plan dvc --subjects 110 # reports/bench/scale_parts.md
    .venv/bin/python bench/scale.py --parts dvc register --subjects 10000    # 108,000 videos: an hour, 3 million files

The rules, dvc.yaml and params are the real ones; the files are empty, so no step runs, except for the starting costs,
which are measured on one synthetic child. Writes reports/bench/scale.md, each figure beside its aim. Times are of this
machine and its load; only their growth carries over. `--parts` measures some of it, for Snakemake needs much longer to
touch all outputs than for anything that is measured afterwards. plan: of a new cohort, all stages at once; register:
the plan of that stage alone, as workflow/stage runs it; dvc: `dvc repro` with nothing to do. Without `plan` a large
cohort's outputs are named after those of one child, so that a plan which fits no memory is not needed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
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
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VIDEOS_A_SUBJECT = 1185 / 110  # of the published cohort
VIEWS = ("forward", "backward", "left", "right")
VIDEO_STEPS = ("register", "deidentify", "segment", "estimate_pose", "refine_pose", "prepare_clips")
# `snakemake`, except that Snakemake sleeps a tenth of a second before it touches a job's outputs: 12 minutes for
# 1,185 videos.
TOUCHING = (
    "from snakemake.executors.touch import Executor; from snakemake.cli import main; Executor.SLEEPING_TIME = 0; main()"
)
EVERYTHING = (
    "--",
    "perceive_all",
    "report_all",
)  # the sheets for a reviewer feed nothing, so the report alone plans none
# The sources, too: an edit beside a run of this would make a part of the pretended outputs old.
COPIED = (
    "Snakefile",
    "params.yaml",
    "dvc.yaml",
    ".dvcignore",
    ".gitignore",
    "workflow",
    "profiles",
    "annotations",
    "src",
)
POOLED = (
    "gate",
    "build_labels",
    "split_subjects",
    "finetune",
    "evaluate",
    "write_submission",
    "bundle",
    "check_study",
    "write_report",
    "trace_lineage",
)


@dataclass(frozen=True)
class Timing:
    seconds: float  # median, on the wall
    cpu: float  # median, of a processor: what the wall would say on an idle machine, near enough
    peak_mb: float  # largest
    output: str  # by the last


@dataclass(frozen=True)
class Measured:
    """A cohort of one size."""

    subjects: int
    row: dict[str, str]  # of the table
    everything: Timing  # planned
    nothing: Timing  # Snakemake's own
    nothing_dvc: Timing
    coordinator_mb: float
    plan_ms: float  # processor milliseconds a subject, beside the start
    more: Counter[str]  # jobs that one more video plans, by rule


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SNAKEMAKE", "CHILDGAIT"))}
    who = {f"GIT_{role}_{what}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = {"PYTHONPATH": str(ROOT / "src"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return kept | who | path | {"SNAKEMAKE_OUTPUT_CACHE": "cache", "DVC_NO_ANALYTICS": "1"}


def timed(command: list[str], folder: Path, rounds: int = 1) -> Timing:
    seconds, cpu, peaks, output = [], [], [], b""
    for _ in range(rounds):
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds.append(time.perf_counter() - began)
        cpu.append(usage.ru_utime + usage.ru_stime)
        peaks.append(usage.ru_maxrss / 1024)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{output.decode()[-3000:]}")
    return Timing(statistics.median(seconds), statistics.median(cpu), max(peaks), output.decode())


def snakemake(*arguments: str) -> list[str]:
    """Return the command of Snakemake as workflow/stage and `make plan` start it."""
    return [
        sys.executable,
        "workflow/run_snakemake.py",
        "--workflow-profile",
        "none",
        "--cores",
        "2",
        "--scheduler",
        "greedy",
        "--max-checksum-file-size",
        "50GB",
        *arguments,
    ]


def copy_rules(folder: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)


def recordings_of(subjects: int) -> Iterator[tuple[int, int, str]]:
    """Yield child, session and view of each recording of a cohort."""
    made = 0
    for subject in range(1, subjects + 1):
        while made < round(subject * VIDEOS_A_SUBJECT):
            yield subject, 1 + made // len(VIEWS), VIEWS[made % len(VIEWS)]
            made += 1


def name_of(subject: int, session: int, view: str) -> str:
    return f"{subject:04d}-{session:04d}_{view}_1-300"


def names_of(subjects: int) -> list[str]:
    return [name_of(*recording) for recording in recordings_of(subjects)]


def make_recordings(folder: Path, subjects: int) -> int:
    """Empty recordings, named as the release names them; returns how many."""
    root, made = folder / "data/demo", 0
    for recording in recordings_of(subjects):
        add_recording(root, *recording)
        made += 1
    for name in ("labels.json", "subjects.csv", "cohort.json", "synthesize.record.json"):
        (root / name).touch()
    return made


def add_recording(root: Path, subject: int, session: int, view: str) -> None:
    name = name_of(subject, session, view)
    for ending in (".mp4", "_filtered_pose.zip"):
        path = root / "dataset" / f"{subject:04d}" / f"{name}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def planned_outputs(plan: str) -> list[str]:
    return [path for line in re.findall(r"^    output: (.*)$", plan, re.MULTILINE) for path in line.split(", ")]


def pretend_outputs(folder: Path, outputs: list[str]) -> None:
    """Make every planned output, empty."""
    for path in outputs:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    (folder / "data/split_subjects/subjects.csv").write_text("subject,fold,part\n")
    (folder / "data/pretrain").mkdir(exist_ok=True)  # workflow/stage makes it where nothing is pre-trained


def touch_for_snakemake(folder: Path) -> None:
    """Tell Snakemake that all outputs are made of what is there."""
    timed(
        [sys.executable, "-c", TOUCHING, *snakemake("--touch", "--forceall", "--quiet", "all", *EVERYTHING)[2:]], folder
    )


def commit_to_dvc(folder: Path) -> None:
    """Tell DVC that all outputs are made of what is there."""
    timed([sys.executable, "workflow/borders.py", "--write"], folder)
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"], ["dvc", "commit", "--force"]):
        timed(command, folder)


def repro_nothing(folder: Path, rounds: int) -> Timing:
    timing = timed([sys.executable, "workflow/run_dvc.py", "repro", "report"], folder, rounds)
    if "Running stage" in timing.output:
        sys.exit(f"DVC found something to do:\n{timing.output[-3000:]}")
    return timing


def measure(folder: Path, subjects: int, rounds: int) -> Measured:
    copy_rules(folder)
    videos = make_recordings(folder, subjects)
    plan = plan_all(folder)
    one = f"data/register/{next(folder.glob('data/demo/dataset/0001/*.mp4')).stem}.json"
    alone = timed(snakemake("--dry-run", "--allowed-rules", "register", "--", one), folder, rounds)
    pretend_outputs(folder, planned_outputs(plan.output))
    touch_for_snakemake(folder)
    commit_to_dvc(folder)
    nothing = timed(snakemake("--dry-run", *EVERYTHING), folder, rounds)
    if "Nothing to be done" not in nothing.output:
        sys.exit(f"something is left to do:\n{nothing.output[-3000:]}")
    nothing_dvc = repro_nothing(folder, rounds)
    add_recording(folder / "data/demo", 1, 99, "left")
    more = plan_all(folder)
    planned = Counter(re.findall(r"^rule (\w+):", more.output, re.MULTILINE))
    jobs = count_jobs(plan)
    peak = max(plan.peak_mb, nothing.peak_mb, more.peak_mb)
    row = {
        "subjects": str(subjects),
        "videos": f"{videos:,}",
        "jobs": f"{jobs:,}",
        "plan all (s)": both(plan),
        "plan one job (s)": both(alone),
        "Snakemake, nothing to do (s)": both(nothing),
        "`dvc repro`, nothing to do (s)": both(nothing_dvc),
        "coordinator (MB)": f"{peak:.0f}",
    }
    return Measured(subjects, row, plan, nothing, nothing_dvc, peak, 1000 * (plan.cpu - alone.cpu) / subjects, planned)


def plan_all(folder: Path) -> Timing:
    return timed(snakemake("--dry-run", *EVERYTHING), folder)


def count_jobs(plan: Timing) -> int:
    return len(re.findall(r"^rule ", plan.output, re.MULTILINE))


def measure_parts(folder: Path, subjects: int, parts: list[str], rounds: int) -> dict[str, str]:
    """Measure some costs of a cohort of this size; returns a row of the table."""
    copy_rules(folder)
    row = {"subjects": f"{subjects:,}"}
    outputs = [] if "plan" in parts else outputs_after(folder, subjects)
    row["videos"] = f"{make_recordings(folder, subjects):,}"
    if "plan" in parts:
        plan = plan_all(folder)
        outputs = planned_outputs(plan.output)
        row |= plan_costs("plan all", plan)
    if "register" in parts:
        stage = ("--dry-run", "--snakefile", "workflow/rules/register.smk", "--", "register_all")
        row |= plan_costs("plan register", timed(snakemake(*stage), folder))
    if "dvc" in parts:
        pretend_outputs(folder, outputs)
        commit_to_dvc(folder)
        nothing = repro_nothing(folder, rounds)
        row |= {"files": f"{len(outputs):,}", "`dvc repro`, nothing to do (s)": both(nothing)}
        row["DVC (MB)"] = f"{nothing.peak_mb:,.0f}"
    return row


def plan_costs(what: str, plan: Timing) -> dict[str, str]:
    """Return the cells of a plan: its jobs, time and memory."""
    jobs = count_jobs(plan)
    return {
        f"{what}: jobs": f"{jobs:,}",
        f"{what} (s)": both(plan),
        f"{what}: processor time per job (ms)": f"{1000 * plan.cpu / jobs:.2f}",
        f"{what}: coordinator (MB)": f"{plan.peak_mb:,.0f}",
        f"{what}: per job (KB)": f"{1024 * plan.peak_mb / jobs:.0f}",
    }


def outputs_after(folder: Path, subjects: int) -> list[str]:
    """Name the outputs of a large cohort after those of a small one's first child; leaves this child's recordings."""
    make_recordings(folder, 1)
    names, first = names_of(subjects), names_of(1)
    result: dict[str, None] = {}
    for path in planned_outputs(plan_all(folder).output):
        if first[0] in path:
            result |= dict.fromkeys(path.replace(first[0], name) for name in names)
        elif any(name in path for name in first):
            continue  # as of the first recording
        elif re.search(r"/0001\b", path):
            result |= dict.fromkeys(re.sub(r"/0001\b", f"/{child:04d}", path) for child in range(1, subjects + 1))
        else:
            result[path] = None
    return list(result)


def conditions(rounds: int, load_before: float) -> str:
    """Return when and with what was measured, and how busy the machine was."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("snakemake", "dvc"))
    often = "each figure once" if rounds == 1 else f"medians of {rounds}, single plans once"
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with {versions}; {often}. Load of the machine: {load_before:.1f} "
        f"before, {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} processors. Above that number the wall's seconds "
        "contain waiting for others, and a processor's are more too, as caches are shared."
    )


def table_of(rows: list[dict[str, str]]) -> list[str]:
    head = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(head) + " |", "|" + "---:|" * len(head)]
    return lines + ["| " + " | ".join(row.get(key, "–") for key in head) + " |" for row in rows]


def both(timing: Timing) -> str:
    return f"{timing.seconds:.2f} ({timing.cpu:.2f})"


def starting_costs(folder: Path, rounds: int) -> list[tuple[str, str, float]]:
    """Time one video's jobs: seconds until the command line is read, and all overhead beside the step's own work."""
    copy_rules(folder)
    timed(["childgait", "preset", "smoke"], folder)
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("  subjects: 6\n", "  subjects: 2\n", 1))
    timed(["childgait", "synthesize", "--out", "data/demo"], folder)
    video = sorted((folder / "data/demo/dataset").glob("*/*_left_*.mp4"))[0].stem
    target = f"data/prepare_clips/{video}.clip.json"
    plan = timed(snakemake("--dry-run", "--printshellcmds", "--", target), folder).output
    commands = {step: re.findall(rf"\b(childgait {step} .*?) > ", plan)[0] for step in VIDEO_STEPS}
    (folder / ".snakemake").mkdir(exist_ok=True)
    costs = []
    for step, command in commands.items():
        beside = []
        for _ in range(rounds):
            whole = timed(["bash", "-c", command], folder)
            last = json.loads((folder / "logs/runs.jsonl").read_text().splitlines()[-1])
            beside.append(whole.seconds - last["seconds"])
        line_read = timed(["bash", "-c", f"childgait {step} --help"], folder, rounds)
        costs.append((step, both(line_read), statistics.median(beside)))
    return costs


def against_aims(sizes: list[Measured], costs: list[tuple[str, str, float]]) -> list[str]:
    """Tabulate aims and figures at the published cohort's size, from the largest size measured."""
    small, large = sizes[0], sizes[-1]
    growth, start = large.plan_ms / small.plan_ms, max(beside for _, _, beside in costs)
    own = (*VIDEO_STEPS, "draw_sheets")
    others = {rule for rule in large.more if not rule.endswith("_all")} - {*own, *POOLED}
    others |= {f"{rule} {large.more[rule]} times" for rule in own if large.more[rule] != 1}
    planned = ", ".join(sorted(others)) or "no other"
    rows = [
        ("`dvc repro` with nothing to do", "3 s", both(large.nothing_dvc), large.nothing_dvc.seconds <= 3),
        ("Snakemake with nothing to do, 2 cores", "5 s", both(large.nothing), large.nothing.seconds <= 5),
        ("planning all jobs", "8 s", both(large.everything), large.everything.seconds <= 8),
        ("starting a video's job, the slowest of six", "0.7 s", f"{start:.2f}", start <= 0.7),
        ("one more video plans its own jobs and the pooled ones", "no other", planned, not others),
        (
            f"planning a subject, beside the start: {large.subjects} against {small.subjects}",
            "1.10 times",
            f"{growth:.2f}",
            growth <= 1.1,
        ),
        ("memory of the coordinator, planning", "500 MB", f"{large.coordinator_mb:.0f}", large.coordinator_mb <= 500),
    ]
    head = [f"| with {large.subjects} subjects | at most | measured | |", "|---|---:|---:|---|"]
    return head + [f"| {what} | {aim} | {result} | {'met' if met else 'missed'} |" for what, aim, result, met in rows]


def write_parts(path: Path, rows: list[dict[str, str]], how: str) -> None:
    lines = [
        "# Parts of the workflow's own cost",
        "",
        "Real rules over empty files (`bench/scale.py --parts`). Seconds on the wall;",
    ]
    lines += ["in brackets of a processor.", "", how, "", *table_of(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    print(path.read_text())


def write(path: Path, sizes: list[Measured], costs: list[tuple[str, str, float]], how: str) -> None:
    rows, planned = [size.row for size in sizes], sizes[-1].more
    lines = [
        "# The workflow's own cost",
        "",
        "Real rules over empty files (`bench/scale.py`); no step runs. Seconds on the",
    ]
    lines += [
        "wall; in brackets of a processor, which a busy machine does not stretch as it does the wall's. Whether an"
    ]
    lines += ["aim is met is decided by the wall time.", "", how, "", *against_aims(sizes, costs), "", *table_of(rows)]
    lines += ["", "One more video plans, beside the targets that only name files:", ""]
    lines += ["| rule | jobs |", "|---|---:|"]
    lines += [f"| {rule} | {count} |" for rule, count in planned.items() if not rule.endswith("_all")]
    lines += ["", "Starting a video's job: until its command line is read, and all that it takes beside its step's own"]
    lines += ["work (interpreter, params, hashes, record).", ""]
    lines += ["| step | line read (s) | beside its work (s) |", "|---|---:|---:|"]
    lines += [f"| {step} | {line} | {beside:.2f} |" for step, line, beside in costs]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    print(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, nargs="+", default=[11, 110])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=("plan", "register", "dvc"), help="measure these alone")
    parser.add_argument("--report", type=Path, help="default: reports/bench/scale.md, with --parts scale_parts.md")
    arguments = parser.parse_args()
    name = "scale_parts.md" if arguments.parts else "scale.md"
    report = arguments.report or ROOT / "reports/bench" / name
    load_before = os.getloadavg()[0]
    if arguments.parts:
        rows = []
        for subjects in arguments.subjects:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measure_parts(Path(folder), subjects, arguments.parts, arguments.rounds))
            print(rows[-1], flush=True)
        write_parts(report, rows, conditions(arguments.rounds, load_before))
        return
    sizes = []
    for subjects in arguments.subjects:
        with tempfile.TemporaryDirectory() as folder:
            sizes.append(measure(Path(folder), subjects, arguments.rounds))
        print(sizes[-1].row, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        costs = starting_costs(Path(folder), arguments.rounds)
    write(report, sizes, costs, conditions(arguments.rounds, load_before))


if __name__ == "__main__":
    main()
