"""What every step leaves behind: a deterministic sidecar beside its outputs, and a line in an untracked log.

The sidecar (`*.record.json`) holds what must be equal when the same data, params and code run again: hashes of inputs
and outputs, the params section, the source files, the environment's lock. What differs between runs (times, host,
memory, git commit, device) goes to `logs/runs.jsonl`, which nothing versions.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.code import ROOT, reached
from childgait.files.atomic import write_json
from childgait.files.hashes import sha256

if TYPE_CHECKING:
    from childgait.step import Flag

LOCK = ROOT / "envs" / "requirements.lock"
RUNS = Path("logs/runs.jsonl")


class Watch:
    """Wall time of a step."""

    def __init__(self) -> None:
        self.started = time.time()
        self._tick = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._tick


def shown(path: Path) -> str:
    """A path as the records write it: relative to the working folder, so that two clones say the same."""
    absolute = Path(os.path.abspath(path))
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def describe_file(path: Path) -> dict[str, Any]:
    if path.is_dir():  # a folder of one-frame files: each of them counts
        return {"path": shown(path), "files": [describe_file(p) for p in sorted(path.rglob("*")) if p.is_file()]}
    return {"path": shown(path), "sha256": sha256(path), "bytes": path.stat().st_size}


@cache
def lock_hash() -> str | None:
    return sha256(LOCK) if LOCK.exists() else None


def describe_code(function: Callable[..., Any]) -> dict[str, str]:
    source = Path(function.__code__.co_filename)
    return {str(path.relative_to(ROOT)): sha256(path) for path in reached(source)}


def write_record(
    target: Path, function: Callable[..., Any], flags: list[Flag], values: dict[str, Any], watch: Watch
) -> None:
    """The sidecar, then the log line. The sidecar comes last of a step's files: where it is, the outputs are whole."""
    record: dict[str, Any] = {
        "step": function.__name__, "inputs": {}, "outputs": {}, "values": {}, "params": None,
        "code": describe_code(function), "environment": {"lock_sha256": lock_hash()},
    }  # fmt: skip
    for flag in flags:
        value = values[flag.name]
        if flag.kind == "params":
            record["params"] = value.model_dump(mode="json")
        elif flag.kind == "value":
            record["values"][flag.name] = str(value) if isinstance(value, Path) else value
        elif value is not None:
            paths = value if isinstance(value, list) else [value]
            record[flag.kind + "s"][flag.name] = [describe_file(path) for path in paths]
    write_json(target, record)
    log_run(target, function.__name__, watch)


def log_run(target: Path, step: str, watch: Watch) -> None:
    """One line about this very run. Appended in one write, so parallel jobs do not mix."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    line = {
        "step": step, "record": shown(target), "started": watch.started, "seconds": round(watch.seconds(), 3),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3), "peak_memory_mb": usage.ru_maxrss // 1024,
        "host": platform.node(), "python": platform.python_version(), **git_state(),
    }  # fmt: skip
    RUNS.parent.mkdir(parents=True, exist_ok=True)
    with RUNS.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


@cache
def git_state() -> dict[str, Any]:
    """The commit and whether the tree was clean; the workflow asks git once and hands it on."""
    if "CHILDGAIT_COMMIT" in os.environ:
        return {"commit": os.environ["CHILDGAIT_COMMIT"], "clean": os.environ.get("CHILDGAIT_CLEAN") == "1"}
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "clean": None}  # not a git checkout: said, not guessed
    return {"commit": commit, "clean": not changed.strip()}
