"""Measures predictions that were made elsewhere with the study's own code: the same metrics, intervals and labels.

    childgait judge answers.csv --source qwen3-vl-4b                       # child, target, probability, split_hash
    childgait judge answers.csv --source raters --split-hash 3f1c… --keep  # --keep: a row of the next report, too

Without --keep nothing is changed. Rows may name visits in place of children, and answers (0, 1, refused) in place of
probabilities. The first lines list the split hash of every fold.
"""

from __future__ import annotations

from pathlib import Path

from childgait.errors import StepError


def judge(
    table: Path,
    source: str = "external",
    split_hash: str | None = None,
    keep: bool = False,
    evaluations: Path = Path("data/evaluate"),
    settings: Path = Path("params.yaml"),
    out: Path | None = None,
) -> None:
    """Print the metrics of a table of predictions; --keep puts it into annotations/external.csv for the report."""
    from childgait.files.external_answers import keep_answers, read_external_table
    from childgait.params import Cohort, Evaluate, Finetune, load_section
    from childgait.report.external import external_rows, external_text, read_study_predictions
    from childgait.report.tables import external_table

    model = load_section(settings, Finetune).models[0]
    study = read_study_predictions(evaluations, model)
    if not study.split_hashes:
        raise StepError(f"{evaluations} has no predictions of {model}", hint="finish the study first: `make run`")
    for fold, split in sorted(study.split_hashes.items()):
        print(f"split hash of {fold}: {split}")
    answers = read_external_table(table, source, split_hash)
    rows = external_rows([answers], study, model, load_section(settings, Evaluate))
    for row in rows:
        print(external_text(row, model))
    if out is not None:
        import polars as pl

        pl.DataFrame(external_table(rows), infer_schema_length=None).write_csv(out)
        print(f"written: {out}")
    if keep:
        kept = Path(load_section(settings, Cohort).annotations) / "external.csv"
        keep_answers(kept, answers)
        print(f"kept in {kept}: `make run` adds the row to the report")
