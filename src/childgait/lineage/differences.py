"""What differs between two runs, and which of it could have moved a number.

A job's own differences are its params, its source files, the environment and the raw files it read; what it inherits
are inputs that another job made differently. Only a difference on the way to the number, whose job then wrote other
bytes, can have moved it. Outputs that differ with nothing different before them are named: that is not determinism.
Videos are the exception: another kind of CPU may encode the same frames to other bytes, so they are compared by the
hash of their decoded frames, which stands in the evidence beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from childgait.engine.record import ENDING
from childgait.errors import StepError
from childgait.lineage.graph import METRICS, Graph, Job, job_of, read_graph
from childgait.lineage.versions import files_at


def graph_at(name: str) -> Graph:
    """The records of a folder, or of a commit through DVC's cache."""
    if Path(name).is_dir():
        return read_graph(Path(name))
    jobs = {path: job_of(path, text) for path, text in files_at(Path(), name, ENDING)}
    if not jobs:
        raise StepError(f"commit {name} has no record", hint="only a commit whose dvc.lock was made by a run has some")
    return Graph(jobs.values())


def report_at(name: str) -> Any:
    """The numbers of a folder's report, or of a commit's."""
    if Path(name).is_dir():
        file = Path(name) / METRICS
        text = file.read_bytes() if file.is_file() else None
    else:
        text = next((text for _, text in files_at(Path(), name, METRICS)), None)
    if text is None:
        raise StepError(f"{name} has no {METRICS}", hint="name a run that came to its report")
    return json.loads(text)


@dataclass
class Change:
    """How one job differs."""

    record: str
    step: str
    causes: list[str]  # its own differences
    inherited: bool  # an input was made differently
    moved: bool  # its outputs differ, or it is in one run only
    same_frames: bool = False  # only a video differs, and its evidence, with the hash of the decoded frames, does not


def changes(a: Graph, b: Graph) -> dict[str, Change]:
    """Every job that differs in anything."""
    found = {}
    for record in sorted(a.jobs.keys() | b.jobs.keys()):
        here, there = a.jobs.get(record), b.jobs.get(record)
        if here is None or there is None:
            job = here or there
            assert job is not None
            found[record] = Change(record, job.step, [f"only in {'A' if here else 'B'}"], False, True)
            continue
        causes, inherited = _own(a, b, here, there)
        made, made_there = ({e["path"]: e["sha256"] for e in job.outputs} for job in (here, there))
        others = {path for path in made.keys() | made_there.keys() if made.get(path) != made_there.get(path)}
        evidence = [path for path in made if path.endswith(".evidence.json") and path not in others]
        same_frames = bool(others and evidence) and all(path.endswith(".mp4") for path in others)
        if causes or inherited or others:
            found[record] = Change(record, here.step, causes, inherited, bool(others), same_frames)
    return found


def _own(a: Graph, b: Graph, here: Job, there: Job) -> tuple[list[str], bool]:
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


def _values(kind: str, a: Any, b: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(k for k in b if k not in a)]:
            yield from _values(
                kind, a.get(key, "absent"), b.get(key, "absent"), f"{prefix}.{key}" if prefix else str(key)
            )
    elif a != b:
        yield f"{kind} {prefix}: {a!r} → {b!r}"


def compare(a: Graph, b: Graph, number: str, names: tuple[str, str]) -> Iterator[str]:
    """The comparison as lines: verdict on the number, then the differences by what they can have done to it."""
    if not (a.knows(number) or b.knows(number)):
        raise StepError(f"neither run has {number}", hint="give a file that a step makes, such as reports/metrics.json")
    first, second = (graph.files.get(number, {}).get("sha256") for graph in (a, b))
    yield f"A = {names[0]}, B = {names[1]}"
    yield f"{number}: " + (
        "the same bytes" if first == second else f"{(first or 'absent')[:12]} → {(second or 'absent')[:12]}"
    )
    found = changes(a, b)
    if not found:
        yield "no job differs in anything"
        return
    upstream = {job.record for graph in (a, b) for job in graph.upstream(graph.makers_of(number))}
    on_the_way = [change for record, change in found.items() if record in upstream]
    yield from _group("could have moved it", [c for c in on_the_way if c.causes and c.moved])
    yield from _group(
        "lies on the way, but the step wrote the same bytes", [c for c in on_the_way if c.causes and not c.moved]
    )
    yield from _group("is not on the way to it", [c for r, c in found.items() if r not in upstream and c.causes])
    unexplained = [c for c in found.values() if c.moved and not c.causes and not c.inherited]
    encoded = [change for change in unexplained if change.same_frames]
    unexplained = [change for change in unexplained if not change.same_frames]
    if encoded:
        yield (
            f"\n{len(encoded)} video(s) have other bytes, but the same decoded frames "
            "(another kind of CPU encoded them)"
        )
    if unexplained:
        yield (
            "\nOTHER BYTES WITHOUT ANY DIFFERENCE BEFORE THEM "
            "(the step is not deterministic, or its record is not true):"
        )
        yield from (f"  {change.record}" for change in unexplained)
    inherited = sum(1 for change in found.values() if change.inherited and not change.causes)
    if inherited:
        yield f"\n{inherited} more job(s) differ only by what they were given"


def _group(title: str, group: list[Change]) -> Iterator[str]:
    """Differences with their jobs, one line a difference: a thousand videos with one cause are one line."""
    if not group:
        return
    yield f"\n{title}:"
    jobs_of: dict[tuple[str, str], list[str]] = {}
    for change in group:
        for cause in change.causes:
            jobs_of.setdefault((change.step, cause), []).append(change.record)
    for (step, cause), records in jobs_of.items():
        yield f"  {step:<15} {cause}  ({records[0] if len(records) == 1 else f'{len(records)} jobs'})"
