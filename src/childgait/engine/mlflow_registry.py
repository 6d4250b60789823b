"""Registers a study's bundle in MLflow as a version of the model `childgait`, once per hash of the bundle.

The version has a signature, an input example, the bundle's test metrics, and the alias `study` for the newest one:
`models:/childgait@study`. MLflow executes report/child/mlflow_scorer.py, which is given by its path and not imported.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.engine import mlflow_tracking as tracking
from childgait.engine.source_files import PACKAGE
from childgait.training.bundle import DESCRIPTION, WEIGHTS, Bundle, open_bundle

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

NAME, ALIAS = "childgait", "study"
SCORER = PACKAGE / "report/child/mlflow_scorer.py"
INPUT_COLUMNS = ("path", "child", "session", "sex", "view")  # text; all but the path are optional
OUTPUT_COLUMNS = ("child", "session", "target", "limb", "code", "answer", "reason")  # text
OUTPUT_NUMBERS = ("probability", "rule_value")
EXAMPLE = {"path": "data/raw/dataset/0007", "child": "0007", "age": 9.0, "sex": "F"}
REQUIREMENTS = ("av", "jinja2", "onnxruntime", "pandas", "PyYAML", "scipy")  # beside those of a training run's model


def register_bundle(folder: Path) -> str | None:
    """Register the bundle of a folder unless its hash is registered; returns the version, None if the store is lost."""
    bundle = open_bundle(folder)
    try:
        tracking.check_store(tracking.tracking_uri())
        import mlflow

        with tracking.exclusive():
            tracking.open_store(mlflow, tracking.tracking_uri())
        client = mlflow.MlflowClient()
        version = find_version(client, bundle.hash)
        if version is None:
            version = _log_version(bundle, folder)
        client.set_registered_model_alias(NAME, ALIAS, version)
        return version
    except tracking.store_errors() as error:
        tracking.warn_lost(str(error))
        return None


def find_version(client: MlflowClient, digest: str) -> str | None:
    """Return the version of the bundle with this hash; None if there is none."""
    versions = client.search_model_versions(f"name = '{NAME}'")
    return next((str(one.version) for one in versions if one.tags.get("bundle") == digest), None)


def _log_version(bundle: Bundle, folder: Path) -> str:
    """Log a run with the metrics and the model, and register it; returns the version."""
    import mlflow
    import pandas as pd

    metrics = metrics_of_test(bundle)
    tags = {"bundle": bundle.hash, "model": bundle.description.main, "synthetic": str(bundle.description.synthetic)}
    with tempfile.TemporaryDirectory() as place, mlflow.start_run(run_name=f"bundle {bundle.hash[:12]}", tags=tags):
        code = Path(place) / PACKAGE.name
        shutil.copytree(PACKAGE, code, ignore=shutil.ignore_patterns("__pycache__"))
        logged = mlflow.pyfunc.log_model(
            name="bundle",
            python_model=str(SCORER),
            code_paths=[str(code)],
            artifacts={"description": str(folder / DESCRIPTION), "weights": str(folder / WEIGHTS)},
            signature=signature(),
            input_example=pd.DataFrame([EXAMPLE]),
            pip_requirements=tracking.pinned(REQUIREMENTS),
            registered_model_name=NAME,
        )
        mlflow.log_metrics(metrics, model_id=logged.model_id)
    client, version = mlflow.MlflowClient(), str(logged.registered_model_version)
    for key, value in tags.items():
        client.set_model_version_tag(NAME, version, key, value)
    card = "\n\n".join(f"{name.capitalize()}. {text}" for name, text in bundle.description.card.items())
    client.update_model_version(NAME, version, card)
    return version


def metrics_of_test(bundle: Bundle) -> dict[str, float]:
    """Return the bundle's metrics on its test children: of the answers, and of the main model per target."""
    metrics: dict[str, float | None] = {}
    for code, answered in bundle.description.abstention.items():
        for name in ("coverage", "share_answered", "accuracy_answered"):
            metrics[f"{code}/{name}"] = getattr(answered, name).value
    for target, cells in bundle.description.performance.items():
        metrics[f"{target}/accuracy"] = cells.accuracy.value
    return {name: value for name, value in metrics.items() if value is not None}


def signature() -> ModelSignature:
    """Return the form of a table of videos and of the answers."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    known = [ColSpec("string", name, required=name == "path") for name in INPUT_COLUMNS]
    answers = [ColSpec("string", name) for name in OUTPUT_COLUMNS]
    numbers = [ColSpec("double", name, required=False) for name in OUTPUT_NUMBERS]
    return ModelSignature(
        inputs=Schema([*known, ColSpec("double", "age", required=False)]),
        outputs=Schema([*answers, *numbers]),
        params=ParamSchema([ParamSpec("out", "string", "")]),
    )
