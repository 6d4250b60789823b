"""MLflow's runs of this study, and their removal for good: curves, models and artefacts.

Every run until now was made of a split in which the child had a place, so all of them go; the next run logs anew.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from childgait.engine.mlflow_tracking import EXPERIMENT, FOLDER
from childgait.errors import StepError
from childgait.files.atomic import remove as remove_path


@dataclass
class Runs:
    """The runs and models of one MLflow store."""

    uri: str = ""
    ids: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    artifacts: list[Path] = field(default_factory=list)  # folders on this machine

    def folders(self) -> list[Path]:
        """Where the store keeps anything on this machine."""
        base = [Path(self.uri.removeprefix("sqlite:///")).parent] if self.uri.startswith("sqlite:///") else []
        return [*base, *self.artifacts]


def find(root: Path) -> Runs:
    """Every run of the study's experiment, deleted ones included. A store that was never made has none."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(root / FOLDER / 'mlflow.db').absolute()}"
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return Runs(uri)
    import mlflow
    from mlflow.entities import ViewType
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient(uri)
    try:
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return Runs(uri)
        runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL, max_results=10_000)
        models = list(client.search_logged_models([experiment.experiment_id], max_results=10_000))
    except MlflowException as error:
        raise StepError(
            f"MLflow at {uri} does not answer: {error}", hint="start it, or unset MLFLOW_TRACKING_URI"
        ) from None
    places = [run.info.artifact_uri for run in runs] + [model.artifact_location for model in models]
    local = [root / FOLDER / "artifacts"]  # the database knows only where they lay before the clone was moved
    # A copied clone's database still names the original's files: they are another study's to erase.
    named = [Path(place.removeprefix("file://")) for place in places if place and place.startswith(("file://", "/"))]
    own = [root / FOLDER, *Runs(uri).folders()]
    local += [place for place in named if any(place.resolve().is_relative_to(folder.resolve()) for folder in own)]
    return Runs(uri, [run.info.run_id for run in runs], [model.model_id for model in models], local)


def remove(runs: Runs) -> None:
    """Delete, then collect: MLflow's own delete only hides. SQLite is packed, so that freed pages keep no text."""
    if not runs.ids and not runs.models:
        return
    import mlflow
    import mlflow.cli
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient(runs.uri)
    for model in runs.models:
        with contextlib.suppress(MlflowException):  # a registered one is refused here; its files go below
            client.delete_logged_model(model)
    for run in runs.ids:
        if client.get_run(run).info.lifecycle_stage == "active":
            client.delete_run(run)
    mlflow.set_tracking_uri(runs.uri)
    try:
        mlflow.cli.gc.main(["--backend-store-uri", runs.uri], standalone_mode=False)
    except MlflowException as error:
        raise StepError(
            f"MLflow's store at {runs.uri} was not emptied: {error}",
            hint="the runs are marked as deleted; `mlflow gc` with that store, on its server, removes them for good",
        ) from None
    for folder in runs.artifacts:
        remove_path(folder)
    if runs.uri.startswith("sqlite:///"):
        with contextlib.closing(sqlite3.connect(runs.uri.removeprefix("sqlite:///"))) as base:
            base.execute("VACUUM")
