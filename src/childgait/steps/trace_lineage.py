"""Write the lineage of every number: a table, a manifest, a page with a drawing of the graph, and an RO-Crate.

Reads every record under data/ and reports/ (`report`, the report's own record, is the last of them) and no data. The
table has a row for each file that a job read or wrote; `in_report` states whether the report was made of it.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.engine.flags import Input, Output
from childgait.files.hashes import sha256
from childgait.files.tables import Column, Table
from childgait.lineage.graph import Graph, Job, read_graph
from childgait.lineage.subjects import subject_of

if TYPE_CHECKING:
    import polars as pl

METHODS = (
    "Every job recorded the sha256 of what it read and wrote, its parameters, its source files and the hash of the "
    "environment's lock; the lineage of the report was drawn from these records ({jobs} jobs, {raw} raw files)."
)
LINEAGE = Table(
    "lineage",
    ("record", "direction", "argument", "path"),
    (
        Column("step", "String", "what the job did"),
        Column("record", "String", "the job's record"),
        Column("record_sha256", "String", "of the record itself"),
        Column("direction", "String", "read or wrote"),
        Column("argument", "String", "as what: the step's argument"),
        Column("path", "String", "the file, from the repository's root"),
        Column("sha256", "String", "of its content"),
        Column("bytes", "Int64", "its size"),
        Column("subject", "String", "whose own file it is; null for a file of several children, or of none"),
        Column("raw", "Boolean", "it comes from outside"),
        Column("in_report", "Boolean", "the report was made of it"),
        Column("params", "String", "the job's sections of params.yaml, as JSON"),
        Column("values", "String", "the job's other arguments, as JSON"),
        Column("code", "String", "the job's source files with their sha256, as JSON"),
        Column("environment", "String", "sha256 of the environment's lock"),
    ),
)


def trace_lineage(report: Input, lineage: Output, manifest: Output, page: Output, crate: Output) -> None:
    """Collect the study's records: from any number to each raw video's hash, and back."""
    from childgait.files.tables import write_table
    from childgait.lineage.crate import crate_text
    from childgait.lineage.page import render_page

    graph = Graph(job for job in read_graph(Path()).jobs.values() if job.step != "trace_lineage")
    report_records = {job.record for job in graph.upstream(graph.makers_of(str(report)))}
    write_table(lineage, lineage_table(graph, report_records), LINEAGE)
    write_manifest(manifest, graph)
    crate.write_text(crate_text(graph), encoding="utf-8")
    page.write_text(render_page(graph, report_records), encoding="utf-8")


def lineage_table(graph: Graph, report_records: set[str]) -> pl.DataFrame:
    """List one row per file that a job read or wrote, jobs upstream first.

    `report_records` are the records of the jobs that the report was made from.
    """
    import polars as pl

    rows: list[dict[str, object]] = []
    needed = {entry["path"] for record in report_records for entry in graph.jobs[record].inputs}
    for job in graph.upstream(graph.jobs.values()):
        common = _job_columns(job)
        for direction, entries in (("read", job.named), ("wrote", job.made)):
            for argument, files in entries.items():
                for entry in files:
                    path = entry["path"]
                    rows.append(
                        {
                            **common,
                            "direction": direction,
                            "argument": argument,
                            "path": path,
                            "sha256": entry["sha256"],
                            "bytes": entry["bytes"],
                            "subject": subject_of(path),
                            "raw": graph.is_raw(path),
                            "in_report": job.record in report_records
                            and (direction == "read" or path in needed or path.startswith("reports/")),
                        }
                    )
    return pl.DataFrame(rows, schema=LINEAGE.schema())


def _job_columns(job: Job) -> dict[str, object]:
    return {
        "step": job.step,
        "record": job.record,
        "record_sha256": sha256(Path(job.record)),
        "params": json.dumps(job.params, sort_keys=True),
        "values": json.dumps(job.values, sort_keys=True),
        "code": json.dumps(job.code, sort_keys=True),
        "environment": job.environment.get("lock_sha256"),
    }


def write_manifest(path: Path, graph: Graph) -> None:
    """Write each raw file's child, sha256, DVC's md5 and size. A folder has no md5: DVC hashes its files."""
    md5 = {entry["path"]: entry["md5"] for job in graph.jobs.values() for entry in job.inputs if "md5" in entry}
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(["path", "subject", "sha256", "dvc_md5", "bytes"])
        for name, entry in sorted(graph.files.items()):
            if graph.is_raw(name):
                rows.writerow([name, subject_of(name) or "", entry["sha256"], md5.get(name, ""), entry["bytes"]])
