"""Log the test metrics of a finished study to MLflow; the stage `report` runs it.

Each run of training gets its test metrics with their 95 % intervals, overall (`test/accuracy`) and per item
(`L.IC/accuracy`); tables, rules and baselines get a run of their own. Each model's parent run has the means over folds
and seeds (`holdout/accuracy`), and the run `comparison` has the means of all models, the table and the figures. The
study's bundle becomes a version of the registered model `childgait`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.errors import StepError

if TYPE_CHECKING:
    from childgait.engine.mlflow_results import RunResult
    from childgait.metrics.cells import Cell

METRICS = ("accuracy", "balanced_accuracy", "f1", "auroc")


def log_results(
    evaluated: Path = Path("data/evaluate"),
    trained: Path = Path("data/finetune"),
    reports: Path = Path("reports"),
    bundle: Path = Path("data/bundle"),
) -> None:
    """Log the results of the runs in `evaluated`; weights and settings are those in `trained`."""
    from childgait.engine.mlflow_registry import NAME, register_bundle
    from childgait.engine.mlflow_results import log_study
    from childgait.training.bundle import DESCRIPTION

    results = [
        result_of(path, trained / path.parent.relative_to(evaluated))
        for path in sorted(evaluated.glob("*/*/metrics.json"))
    ]
    if not results:
        raise StepError(f"{evaluated} has no evaluated run", hint="`make run` makes them")
    report = reports / "metrics.json"  # a comparison alone (`snakemake ablation`) leaves none
    scopes = json.loads(report.read_text(encoding="utf-8"))["models"] if report.exists() else {}
    by_model: dict[str, dict[str, float]] = {}
    for scope, models in scopes.items():
        for model, values in models.items():
            known = {f"{scope}/{key}": value for key, value in values.items() if value is not None}
            by_model[model] = by_model.get(model, {}) | known
    files = [report, reports / "tables" / "models.csv", *sorted((reports / "figures").glob("*.png"))]
    written = log_study(results, by_model, [path for path in files if path.exists()])
    print(f"MLflow: results of {written} of {len(results)} runs are new")
    if (bundle / DESCRIPTION).is_file() and (version := register_bundle(bundle)):
        print(f"MLflow: {bundle} is version {version} of the model {NAME}")


def result_of(path: Path, trained: Path) -> RunResult:
    """Return the test metrics of one run, and what identifies it."""
    from childgait.engine.mlflow_results import RunResult
    from childgait.files.hashes import sha256
    from childgait.files.model_description import ModelDescription
    from childgait.metrics.run_metrics import read_run_metrics

    run = read_run_metrics(path)
    description = ModelDescription.read(trained / "model.json")
    metrics: dict[str, float] = {}
    for name in METRICS:
        metrics |= with_interval(f"test/{name}", run.natural.groups["overall"].get(name))
        for target, cells in run.natural.targets.items():
            metrics |= with_interval(f"{target}/{name}", getattr(cells, name))
    tags = {
        "fold": run.fold,
        "seed": str(run.seed),
        "split_hash": run.split_hash,
        "weights_sha256": sha256(trained / "weights.safetensors"),
        "weights_from": run.weights_from,
    }
    return RunResult(run.model, tags, description.settings.model_dump(mode="json"), metrics)


def with_interval(name: str, cell: Cell | None) -> dict[str, float]:
    """Return a metric and the bounds of its interval, as far as they are defined."""
    if cell is None:
        return {}
    values = {name: cell.value, f"{name}_low": cell.low, f"{name}_high": cell.high}
    return {key: value for key, value in values.items() if value is not None}
