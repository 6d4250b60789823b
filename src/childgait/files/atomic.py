"""Writes that are whole or not there: to a temporary name beside the target, flushed, renamed.

A step's outputs come through here by themselves (engine/run_step.py hands the step temporary names), so a step just writes. A
killed process leaves `.partial-…` files, which the next job of that target removes.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

PARTIAL = ".partial-"


def _started(pid: int) -> str | None:
    """When that process of this machine started, in ticks since boot; None if there is none. Tells a reused number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return None


@cache
def _host() -> str:
    return platform.node().replace("-", "_").replace("/", "_") or "host"


def partial_name(target: Path) -> Path:
    """A name beside the target that keeps its ending (encoders look at it) and says whose it is: host, process, start."""
    return target.with_name(f"{PARTIAL}{_host()}-{os.getpid()}-{_started(os.getpid()) or 0}-{target.name}")


def target_of(partial: Path) -> Path:
    """The target that a partial name stands for: a step that must look at what it would replace asks this."""
    return partial.with_name(partial.name.removeprefix(PARTIAL).split("-", 3)[3])


def remove_stale_partials(target: Path) -> None:
    """What killed jobs of this target left behind. Another living process's file is its own.

    A file from another host is a dead job's, too: the workflow gives a target to one job at a time. Were it not, that
    job's rename would fail loudly.
    """
    for path in target.parent.glob(f"{PARTIAL}*"):
        host, pid, started, name = (path.name.removeprefix(PARTIAL).split("-", 3) + ["", "", ""])[:4]
        alive = host == _host() and pid.isdigit() and _started(int(pid)) == started
        if name in (target.name, "old-" + target.name) and not alive:
            remove(path)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    if path.is_dir():
        os.sync()  # one call for a folder of many files
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(temporary: Path, target: Path) -> None:
    """The rename. A folder cannot be renamed over a full one: the old one steps aside first."""
    if temporary.is_dir() and target.is_dir():
        aside = partial_name(target.with_name("old-" + target.name))
        target.rename(aside)
        temporary.rename(target)
        shutil.rmtree(aside)
    else:
        temporary.replace(target)


@contextlib.contextmanager
def atomic_outputs(targets: Iterable[Path]) -> Iterator[dict[Path, Path]]:
    """Temporary names for all targets; renamed together at the end, or all removed if anything goes wrong."""
    partial = {target: partial_name(target) for target in targets}
    for target in partial:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_stale_partials(target)
    try:
        yield partial
        for temporary in partial.values():
            flush(temporary)
        for target, temporary in partial.items():
            _put(temporary, target)
    finally:
        for temporary in partial.values():
            remove(temporary)


def write_text(path: Path, text: str) -> None:
    with atomic_outputs([path]) as partial:
        partial[path].write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Stable bytes: sorted keys, two spaces, a newline at the end, NaN refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
