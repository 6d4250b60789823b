"""A finished study that is disturbed again and again: stages are started and killed, and their outputs are compared.

A workspace holds `clone`, in which everything runs, and `pristine`, its copy from before the first disturbance. The
clone is always at the same path, because MLflow and DVC store absolute ones.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil
import yaml

from childgait.files.hashes import sha256
from faults import small_workflow
from support.cloned_study import Study, clone

STATE = ("data", "reports")  # folders whose files must not differ afterwards
LONGEST = 900  # seconds of one command


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit status (negative: killed), its output, and the seconds it took."""

    status: int
    text: str
    seconds: float

    @property
    def errors(self) -> str:
        """The lines of its output that state an error, or else the last lines."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return "; ".join([line for line in lines if "error: " in line][-2:] or lines[-2:])[:400]


@dataclass(frozen=True)
class Workspace:
    """A folder with a finished smoke study, its copy, and the addresses of DVC's remotes."""

    folder: Path
    toy: bool = False  # the workflow of tests/faults/small_workflow.py in place of the smoke study

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    @property
    def pristine(self) -> Path:
        return self.folder / "pristine"

    @property
    def remote(self) -> Path:
        return self.folder / "remote"

    def environment(self) -> dict[str, str]:
        own = small_workflow.environment() if self.toy else Study(self.clone).environment()
        return own | {
            "DVC_SITE_CACHE_DIR": str(self.folder / "site"),
            "TMPDIR": str(self.folder / "temp"),  # an erasure searches it, and others work in the common one
            "SNAKEMAKE_PROFILE": "profiles/default",
        }

    def start(self, command: Sequence[str], more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command in the clone, in a session of its own; its output goes to a file beside the clone."""
        with self.output.open("w") as stream:
            return subprocess.Popen(
                command,
                cwd=self.clone,
                env=self.environment() | dict(more or {}),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
            )

    @property
    def output(self) -> Path:
        return self.folder / "output.txt"

    def run(self, command: Sequence[str], more: Mapping[str, str] | None = None) -> Ended:
        """Run a command in the clone until it ends."""
        began = time.monotonic()
        process = self.start(command, more)
        return self.ended(process, began)

    def ended(self, process: subprocess.Popen[str], began: float) -> Ended:
        """Wait for a process and return how it ended."""
        status = process.wait(timeout=LONGEST)
        return Ended(status, self.output.read_text(errors="replace"), time.monotonic() - began)

    def make(self) -> None:
        """Run the smoke study once, push it to two local remotes, and copy everything."""
        if self.pristine.exists():
            return
        (self.folder / "temp").mkdir(parents=True, exist_ok=True)
        if not (self.clone / ".git").exists():
            small_workflow.make_clone(self.clone) if self.toy else clone(self.clone)
        done = self.run(["workflow/run"] if self.toy else ["bash", "-euc", self._prepare()])
        assert done.status == 0, done.text[-3000:]
        copy(self.clone, self.folder / "copying")
        self.remote.mkdir(exist_ok=True)
        copy(self.remote, self.folder / "pristine-remote")
        (self.folder / "copying").rename(self.pristine)

    def _prepare(self) -> str:
        """Return the commands that run the smoke study, push it to two local remotes, and commit it."""
        return f"""
            workflow/run smoke
            workflow/with-environment dvc remote add --quiet --force --local raw {self.remote}/raw
            workflow/with-environment dvc remote add --quiet --force --local derived {self.remote}/derived
            workflow/with-environment dvc push --quiet --run-cache
            git add --all
            git -c user.name=a -c user.email=a@localhost commit --quiet --message study
        """

    def reset(self, *, empty: bool = False) -> None:
        """Make the clone (or leave it `empty`) and the remotes what they were before the first disturbance."""
        for path in (self.clone, self.remote, self.folder / "site", self.folder / "temp"):
            shutil.rmtree(path, ignore_errors=True)
        (self.folder / "temp").mkdir()
        if empty:
            self.clone.mkdir()
        else:
            copy(self.pristine, self.clone)
        copy(self.folder / "pristine-remote", self.remote)

    def remove(self, stage: str, patterns: Sequence[str]) -> None:
        """Remove outputs of a stage, and what would bring them back: Snakemake's cache, DVC's objects and run-cache."""
        lock = yaml.safe_load((self.pristine / "dvc.lock").read_text())
        objects = [f"files/md5/{out['md5'][:2]}/{out['md5'][2:]}" for out in lock["stages"][stage]["outs"]]
        for pattern in (*patterns, ".cache", ".dvc/cache/runs", *(f".dvc/cache/{name}" for name in objects)):
            for path in self.clone.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def differences(self, *, complete: bool = True) -> list[str]:
        """List outputs that differ from the undisturbed ones, that should not be there, or (`complete`) are missing."""
        wanted, present = pristine_hashes(self.pristine), hashes(self.clone)
        wrong = [f"{name} differs" for name in present if name in wanted and present[name] != wanted[name]]
        wrong += [f"{name} is new" for name in present if name not in wanted]
        if complete:
            wrong += [f"{name} is missing" for name in wanted if name not in present]
            wrong += [f"{path.name} is left" for top in STATE for path in (self.clone / top).rglob(".partial-*")]
            if (self.clone / "dvc.lock").read_bytes() != (self.pristine / "dvc.lock").read_bytes():
                wrong.append("dvc.lock differs")
        return wrong


def copy(source: Path, target: Path) -> None:
    """Copy a folder with its links as links."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)


def hashes(folder: Path) -> dict[str, str]:
    """Map every file under its final name to its hash."""
    paths = [path.relative_to(folder) for top in STATE for path in (folder / top).rglob("*") if path.is_file()]
    return {str(path): sha256(folder / path) for path in paths if not any(part[0] == "." for part in path.parts)}


@cache
def pristine_hashes(folder: Path) -> dict[str, str]:
    """Hash the files of a copy that does not change."""
    return hashes(folder)


# --- processes


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """List a process and all its descendants."""
    try:
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def wait_until_at_work(process: subprocess.Popen[str], fragment: str) -> bool:
    """Wait until a descendant's command line contains a text; False if the process ends before."""
    until = time.monotonic() + LONGEST
    while process.poll() is None:
        assert time.monotonic() < until, f"{fragment} does not start"
        for one in family(process):
            with contextlib.suppress(psutil.Error):
                if fragment in " ".join(one.cmdline()):
                    return True
        time.sleep(0.1)
    return False


def kill(process: subprocess.Popen[str], chance: random.Random) -> str:
    """Kill all processes of a run at once, or (one time in five) one of them while the others go on."""
    members = family(process)
    if chance.random() < 0.2 and members:
        victims, what = [chance.choice(members)], "one process"
    else:
        victims, what = members, "all processes"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    return what
