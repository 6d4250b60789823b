"""Write the provenance of a step: a deterministic record beside its outputs, and a line in an unversioned log.

The record (`*.record.json`) holds what is equal when the same data, params and code run again: hashes of inputs and
outputs, the params sections, the source files, the lock of the environment. Its last key, `seal`, is the sha256 of the
rest, so that a change of the record itself is detected. What differs between runs (times, host, memory, git commit,
device, the MLflow run) is appended to `logs/runs.jsonl`.
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
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from childgait.engine.source_files import ROOT, reachable_files
from childgait.errors import StepError
from childgait.files.atomic import write_text
from childgait.files.hashes import sha256, sha256_and_md5, sha256_of_text, sha256_of_tree
from childgait.libraries import LIBRARIES

if TYPE_CHECKING:
    from childgait.engine.flags import Flag
    from childgait.files.records import FileEntry, OutputEntry, Record

LOCK = ROOT / "envs" / "requirements.lock"
RUNS = Path("logs/runs.jsonl")
ENDING = ".record.json"
WRITTEN_BY_RUN = ("dvc.lock", "reports/metrics.json", "reports/headline.json")  # files in git that a run itself changes

_notes: dict[str, object] = {}


def add_run_note(**facts: object) -> None:
    """Add facts about this run to its line in the log, such as `add_run_note(mlflow_run=run_id)`."""
    _notes.update(facts)


class Watch:
    """Follow a step from its start to its record, and check that its inputs and source files stayed the same."""

    def __init__(self, function: Callable[..., Any], inputs: list[Path]) -> None:
        self.function = function
        self.started = time.time()
        self._tick = time.monotonic()
        self._code = describe_code(function)
        self._stamps = {path: _stamp(path) for path in inputs}
        self._record_seconds = time.monotonic() - self._tick  # time spent on the record itself

    def seconds(self) -> float:
        return time.monotonic() - self._tick

    def write_record(self, target: Path, flags: list[Flag], values: Mapping[str, object]) -> None:
        """Write the record, then the log line. The record is a step's last file: if it exists, all outputs do."""
        began = time.monotonic()
        record = compose_record(self.function.__name__, flags, values, self._code)
        self._check_unchanged()
        write_text(target, seal(record))
        self._record_seconds += time.monotonic() - began
        log_run(target, self.function.__name__, self)

    def record_seconds(self) -> float:
        return self._record_seconds

    def _check_unchanged(self) -> None:
        """Fail if an input or source file changed while the step ran: its record would hold wrong hashes."""
        changed = [shown(path) for path, stamp in self._stamps.items() if _stamp(path) != stamp]
        now = describe_code(self.function)
        changed += [name for name in now.keys() | self._code.keys() if now.get(name) != self._code.get(name)]
        if changed:
            raise StepError(
                f"{min(changed)} changed while {self.function.__name__} was reading it ({len(changed)} file(s) in all)",
                hint="run the step again, without changing its inputs or source files meanwhile",
            )


def compose_record(step: str, flags: list[Flag], values: Mapping[str, object], code: dict[str, str]) -> Record:
    """Compose a record from the files on disk, the params sections and the values of a step."""
    from childgait.engine.flags import paths_of
    from childgait.params import NAME_OF, Section, section_for_record

    record: Record = {
        "step": step,
        "inputs": {},
        "outputs": {},
        "values": {},
        "params": {},
        "code": code,
        "environment": {"lock_sha256": lock_hash(), "python": python_version()},
    }
    for flag in flags:
        value = values[flag.name]
        if flag.kind == "params":
            assert isinstance(value, Section)
            name = NAME_OF.get(type(value), type(value).__name__)
            record["params"][name] = {**section_for_record(name, value.model_dump(mode="json"), values)}
        elif flag.kind == "value":
            record["values"][flag.name] = str(value) if isinstance(value, Path) else value
        elif flag.kind == "output" and value is not None:
            record["outputs"][flag.name] = [describe_output(path) for path in paths_of(value)]
        elif value is not None:
            describe = describe_raw if flag.raw else describe_input
            record["inputs"][flag.name] = [describe(path) for path in paths_of(value)]
    return record


def is_current(function: Callable[..., Any], flags: list[Flag], values: Mapping[str, object], record: Path) -> bool:
    """Check that a step's record is what a new run would write: same inputs, outputs, params, values and code."""
    if not record.is_file():
        return False
    try:
        composed = compose_record(function.__name__, flags, values, describe_code(function))
    except FileNotFoundError:  # an output was removed
        return False
    return seal(composed) == record.read_text(encoding="utf-8")


def _stamp(path: Path) -> tuple[int, int, int]:
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns


def seal(record: Record) -> str:
    """Serialise a record to stable text, with its own hash as the last key."""
    body = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    assert "seal" not in record
    return f'{body[:-2]},\n "seal": "{sha256_of_text(body)}"\n}}\n'


def seal_holds(text: str) -> bool:
    """Check that a record's text is unchanged, to the byte."""
    try:
        record = json.loads(text)
        record.pop("seal")
        return seal(record) == text
    except (ValueError, AttributeError, KeyError, TypeError):
        return False


def shown(path: Path) -> str:
    """Format a path for a record: relative to the working folder, so that it is equal in every clone."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow links into a cache)
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def describe_input(path: Path) -> FileEntry:
    """Describe a file by hash and size, a folder by one hash over its file names and contents."""
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


def describe_raw(path: Path) -> FileEntry:
    """Describe a raw file also by its md5, which DVC uses."""
    if path.is_dir():
        return describe_input(path)
    strong, named = sha256_and_md5(path)
    return {"path": shown(path), "sha256": strong, "md5": named, "bytes": path.stat().st_size}


def describe_output(path: Path) -> OutputEntry:
    """Describe a file, with the children in it if it is a table of children, or every file of a folder."""
    if path.is_dir():
        inside = [p for p in sorted(path.rglob("*")) if p.is_file() and not p.name.endswith(ENDING)]
        return {"path": shown(path), "contents": [describe_output(p) for p in inside]}
    entry = describe_input(path)
    subjects = subjects_in(path)
    return entry if subjects is None else {**entry, "subjects": subjects}


def subjects_in(path: Path) -> list[str] | None:
    """List the children in a table with a column `subject`; None for any other file."""
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


def python_version() -> str:
    """Return major and minor version: the lock holds other numpy, scipy and av from Python 3.12 on."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


@cache
def lock_hash() -> str | None:
    return sha256(LOCK) if LOCK.exists() else None


def describe_code(function: Callable[..., Any]) -> dict[str, str]:
    source = Path(function.__code__.co_filename)
    return {
        str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name: sha256(path)
        for path in reachable_files(source)
    }


def log_run(target: Path, step: str, watch: Watch) -> None:
    """Append a line about this run to the log, in one write, so that parallel jobs do not mix."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    line = {
        "step": step,
        "record": shown(target),
        "started": watch.started,
        "seconds": round(watch.seconds(), 3),
        "record_seconds": round(watch.record_seconds(), 4),
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
    """Return the peak memory of this process in MB; Linux's ru_maxrss would include its parent process."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def device() -> str:
    """Name the GPU that this process used, else the processor. Imports nothing."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return str(torch.cuda.get_device_name())
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Map the main libraries that this step has imported to their versions."""
    loaded = {name: getattr(sys.modules[name], "__version__", None) for name in LIBRARIES if name in sys.modules}
    return {name: str(version) for name, version in loaded.items() if version is not None}


class GitState(TypedDict):
    """The commit of the checkout; both None outside one."""

    commit: str | None
    clean: bool | None


@cache
def git_state() -> GitState:
    """Return the commit, and whether the tree is clean except for WRITTEN_BY_RUN; the workflow passes both on."""
    commit = os.environ.get("CHILDGAIT_COMMIT", "none")
    if commit != "none":  # none: no git checkout, or not run by the workflow
        return {"commit": commit, "clean": os.environ.get("CHILDGAIT_CLEAN") == "1"}
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = ["git", "status", "--porcelain", "--", ".", *(f":!{name}" for name in WRITTEN_BY_RUN)]
        changed = subprocess.run(status, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "clean": None}  # no git checkout
    return {"commit": commit, "clean": not changed.strip()}
