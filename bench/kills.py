"""Disturbs the smoke study in every late stage and compares its outputs; writes reports/bench/kills.md and .json.

    slot python bench/kills.py --folder /tmp/kills                       # about forty minutes of processor time
    slot python bench/kills.py --folder /tmp/kills --only kills erase    # some groups
    python bench/kills.py --folder /tmp/kills --smoke                    # half a minute, on a toy workflow

The faults: SIGKILL while `synthesize`, `finetune`, `evaluate`, `write_report`, `trace_lineage` and `childgait erase`
are at work; a file system that is full; outputs that become visible late; a folder for temporary files that cannot be
written; a clock that is set back and forward (--faketime: path of libfaketime.so.1). A call continues where an earlier
one stopped: every try is a line of FOLDER/tries.jsonl. Full disks and unwritable folders need the right to mount.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "src"), str(Path(__file__).parents[1] / "tests")]

from support.disturbed_study import Ended, Workspace, kill, wait_until_at_work  # noqa: E402

OUT = Path("reports/bench/kills.md")
CHILD = "0003"  # who is erased
GROUPS = ("kills", "erase", "late", "clock", "temporary", "disk")


@dataclass(frozen=True)
class Target:
    """A step to kill: the stage that runs it, the outputs that are removed before, and the number of kills."""

    step: str
    stage: str
    outputs: tuple[str, ...]
    seconds: float  # that the step is at work, at most
    kills: int
    process: str = ""  # part of the command line of the step's process; by default `childgait STEP`

    @property
    def fragment(self) -> str:
        return self.process or f"childgait {self.step}"


TOY = Target("double", "report", ("data/double", "reports/*.json"), 1, 2, "steps.py double")
TARGETS = (
    Target("synthesize", "cohort", ("data/demo",), 12, 3),
    Target("finetune", "finetune", ("data/finetune",), 10, 6),
    Target("evaluate", "evaluate", ("data/evaluate", "data/write_submission"), 3, 5),
    Target(
        "write_report",
        "report",
        ("reports/index.html", "reports/*.json", "reports/tables", "reports/figures", "data/check_study"),
        6,
        5,
    ),
    Target("trace_lineage", "report", ("reports/lineage.*", "reports/manifest.csv", "reports/ro-crate*"), 2, 5),
)
# Stage, and the outputs of a video or of the stage that are removed before. `pretrain` writes none in the smoke study.
FULL = (
    ("cohort", ("data/demo",)),
    ("register", ("data/register/{video}.*",)),
    ("deidentify", ("data/deidentify/{video}.*",)),
    ("perceive", ("data/segment/{video}.*", "data/prepare_clips/{video}.*")),
    ("dataset", ("data/build_labels",)),
    ("finetune", ("data/finetune",)),
    ("evaluate", ("data/evaluate",)),
    ("report", ("reports/index.html", "reports/tables", "data/bundle")),
)


@dataclass(frozen=True)
class Try:
    """One disturbance and what became of it."""

    group: str
    title: str
    outcome: str  # ok or broken
    kills: int
    seconds: float
    detail: str


class Tries:
    """The tries so far, a line each in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.all = [Try(**json.loads(line)) for line in lines]

    def has(self, group: str, title: str) -> bool:
        return any((one.group, one.title) == (group, title) for one in self.all)

    def add(self, one: Try) -> None:
        self.all.append(one)
        with self.path.open("a") as stream:
            stream.write(json.dumps(asdict(one)) + "\n")
        print(f"{one.group}, {one.title}: {one.outcome}, {one.seconds:.0f} s. {one.detail}", flush=True)


Attempt = Callable[[], tuple[list[str], int, str]]  # returns what is wrong, the number of kills, and a remark


def attempt(tries: Tries, group: str, title: str, act: Attempt) -> None:
    """Make one try unless an earlier call has made it."""
    if tries.has(group, title):
        return
    began = time.monotonic()
    wrong, kills, remark = act()
    detail = "; ".join([*wrong[:5], remark] if remark else wrong[:5])
    tries.add(Try(group, title, "broken" if wrong else "ok", kills, round(time.monotonic() - began, 1), detail))


# --- kills


def kill_target(space: Workspace, target: Target) -> Iterator[tuple[str, Attempt]]:
    """Yield one try: a target is killed again and again, then the study is run to its end."""

    def act() -> tuple[list[str], int, str]:
        chance = random.Random(target.step)
        space.reset()
        space.remove(target.stage, target.outputs)
        kills, wrong, alone = 0, [], 0
        while kills < target.kills:
            command = ["workflow/run"] if kills % 5 == 4 else ["workflow/stage", target.stage]
            began = time.monotonic()
            process = space.start(command)
            if wait_until_at_work(process, target.fragment):
                time.sleep(chance.uniform(0, target.seconds))
            what = ""
            if process.poll() is None:
                what = kill(process, chance)
                alone, kills = alone + (what == "one process"), kills + 1
            ended = space.ended(process, began)
            wrong += space.differences(complete=False)
            if ended.status == 0:
                space.remove(target.stage, target.outputs)
            elif "another run is active" in ended.text:  # what one killed process left is still at work
                time.sleep(2)
            elif ended.status > 0 and what != "one process":
                wrong.append(f"stopped before the kill: {ended.errors}")
        last = space.run(["workflow/run"])
        if last.status != 0:
            return [*wrong, f"the last run failed: {last.errors}"], kills, ""
        return [*wrong, *space.differences()], kills, f"{kills} kills, {alone} of them of one process"

    yield f"{target.step} is killed", act


# --- erasure


def erase(remote: bool) -> list[str]:
    return ["workflow/with-environment", "childgait", "erase", CHILD, "--yes", *(["--remote"] if remote else [])]


def state_after_erasure(space: Workspace) -> dict[str, str]:
    """Map the files that an erasure leaves to their hashes: outputs, tables, DVC's objects here and in the remotes."""
    from childgait.files.hashes import sha256

    folders = [space.clone / name for name in ("data", "reports", "annotations", ".dvc/cache", ".cache")]
    paths = [path for folder in (*folders, space.remote) for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(space.folder)): sha256(path) for path in paths}


def kill_erasure(space: Workspace, remote: bool, kills: int) -> Iterator[tuple[str, Attempt]]:
    """Yield one try: an erasure is killed again and again, then completed; the same files must be left."""

    def act() -> tuple[list[str], int, str]:
        chance = random.Random(7 + remote)
        space.reset()
        undisturbed = space.run(erase(remote))
        if undisturbed.status != 0:
            return [f"the undisturbed erasure failed: {undisturbed.errors}"], 0, ""
        wanted, done = state_after_erasure(space), 0
        while done < kills:
            space.reset()
            for _ in range(3):
                process = space.start(erase(remote))
                if wait_for_text(space, process, chance.choice(["erasing: removing", "erasing: removing", "erasing"])):
                    time.sleep(chance.uniform(0, 2.5))
                if process.poll() is None:
                    kill(process, random.Random(0))
                    done += 1
                process.wait()
            last = space.run(erase(remote))
            wrong = compare(wanted, state_after_erasure(space))
            if wrong or last.status != 0:
                return [*wrong, f"the last call: {last.errors}"], done, ""
        return [], done, f"{done} kills; an undisturbed erasure takes {undisturbed.seconds:.0f} s"

    yield f"erase{' --remote' if remote else ''} is killed", act


def wait_for_text(space: Workspace, process: subprocess.Popen[str], text: str) -> bool:
    """Wait until a command has printed a text; False if it ends before."""
    while process.poll() is None:
        if text in space.output.read_text(errors="replace"):
            return True
        time.sleep(0.1)
    return False


def compare(wanted: dict[str, str], present: dict[str, str]) -> list[str]:
    """List the files that differ between two states; DVC's cache may have fewer objects."""
    names = {*present} | {name for name in wanted if "/.dvc/" not in name}  # objects of pooled files can be made again
    return [f"{name} differs" for name in sorted(names) if wanted.get(name) != present.get(name)]


# --- other faults


def fill_disk(space: Workspace, stage: str, outputs: tuple[str, ...]) -> Iterator[tuple[str, Attempt]]:
    """Yield one try: a stage runs on a full file system, fails, and is run again after space was made."""

    def act() -> tuple[list[str], int, str]:
        space.reset(empty=True)
        size = sum(path.lstat().st_size for path in space.pristine.rglob("*") if path.is_file())
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size + (400 << 20)}", "tmpfs", str(space.clone)], check=True
        )
        try:
            copy_into(space.pristine, space.clone)
            full, filler = run_on_full_disk(space, stage, outputs)
            wrong = space.differences(complete=False)
            wrong += [] if full.status > 0 else [f"the stage ended with status {full.status} on a full disk"]
            wrong += [] if "o space left on device" in full.text else [f"the full disk is not reported: {full.errors}"]
            filler.unlink()
            again = space.run(["workflow/stage", stage])
            wrong += [] if again.status == 0 else [f"afterwards: {again.errors}"]
            wrong += [name for name in space.differences() if "filler" not in name]
        finally:
            subprocess.run(["umount", "--lazy", str(space.clone)], check=True)
        return wrong, 0, full.errors

    yield f"the disk is full in {stage}", act


def run_on_full_disk(space: Workspace, stage: str, outputs: tuple[str, ...]) -> tuple[Ended, Path]:
    """Run a stage with little space, then with less until its files do not fit; return how it ended, and the filler."""
    filler = space.clone / "filler"
    for kilobytes in (150, 40, 12):
        filler.unlink(missing_ok=True)
        space.remove(stage, [name.format(video=first_video(space)) for name in outputs])
        fill(filler, leave=kilobytes << 10)
        full = space.run(["workflow/stage", stage])
        if full.status > 0:
            break
    return full, filler


def copy_into(source: Path, target: Path) -> None:
    """Copy the content of a folder into an existing one."""
    subprocess.run(["cp", "--archive", f"{source}/.", str(target)], check=True)


def fill(path: Path, leave: int) -> None:
    """Write a file that leaves so many bytes of its file system."""
    free = os.statvfs(path.parent)
    with path.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, free.f_bavail * free.f_frsize - leave)


def first_video(space: Workspace) -> str:
    """Return the name of the first registered recording."""
    names = sorted(path.name for path in (space.pristine / "data/register").glob("*.json"))
    return next(name.removesuffix(".json") for name in names if not name.endswith(".record.json"))


LATE = """#!{python}
import os, subprocess, sys, time
from pathlib import Path

began = time.time()
status = subprocess.run(["{real}", *sys.argv[1:]]).returncode
hidden = []
if status == 0:
    for top in ("data", "reports"):
        for path in Path(top).rglob("*"):
            if path.is_file() and not path.name.startswith(".") and path.stat().st_mtime >= began:
                path.rename(path.with_name(".late-" + path.name))
                hidden.append(path)
if hidden and os.fork() == 0:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    time.sleep({seconds})
    for path in hidden:
        if path.parent.is_dir() and path.with_name(".late-" + path.name).exists():
            path.with_name(".late-" + path.name).rename(path)
sys.exit(status)
"""


def see_late(space: Workspace, seconds: int, target: Target) -> Iterator[tuple[str, Attempt]]:
    """Yield one try: outputs become visible some seconds after their job has ended, as on a network file system."""

    def act() -> tuple[list[str], int, str]:
        space.reset()
        space.remove(target.stage, target.outputs)
        programs = space.folder / "late"
        programs.mkdir(exist_ok=True)
        real = Path(sys.executable).parent / "childgait"
        (programs / "childgait").write_text(LATE.format(python=sys.executable, real=real, seconds=seconds))
        (programs / "childgait").chmod(0o755)
        late = space.run(["workflow/stage", target.stage], {"PATH": f"{programs}:{space.environment()['PATH']}"})
        wrong, remark = [], f"status {late.status}"
        if seconds < 5 and late.status != 0:
            wrong.append(f"failed although Snakemake waits 5 s: {late.errors}")
        if late.status != 0:
            remark = f"{late.errors}; the next run completes it"
            time.sleep(seconds)
        last = space.run(["workflow/run"])
        wrong += [] if last.status == 0 else [f"the next run failed: {last.errors}"]
        return [*wrong, *space.differences()], 0, remark

    yield f"outputs of {target.stage} visible after {seconds} s", act


def refuse_temporary(space: Workspace, target: Target) -> Iterator[tuple[str, Attempt]]:
    """Yield one try: TMPDIR is a folder that cannot be written."""

    def act() -> tuple[list[str], int, str]:
        space.reset()
        space.remove(target.stage, target.outputs)
        folder = space.folder / "unwritable"
        folder.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], check=True)
        try:
            done = space.run(["workflow/run"], {"TMPDIR": str(folder)})
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        wrong = [] if done.status == 0 else [f"status {done.status}: {done.errors}"]
        return [*wrong, *space.differences()], 0, ""

    yield f"TMPDIR cannot be written in {target.stage}", act


# libfaketime 0.9.10, where it leaves the monotonic clock alone, subtracts the date from the monotonic end of a sleep:
# every time.sleep of Python fails with "Invalid argument", even at an offset of 0.
SLEEP = """import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds)
"""


def set_clock(space: Workspace, library: Path, target: Target, days: tuple[int, ...]) -> Iterator[tuple[str, Attempt]]:
    """Yield one try: a stage is killed under one clock and continued under others."""

    def act() -> tuple[list[str], int, str]:
        space.reset()
        space.remove(target.stage, target.outputs)
        texts: list[Ended] = []
        modules = space.folder / "clock"
        modules.mkdir(exist_ok=True)
        (modules / "sitecustomize.py").write_text(SLEEP)
        path = f"{modules}:{space.environment()['PYTHONPATH']}"
        for number, offset in enumerate(days):
            clock = {"LD_PRELOAD": str(library), "FAKETIME": f"{offset:+d}d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
            clock["PYTHONPATH"] = path
            process = space.start(["workflow/stage", target.stage], clock)
            if number < len(days) - 1 and wait_until_at_work(process, target.fragment):
                time.sleep(1)
                kill(process, random.Random(0))
            texts.append(space.ended(process, time.monotonic()))
        wrong = [] if texts[-1].status == 0 else [f"status {texts[-1].status}: {texts[-1].errors}"]
        last = space.run(["workflow/run"])
        wrong += [] if last.status == 0 else [f"afterwards: {last.errors}"]
        return [*wrong, *space.differences()], len(days) - 1, f"clock {', '.join(f'{one:+d} d' for one in days)}"

    yield f"the clock jumps in {target.stage}", act


# --- the plan and the page


def plan(space: Workspace, library: Path | None) -> Iterator[tuple[str, str, Attempt]]:
    """Yield every try with its group."""
    if space.toy:
        yield from (("kills", *one) for one in kill_target(space, TOY))
        return
    by_step = {target.step: target for target in TARGETS}
    for target in TARGETS:
        yield from (("kills", *one) for one in kill_target(space, target))
    for remote, kills in ((False, 4), (True, 6)):
        yield from (("erase", *one) for one in kill_erasure(space, remote, kills))
    mounts = os.geteuid() == 0
    for step, seconds in (("evaluate", 3), ("evaluate", 12), ("trace_lineage", 3)):
        yield from (("late", *one) for one in see_late(space, seconds, by_step[step]))
    for step in ("finetune", "trace_lineage") if mounts else ():
        yield from (("temporary", *one) for one in refuse_temporary(space, by_step[step]))
    for step, days in (("evaluate", (2, -2)), ("trace_lineage", (-2, 2))) if library else ():
        yield from (("clock", *one) for one in set_clock(space, library, by_step[step], days))
    for stage, outputs in FULL if mounts else ():
        yield from (("disk", *one) for one in fill_disk(space, stage, outputs))


def page(tries: list[Try]) -> str:
    """Format the tries as Markdown."""
    kills, broken = sum(one.kills for one in tries), sum(one.outcome == "broken" for one in tries)
    rows = [
        f"| {one.group} | {one.title} | {one.outcome} | {one.kills or ''} | {one.seconds:.0f} | "
        f"{one.detail.replace('|', '/')} |"
        for one in tries
    ]
    return "\n".join(
        [
            "# Kills and other faults",
            "",
            f"{len(tries)} tries with {kills} kills, {broken} broken. `python bench/kills.py` writes this page. Each"
            " try begins with the finished smoke study, removes outputs, disturbs the stage that makes them again, and"
            " ends with an undisturbed run. It is ok if every file with a final name was whole after every disturbance,"
            " and if all files of data/ and reports/ and dvc.lock are the undisturbed ones at the end (after an"
            " erasure: the files, DVC's objects and the remotes of an undisturbed erasure).",
            "",
            "| group | try | outcome | kills | s | remark |",
            "|---|---|---|--:|--:|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Make the tries that are left and write the page; exit with 1 if one is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--smoke", action="store_true", help="two kills of a toy workflow")
    parser.add_argument("--faketime", type=Path, help="libfaketime.so.1")
    arguments = parser.parse_args()
    space = Workspace(arguments.folder.resolve(), arguments.smoke)
    space.make()
    tries = Tries(space.folder / "tries.jsonl")
    for group, title, act in plan(space, arguments.faketime and arguments.faketime.resolve()):
        if group in arguments.only:
            attempt(tries, group, title, act)
    arguments.out.write_text(page(tries.all), encoding="utf-8")
    arguments.out.with_suffix(".json").write_text(json.dumps([asdict(one) for one in tries.all], indent=1) + "\n")
    sys.exit(any(one.outcome == "broken" for one in tries.all))


if __name__ == "__main__":
    main()
