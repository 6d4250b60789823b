"""Lineage as lines for a terminal: the origin of a file or number, the files of a child, the uses of a file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from childgait.errors import StepError
from childgait.files.hashes import sha256_of_text
from childgait.lineage.graph import Graph, Job, Trace
from childgait.lineage.subjects import subject_of

_VIDEO = (".mp4", ".mov", ".mkv", ".avi", ".m4v", ".webm")


def short(digest: str) -> str:
    """Shorten a hash for display."""
    return digest[:12]


def code_hash(code: dict[str, str]) -> str:
    """Hash a set of source files, shortened."""
    return short(sha256_of_text("".join(f"{digest}  {name}\n" for name, digest in sorted(code.items()))))


def find_metric(metrics: object, wanted: str) -> tuple[str, object]:
    """Find a number of metrics.json by its dotted name, or by the end of that name where it is unique."""
    leaves = dict(_leaves(metrics, ""))
    if wanted in leaves:
        return wanted, leaves[wanted]
    ends = sorted(name for name in leaves if name.endswith("." + wanted))
    if len(ends) == 1:
        return ends[0], leaves[ends[0]]
    if ends:
        raise StepError(f"{len(ends)} numbers are called …{wanted}", hint=f"give the full name, such as {ends[0]}")
    import difflib

    near = difflib.get_close_matches(wanted, list(leaves), n=3, cutoff=0.3)
    raise StepError(
        f"no number is called {wanted}", hint=f"similar names: {', '.join(near) or 'none; see the file itself'}"
    )


def _leaves(value: object, prefix: str) -> Iterator[tuple[str, object]]:
    """Yield every number of nested JSON with its dotted name."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _leaves(inside, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            yield from _leaves(inside, f"{prefix}.{index}")
    else:
        yield prefix, value


def steps_of(jobs: Iterable[Job]) -> dict[str, list[Job]]:
    """Group jobs by step, in their order."""
    grouped: dict[str, list[Job]] = {}
    for job in jobs:
        grouped.setdefault(job.step, []).append(job)
    return grouped


def describe_origin(graph: Graph, path: str) -> Iterator[str]:
    """Describe how a file was made: each step with params and code, then each raw file with hash and child."""
    trace = graph.back(path)
    entry = graph.files.get(path)
    yield f"{path}  sha256 {entry['sha256'] if entry else '(a record: not in itself)'}"
    if not trace.jobs:
        yield "  a raw file: no step made it"
    else:
        steps = len(steps_of(trace.jobs))
        yield f"  made by {len(trace.jobs)} jobs of {steps} steps from {len(trace.files)} raw files:"
    for step, jobs in steps_of(trace.jobs).items():
        yield f"\n{step}  ({len(jobs)} job{'s' * (len(jobs) != 1)})"
        yield from _settings_lines(jobs)
    yield from _raw_lines(trace)
    yield from _mismatch_lines(graph, {job.record for job in trace.jobs})


def _settings_lines(jobs: list[Job]) -> Iterator[str]:
    for text, among in _kinds(jobs, lambda job: json.dumps(job.params, sort_keys=True)):
        yield f"  params {text}{among}"
    for text, among in _kinds(jobs, lambda job: f"{code_hash(job.code)} ({len(job.code)} files)"):
        yield f"  code   {text}{among}"
    for text, among in _kinds(jobs, lambda job: short(job.environment.get("lock_sha256") or "no lock")):
        yield f"  lock   {text}{among}"


def _kinds(jobs: list[Job], describe: Callable[[Job], str]) -> Iterator[tuple[str, str]]:
    """Yield the descriptions of one step's jobs; where they differ, each with its count."""
    kinds = Counter(describe(job) for job in jobs)
    for text, count in kinds.items():
        yield text, "" if len(kinds) == 1 else f"  ({count} of {len(jobs)} jobs)"


def _raw_lines(trace: Trace) -> Iterator[str]:
    files = sorted(trace.files.items())
    videos = [path for path, _ in files if path.lower().endswith(_VIDEO)]
    children = sorted({subject for path, _ in files if (subject := subject_of(path))})
    yield f"\nraw files: {len(files)}, of them {len(videos)} videos, of {len(children)} children"
    for path, entry in files:
        yield f"  {subject_of(path) or '-':<6} {entry['sha256']} {entry['bytes']:>12}  {path}"


def _mismatch_lines(graph: Graph, records: set[str]) -> Iterator[str]:
    broken = [(job, entry, maker) for job, entry, maker in graph.mismatches() if job.record in records]
    if broken:
        yield f"\nBROKEN: {len(broken)} time(s) a job read other bytes than are recorded now; the chain breaks there:"
    for job, entry, maker in broken:
        yield f"  {job.record} read {entry['path']} as {short(entry['sha256'])}; {maker.record} records another hash"


def describe_child(graph: Graph, subject: str, root: Path) -> Iterator[str]:
    """Describe every file with a child's data, by how it holds the child and by step."""
    holds = graph.files_of_child(subject, root)
    if not holds:
        children = sorted({child for path in graph.files if (child := subject_of(path))})
        raise StepError(
            f"no record names a child {subject}", hint=f"children of the records: {', '.join(children[:8])} …"
        )
    yield f"child {subject}: {len(holds)} files hold its data"
    kinds = {"own": "its own", "table": "a table that names it", "pooled": "made of it, together with other children"}
    for how, meaning in kinds.items():
        paths = sorted(path for path in holds if holds[path] == how)
        yield f"\n{meaning}: {len(paths)}"
        for path in paths:
            yield f"  {_step_of(graph, path):<15} {path}"


def _step_of(graph: Graph, path: str) -> str:
    makers = graph.makers_of(path)
    return "(raw)" if graph.is_raw(path) or not makers else makers[0].step


def describe_uses(graph: Graph, path: str) -> Iterator[str]:
    """Describe what was made of a file, step by step, down to the figures."""
    trace = graph.forward([path])
    entry = graph.files.get(path)
    yield f"{path}  sha256 {entry['sha256'] if entry else '-'}"
    yield f"  {len(trace.files)} files were made of it by {len(trace.jobs)} jobs:"
    records = {job.record for job in trace.jobs}
    for step, jobs in steps_of(job for job in graph.upstream(trace.jobs) if job.record in records).items():
        yield f"\n{step}  ({len(jobs)} job{'s' * (len(jobs) != 1)})"
        for job in jobs:
            yield from (f"  {output['path']}" for output in job.outputs)
