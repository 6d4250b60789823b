"""Trace a number to its raw files, a child to all its files, and the differences between two runs.

childgait lineage reports/metrics.json            back to every raw file, with params, code and hashes
childgait lineage --metric accuracy.L.IC          the same for one number
childgait lineage data/raw/…/0007-0001_left.mp4   forward, to everything made of a raw file
childgait lineage --subject 0007                  every file that holds this child
childgait lineage --diff A B                      two commits, or two folders that hold data/ and reports/
childgait lineage --diff A B --metric NAME        ... and what one number was in each
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from childgait.engine.record import shown
from childgait.errors import StepError
from childgait.lineage import show
from childgait.lineage.graph import METRICS_FILE, Graph, check_number, read_graph


def lineage(
    files: list[Path], metric: str | None = None, subject: str | None = None, diff: list[str] | None = None
) -> None:
    """Print lineage from the records under data/ and reports/ of the working folder.

    Give files, or --metric NAME, or --subject ID, or --diff A B. With --diff, --metric or a file names the number.
    """
    if diff is not None:
        if subject or len(files) + bool(metric) > 1:
            raise StepError("--diff compares one number", hint="give one file, or --metric NAME, and no --subject")
        print("\n".join(_difference(diff, shown(files[0]) if files else METRICS_FILE, metric)))
        return
    if not (files or metric or subject):
        raise StepError(
            "no file, number or child is given", hint="give a file, --metric NAME, --subject ID or --diff A B"
        )
    root = Path()
    graph = read_graph(root)
    for path in files:
        print("\n".join(_file(graph, shown(path))))
    if metric is not None:
        print("\n".join(_metric(graph, metric)))
    if subject is not None:
        check_number(subject)
        print("\n".join(show.describe_child(graph, subject, root)))


def _file(graph: Graph, path: str) -> Iterator[str]:
    if not graph.has(path):
        raise StepError(
            f"no record names {path}",
            hint="give a path from the repository's root; `childgait audit` lists files of no step",
        )
    return show.describe_uses(graph, path) if graph.is_raw(path) else show.describe_origin(graph, path)


def _metric(graph: Graph, metric: str) -> Iterator[str]:
    file = Path(METRICS_FILE)
    if not file.is_file():
        raise StepError(f"there is no {METRICS_FILE}", hint="run the workflow first: `make run`")
    name, value = show.find_metric(json.loads(file.read_text(encoding="utf-8")), metric)
    yield f"{name} = {value}"
    yield from show.describe_origin(graph, METRICS_FILE)


def _difference(sides: list[str], number: str, metric: str | None) -> Iterator[str]:
    from childgait.lineage.differences import compare, graph_of, metrics_of

    if len(sides) != 2:
        raise StepError(f"--diff got {len(sides)} name(s)", hint="give two: commits, tags, branches or folders")
    if metric is not None:
        (name, before), (_, after) = (show.find_metric(metrics_of(side), metric) for side in sides)
        yield f"{name}: {before} → {after}"
    yield from compare(graph_of(sides[0]), graph_of(sides[1]), number, (sides[0], sides[1]))
