"""Check the study's promises on its outputs: no child in two parts, no frame lost, every prediction present and right.

Reads the gates' pooled tables, labels, the assignment, every part, every model's description and all predictions.
Yields one JSON with each promise and its result; a broken promise stops the run and names what breaks it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.engine.flags import Input, Output
from childgait.errors import StepError

if TYPE_CHECKING:
    from childgait.report.promises import RunDescription

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
    from dataclasses import asdict

    import polars as pl

    from childgait.files.atomic import write_json
    from childgait.metrics.of_study import run_key
    from childgait.report.promises import StudyOutputs, check_promises, part_of

    study = StudyOutputs(
        gates={path.stem: pl.read_parquet(path) for path in gates},
        labels=pl.read_parquet(labels),
        assignment=pl.read_csv(assignment, infer_schema=False),
        parts={part_of(path): pl.read_parquet(path) for path in parts},
        models={run_key(path): read_description(path) for path in models},
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
    write_json(results, {"promises": [asdict(result) for result in promises], "kept": len(promises)})
    log.info("check_study: %d promises kept", len(promises))


def read_description(path: Path) -> RunDescription:
    """Read the part of a model.json that the promises need."""
    from pydantic import ValidationError

    from childgait.report.promises import RunDescription

    try:
        return RunDescription.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise StepError(
            f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}", hint="run finetune again for this model"
        ) from None
