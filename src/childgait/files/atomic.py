"""Writes that are whole or not there: to a temporary name beside the target, flushed, renamed.

A step's outputs come through here by themselves (step.py hands the step temporary names), so a step just writes.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_MARK = ".partial-"


def partial_name(target: Path) -> Path:
    """A name beside the target that keeps its ending (encoders look at it) and its process."""
    return target.with_name(f"{_MARK}{os.getpid()}-{target.name}")


def remove_stale_partials(target: Path) -> None:
    """What a killed job of this target left behind. Another living process's file is its own."""
    for path in target.parent.glob(f"{_MARK}*-{target.name}"):
        pid = path.name.removeprefix(_MARK).split("-", 1)[0]
        if not (pid.isdigit() and Path(f"/proc/{pid}").exists()):
            path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
            temporary.replace(target)
    finally:
        for temporary in partial.values():
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with atomic_outputs([path]) as partial:
        partial[path].write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Stable bytes: sorted keys, two spaces, a newline at the end, NaN refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
