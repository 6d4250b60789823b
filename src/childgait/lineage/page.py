"""Lineage as one self-contained HTML page: a drawing of the graph, each step's settings, each raw file's hash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from childgait.lineage.graph import Graph, Job
from childgait.lineage.show import code_hash
from childgait.lineage.subjects import subject_of

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 150, 46, 46, 22, 12  # pixels
RAW = "raw files"  # the group of files that no job of the study made


@dataclass(frozen=True)
class Box:
    """A group of jobs in the drawing, or the raw files."""

    x: int
    y: int
    title: str
    count: int
    unit: str
    raw: bool


@dataclass(frozen=True)
class Arrow:
    """Files that jobs of one group wrote and jobs of another read."""

    source: str
    target: str
    files: int
    curve: str  # an SVG path


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    boxes: list[Box]
    arrows: list[Arrow]
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT


@dataclass(frozen=True)
class StepRow:
    """Jobs of one step with the same params and source files."""

    step: str
    jobs: int
    jobs_of_report: int
    sections: list[str]
    params: str
    code: str
    sources: list[tuple[str, str]]  # name and sha256
    lock: str


@dataclass(frozen=True)
class RawFile:
    child: str
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class LineagePage:
    """Everything that the template shows."""

    jobs: int
    files: int
    children: int
    jobs_of_report: int
    drawing: Drawing
    steps: list[StepRow]
    raw: list[RawFile]
    child_pages: dict[str, str]  # address of a child's page, by child


CHILD_PAGES = "reports/children/"


def render_page(graph: Graph, report_records: set[str]) -> str:
    """Write the page; `report_records` are the records of the jobs that the report was made from."""
    import jinja2

    folder = Path(__file__).parent / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("lineage.html").render(page=build_page(graph, report_records))


def build_page(graph: Graph, report_records: set[str]) -> LineagePage:
    """Collect what the template shows."""
    entries = {path: entry for path, entry in sorted(graph.files.items()) if graph.is_raw(path)}
    raw = [RawFile(subject_of(path) or "", path, entry["bytes"], entry["sha256"]) for path, entry in entries.items()]
    return LineagePage(
        jobs=len(graph.jobs),
        files=len(graph.maker) - len(graph.jobs),
        children=len({file.child for file in raw if file.child}),
        jobs_of_report=len(report_records),
        drawing=draw(graph),
        steps=step_rows(graph, report_records),
        raw=raw,
        child_pages=child_pages(graph),
    )


def child_pages(graph: Graph) -> dict[str, str]:
    """Return the address of every child's page, relative to the lineage page in reports/."""
    pages = [path for path in graph.maker if path.startswith(CHILD_PAGES) and path.endswith(".html")]
    return {subject_of(path) or "": path.removeprefix("reports/") for path in sorted(pages)}


def group_of(job: Job) -> str:
    """Name the group of a job in the drawing. Gates stand at several places of the workflow, one per step."""
    return f"{job.step} {job.values['step']}" if "step" in job.values else job.step


def group_edges(graph: Graph) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """Count jobs by group, upstream first, and files between groups; the raw files are a group, too."""
    groups: dict[str, int] = {RAW: 0}
    edges: dict[tuple[str, str], set[str]] = {}
    for job in graph.upstream(graph.jobs.values()):
        target = group_of(job)
        groups[target] = groups.get(target, 0) + 1
        for entry in job.inputs:
            makers = graph.makers_of(entry["path"])
            for source in {group_of(maker) for maker in makers} or {RAW}:
                if source != target:
                    edges.setdefault((source, target), set()).add(entry["path"])
    groups[RAW] = len({path for (source, _), paths in edges.items() if source == RAW for path in paths})
    return groups, {edge: len(paths) for edge, paths in edges.items()}


def columns_of(groups: dict[str, int], edges: dict[tuple[str, str], int]) -> dict[str, int]:
    """Place each group one column right of the last group that it reads from.

    The number of rounds is bounded, in case two groups read from each other.
    """
    column = dict.fromkeys(groups, 0)
    for _ in groups:
        for source, target in edges:
            column[target] = min(max(column[target], column[source] + 1), len(groups))
    return column


def draw(graph: Graph) -> Drawing:
    """Lay out boxes in columns and connect them by arrows."""
    groups, edges = group_edges(graph)
    if not groups[RAW]:
        del groups[RAW]
    places = _places(columns_of(groups, edges))
    boxes = [_box(group, count, places[group]) for group, count in groups.items()]
    arrows = [
        Arrow(source, target, files, _curve(places[source], places[target]))
        for (source, target), files in edges.items()
    ]
    width = max(box.x for box in boxes) + BOX_WIDTH + MARGIN
    height = max(box.y for box in boxes) + BOX_HEIGHT + MARGIN
    return Drawing(width, height, boxes, arrows)


def _places(columns: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Upper left corner of each group's box: groups of one column stand below each other."""
    rows: dict[int, int] = {}
    places = {}
    for group in sorted(columns, key=lambda name: columns[name]):
        column = columns[group]
        row = rows.get(column, 0)
        rows[column] = row + 1
        places[group] = (MARGIN + column * (BOX_WIDTH + GAP_X), MARGIN + row * (BOX_HEIGHT + GAP_Y))
    return places


def _box(group: str, count: int, place: tuple[int, int]) -> Box:
    if group == RAW:
        return Box(*place, "from outside", count, "files", raw=True)
    return Box(*place, group.replace("_", " "), count, "job" if count == 1 else "jobs", raw=False)


def _curve(source: tuple[int, int], target: tuple[int, int]) -> str:
    """Return a Bézier curve from the right side of one box to the left side of another."""
    x0, y0, x1, y1 = source[0] + BOX_WIDTH, source[1] + BOX_HEIGHT // 2, target[0], target[1] + BOX_HEIGHT // 2
    bend = max(24, (x1 - x0) // 2)
    return f"M{x0} {y0} C{x0 + bend} {y0} {x1 - bend} {y1} {x1} {y1}"


def step_rows(graph: Graph, report_records: set[str]) -> list[StepRow]:
    """List one row per step, params and source files: jobs of one step that differ in these stand apart."""
    kinds: dict[tuple[str, str, str], list[Job]] = {}
    for job in graph.upstream(graph.jobs.values()):
        params = json.dumps(job.params, sort_keys=True, indent=1)
        kinds.setdefault((job.step, params, code_hash(job.code)), []).append(job)
    return [
        StepRow(
            step,
            len(jobs),
            sum(job.record in report_records for job in jobs),
            list(jobs[0].params),
            params,
            code,
            sorted(jobs[0].code.items()),
            (jobs[0].environment.get("lock_sha256") or "none")[:12],
        )
        for (step, params, code), jobs in kinds.items()
    ]
