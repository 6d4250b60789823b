"""MLflow, the searchable log of runs. It is never the truth: a lost or locked server costs curves, not results.

`tracked(...)` opens a run under its experiment's parent and yields a Run; every trouble with the server is told once,
and from then on the Run does nothing. The store is MLFLOW_TRACKING_URI, else a database in mlruns/, by an absolute
path. A new database is made by one process and appears whole, because several that make it together would break it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from childgait.engine.source_files import PACKAGE

log = logging.getLogger("childgait")

FOLDER = Path("mlruns")
EXPERIMENT = "childgait"
FLUSH_SECONDS = 5.0
ANSWER_SECONDS = 3.0
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

# Telemetry stays off, and a server that does not answer is given up quickly; a person's own settings win.
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
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{FOLDER.absolute() / 'mlflow.db'}"


class NoAnswer(Exception):
    """The store cannot be used; the text says why."""


@dataclass
class Run:
    """One MLflow run, or its stand-in once the store is lost."""

    id: str | None = None
    _waiting: list[Any] = field(default_factory=list)
    _flushed: float = 0.0

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Points of curves; sent in batches every few seconds."""
        if self.id is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [Metric(key, value, now, step) for key, value in values.items() if value == value]
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._flushed = time.monotonic()
        self._do(
            lambda mlflow: [
                mlflow.MlflowClient().log_batch(self.id, metrics=waiting[i : i + 900])
                for i in range(0, len(waiting), 900)
            ]
        )

    def data(self, name: str, path: Path, digest: str) -> None:
        """Which data went in: MLflow's digest has room for 36 characters, the tag has all."""

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
        """The trained model as code and safetensors; `mlflow.pyfunc.load_model` gives it back, without a pickle."""
        package = PACKAGE

        def send(mlflow: Any) -> None:
            mlflow.pyfunc.log_model(
                name="model",
                python_model=str(package / "engine/mlflow_model.py"),
                code_paths=[str(package)],
                artifacts={"weights": str(weights), "model": str(description)},
                pip_requirements=_pinned(),
            )

        self._do(send)

    def _do(self, action: Callable[[Any], Any]) -> None:
        if self.id is None:
            return
        import mlflow

        try:
            action(mlflow)
        except _troubles() as error:
            self.id = None
            tell(str(error))


def tell(why: str) -> None:
    short = " ".join(why.split())[:300]
    log.warning("MLflow at %s is lost (%s): this run goes on without curves", tracking_uri(), short)


def _troubles() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, RequestException, SQLAlchemyError, OSError, NoAnswer)


def _pinned() -> list[str]:
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in REQUIREMENTS]


@contextlib.contextmanager
def tracked(parent: str, name: str, params: dict[str, Any], tags: dict[str, str], fingerprint: str) -> Iterator[Run]:
    """A run `name` under the run `parent`; a killed run of the same fingerprint is taken up again."""
    run = Run()
    try:
        _reach(tracking_uri())
    except NoAnswer as error:
        tell(str(error))
        yield run
        return
    import mlflow

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    try:
        with _alone():
            _open_store(mlflow, tracking_uri())
            parent_id = _parent(mlflow, parent)
        found = _unfinished(mlflow, fingerprint)
        started = mlflow.start_run(
            run_id=found,
            run_name=name,
            parent_run_id=None if found else parent_id,
            log_system_metrics=True,
            tags=tags | {"fingerprint": fingerprint},
        )
        run.id = started.info.run_id
        if not found:
            mlflow.log_params({key: str(value)[:6000] for key, value in flat(params).items()})
    except _troubles() as error:
        run.id = None
        tell(str(error))
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    finally:
        run.flush()
        try:
            mlflow.end_run(status)
        except _troubles() as error:
            tell(str(error))


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested params with dots in their names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def _reach(uri: str) -> None:
    """Find out in seconds, and before MLflow is imported, whether the store answers at all."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), timeout=ANSWER_SECONDS).close()
        except OSError as error:
            raise NoAnswer(f"no answer: {error}") from None
    elif parts.scheme == "sqlite":
        path = Path(uri.removeprefix("sqlite:///"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                with contextlib.closing(sqlite3.connect(path, timeout=ANSWER_SECONDS)) as base:
                    base.execute("BEGIN IMMEDIATE")
                    base.rollback()
        except (sqlite3.Error, OSError) as error:
            raise NoAnswer(f"{path}: {error}") from None
    elif not parts.scheme or parts.scheme == "file":
        raise NoAnswer("plain folders are no longer a store of MLflow; use sqlite:////absolute/path/mlflow.db")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One process of this checkout at a time: making a database or a parent run is no job for two."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _open_store(mlflow: Any, uri: str) -> None:
    """Point MLflow at the store; a database that is not there yet is made under another name and renamed."""
    path = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
    if path is not None and not path.exists():
        fresh = path.with_name(f".partial-{os.getpid()}-{path.name}")
        fresh.unlink(missing_ok=True)
        mlflow.MlflowClient(f"sqlite:///{fresh}").search_experiments()
        fresh.replace(path)
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    if client.get_experiment_by_name(EXPERIMENT) is None:
        folder = None if path is None else (FOLDER / "artifacts").absolute().as_uri()
        client.create_experiment(EXPERIMENT, artifact_location=folder)
    mlflow.set_experiment(EXPERIMENT)


def _parent(mlflow: Any, name: str) -> str:
    """The run that a model's folds and seeds stand under; made where there is none."""
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    found = client.search_runs([experiment], f"tags.group = '{name}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    made = client.create_run(experiment, run_name=name, tags={"group": name})
    client.set_terminated(made.info.run_id)
    return str(made.info.run_id)


def _unfinished(mlflow: Any, fingerprint: str) -> str | None:
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    wanted = f"tags.fingerprint = '{fingerprint}' and attributes.status = 'RUNNING'"
    found = client.search_runs([experiment], wanted, max_results=1)
    return str(found[0].info.run_id) if found else None
