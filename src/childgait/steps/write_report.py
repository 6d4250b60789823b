"""Write the report: headline numbers with intervals, tables, figures and one page to open offline.

Reads the predictions of every run, labels, gates with their pooled tables, the study's checks and params.yaml. Yields
metrics.json (the headline model's numbers and the means of all), tables as CSV, figures as PNG, and index.html.
"""

from __future__ import annotations

import logging
from pathlib import Path

from childgait.engine.flags import Input, Output
from childgait.errors import StepError

METHODS = (
    "Metrics are means over the targets for which they are defined, with the child as the unit; AUROC and balanced "
    "accuracy compare children of the same fold only."
)
log = logging.getLogger("childgait")


def write_report(
    predictions: list[Input],
    histories: list[Input],
    metrics: list[Input],
    labels: Input,
    subjects: Input,
    agreement: Input,
    gates: list[Input],
    pooled: list[Input],
    checks: Input,
    settings: Input,
    metrics_out: Output,
    headline_out: Output,
    page: Output,
    tables: list[Output],
    figures: list[Output],
    pretraining: list[Input] | None = None,
    examples: list[Input] | None = None,
    children: list[Input] | None = None,
    external: Input | None = None,
    clips: list[Input] | None = None,
    vault: Input | None = None,
) -> None:
    """Read the study, then write its numbers, tables, figures and page.

    `pretraining` are descriptions, learning curves and strips of the stage pretrain, `examples` pictures of a few
    recordings, `children` the numbers beside each child's page, `external` the manual table of predictions that were
    made elsewhere, `clips` the recordings in which the rules measure each item again, `vault` the register of
    evaluations on sealed children.
    """
    from childgait.engine.record import lock_hash
    from childgait.files.atomic import write_json
    from childgait.report import FIGURES, TABLES
    from childgait.report.children_section import children_section
    from childgait.report.figures import draw_all
    from childgait.report.flow import cohort_flow
    from childgait.report.formats import data_uri, number
    from childgait.report.headline import headline_numbers, list_caveats, study_metrics
    from childgait.report.page import render
    from childgait.report.sections import build_report
    from childgait.report.study import StudyFiles, read_study
    from childgait.report.tables import write_tables

    required = (predictions, histories, metrics, labels, subjects, agreement, gates, pooled, checks, settings)
    study = read_study(StudyFiles(*required, pretraining or [], external, clips or [], vault))
    headline, caveats = headline_numbers(study), list_caveats(study)
    flow = cohort_flow(study.pooled, study.cohort.exclude, study.headline)
    write_json(metrics_out, study_metrics(study, headline, caveats, flow).model_dump())
    write_json(headline_out, headline.model_dump())
    write_tables(by_name(tables, TABLES), study, flow)
    pictures = by_name(figures, FIGURES)
    draw_all(pictures, study)
    uris = {name: data_uri(path) for name, path in pictures.items()}
    single = children_section(children or [], examples or [], page)
    page.write_text(render(build_report(study, headline, caveats, flow, uris, lock_hash(), single)), encoding="utf-8")
    log_result(study.model, number(headline.accuracy), number(headline.balanced_accuracy))


def log_result(model: str, accuracy: str, balanced: str) -> None:
    """Log the headline in one line."""
    log.info("report: %s, accuracy %s, balanced accuracy %s", model, accuracy, balanced)


def by_name(paths: list[Path], names: tuple[str, ...]) -> dict[str, Path]:
    """Match each output with its name; a missing one is a mistake in the rule."""
    matched = {name: path for name in names for path in paths if path.name.endswith(name)}
    if missing := [name for name in names if name not in matched]:
        raise StepError(f"no path is given for {', '.join(missing)}", hint=f"give all of {', '.join(names)}")
    return matched
