"""Writes the model card, the data card and the TRIPOD+AI checklist of the last report.

childgait cards        # reports/model_card.md, reports/data_card.md, reports/tripod_ai.md
"""

from __future__ import annotations

from pathlib import Path

from childgait.errors import StepError


def cards(reports: Path = Path("reports"), settings: Path = Path("params.yaml")) -> None:
    """Write the cards from reports/metrics.json and reports/tables, and print their paths."""
    from childgait.params import Cohort, load_section
    from childgait.report.cards import data_card, model_card, tripod_checklist
    from childgait.report.headline import read_study_metrics

    metrics, tables = reports / "metrics.json", reports / "tables"
    for needed in (metrics, tables):  # a clone contains metrics.json, but no tables
        if not needed.exists():
            raise StepError(f"there is no {needed}", hint="`make run` makes it")
    study = read_study_metrics(metrics)
    texts = {
        "model_card.md": model_card(study, tables),
        "data_card.md": data_card(study, tables, load_section(settings, Cohort).root),
        "tripod_ai.md": tripod_checklist(),
    }
    for name, text in texts.items():
        (reports / name).write_text(text, encoding="utf-8")
        print(reports / name)
