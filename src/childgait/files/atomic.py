"""Writes files atomically: under a temporary name beside the target, flushed, renamed.

engine/run_step.py gives a step temporary names for its outputs, so that the step itself just writes. A killed process
leaves `.partial-…` files, which the next job of that target removes.
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
    """Return when a process of this host started, in ticks since boot; None without one. Detects reused ids."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return None


@cache
def _host() -> str:
    return platform.node().replace("-", "_").replace("/", "_") or "host"


def partial_name(target: Path) -> Path:
    """Return a name beside the target with its ending (encoders need it) and its owner: host, process, start."""
    return target.with_name(f"{PARTIAL}{_host()}-{os.getpid()}-{_started(os.getpid()) or 0}-{target.name}")


def target_of(partial: Path) -> Path:
    """Return the target of a partial name, for a step that must check what it would replace."""
    return partial.with_name(partial.name.removeprefix(PARTIAL).split("-", 3)[3])


def remove_stale_partials(target: Path) -> None:
    """Remove files that killed jobs of this target left; keep those of a process that is alive.

    A file from another host is left by a dead job, too: the workflow gives a target to one job at a time. If that were
    wrong, the other job's rename would fail visibly.
    """
    for path in target.parent.glob(f"{PARTIAL}*"):
        host, pid, started, name = (path.name.removeprefix(PARTIAL).split("-", 3) + ["", "", ""])[:4]
        alive = host == _host() and pid.isdigit() and _started(int(pid)) == started
        if name in (target.name, "old-" + target.name) and not alive:
            remove(path)


def remove(path: Path) -> None:
    """Remove a file, link or folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Flush a file or folder to disk."""
    if path.is_dir():
        os.sync()  # one call for a folder of many files
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(temporary: Path, target: Path) -> None:
    """Rename to the target. A folder cannot be renamed over a full one: the old one is renamed first."""
    if temporary.is_dir() and target.is_dir():
        aside = partial_name(target.with_name("old-" + target.name))
        target.rename(aside)
        temporary.rename(target)
        shutil.rmtree(aside)
    else:
        temporary.replace(target)


@contextlib.contextmanager
def atomic_outputs(targets: Iterable[Path]) -> Iterator[dict[Path, Path]]:
    """Yield temporary names for all targets; they are renamed together at the end, or removed after an exception."""
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
    """Write a text file atomically."""
    with atomic_outputs([path]) as partial:
        partial[path].write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically; a link becomes a file of its own."""
    with atomic_outputs([path]) as partial:
        partial[path].write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically with stable bytes: sorted keys, two spaces, a newline at the end; fail on NaN."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
