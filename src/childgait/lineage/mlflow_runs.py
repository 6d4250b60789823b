"""The MLflow runs of this study, and their permanent removal: curves, models and artefacts.

Every earlier run used a split that contained the child, so all of them are removed; the next run logs again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from childgait.engine.mlflow_registry import NAME
from childgait.engine.mlflow_tracking import EXPERIMENT, FOLDER
from childgait.errors import StepError
from childgait.files.atomic import remove as remove_path


@dataclass
class MlflowRuns:
    """Runs and models of one MLflow store."""

    uri: str = ""
    ids: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    registered: list[str] = field(default_factory=list)  # names of registered models, whose versions are bundles
    artifacts: list[Path] = field(default_factory=list)  # folders on this machine

    def folders(self) -> list[Path]:
        """List the folders in which the store keeps files on this machine."""
        base = [Path(self.uri.removeprefix("sqlite:///")).parent] if self.uri.startswith("sqlite:///") else []
        return [*base, *self.artifacts]


def find_runs(root: Path) -> MlflowRuns:
    """List every run of the study's experiment, deleted ones included; none where no store exists."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(root / FOLDER / 'mlflow.db').absolute()}"
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return MlflowRuns(uri)
    import mlflow
    from mlflow.entities import ViewType
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient(uri)
    try:
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return MlflowRuns(uri)
        runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL, max_results=10_000)
        models = list(client.search_logged_models([experiment.experiment_id], max_results=10_000))
        registered = [one.name for one in client.search_registered_models(f"name = '{NAME}'")]
    except MlflowException as error:
        raise StepError(
            f"MLflow at {uri} does not respond: {error}", hint="start it, or unset MLFLOW_TRACKING_URI"
        ) from None
    places = [run.info.artifact_uri for run in runs] + [model.artifact_location for model in models]
    local = [root / FOLDER / "artifacts"]  # the database has only their place before the clone was moved
    # The database of a copied clone still names the original's files: those belong to another study.
    named = [Path(place.removeprefix("file://")) for place in places if place and place.startswith(("file://", "/"))]
    own = [root / FOLDER, *MlflowRuns(uri).folders()]
    local += [place for place in named if any(place.resolve().is_relative_to(folder.resolve()) for folder in own)]
    run_ids, model_ids = [run.info.run_id for run in runs], [model.model_id for model in models]
    return MlflowRuns(uri, run_ids, model_ids, registered, local)


def remove_runs(runs: MlflowRuns) -> None:
    """Delete the runs, then collect garbage (MLflow's delete only hides) and vacuum SQLite (freed pages keep text)."""
    if not runs.ids and not runs.models and not runs.registered:
        return
    import mlflow
    import mlflow.cli
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient(runs.uri)
    for name in runs.registered:
        client.delete_registered_model(name)
    for model in runs.models:
        with contextlib.suppress(MlflowException):  # a registered one is refused here; its files go below
            client.delete_logged_model(model)
    for run in runs.ids:
        if client.get_run(run).info.lifecycle_stage == "active":
            client.delete_run(run)
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(runs.uri)
    try:
        mlflow.cli.gc.main(["--backend-store-uri", runs.uri], standalone_mode=False)
    except MlflowException as error:
        raise StepError(
            f"MLflow's store at {runs.uri} was not emptied: {error}",
            hint="the runs are marked as deleted; `mlflow gc` with that store, on its server, removes them for good",
        ) from None
    finally:
        mlflow.set_tracking_uri(before)  # MLflow exports the address; the next erasure may be of another study
    for folder in runs.artifacts:
        remove_path(folder)
    if runs.uri.startswith("sqlite:///"):
        with contextlib.closing(sqlite3.connect(runs.uri.removeprefix("sqlite:///"))) as base:
            base.execute("VACUUM")
