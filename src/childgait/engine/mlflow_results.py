"""Log the test metrics of a finished study to MLflow: on each training run, on each model's parent run and compared.

A run of training is identified by the sha256 of its weights. A model that is fitted in one go (tables, rules,
baselines) has no run of training, so one is created. Runs that hold the same results already are left alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.engine import mlflow_tracking as tracking
from childgait.files.hashes import sha256_of_text

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH = 900  # metrics per request; the server takes at most 1,000
COMPARISON = "comparison"  # name of the run with the table of all models


@dataclass(frozen=True)
class RunResult:
    """The test metrics of one model, fold and seed, with what identifies its run."""

    model: str
    tags: dict[str, str]  # at least weights_sha256
    settings: dict[str, Any]
    metrics: dict[str, float]

    @property
    def name(self) -> str:
        return f"{self.model} {self.tags['fold']}-{self.tags['seed']}"


def log_study(results: list[RunResult], by_model: Mapping[str, dict[str, float]], artifacts: list[Path]) -> int:
    """Log the results of all runs, the means of each model and the report's files; returns the number of runs written.

    A lost or locked store is reported once and costs no result.
    """
    try:
        tracking.check_store(tracking.tracking_uri())
        import mlflow

        with tracking.exclusive():
            tracking.open_store(mlflow, tracking.tracking_uri())
            client = mlflow.MlflowClient()
            written = sum([_log_run(client, result, tracking.parent_run(mlflow, result.model)) for result in results])
            for model, metrics in by_model.items():
                _log_once(client, tracking.parent_run(mlflow, model), metrics)
            compared = tracking.parent_run(mlflow, COMPARISON)
            means = {f"{model}/{key}": value for model, metrics in by_model.items() for key, value in metrics.items()}
            if _log_once(client, compared, means):
                for path in artifacts:
                    client.log_artifact(compared, str(path), path.parent.name if path.suffix == ".png" else None)
        return written
    except tracking.store_errors() as error:
        tracking.warn_lost(str(error))
        return 0


def _log_run(client: MlflowClient, result: RunResult, parent: str) -> bool:
    """Log one run's metrics, on its training run if there is one; returns whether anything was written."""
    experiment = client.get_run(parent).info.experiment_id
    query = f"tags.weights_sha256 = '{result.tags['weights_sha256']}' and tags.model = '{result.model}'"
    query += f" and tags.fold = '{result.tags['fold']}' and tags.seed = '{result.tags['seed']}'"
    runs = client.search_runs([experiment], query, max_results=1)
    if runs:
        return _log_once(client, str(runs[0].info.run_id), result.metrics)
    tags = result.tags | {"model": result.model, "mlflow.parentRunId": parent}
    run = client.create_run(experiment, run_name=result.name, tags=tags)
    for key, value in tracking.flat(result.settings).items():
        client.log_param(run.info.run_id, key, str(value)[:6000])
    _log_once(client, run.info.run_id, result.metrics)
    client.set_terminated(run.info.run_id)
    return True


def _log_once(client: MlflowClient, run: str, metrics: dict[str, float]) -> bool:
    """Log metrics to a run unless the same ones were logged last; returns whether they were written."""
    from mlflow.entities import Metric

    digest = sha256_of_text(json.dumps(metrics, sort_keys=True))
    if not metrics or client.get_run(run).data.tags.get("results_sha256") == digest:
        return False
    now = int(time.time() * 1000)
    points = [Metric(key, value, now, 0) for key, value in metrics.items()]
    for start in range(0, len(points), BATCH):
        client.log_batch(run, metrics=points[start : start + BATCH])
    client.set_tag(run, "results_sha256", digest)
    return True
