"""Pools a step's files into one table and tests it: nothing goes on that breaks a promise.

Reads the step's per-video files (flat JSON, parquet or CSV). Yields the pooled table and the results as stable JSON.
A broken promise stops the run with one sentence that names the rows; what was found is kept in `docs` all the same:
`results.json` and Great Expectations' own pages, `index.html`.
"""

from __future__ import annotations

import logging
from pathlib import Path

from childgait.engine.flags import Input, Output
from childgait.errors import StepError
from childgait.params import Gate

METHODS = (
    "Each step's pooled table was tested by Great Expectations before it was used; a broken promise stops the "
    "study, a warning is shown in this report."
)

HINTS = {
    "deidentify": "look at the .heads.jpg of a video that is held: if every head is covered, write video,sha256,reviewer,reason "
    "into cleared.csv of cohort.annotations (the hash stands at the picture's top), else boxes into its regions.csv; "
}
log = logging.getLogger(__name__)


def gate(step: str, rows: list[Input], pooled: Output, results: Output, docs: Path, params: Gate) -> None:
    from childgait import gates
    from childgait.files.atomic import write_json

    if step not in gates.SUITES:
        raise StepError(f"no gate is written for the step {step!r}", hint=f"gates: {', '.join(gates.SUITES)}")
    table = gates.pool(rows)
    found = gates.run_suite(step, table, params, docs)
    write_json(docs / "results.json", found)
    if not found["passed"]:
        raise StepError(
            gates.sentence(found),
            hint=HINTS.get(step, "mend these rows, ")
            + f"or exclude a video with its reason in cohort.exclude; {docs}/index.html shows all",
        )
    table.write_parquet(pooled, compression="zstd", statistics=False)
    write_json(results, found)
    log.info("gate %s: %d rows, %d checks, %d warnings", step, found["rows"], len(found["checks"]), found["warnings"])
