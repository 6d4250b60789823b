"""Model card, data card and TRIPOD+AI checklist of a study, as Markdown from the report's own files.

Model card: Mitchell et al. 2019 (https://doi.org/10.1145/3287560.3287596); data card: Gebru et al. 2021
(https://doi.org/10.1145/3458723); TRIPOD+AI: Collins et al. 2024 (https://doi.org/10.1136/bmj-2023-078378).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from childgait.report.formats import number

if TYPE_CHECKING:
    from childgait.report.headline import StudyMetrics

INTENDED = (
    "Research on decoding the 17 items of the Edinburgh Visual Gait Score per limb from video of a walking child. "
    "Users: researchers in gait analysis. Not for diagnosis, treatment decisions or screening of single children; not "
    "for adults, for running, or for views other than those of the study."
)
# Item of the checklist, and where this study answers it; an empty place is not answered by software.
TRIPOD: tuple[tuple[str, str], ...] = (
    ("1 Title: prediction model, outcome, population", "report, title and first sentence"),
    ("2 Abstract", ""),
    (
        "3a-c Background, target population, health inequalities",
        "model_card.md, Intended use and Limits; rest: authors",
    ),
    ("4 Objectives", "model_card.md, Intended use"),
    ("5a-b Source of data, dates", "report, Methods, Participants and recordings; dates: authors"),
    ("6a-c Setting, eligibility, treatments", "report, Cohort flow; setting and treatments: authors"),
    ("7 Preparation of data", "report, Methods, Preparation of the videos and De-identification"),
    ("8a-c Outcome, assessors, blinding", "report, Methods, Outcome; blinding of raters: authors"),
    ("9a-c Predictors", "report, Models, column inputs"),
    ("10 Sample size", "tables/sample_size.csv"),
    ("11 Missing data", "report, Cohort flow; unknown scores are left out per item"),
    ("12a-g Analysis: division, model, tuning, performance, calibration", "report, Methods; tables/models.csv"),
    ("13 Class imbalance", "report, Methods, Models and Evaluation: weights of the loss, undone by calibration"),
    ("14 Fairness", "tables/strata.csv: age, sex, walking aid, camera view"),
    ("15 Model output and thresholds", "report, Item by item"),
    ("16 Training against evaluation data", "report, Methods, Division into training, validation and test"),
    ("17 Ethical approval", ""),
    ("18a-f Funding, interests, protocol, registration, data and code", "data_card.md, Provenance; rest: authors"),
    ("19 Patient and public involvement", ""),
    ("20a-c Participants: flow, characteristics", "report, Cohort flow; data_card.md, Population"),
    ("21 Numbers per analysis", "tables/items.csv, columns children and atypical"),
    ("22 Full model", "finetune/MODEL/FOLD-SEED: weights and model.json"),
    ("23a-b Performance with intervals, heterogeneity", "tables/items.csv, tables/strata.csv, tables/decision.csv"),
    ("24 Updating", ""),
    ("25 Interpretation, fairness", "model_card.md, Limits"),
    ("26 Limitations", "report, Limits of these numbers"),
    ("27a-c Usability: poor input, user interaction, next steps", "tables/failures.csv; rest: authors"),
)


def read_table(folder: Path, name: str) -> pl.DataFrame:
    """Read one of the report's tables; an empty table where it has no rows."""
    path = folder / name
    return pl.read_csv(path, infer_schema_length=None) if path.stat().st_size > 1 else pl.DataFrame()


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write rows as a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def with_interval(row: dict[str, object], metric: str) -> str:
    """Write a metric with its interval; a dash where it is undefined."""
    value, low, high = (_number(row.get(metric + ending)) for ending in ("", "_low", "_high"))
    return number(value) if low is None or value is None else f"{number(value)} ({number(low)} to {number(high)})"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def model_card(study: StudyMetrics, tables: Path) -> str:
    """Write the model card of the headline model."""
    head = study.headline
    strata = read_table(tables, "strata.csv")
    metrics = ("accuracy", "balanced_accuracy", "f1", "auroc")
    subgroups = [
        [str(row["group"]).replace(".", ": ", 1), str(row["children"]), *(with_interval(row, name) for name in metrics)]
        for row in (strata.filter(pl.col("model") == head.model).to_dicts() if strata.height else [])
    ]
    values = [with_interval(head.model_dump(), name) for name in metrics]
    failures = read_table(tables, "failures.csv").head(5)
    worst = [[str(row["child"]), str(row["wrong"]), str(row["predictions"])] for row in failures.to_dicts()]
    parts = [
        f"# Model card: {head.model}",
        head.verdict,
        "## Intended use",
        INTENDED,
        "## Performance",
        f"{head.part}, {head.children} children, {head.videos} videos, {head.seeds} seed(s); means over 34 targets "
        "with 95 % intervals.",
        markdown_table(["accuracy", "balanced accuracy", "F1", "AUROC"], [values]),
        "## Subgroups",
        markdown_table(["group", "children", "accuracy", "balanced accuracy", "F1", "AUROC"], subgroups),
        "## Children most often predicted wrongly",
        markdown_table(["child", "wrong", "predictions"], worst)
        + "\n\nAll, with their recordings: tables/failures.csv.",
        "## Limits",
        "\n".join(f"- {caveat}" for caveat in study.caveats),
        "## Provenance",
        "Weights, settings and the children of training stand in finetune/MODEL/FOLD-SEED/model.json; lineage.html "
        "leads from every number to the raw videos' hashes.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def data_card(study: StudyMetrics, tables: Path, root: str) -> str:
    """Write the data card of the cohort."""
    flow, sizes = read_table(tables, "flow.csv"), read_table(tables, "sample_size.csv")
    people = [
        [str(row["characteristic"]), str(row["value"]), str(row["children"])]
        for row in read_table(tables, "population.csv").to_dicts()
    ]
    counts = ("children", "videos", "scores")
    steps = [
        [str(row["step"]), *("–" if row[name] is None else str(row[name]) for name in counts)]
        for row in flow.to_dicts()
    ]
    items = [
        [str(row["code"]), number(_number(row["share_atypical"])), str(row["needed"] or "–"), str(row["children"])]
        for row in sizes.to_dicts()
    ]
    parts = [
        f"# Data card: {root}",
        "## Composition",
        "Videos of walking children, each scored by a rater on 17 items per limb; the child is the unit.",
        markdown_table(["step", "children", "videos", "scores"], steps),
        "## Population",
        markdown_table(["characteristic", "value", "children"], people),
        "## Outcome and sample size",
        "Share atypical among test children, and the children needed so that a sensitivity of .80 is known to ± .10.",
        markdown_table(["item", "share atypical", "children needed", "children here"], items),
        "## De-identification",
        "Heads are covered before any other step reads a video. The videos are de-identified, not anonymous: gait "
        "itself identifies.",
        "## Limits",
        "\n".join(f"- {caveat}" for caveat in study.caveats),
        "## Provenance",
        "Inputs, settings and code of each step stand in records beside its outputs; lineage.html shows them. Consent, "
        "ethical approval and licence are the authors' to add.",
    ]
    return "\n\n".join(parts) + "\n"


def tripod_checklist() -> str:
    """Write the TRIPOD+AI checklist: each item and where it is answered."""
    rows = [[item, place or "not answered by this software: authors"] for item, place in TRIPOD]
    return "# TRIPOD+AI checklist\n\n" + markdown_table(["item", "where"], rows) + "\n"
