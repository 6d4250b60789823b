"""Write the page of one child of the study's test or validation part: the page of `childgait score`, by the same code.

Reads the outputs of the per-video steps for the child's recordings, the predictions of the study's runs and the bundle.
No network runs here: the answers follow from the logits that `evaluate` wrote. Only de-identified frames are shown.
"""

from __future__ import annotations

import logging
from pathlib import Path

from childgait.engine.flags import Input, Output

METHODS = (
    "Each child of the test and validation parts has a page with its de-identified recordings, its gait curves and the "
    "answer per item, made by the code that scores new children."
)
REPORT = Path("../index.html")  # seen from the page
log = logging.getLogger("childgait")


def write_child_page(
    subject: str,
    files: list[Input],
    predictions: list[Input],
    subjects: Input,
    description: Input,
    weights: Input,
    page: Output,
    numbers: Output,
    table: Output,
) -> None:
    """Write the page of a child, with all of its numbers as JSON and CSV beside it.

    `files` are outputs of the per-video steps, `description` and `weights` the files of the bundle.
    """
    from childgait.files.atomic import write_json
    from childgait.params import Gate
    from childgait.report.child.assess import assess, describe_recordings, measure_walks
    from childgait.report.child.page import build_page, render_child
    from childgait.report.child.record import write_csv
    from childgait.report.child.study_child import hash_of_files, study_logits, study_visit
    from childgait.training.bundle import open_bundle_files

    bundle = open_bundle_files(description, weights)
    part, logits = study_logits(predictions, subject, bundle)
    visit = study_visit(subject, files, subjects, part)
    recordings = describe_recordings(visit, Gate.model_validate(bundle.description.params["gate"]))
    walks = measure_walks(visit, recordings)
    inputs = hash_of_files(bundle, [*files, *predictions, subjects])
    record = assess(visit, recordings, walks, bundle, logits, inputs)
    page.write_text(render_child(build_page(record, walks, visit, bundle, str(REPORT))), encoding="utf-8")
    write_csv(table, [record])
    write_json(numbers, record.model_dump(mode="json"))
    total = record.totals[-1]
    log.info("page of a child: %d of %d items answered, %d atypical", total.answered, total.items, total.atypical)
