"""The records of a study as one graph: the job that made a file, the jobs that read it, and the children in it.

Reads every `*.record.json` under data/ and reports/; opens no data file. Plain dicts, no heavy import: a study of some
ten thousand jobs is read in about a second.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from childgait.engine.record import ENDING
from childgait.errors import StepError
from childgait.files.records import Environment, FileEntry, OutputEntry
from childgait.lineage.subjects import names_subject, subject_of

ROOTS = ("data", "reports")
METRICS_FILE = "reports/metrics.json"
_FRAMES = "_filtered_pose"  # folders of one-frame files: hundreds of thousands of names, never a record
_TEXT = (".json", ".csv", ".tsv")


def check_number(subject: str) -> None:
    """Fail if a child's number is not written as in file names: a 7 for 0007 would match only some of its data."""
    if not (subject.isdigit() and len(subject) >= 4):
        raise StepError(f"{subject!r} is not a child's number", hint="write it as in the file names, such as 0007")


@dataclass(slots=True)
class Job:
    """One job, as its record describes it."""

    record: str
    step: str
    inputs: list[FileEntry]
    outputs: list[FileEntry]
    params: dict[str, dict[str, object]]
    values: dict[str, object]
    code: dict[str, str]
    environment: Environment
    named: dict[str, list[FileEntry]]  # inputs by the step's argument
    made: dict[str, list[FileEntry]]  # outputs by the step's argument, folders file by file

    @property
    def name(self) -> str:
        return self.record.removesuffix(ENDING)


def job_of(record: str, text: str | bytes) -> Job:
    """Parse a record."""
    try:
        body = json.loads(text)
        made = {argument: list(_files_of(entries)) for argument, entries in body["outputs"].items()}
        outputs = [entry for entries in made.values() for entry in entries]
        inputs = [entry for entries in body["inputs"].values() for entry in entries]
        for entry in (*inputs, *outputs):
            _ = entry["path"], entry["sha256"], entry["bytes"]
        return Job(
            record,
            body["step"],
            inputs,
            outputs,
            body["params"],
            body["values"],
            body["code"],
            body["environment"],
            body["inputs"],
            made,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StepError(
            f"{record} is not a record ({type(error).__name__}: {error})",
            hint="delete it and run the workflow again: that job is then repeated",
        ) from None


def _files_of(entries: list[OutputEntry]) -> Iterator[FileEntry]:
    for entry in entries:
        if "contents" in entry:
            yield from _files_of(entry["contents"])
        else:
            yield entry


def record_files(root: Path) -> list[str]:
    """List the records under data/ and reports/, relative to the root, sorted."""
    records = []
    for name in ROOTS:
        for folder, below, files in os.walk(root / name):
            below[:] = [b for b in below if not b.endswith(_FRAMES)]
            records += [os.path.join(folder, file) for file in files if file.endswith(ENDING)]  # noqa: PTH118
    return sorted(os.path.relpath(path, root) for path in records)


def read_graph(root: Path) -> Graph:
    """Read every record of a study whose folders data/ and reports/ lie in `root`."""
    names = record_files(root)
    if not names:
        raise StepError(
            f"there is no record under {root}/data or {root}/reports", hint="run the workflow first: `make run`"
        )
    jobs = []
    for name in names:
        with open(os.path.join(root, name), "rb") as stream:  # noqa: PTH118, PTH123 (ten thousand files: pathlib is slow)
            jobs.append(job_of(name, stream.read()))
    return Graph(jobs)


@dataclass
class Trace:
    """Jobs, upstream first, and files of one direction of the graph."""

    jobs: list[Job] = field(default_factory=list)
    files: dict[str, FileEntry] = field(default_factory=dict)


class Graph:
    """Jobs joined by the files they share."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.jobs = {job.record: job for job in jobs}
        self.maker: dict[str, Job] = {}
        self.readers: dict[str, list[Job]] = {}
        self.files: dict[str, FileEntry] = {}
        folders: set[str] = set()
        for job in self.jobs.values():
            for entry in job.outputs:
                self.maker[entry["path"]] = job
                self.files[entry["path"]] = entry
        for job in self.jobs.values():
            for entry in job.inputs:
                self.readers.setdefault(entry["path"], []).append(job)
                self.files.setdefault(entry["path"], entry)
                if "files" in entry:
                    folders.add(entry["path"])
        # A record is itself a file, which trace_lineage reads: its maker is the job that it describes.
        for record, job in self.jobs.items():
            self.maker.setdefault(record, job)
        self._within: dict[str, list[str]] = {folder: [] for folder in folders}
        if folders:
            for path in self.maker:
                for parent in PurePosixPath(path).parents:
                    if str(parent) in self._within:
                        self._within[str(parent)].append(path)

    def makers_of(self, path: str) -> list[Job]:
        """List the job that made a file; of a folder, the jobs that made the files in it."""
        if path in self.maker:
            return [self.maker[path]]
        makers = {self.maker[inside].record: self.maker[inside] for inside in self._within.get(path, ())}
        return list(makers.values())

    def readers_of(self, path: str) -> list[Job]:
        """List the jobs that read a file, by itself or in its folder."""
        readers = list(self.readers.get(path, ()))
        for parent in PurePosixPath(path).parents:
            readers += [job for job in self.readers.get(str(parent), ()) if str(parent) in self._within]
        return readers

    def is_raw(self, path: str) -> bool:
        """Whether a file comes from outside: no job made it, or only `synthesize`, which stands for the clinic."""
        makers = self.makers_of(path)
        return not makers or all(job.step == "synthesize" for job in makers)

    def has(self, path: str) -> bool:
        """Whether a record names the file."""
        return path in self.files or path in self.maker

    def upstream(self, starts: Iterable[Job]) -> list[Job]:
        """List the jobs and all jobs that they depend on, upstream first."""
        order: list[Job] = []
        visited: set[str] = set()
        stack = [(job, False) for job in starts]
        while stack:
            job, done = stack.pop()
            if done:
                order.append(job)
            elif job.record not in visited:
                visited.add(job.record)
                stack.append((job, True))
                for path in dict.fromkeys(entry["path"] for entry in job.inputs):
                    stack += [(maker, False) for maker in self.makers_of(path) if maker.record not in visited]
        return order

    def back(self, path: str) -> Trace:
        """Trace a file back: every job on the way, upstream first, and the raw files at the beginning."""
        trace = Trace(self.upstream(self.makers_of(path)))
        if not trace.jobs and path in self.files:
            trace.files[path] = self.files[path]
        for job in trace.jobs:
            trace.files.update({entry["path"]: entry for entry in job.inputs if self.is_raw(entry["path"])})
        return trace

    def forward(self, paths: Iterable[str]) -> Trace:
        """Trace files forward: every job that depends on one of them, and the files that those jobs made."""
        trace = Trace()
        visited: set[str] = set()
        waiting = list(paths)
        while waiting:
            for job in self.readers_of(waiting.pop()):
                if job.record not in visited:
                    visited.add(job.record)
                    trace.jobs.append(job)
                    for entry in job.outputs:
                        trace.files[entry["path"]] = entry
                        waiting.append(entry["path"])
                    waiting.append(job.record)
        return trace

    def files_of_child(self, subject: str, root: Path) -> dict[str, str]:
        """List every file that holds a child's data, and how: its `own`, a `table` that names it, or `pooled`.

        A pooled file was made from such files. A table with a column `subject` is trusted: a child that is not in it is
        not in what is made of it. A raw file whose name has no child is searched for the number.
        """
        holds: dict[str, str] = {}
        for path in self.files:
            if self.is_raw(path) and (how := _raw_holds(root / path, path, subject)):
                holds[path] = how
        for job in self.upstream(self.jobs.values()):
            if job.step == "synthesize":
                continue  # its outputs are raw files, classified above
            reads = any(entry["path"] in holds for entry in job.inputs)
            for entry in job.outputs:
                if how := _output_holds(entry, subject, reads):
                    holds[entry["path"]] = how
            if subject_of(job.record) == subject:
                holds[job.record] = "own"
            elif subject_of(job.record) is None and (reads or any(entry["path"] in holds for entry in job.outputs)):
                holds[job.record] = "pooled"  # it names the child's files, or the child
        return holds

    def mismatches(self) -> list[tuple[Job, FileEntry, Job]]:
        """List jobs that read other bytes than the input's maker, or its first reader, recorded.

        Each as (reader, input, that other job).
        """
        pairs = []
        for job in self.jobs.values():
            for entry in job.inputs:
                path = entry["path"]
                if path not in self.jobs and self.files[path]["sha256"] != entry["sha256"]:
                    pairs.append((job, entry, self.maker.get(path) or self.readers[path][0]))
        return pairs


def _output_holds(entry: FileEntry, subject: str, reads: bool) -> str | None:
    """Classify an output of a job that does (`reads`) or does not read a file with the child."""
    owner = subject_of(entry["path"])
    if "subjects" in entry:
        if subject not in entry["subjects"]:
            return None
        return "own" if owner == subject else "table"
    if owner is not None:
        return "own" if owner == subject else None
    return "pooled" if reads else None


def _raw_holds(file: Path, path: str, subject: str) -> str | None:
    """Classify a raw file."""
    owner = subject_of(path)
    if owner is not None:
        return "own" if owner == subject else None
    if not path.endswith(_TEXT):
        return None  # weights and the like
    if not file.is_file():
        return "table"  # it cannot be read: assumed to hold every child
    return "table" if names_subject(file.read_text(encoding="utf-8", errors="replace"), subject, file.suffix) else None
