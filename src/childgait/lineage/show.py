"""Lineage as lines for a terminal: a number's way back, a child's way forward, the difference of two runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from childgait.errors import StepError
from childgait.files.hashes import sha256_of_text
from childgait.lineage.graph import Entry, Graph, Job, Trace, subject_of

_VIDEO = (".mp4", ".mov", ".mkv", ".avi", ".m4v", ".webm")


def short(digest: str) -> str:
    return digest[:12]


def code_hash(code: dict[str, str]) -> str:
    """One name for a set of source files."""
    return short(sha256_of_text("".join(f"{digest}  {name}\n" for name, digest in sorted(code.items()))))


def find_metric(metrics: Any, wanted: str) -> tuple[str, Any]:
    """A number of metrics.json by its dotted name, or by the end of that name where only one ends so."""
    leaves = dict(_leaves(metrics, ""))
    if wanted in leaves:
        return wanted, leaves[wanted]
    ends = sorted(name for name in leaves if name.endswith("." + wanted))
    if len(ends) == 1:
        return ends[0], leaves[ends[0]]
    if ends:
        raise StepError(f"{len(ends)} numbers are called …{wanted}", hint=f"name one whole, such as {ends[0]}")
    import difflib

    near = difflib.get_close_matches(wanted, list(leaves), n=3, cutoff=0.3)
    raise StepError(
        f"no number is called {wanted}", hint=f"near it are {', '.join(near) or 'none; see the file itself'}"
    )


def _leaves(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _leaves(inside, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            yield from _leaves(inside, f"{prefix}.{index}")
    else:
        yield prefix, value


def steps_of(jobs: Iterable[Job]) -> dict[str, list[Job]]:
    """Jobs by step, in the order of their coming."""
    grouped: dict[str, list[Job]] = {}
    for job in jobs:
        grouped.setdefault(job.step, []).append(job)
    return grouped


def way_back(graph: Graph, path: str) -> Iterator[str]:
    """A file's way back: each step with params and code, then each raw file with hash and child."""
    trace = graph.back(path)
    entry = graph.files.get(path, {})
    yield f"{path}  sha256 {entry.get('sha256', '(a record: not in itself)')}"
    if not trace.jobs:
        yield "  a raw file: no step made it"
    else:
        steps = len(steps_of(trace.jobs))
        yield f"  made by {len(trace.jobs)} jobs of {steps} steps from {len(trace.files)} raw files:"
    for step, jobs in steps_of(trace.jobs).items():
        yield f"\n{step}  ({len(jobs)} job{'s' * (len(jobs) != 1)})"
        yield from _settings(jobs)
    yield from _raw_lines(trace)
    yield from _broken_lines(graph, {job.record for job in trace.jobs})


def _settings(jobs: list[Job]) -> Iterator[str]:
    for text, among in _kinds(jobs, lambda job: json.dumps(job.params, sort_keys=True)):
        yield f"  params {text}{among}"
    for text, among in _kinds(jobs, lambda job: f"{code_hash(job.code)} ({len(job.code)} files)"):
        yield f"  code   {text}{among}"
    for text, among in _kinds(jobs, lambda job: short(job.environment.get("lock_sha256") or "no lock")):
        yield f"  lock   {text}{among}"


def _kinds(jobs: list[Job], told: Any) -> Iterator[tuple[str, str]]:
    """What jobs of one step have in common; where they differ, each kind with its count."""
    kinds: dict[str, int] = {}
    for job in jobs:
        kinds[told(job)] = kinds.get(told(job), 0) + 1
    for text, count in kinds.items():
        yield text, "" if len(kinds) == 1 else f"  ({count} of {len(jobs)} jobs)"


def _raw_lines(trace: Trace) -> Iterator[str]:
    files = sorted(trace.files.items())
    videos = [path for path, _ in files if path.lower().endswith(_VIDEO)]
    children = sorted({subject for path, _ in files if (subject := subject_of(path))})
    yield f"\nraw files: {len(files)}, of them {len(videos)} videos, of {len(children)} children"
    for path, entry in files:
        yield f"  {subject_of(path) or '-':<6} {entry['sha256']} {entry['bytes']:>12}  {path}"


def _broken_lines(graph: Graph, records: set[str]) -> Iterator[str]:
    broken = [(job, entry, maker) for job, entry, maker in graph.broken() if job.record in records]
    if broken:
        yield f"\nBROKEN: {len(broken)} time(s) a job read other bytes than are recorded now; the chain breaks there:"
    for job, entry, maker in broken:
        yield f"  {job.record} read {entry['path']} as {short(entry['sha256'])}; {maker.record} says otherwise"


def child_forward(graph: Graph, subject: str, root: Path) -> Iterator[str]:
    """Every file with a child in it, by how it is held and by step."""
    held = graph.holding(subject, root)
    if not held:
        raise StepError(
            f"no record knows a child {subject}",
            hint=f"known are {', '.join(sorted({s for p in graph.files if (s := subject_of(p))})[:8])} …",
        )
    yield f"child {subject}: {len(held)} files hold its data"
    told = {"own": "its own", "table": "a table that names it", "pooled": "made of it, together with other children"}
    for how, meaning in told.items():
        paths = sorted(path for path in held if held[path] == how)
        yield f"\n{meaning}: {len(paths)}"
        for path in paths:
            yield f"  {_step_of(graph, path):<15} {path}"


def _step_of(graph: Graph, path: str) -> str:
    makers = graph.makers_of(path)
    return "(raw)" if graph.is_raw(path) or not makers else makers[0].step


def file_forward(graph: Graph, path: str) -> Iterator[str]:
    """What was made of a file, step by step, down to the figures."""
    trace = graph.forward([path])
    entry: Entry = graph.files.get(path, {})
    yield f"{path}  sha256 {entry.get('sha256', '-')}"
    yield f"  {len(trace.files)} files were made of it by {len(trace.jobs)} jobs:"
    records = {job.record for job in trace.jobs}
    for step, jobs in steps_of(job for job in graph.upstream(trace.jobs) if job.record in records).items():
        yield f"\n{step}  ({len(jobs)} job{'s' * (len(jobs) != 1)})"
        for job in jobs:
            yield from (f"  {output['path']}" for output in job.outputs)
