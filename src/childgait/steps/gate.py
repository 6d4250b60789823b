"""Pool a step's files into one table and check it before a later step reads it.

Reads the step's files (JSON objects, parquet or CSV). Yields the pooled table and the results as stable JSON. A failed
critical check stops the run with one sentence that names the rows. The results are kept in `docs` in any case:
`results.json` and the HTML pages of Great Expectations, `index.html`.
"""

from __future__ import annotations

import logging
from pathlib import Path

from childgait.engine.flags import Input, Output
from childgait.errors import StepError
from childgait.params import Gate

METHODS = (
    "Each step's pooled table was checked by Great Expectations before it was used; a failed critical check stops "
    "the study, a warning is shown in this report."
)

HINTS = {
    "deidentify": "look at the .heads.jpg of each held video: if every head is covered, add the line video,sha256,"
    "reviewer,reason to cleared.csv of cohort.annotations (the hash is at the top of the image), else add boxes to its "
    "regions.csv; "
}
log = logging.getLogger(__name__)


def gate(step: str, rows: list[Input], pooled: Output, results: Output, docs: Path, params: Gate) -> None:
    """Pool the files `rows` of a step and check the table with its suite."""
    from childgait import gates
    from childgait.files.gate_results import write_gate_result

    if step not in gates.SUITES:
        raise StepError(f"the step {step!r} has no gate", hint=f"gates: {', '.join(gates.SUITES)}")
    table = gates.pool(rows)
    outcome = gates.run_suite(step, table, params, docs)
    write_gate_result(docs / "results.json", outcome)
    if not outcome["passed"]:
        raise StepError(
            gates.describe_failure(outcome),
            hint=HINTS.get(step, "correct these rows, ")
            + f"or exclude a video with its reason in cohort.exclude; {docs}/index.html lists all",
        )
    table.write_parquet(pooled, compression="zstd", statistics=False)
    write_gate_result(results, outcome)
    log.info(
        "gate %s: %d rows, %d checks, %d warnings", step, outcome["rows"], len(outcome["checks"]), outcome["warnings"]
    )
