"""The report's tables as CSV files beside the page.

An undefined metric is an empty field; the reason stands in a column of its own.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from childgait.domain.evgs import BY_CODE, TARGET_NAMES
from childgait.metrics.cells import Cell
from childgait.metrics.of_run import age_range
from childgait.metrics.scores import METRICS
from childgait.report.agreement_tables import (
    decision_table,
    failure_table,
    kappa_table,
    repeatability_table,
    sample_size_table,
    totals_table,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from childgait.files.gate_results import GateResult
    from childgait.metrics.external import ExternalRow
    from childgait.metrics.of_study import GapToBest, MetricsByModel
    from childgait.metrics.run_metrics import ItemReading, RunMetrics
    from childgait.report.flow import Stage
    from childgait.report.study import Study

Row = dict[str, object]
GAP_FIELDS = ("best", "difference", "low", "high", "p", "p_holm", "p_is_bound")
SUBGROUP_METRICS = ("accuracy", "balanced_accuracy", "f1", "auroc")
CHECK_FIELDS = ("expects", "columns", "needs", "severity", "success", "unexpected", "why")


def write_tables(paths: dict[str, Path], study: Study, flow: list[Stage]) -> None:
    """Write every table of the report to the path given by its name."""
    tables: dict[str, list[Row]] = {
        "models.csv": model_table(study.metrics, study.gaps, study.first_runs()),
        "items.csv": item_table(study.metrics),
        "groups.csv": group_table(study.metrics),
        "flow.csv": [stage.row() for stage in flow],
        "population.csv": population_table(study.subjects, study.evaluation.age_edges),
        "gates.csv": gate_table(study.gates),
        "strata.csv": subgroup_table(study.runs),
        "importance.csv": importance_table(study.runs),
        "appearance.csv": appearance_table(study.runs),
        "totals.csv": totals_table(study),
        "kappa.csv": kappa_table(study),
        "repeatability.csv": repeatability_table(study.walks, study.walk_values),
        "walks.csv": study.walk_values.to_dicts(),
        "decision.csv": decision_table(study),
        "failures.csv": failure_table(study),
        "sample_size.csv": sample_size_table(study),
        "external.csv": external_table(study.external),
        "measured.csv": [{"fold": fold, **dict(reading)} for fold, reading in item_readings(study.runs)],
    }
    for name, rows in tables.items():
        pl.DataFrame(rows, infer_schema_length=None).write_csv(paths[name])


def model_table(
    metrics: dict[str, MetricsByModel], gaps: dict[str, dict[str, GapToBest]], first_runs: dict[str, RunMetrics]
) -> list[Row]:
    """One row per scope and model: means over the targets, inputs and cost, and the gap to the scope's best model."""
    rows = []
    for scope, models in metrics.items():
        for name, model in models.items():
            run, gap = first_runs[name], gaps[scope].get(name)
            row: Row = {"scope": scope, "model": name, "children": model.children, "videos": model.videos}
            row |= {"seeds": model.seeds} | flatten(model.overall) | {"inputs": " ".join(run.inputs)}
            row |= {"parameters": run.parameters, "operations": run.operations, "weights_from": run.weights_from}
            rows.append(row | {f"behind_{field}": getattr(gap, field, None) for field in GAP_FIELDS})
    return rows


def item_table(metrics: dict[str, MetricsByModel]) -> list[Row]:
    """One row per scope, model and target."""
    rows = []
    for scope, models in metrics.items():
        for name, model in models.items():
            for target in TARGET_NAMES:
                row: Row = {"scope": scope, "model": name, "target": target, "item": BY_CODE[target[2:]].number}
                row |= {"children": model.labelled[target], "atypical": model.atypical[target]}
                rows.append(row | flatten(model.targets[target]))
    return rows


def group_table(metrics: dict[str, MetricsByModel]) -> list[Row]:
    """One row per scope, model and group of targets."""
    rows = []
    for scope, models in metrics.items():
        for name, model in models.items():
            for group, cells in model.groups.items():
                rows.append({"scope": scope, "model": name, "group": group} | flatten(cells))
    return rows


def flatten(cells: dict[str, Cell]) -> Row:
    """Spread cells over the columns METRIC, METRIC_low, METRIC_high and not_defined."""
    row: Row = {}
    for metric in METRICS:
        cell = cells[metric]
        row |= {metric: cell.value, f"{metric}_low": cell.low, f"{metric}_high": cell.high}
    reasons = sorted(f"{metric}: {cells[metric].reason}" for metric in METRICS if cells[metric].value is None)
    return row | {"not_defined": "; ".join(reasons)}


def external_table(rows: list[ExternalRow]) -> list[Row]:
    """One row per source and scope, with the columns of the models' table and those of unanswered cells."""
    table = []
    for row in rows:
        cells: Row = {"scope": row.scope, "model": row.mark, "children": row.metrics.children}
        cells |= {"labelled": row.labelled, "unanswered": row.unanswered}
        cells |= {"accuracy_unanswered_wrong": row.accuracy_unanswered_wrong.value} | flatten(row.metrics.overall)
        difference = row.difference
        cells |= {"minus_model": difference.difference, "minus_low": difference.low, "minus_high": difference.high}
        table.append(cells)
    return table


def population_table(subjects: pl.DataFrame, age_edges: list[float]) -> list[Row]:
    """Count the cohort's children by age group, sex, diagnosis and walking aid."""
    edges = [-float("inf"), *age_edges, float("inf")]
    ages = [
        {"characteristic": "age", "value": age_range(low, high), "children": subjects.filter(inside).height}
        for low, high in pairwise(edges)
        for inside in [(pl.col("age_years") >= low) & (pl.col("age_years") < high)]
    ]
    unknown = subjects["age_years"].null_count()
    rows: list[Row] = [*ages, {"characteristic": "age", "value": "unknown", "children": unknown}]
    for column in ("sex", "diagnosis", "aid"):
        counts = subjects.with_columns(pl.col(column).fill_null("").replace("", "unknown")).group_by(column).len()
        rows += [
            {"characteristic": column, "value": value, "children": count} for value, count in counts.sort(column).rows()
        ]
    return [row for row in rows if row["children"]]


def gate_table(gates: list[GateResult]) -> list[Row]:
    """One row per expectation of every gate."""
    checks: list[tuple[GateResult, Mapping[str, object]]] = [
        (gate, check) for gate in gates for check in gate["checks"]
    ]
    return [
        {"step": gate["step"], "rows": gate["rows"]} | {field: check[field] for field in CHECK_FIELDS}
        for gate, check in checks
    ]


def subgroup_table(runs: list[RunMetrics]) -> list[Row]:
    """One row per run and subgroup of children or camera view: means over the targets."""
    rows = []
    for run in runs:
        for group, cells in run.subgroups.items():
            row: Row = {"model": run.model, "fold": run.fold, "seed": run.seed, "group": group}
            row |= {"children": cells.children, "answers": cells.cells}
            for metric in SUBGROUP_METRICS:
                cell = getattr(cells, metric) or Cell(value=None)
                row |= {metric: cell.value, f"{metric}_low": cell.low, f"{metric}_high": cell.high}
            rows.append(row)
    return rows


def importance_table(runs: list[RunMetrics]) -> list[Row]:
    """One row per run, item and feature of a tree model."""
    rows = []
    for run in runs:
        for code, shares in (run.importance or {}).items():
            for feature, share in shares.items():
                row: Row = {"model": run.model, "fold": run.fold, "seed": run.seed}
                rows.append(row | {"item": code, "number": feature, "share": share})
    return rows


def appearance_table(runs: list[RunMetrics]) -> list[Row]:
    """One row per run that was tested for shortcuts."""
    return [
        {"model": run.model, "fold": run.fold, "seed": run.seed, **dict(run.appearance)}
        for run in runs
        if run.appearance is not None
    ]


def item_readings(runs: list[RunMetrics]) -> list[tuple[str, ItemReading]]:
    """List the readings of all folds; they are the same for each seed, so the first seed's of each fold."""
    by_fold: dict[tuple[str, str], list[ItemReading]] = {}
    for run in runs:
        by_fold.setdefault((run.model, run.fold), run.measured or [])
    return [(fold, reading) for (_, fold), readings in sorted(by_fold.items(), key=_key) for reading in readings]


def _key(pair: tuple[tuple[str, str], list[ItemReading]]) -> tuple[str, str]:
    return pair[0]
