"""Lineage as one self-contained page: the study's graph drawn, each step's settings, each raw file's hash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape

from childgait.lineage.graph import Graph, Job, subject_of
from childgait.lineage.show import code_hash

WIDE, HIGH, GAP_X, GAP_Y, EDGE = 150, 46, 46, 22, 12  # pixels of a box, the gaps, the margin

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; color: #1c2530; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px; }
th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid #dde3ea; vertical-align: top; }
code, td.hash { font: 12px ui-monospace, monospace; }
pre { white-space: pre-wrap; margin: 0; font: 12px ui-monospace, monospace; }
div.wide { overflow-x: auto; } summary { cursor: pointer; }
svg text { font: 13px system-ui, sans-serif; fill: #1c2530; }
svg .few { font-size: 11px; fill: #55616f; } rect { fill: #eef3f9; stroke: #6b85a6; }
rect.raw { fill: #fdf1dc; stroke: #b98a2e; }
path { fill: none; stroke: #97a6b8; stroke-width: 1.3; }
@media (prefers-color-scheme: dark) { body { background: #14181d; color: #dfe5ec; } svg text { fill: #dfe5ec; }
  rect { fill: #1f2a37; } rect.raw { fill: #3a2f18; } th, td { border-color: #2c3641; } svg .few { fill: #9aa7b5; } }
"""


def page_of(graph: Graph, behind: set[str]) -> str:
    """The page; `behind` are the records of the jobs that the report was made of."""
    raw = {path: entry for path, entry in sorted(graph.files.items()) if graph.is_raw(path)}
    children = sorted({subject for path in raw if (subject := subject_of(path))})
    return "\n".join(
        [
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
            f"<title>Where every number comes from</title><style>{STYLE}</style>",
            "<h1>Where every number comes from</h1>",
            f"<p>{len(graph.jobs)} jobs made {len(graph.maker) - len(graph.jobs)} files from {len(raw)} raw files of "
            f"{len(children)} children; {len(behind)} of the jobs stand behind the report. Each arrow is read as "
            "“was read by”, "
            "with the number of files where the pointer rests. The same in full: <code>lineage.parquet</code>, "
            "<code>manifest.csv</code>, <code>ro-crate-metadata.json</code>; "
            "on the command line <code>childgait lineage reports/metrics.json</code>.</p>",
            "<div class=wide tabindex=0 role=region aria-label='steps and files'>",
            drawing(graph),
            "</div>",
            "<h2>Steps</h2><div class=wide tabindex=0 role=region aria-label=steps>",
            *_steps(graph, behind),
            "</div>",
            "<h2>Raw files</h2><div class=wide tabindex=0 role=region aria-label='raw files'>",
            *_raw(raw),
            "</div>",
            "</html>\n",
        ]
    )


def group_of(job: Job) -> str:
    """What a job counts under in the drawing. Gates stand in several places of the chain, each for its step."""
    return f"{job.step} {job.values['step']}" if "step" in job.values else job.step


def edges_of(graph: Graph) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """Jobs by group, upstream first, and files between groups; `raw files` is a group, too."""
    groups: dict[str, int] = {"raw files": 0}
    edges: dict[tuple[str, str], set[str]] = {}
    for job in graph.upstream(graph.jobs.values()):
        here = group_of(job)
        groups[here] = groups.get(here, 0) + 1
        for entry in job.inputs:
            makers = graph.makers_of(entry["path"])
            for source in {group_of(maker) for maker in makers} or {"raw files"}:
                if source != here:
                    edges.setdefault((source, here), set()).add(entry["path"])
    groups["raw files"] = len({path for (source, _), paths in edges.items() if source == "raw files" for path in paths})
    return groups, {edge: len(paths) for edge, paths in edges.items()}


def layers_of(groups: dict[str, int], edges: dict[tuple[str, str], int]) -> dict[str, int]:
    """Each group one column right of the last that it reads from. Bounded, should two groups read from each other."""
    layer = dict.fromkeys(groups, 0)
    for _ in groups:
        for source, target in edges:
            layer[target] = min(max(layer[target], layer[source] + 1), len(groups))
    return layer


def drawing(graph: Graph) -> str:
    groups, edges = edges_of(graph)
    if not groups["raw files"]:
        del groups["raw files"]
    layer = layers_of(groups, edges)
    rows: dict[int, int] = {}
    place: dict[str, tuple[int, int]] = {}
    for group in sorted(groups, key=lambda name: layer[name]):
        row = rows.get(layer[group], 0)
        rows[layer[group]] = row + 1
        place[group] = (EDGE + layer[group] * (WIDE + GAP_X), EDGE + row * (HIGH + GAP_Y))
    width = max(x for x, _ in place.values()) + WIDE + EDGE
    height = max(y for _, y in place.values()) + HIGH + EDGE
    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        'aria-label="steps and files">'
    ]
    parts += [
        _arrow(place[source], place[target], f"{source} → {target}: {count} files")
        for (source, target), count in edges.items()
    ]
    parts += [_box(place[group], group, count) for group, count in groups.items()]
    return "".join([*parts, "</svg>"])


def _arrow(source: tuple[int, int], target: tuple[int, int], title: str) -> str:
    x0, y0, x1, y1 = source[0] + WIDE, source[1] + HIGH // 2, target[0], target[1] + HIGH // 2
    bend = max(24, (x1 - x0) // 2)
    return f'<path d="M{x0} {y0} C{x0 + bend} {y0} {x1 - bend} {y1} {x1} {y1}"><title>{escape(title)}</title></path>'


def _box(at: tuple[int, int], group: str, count: int) -> str:
    x, y = at
    unit = "files" if group == "raw files" else "job" if count == 1 else "jobs"
    kind = ' class="raw"' if group == "raw files" else ""
    return (
        f'<rect{kind} x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="6"/>'
        f'<text x="{x + 9}" y="{y + 20}">'
        f"{escape('from outside' if group == 'raw files' else group.replace('_', ' '))}</text>"
        f'<text class="few" x="{x + 9}" y="{y + 37}">{count} {unit}</text>'
    )


def _steps(graph: Graph, behind: set[str]) -> Iterator[str]:
    """A row a step and kind of settings: jobs of one step that differ in params or code stand apart."""
    kinds: dict[tuple[str, str, str], list[Job]] = {}
    for job in graph.upstream(graph.jobs.values()):
        kinds.setdefault((job.step, json.dumps(job.params, sort_keys=True, indent=1), code_hash(job.code)), []).append(
            job
        )
    yield "<table><tr><th>step<th>jobs<th>behind the report<th>params<th>source files<th>environment</tr>"
    for (step, params, code), jobs in kinds.items():
        files = "".join(f"{digest[:12]}  {escape(name)}\n" for name, digest in sorted(jobs[0].code.items()))
        inside = sum(job.record in behind for job in jobs)
        lock = (jobs[0].environment.get("lock_sha256") or "none")[:12]
        yield (
            f"<tr><td>{escape(step)}<td>{len(jobs)}<td>{inside}<td>{_settings(jobs[0].params, params)}"
            f"<td><details><summary><code>{code}</code>, {len(jobs[0].code)} "
            f"files</summary><pre>{files}</pre></details>"
            f"<td class=hash>{lock}</tr>"
        )
    yield "</table>"


def _settings(params: dict[str, object], text: str) -> str:
    if not params:
        return "none"
    return f"<details><summary>{escape(', '.join(params))}</summary><pre>{escape(text)}</pre></details>"


def _raw(raw: dict[str, dict[str, object]]) -> Iterator[str]:
    yield "<table><tr><th>child<th>file<th>bytes<th>sha256</tr>"
    for path, entry in raw.items():
        yield (
            f"<tr><td>{subject_of(path) or ''}<td>{escape(path)}"
            f"<td>{entry['bytes']}<td class=hash>{entry['sha256']}</tr>"
        )
    yield "</table>"
