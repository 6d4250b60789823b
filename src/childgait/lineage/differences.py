"""Differences between two runs, and which of them could have changed a number.

A job's own differences are its params, its source files, the environment and the raw files it read; inherited ones are
inputs that another job made differently. Only a difference upstream of the number, whose job then wrote other bytes,
can have changed it. Outputs that differ with nothing different upstream are named: that step is not deterministic.
Videos are the exception: another kind of CPU may encode the same frames to other bytes, so they are compared by the
hash of their decoded frames, which the evidence beside them holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from childgait.engine.record import ENDING
from childgait.errors import StepError
from childgait.lineage.graph import METRICS_FILE, Graph, Job, job_of, read_graph
from childgait.lineage.versions import files_at


def graph_of(name: str) -> Graph:
    """Read the records of a folder, or of a commit through DVC's cache."""
    if Path(name).is_dir():
        return read_graph(Path(name))
    jobs = {path: job_of(path, text) for path, text in files_at(Path(), name, ENDING)}
    if not jobs:
        raise StepError(f"commit {name} has no record", hint="only a commit whose dvc.lock was made by a run has some")
    return Graph(jobs.values())


def metrics_of(name: str) -> object:
    """Read the report's numbers of a folder, or of a commit."""
    if Path(name).is_dir():
        file = Path(name) / METRICS_FILE
        text = file.read_bytes() if file.is_file() else None
    else:
        text = next((text for _, text in files_at(Path(), name, METRICS_FILE)), None)
    if text is None:
        raise StepError(f"{name} has no {METRICS_FILE}", hint="name a run that came to its report")
    metrics: object = json.loads(text)
    return metrics


@dataclass
class Change:
    """How one job differs between two runs."""

    record: str
    step: str
    causes: list[str]  # its own differences
    inherited: bool  # an input was made differently
    changed: bool  # its outputs differ, or it is in one run only
    same_frames: bool = False  # only a video differs, and its evidence, with the hash of the decoded frames, does not


def changes(a: Graph, b: Graph) -> dict[str, Change]:
    """List every job that differs in anything."""
    differing = {}
    for record in sorted(a.jobs.keys() | b.jobs.keys()):
        here, there = a.jobs.get(record), b.jobs.get(record)
        if here is None or there is None:
            job = here or there
            assert job is not None
            differing[record] = Change(record, job.step, [f"only in {'A' if here else 'B'}"], False, True)
            continue
        causes, inherited = _own(a, b, here, there)
        outputs, made_there = ({e["path"]: e["sha256"] for e in job.outputs} for job in (here, there))
        others = {path for path in outputs.keys() | made_there.keys() if outputs.get(path) != made_there.get(path)}
        evidence = [path for path in outputs if path.endswith(".evidence.json") and path not in others]
        same_frames = bool(others and evidence) and all(path.endswith(".mp4") for path in others)
        if causes or inherited or others:
            differing[record] = Change(record, here.step, causes, inherited, bool(others), same_frames)
    return differing


def _own(a: Graph, b: Graph, here: Job, there: Job) -> tuple[list[str], bool]:
    """List a job's own differences, and whether it inherited any."""
    causes = [*_values("params", here.params, there.params), *_values("value", here.values, there.values)]
    for name in sorted(here.code.keys() | there.code.keys()):
        if here.code.get(name) != there.code.get(name):
            causes.append(f"code {name}")
    if here.environment != there.environment:
        causes.append("environment (envs/requirements.lock)")
    first = {entry["path"]: entry["sha256"] for entry in here.inputs}
    second = {entry["path"]: entry["sha256"] for entry in there.inputs}
    inherited = False
    for path in sorted(first.keys() | second.keys()):
        if first.get(path) == second.get(path):
            continue
        if a.makers_of(path) or b.makers_of(path):
            inherited = True
        else:
            causes.append(f"raw file {path}" + ("" if path in first and path in second else " (in one run only)"))
    return causes, inherited


def _values(kind: str, a: object, b: object, prefix: str = "") -> Iterator[str]:
    """Describe every value that differs in nested JSON."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(k for k in b if k not in a)]:
            yield from _values(
                kind, a.get(key, "absent"), b.get(key, "absent"), f"{prefix}.{key}" if prefix else str(key)
            )
    elif a != b:
        yield f"{kind} {prefix}: {a!r} → {b!r}"


def compare(a: Graph, b: Graph, number: str, names: tuple[str, str]) -> Iterator[str]:
    """Describe whether the number's file differs, then the differences by their possible effect on it."""
    if not (a.has(number) or b.has(number)):
        raise StepError(f"neither run has {number}", hint="give a file that a step makes, such as reports/metrics.json")
    first, second = (graph.files[number]["sha256"] if number in graph.files else None for graph in (a, b))
    yield f"A = {names[0]}, B = {names[1]}"
    yield f"{number}: " + (
        "the same bytes" if first == second else f"{(first or 'absent')[:12]} → {(second or 'absent')[:12]}"
    )
    differences = changes(a, b)
    if not differences:
        yield "no job differs in anything"
        return
    upstream = {job.record for graph in (a, b) for job in graph.upstream(graph.makers_of(number))}
    on_the_way = [change for record, change in differences.items() if record in upstream]
    yield from _group("could have changed it", [c for c in on_the_way if c.causes and c.changed])
    yield from _group(
        "is upstream of it, but the step wrote the same bytes", [c for c in on_the_way if c.causes and not c.changed]
    )
    unrelated = [c for r, c in differences.items() if r not in upstream and c.causes]
    yield from _group("is not upstream of it", unrelated)
    unexplained = [c for c in differences.values() if c.changed and not c.causes and not c.inherited]
    encoded = [change for change in unexplained if change.same_frames]
    unexplained = [change for change in unexplained if not change.same_frames]
    if encoded:
        yield f"\n{len(encoded)} video(s) have other bytes, but the same decoded frames (from another kind of CPU)"
    if unexplained:
        yield "\nOTHER BYTES WITHOUT ANY DIFFERENCE UPSTREAM (the step is not deterministic, or its record is wrong):"
        yield from (f"  {change.record}" for change in unexplained)
    inherited = sum(1 for change in differences.values() if change.inherited and not change.causes)
    if inherited:
        yield f"\n{inherited} more job(s) differ only by their inputs"


def _group(title: str, group: list[Change]) -> Iterator[str]:
    """Describe differences, one line per step and cause: a thousand videos with one cause are one line."""
    if not group:
        return
    yield f"\n{title}:"
    jobs_of: dict[tuple[str, str], list[str]] = {}
    for change in group:
        for cause in change.causes:
            jobs_of.setdefault((change.step, cause), []).append(change.record)
    for (step, cause), records in jobs_of.items():
        yield f"  {step:<15} {cause}  ({records[0] if len(records) == 1 else f'{len(records)} jobs'})"
