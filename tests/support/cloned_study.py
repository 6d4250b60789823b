"""A clone of the repository that runs the smoke study, for the tests that need a finished one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from childgait.engine.source_files import ROOT


@dataclass(frozen=True)
class Study:
    """A working clone. Its own sources run (PYTHONPATH), so that a test may edit them."""

    folder: Path

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE", "MLFLOW", "CHILDGAIT", "DVC"))}
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "src"),
        }

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["workflow/with-environment", *command],
            cwd=self.folder,
            env=self.environment() | environment,
            capture_output=True,
            text=True,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def study(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What `make run` does once the environment stands."""
        return self.run("workflow/run", *arguments)

    def jobs(self) -> list[dict[str, Any]]:
        """Every job that ever ran here, in the order in which they ended."""
        path = self.folder / "logs" / "runs.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def jobs_of(self, *arguments: str) -> list[dict[str, Any]]:
        """Run the study; the jobs that this took."""
        before = len(self.jobs())
        self.study(*arguments)
        return self.jobs()[before:]

    def lock(self) -> str:
        return (self.folder / "dvc.lock").read_text()

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "-m", message)

    def replace(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text, f"{file} does not hold {old!r}"
        path.write_text(text.replace(old, new))


def clone_of(study: Study, folder: Path) -> Study:
    """A fresh clone, as another person makes it: git's files, and the addresses of the remotes."""
    study.run("git", "clone", "--quiet", ".", str(folder))
    shutil.copy(study.folder / ".dvc" / "config.local", folder / ".dvc")
    return Study(folder)


def clone(folder: Path) -> Study:
    """The files that git tracks or would track, as they are now, committed in a repository of their own."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    study = Study(folder)
    study.run("git", "init", "--quiet")
    study.commit("as it is")
    return study
