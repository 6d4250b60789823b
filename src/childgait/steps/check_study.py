"""The study's promises, tested on its real outputs: nobody in two parts, no frame lost, every answer there and right.

Reads the gates' pooled tables, labels, the assignment, every part, every model's description and all predictions.
Yields one JSON that says each promise and that it is kept; a broken one stops the run and names what breaks it.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from childgait.engine.flags import Input, Output
from childgait.errors import StepError

METHODS = "Before anything was reported, the promises listed above were tested on the real outputs of the study."

log = logging.getLogger("childgait")


def check_study(
    gates: list[Input],
    labels: Input,
    assignment: Input,
    parts: list[Input],
    models: list[Input],
    predictions: list[Input],
    results: Output,
) -> None:
    import polars as pl

    from childgait.files.atomic import write_json
    from childgait.metrics.of_study import run_of
    from childgait.report.promises import Study, check_promises, part_of

    study = Study(
        gates={path.stem: pl.read_parquet(path) for path in gates},
        labels=pl.read_parquet(labels),
        assignment=pl.read_csv(assignment, infer_schema=False),
        parts={part_of(path): pl.read_parquet(path) for path in parts},
        models={run_of(path): read_model(path) for path in models},
        predictions={run_of(path): pl.read_parquet(path) for path in predictions},
    )
    if strangers := [run for run in study.models if run not in study.predictions]:
        raise StepError(f"{strangers[0]} has no predictions", hint="run evaluate for it")
    found = check_promises(study)
    broken = [promise for promise in found if not promise["kept"]]
    if broken:
        told = " ".join(f"{promise['promise']} Not so: {promise['found']}." for promise in broken)
        raise StepError(
            f"{len(broken)} of {len(found)} promises are broken: {told}",
            hint="run the steps that made these files again; if it stays, it is a mistake in childgait worth reporting",
        )
    write_json(results, {"promises": found, "kept": len(found)})
    log.info("check_study: %d promises kept", len(found))


def read_model(path: Path) -> dict[str, object]:
    told = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(told, dict)
    return told
