"""What every step leaves behind: a deterministic sidecar beside its outputs, and a line in an untracked log.

The sidecar (`*.record.json`) holds what must be equal when the same data, params and code run again: hashes of inputs
and outputs, the params sections, the source files, the environment's lock. Its last key, `seal`, is the sha256 of the
rest, so that a changed byte in the record itself shows. What differs between runs (times, host, memory, git commit,
device, the MLflow run) goes to `logs/runs.jsonl`, which nothing versions.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.engine.source_files import ROOT, reached
from childgait.errors import StepError
from childgait.files.atomic import write_text
from childgait.files.hashes import sha256, sha256_and_md5, sha256_of_text, sha256_of_tree
from childgait.libraries import LIBRARIES

if TYPE_CHECKING:
    from childgait.engine.flags import Flag

LOCK = ROOT / "envs" / "requirements.lock"
RUNS = Path("logs/runs.jsonl")
ENDING = ".record.json"
WRITTEN = ("dvc.lock", "reports/metrics.json")  # by the run itself, into git's tree

_notes: dict[str, Any] = {}


def note(**facts: Any) -> None:
    """Something about this very run for the untracked log, such as `note(mlflow_run=run_id)`."""
    _notes.update(facts)


class Watch:
    """A step from its start to its record: what it was given must still be the same when it has ended."""

    def __init__(self, function: Callable[..., Any], inputs: list[Path]) -> None:
        self.function = function
        self.started = time.time()
        self._tick = time.monotonic()
        self._code = describe_code(function)
        self._stamps = {path: _stamp(path) for path in inputs}
        self._keeping = time.monotonic() - self._tick  # what the record itself costs

    def seconds(self) -> float:
        return time.monotonic() - self._tick

    def write_record(self, target: Path, flags: list[Flag], values: dict[str, Any]) -> None:
        """The sidecar, then the log line. The sidecar comes last of a step's files: where it is, the outputs are whole."""
        from childgait.params import section_for_record

        began = time.monotonic()
        record: dict[str, Any] = {
            "step": self.function.__name__,
            "inputs": {},
            "outputs": {},
            "values": {},
            "params": {},
            "code": self._code,
            "environment": {"lock_sha256": lock_hash()},
        }
        for flag in flags:
            value = values[flag.name]
            if flag.kind == "params":
                name = _section_name(value)
                record["params"][name] = section_for_record(name, value.model_dump(mode="json"), values)
            elif flag.kind == "value":
                record["values"][flag.name] = str(value) if isinstance(value, Path) else value
            elif value is not None:
                paths = value if isinstance(value, list) else [value]
                describe = describe_output if flag.kind == "output" else describe_raw if flag.raw else describe_input
                record[flag.kind + "s"][flag.name] = [describe(path) for path in paths]
        self._still_the_same()
        write_text(target, seal(record))
        self._keeping += time.monotonic() - began
        log_run(target, self.function.__name__, self)

    def keeping_seconds(self) -> float:
        return self._keeping

    def _still_the_same(self) -> None:
        """A record that names other bytes than the step read would be a lie; better no record, and the job again."""
        changed = [shown(path) for path, stamp in self._stamps.items() if _stamp(path) != stamp]
        now = describe_code(self.function)
        changed += [name for name in now.keys() | self._code.keys() if now.get(name) != self._code.get(name)]
        if changed:
            raise StepError(
                f"{min(changed)} changed while {self.function.__name__} was reading it ({len(changed)} file(s) in all)",
                hint="run the step again and leave its inputs and source files alone meanwhile",
            )


def _stamp(path: Path) -> tuple[int, int, int]:
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns


def _section_name(section: Any) -> str:
    from childgait.params import NAME_OF

    return NAME_OF.get(type(section), type(section).__name__)


def seal(record: dict[str, Any]) -> str:
    """The text of a record: stable bytes, its own hash as the last line but one."""
    body = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    assert "seal" not in record
    return f'{body[:-2]},\n "seal": "{sha256_of_text(body)}"\n}}\n'


def seal_holds(text: str) -> bool:
    """Whether a record's text is what was written, to the byte."""
    try:
        record = json.loads(text)
        record.pop("seal")
        return seal(record) == text
    except (ValueError, AttributeError, KeyError, TypeError):
        return False


def shown(path: Path) -> str:
    """A path as the records write it: relative to the working folder, so that two clones say the same."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow links into a cache)
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def describe_input(path: Path) -> dict[str, Any]:
    """A file, or a folder (of one-frame files, say) as one thing: the hash of its names and contents."""
    if path.is_dir():
        names = [(str(p.relative_to(path)), p) for p in sorted(path.rglob("*")) if p.is_file()]
        tree = sha256_of_tree((name, sha256(p)) for name, p in names)
        return {
            "path": shown(path),
            "sha256": tree,
            "bytes": sum(p.stat().st_size for _, p in names),
            "files": len(names),
        }
    return {"path": shown(path), "sha256": sha256(path), "bytes": path.stat().st_size}


def describe_raw(path: Path) -> dict[str, Any]:
    if path.is_dir():
        return describe_input(path)
    strong, named = sha256_and_md5(path)
    return {"path": shown(path), "sha256": strong, "md5": named, "bytes": path.stat().st_size}


def describe_output(path: Path) -> dict[str, Any]:
    """A file, with the children it names where it is a table of them; of a folder, every file (but no record)."""
    if path.is_dir():
        inside = [p for p in sorted(path.rglob("*")) if p.is_file() and not p.name.endswith(ENDING)]
        return {"path": shown(path), "contents": [describe_output(p) for p in inside]}
    entry = describe_input(path)
    subjects = subjects_in(path)
    return entry if subjects is None else {**entry, "subjects": subjects}


def subjects_in(path: Path) -> list[str] | None:
    """The children in a table with a column `subject`; None where the file is no such table."""
    if path.suffix == ".parquet":
        import polars as pl

        table = pl.scan_parquet(path)
        if "subject" not in table.collect_schema().names():
            return None
        return sorted(str(s) for s in table.select("subject").collect().to_series().drop_nulls().unique())
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as stream:
            rows = csv.DictReader(stream)
            if "subject" not in (rows.fieldnames or []):
                return None
            return sorted({row["subject"] for row in rows if row["subject"]})
    return None


@cache
def lock_hash() -> str | None:
    return sha256(LOCK) if LOCK.exists() else None


def describe_code(function: Callable[..., Any]) -> dict[str, str]:
    source = Path(function.__code__.co_filename)
    return {
        str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name: sha256(path)
        for path in reached(source)
    }


def log_run(target: Path, step: str, watch: Watch) -> None:
    """One line about this very run. Appended in one write, so parallel jobs do not mix."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    line = {
        "step": step,
        "record": shown(target),
        "started": watch.started,
        "seconds": round(watch.seconds(), 3),
        "record_seconds": round(watch.keeping_seconds(), 4),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_memory_mb": peak_memory_mb(),
        "host": platform.node(),
        "device": device(),
        "python": platform.python_version(),
        "versions": versions(),
        **git_state(),
        **_notes,
    }
    RUNS.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(RUNS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)


def peak_memory_mb() -> int:
    """The process's own peak. Linux's ru_maxrss would count the process that started it, too."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def device() -> str:
    """What computed: the GPU's name where this process used one. Asks only what the step has already imported."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return str(torch.cuda.get_device_name())
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of the main libraries that this step has imported."""
    loaded = {name: getattr(sys.modules[name], "__version__", None) for name in LIBRARIES if name in sys.modules}
    return {name: str(version) for name, version in loaded.items() if version is not None}


@cache
def git_state() -> dict[str, Any]:
    """The commit and whether the tree was clean but for what a run writes; the workflow asks git once and hands it on."""
    if (
        commit := os.environ.get("CHILDGAIT_COMMIT", "none")
    ) != "none":  # none: not a git checkout, or nobody asked yet
        return {"commit": commit, "clean": os.environ.get("CHILDGAIT_CLEAN") == "1"}
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = ["git", "status", "--porcelain", "--", ".", *(f":!{name}" for name in WRITTEN)]
        changed = subprocess.run(status, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "clean": None}  # not a git checkout: said, not guessed
    return {"commit": commit, "clean": not changed.strip()}
