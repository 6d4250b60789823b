"""MLflow tracking, the searchable log of training runs. A lost or locked server costs curves, never results.

`track_run(...)` opens a run under its parent run and yields a TrackedRun. Any error of the server is logged once;
from then on the TrackedRun does nothing. The store is MLFLOW_TRACKING_URI, else a database in mlruns/, with an
absolute path. A new database is made by one process and renamed when complete: several at once would damage it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from childgait.engine.source_files import PACKAGE

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from childgait.models.registry import Model
    from childgait.params import Finetune, JsonSection

log = logging.getLogger("childgait")

FOLDER = Path("mlruns")
EXPERIMENT = "childgait"
EXPERIMENT_TAGS = {  # else MLflow 3 opens the experiment on an empty page of traces of language models
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": "test/balanced_accuracy",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
}
FLUSH_SECONDS = 5.0
CONNECT_SECONDS = 3.0
REQUIREMENTS = (
    "mlflow",
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "polars",
    "pydantic",
    "safetensors",
    "scikit-learn",
    "opencv-python-headless",
)

# Telemetry is off, and requests to an unreachable server fail quickly; variables that are set already are kept.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}.items():
    os.environ.setdefault(_name, _value)


def tracking_uri() -> str:
    """Return the URI of the store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{FOLDER.absolute() / 'mlflow.db'}"


class StoreUnavailable(Exception):
    """The store cannot be used; the message gives the reason."""


@dataclass
class TrackedRun:
    """One MLflow run; without effect once the store is lost (`id` is None)."""

    id: str | None = None
    _waiting: list[Any] = field(default_factory=list)
    _flushed: float = 0.0

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Log points of curves; they are sent in batches every few seconds."""
        if self.id is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [Metric(key, value, now, step) for key, value in values.items() if value == value]
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send the points that wait."""
        waiting, self._waiting = self._waiting, []
        self._flushed = time.monotonic()
        self._do(
            lambda mlflow: [
                mlflow.MlflowClient().log_batch(self.id, metrics=waiting[i : i + 900])
                for i in range(0, len(waiting), 900)
            ]
        )

    def data(self, name: str, path: Path, digest: str) -> None:
        """Log an input; MLflow's digest is limited to 36 characters, so a tag holds the whole sha256."""

        def send(mlflow: Any) -> None:
            from mlflow.data.meta_dataset import MetaDataset
            from mlflow.data.sources import LocalArtifactDatasetSource

            source = LocalArtifactDatasetSource(str(path))
            dataset = MetaDataset(source, name=name, digest=digest[:36])
            mlflow.log_input(dataset, context=name, tags={"sha256": digest})

        self._do(send)

    def tags(self, values: dict[str, str]) -> None:
        self._do(lambda mlflow: mlflow.set_tags(values))

    def model(self, weights: Path, description: Path) -> None:
        """Log the trained model as code and safetensors, without a pickle; `mlflow.pyfunc.load_model` loads it."""

        def send(mlflow: Any) -> None:
            with tempfile.TemporaryDirectory() as folder:
                # The embedded weights (40 MB) serve perception; a logged model reads prepared clips.
                code = Path(folder) / PACKAGE.name
                shutil.copytree(PACKAGE, code, ignore=shutil.ignore_patterns("weights", "__pycache__"))
                artifacts = {"weights": Path(folder) / "weights.safetensors", "model": Path(folder) / "model.json"}
                shutil.copyfile(weights, artifacts["weights"])  # the job's own outputs still have a temporary name
                shutil.copyfile(description, artifacts["model"])
                mlflow.pyfunc.log_model(
                    name="model",
                    python_model=str(PACKAGE / "engine/mlflow_model.py"),
                    code_paths=[str(code)],
                    artifacts={name: str(path) for name, path in artifacts.items()},
                    pip_requirements=pinned(),
                    signature=_signature(),
                )

        self._do(send)

    def _do(self, action: Callable[[Any], Any]) -> None:
        if self.id is None:
            return
        import mlflow

        try:
            action(mlflow)
        except store_errors() as error:
            self.id = None
            warn_lost(str(error))


def warn_lost(reason: str) -> None:
    """Log once that the store is lost."""
    short = " ".join(reason.split())[:300]
    log.warning("MLflow at %s is lost (%s): this run continues without curves", tracking_uri(), short)


def store_errors() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, RequestException, SQLAlchemyError, OSError, StoreUnavailable)


def _signature() -> ModelSignature:
    """Return the logged model's signature: the path of a clip, and a probability per target."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    from childgait.domain.evgs import TARGET_NAMES

    return ModelSignature(
        Schema([ColSpec("string", "clip")]), Schema([ColSpec("double", name) for name in TARGET_NAMES])
    )


def pinned(further: tuple[str, ...] = ()) -> list[str]:
    """Return the requirements of a logged model, each with the installed version."""
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in REQUIREMENTS + further]


@contextlib.contextmanager
def track_run(
    parent: str, name: str, params: JsonSection, tags: dict[str, str], fingerprint: str
) -> Iterator[TrackedRun]:
    """Open the run `name` under the run `parent`; a killed run with the same fingerprint is continued."""
    run = TrackedRun()
    try:
        check_store(tracking_uri())
    except StoreUnavailable as error:
        warn_lost(str(error))
        yield run
        return
    import mlflow

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    try:
        with exclusive():
            open_store(mlflow, tracking_uri())
            parent_id = parent_run(mlflow, parent)
        unfinished = _unfinished(mlflow, fingerprint)
        started = mlflow.start_run(
            run_id=unfinished,
            run_name=name,
            parent_run_id=None if unfinished else parent_id,
            log_system_metrics=True,
            tags=tags | {"fingerprint": fingerprint},
        )
        run.id = started.info.run_id
        if not unfinished:
            mlflow.log_params({key: str(value)[:6000] for key, value in flat(params).items()})
    except store_errors() as error:
        run.id = None
        warn_lost(str(error))
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    finally:
        run.flush()
        try:
            mlflow.end_run(status)
        except store_errors() as error:
            warn_lost(str(error))


def flat(values: JsonSection, prefix: str = "") -> JsonSection:
    """Flatten nested params; keys are joined by dots."""
    flattened: JsonSection = {}
    for key, value in values.items():
        flattened |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flattened


def check_store(uri: str) -> None:
    """Check within seconds, before MLflow is imported, that the store can be reached."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            raise StoreUnavailable(f"cannot connect: {error}") from None
    elif parts.scheme == "sqlite":
        path = Path(uri.removeprefix("sqlite:///"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                with contextlib.closing(sqlite3.connect(path, timeout=CONNECT_SECONDS)) as base:
                    base.execute("BEGIN IMMEDIATE")
                    base.rollback()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"{path}: {error}") from None
    elif not parts.scheme or parts.scheme == "file":
        raise StoreUnavailable("plain folders are no longer a store of MLflow; use sqlite:////absolute/path/mlflow.db")


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """Hold a lock: one process of this checkout at a time makes the database or a parent run."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def open_store(mlflow: Any, uri: str) -> None:
    """Set MLflow's store; a missing database is made under another name and renamed."""
    path = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
    if path is not None and not path.exists():
        fresh = path.with_name(f".partial-{os.getpid()}-{path.name}")
        fresh.unlink(missing_ok=True)
        mlflow.MlflowClient(f"sqlite:///{fresh}").search_experiments()
        fresh.replace(path)
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        folder = None if path is None else (FOLDER / "artifacts").absolute().as_uri()
        experiment = client.get_experiment(client.create_experiment(EXPERIMENT, artifact_location=folder))
    for key, value in EXPERIMENT_TAGS.items():
        if experiment.tags.get(key) != value:
            client.set_experiment_tag(experiment.experiment_id, key, value)
    mlflow.set_experiment(EXPERIMENT)


def parent_run(mlflow: Any, name: str) -> str:
    """Find or create the parent run of a model's folds and seeds; returns its id."""
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    runs = client.search_runs([experiment], f"tags.group = '{name}'", max_results=1)
    if runs:
        return str(runs[0].info.run_id)
    run = client.create_run(experiment, run_name=name, tags={"group": name})
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def _unfinished(mlflow: Any, fingerprint: str) -> str | None:
    """Find a killed run with this fingerprint; returns its id."""
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    query = f"tags.fingerprint = '{fingerprint}' and attributes.status = 'RUNNING'"
    runs = client.search_runs([experiment], query, max_results=1)
    return str(runs[0].info.run_id) if runs else None


def track_training(
    leads: bool, model: Model, fold: str, seed: int, settings: Finetune, split_hash: str, fingerprint: str
) -> contextlib.AbstractContextManager[TrackedRun]:
    """Return the MLflow run of this job; a table model and a process that does not lead have none."""
    from childgait.engine.record import git_state

    if not leads or model.kind == "table":
        return contextlib.nullcontext(TrackedRun())
    tags = {
        "model": model.name,
        "fold": fold,
        "seed": str(seed),
        "split_hash": split_hash,
        "weights_from": settings.weights_sha256 or "from scratch",
        "commit": str(git_state()["commit"]),
    }
    values = settings.of_run().model_dump(mode="json")
    return track_run(model.name, f"{model.name} {fold}-{seed}", values, tags, fingerprint)
