"""Check the study's promises on its outputs: no child in two parts, no frame lost, every prediction present and right.

Reads the gates' pooled tables, labels, the assignment, every part, every model's description and all predictions.
Yields one JSON with each promise and its result; a broken promise stops the run and names what breaks it.
"""

from __future__ import annotations

import logging

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
    """Check every promise; fail if one is broken."""
    import polars as pl

    from childgait.files.model_description import RunDescription
    from childgait.metrics.of_study import run_key
    from childgait.report.promises import StudyOutputs, check_promises, part_of, write_promises

    study = StudyOutputs(
        gates={path.stem: pl.read_parquet(path) for path in gates},
        labels=pl.read_parquet(labels),
        assignment=pl.read_csv(assignment, infer_schema=False),
        parts={part_of(path): pl.read_parquet(path) for path in parts},
        models={run_key(path): RunDescription.read(path) for path in models},
        predictions={run_key(path): pl.read_parquet(path) for path in predictions},
    )
    if unpredicted := [run for run in study.models if run not in study.predictions]:
        raise StepError(f"{unpredicted[0]} has no predictions", hint="run evaluate for it")
    promises = check_promises(study)
    broken = [result for result in promises if not result.kept]
    if broken:
        text = " ".join(f"{result.promise} Not so: {result.found}." for result in broken)
        raise StepError(
            f"{len(broken)} of {len(promises)} promises are broken: {text}",
            hint="run the steps that made these files again; if it stays, it is a mistake in childgait worth reporting",
        )
    write_promises(results, promises)
    log.info("check_study: %d promises kept", len(promises))
