"""MLflow tracking: runs, models without a pickle, and a store that is lost, locked or used by many at once."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from childgait.engine import mlflow_tracking

TELL = "import sys; from childgait.engine.mlflow_tracking import track_run\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mlruns" / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    return path


@pytest.mark.slow
def test_processes_that_start_on_no_database_at_all_lose_nothing(store: Path, tmp_path: Path) -> None:
    """Several jobs start at once without a database: each makes its run, under one parent."""
    program = (
        "import logging, sys; logging.basicConfig(); from childgait.engine.mlflow_tracking import track_run\n"
        "with track_run('model', sys.argv[1], {'a': {'b': 1}}, {'fold': '0'}, sys.argv[1]) as run:\n"
        "    run.metrics(1, {'loss': 0.5, 'nothing': float('nan')}); run.metrics(2, {'loss': 0.25})\n"
        "    assert run.id"
    )
    jobs = [subprocess.Popen([sys.executable, "-c", program, str(n)], cwd=tmp_path, env=os.environ) for n in range(2)]
    assert [job.wait() for job in jobs] == [0, 0]
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{store}")
    runs = client.search_runs([client.get_experiment_by_name("childgait").experiment_id])
    parents = [run for run in runs if run.data.tags.get("group") == "model"]
    children = [run for run in runs if "fingerprint" in run.data.tags]
    assert len(parents) == 1
    assert len(children) == 2
    for run in children:
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert run.data.params["a.b"] == "1"
        assert run.data.metrics["loss"] == 0.25
        assert "nothing" not in run.data.metrics
        assert run.info.status == "FINISHED"


def test_a_locked_database_is_told_once_and_the_run_goes_on(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mlflow_tracking, "CONNECT_SECONDS", 0.2)
    store.parent.mkdir()
    with sqlite3.connect(store, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with mlflow_tracking.track_run("model", "x", {}, {}, "f") as run:
            run.metrics(1, {"loss": 1.0})
            run.tags({"a": "b"})
            assert run.id is None
    assert [r.message for r in caplog.records if "is lost" in r.message and "database is locked" in r.message]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1", "./mlruns", "sqlite:////proc/nowhere/mlflow.db"])
def test_a_store_that_cannot_be_used_is_one_sentence(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with mlflow_tracking.track_run("model", "x", {}, {}, "f") as run:
        assert run.id is None
    (record,) = caplog.records
    assert record.message.startswith(f"MLflow at {uri} is lost (")


def test_an_error_of_the_job_itself_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(ZeroDivisionError), mlflow_tracking.track_run("model", "x", {}, {}, "f"):
        _ = 1 / 0


def test_nested_params_get_dotted_names() -> None:
    assert mlflow_tracking.flat({"a": 1, "b": {"c": {"d": 2}}}) == {"a": 1, "b.c.d": 2}


def digest_of(table: Path) -> str:
    """The digest of a part: its table and the descriptions of its clips."""
    import hashlib

    import polars as pl

    names = sorted(f"{video}.clip.json" for video in pl.read_parquet(table)["video"].unique())
    lines = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in files_beside(table, names)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def files_beside(table: Path, names: list[str]) -> list[Path]:
    return [table, *(table.with_name(name) for name in names)]


@pytest.mark.slow
def test_a_logged_model_is_loaded_by_mlflow_alone_and_scores_a_clip(store: Path, tmp_path: Path) -> None:
    """A model is logged as code and safetensors, without a pickle, with the digest of the data and the curves."""
    import mlflow
    import numpy as np
    import pandas as pd
    from safetensors.numpy import load_file

    from childgait.domain.evgs import TARGET_NAMES
    from childgait.files.model_description import ModelDescription
    from childgait.steps.finetune import finetune
    from childgait.training.predict import TrainedModel, probabilities_of_clips
    from support.small_study import make_study, settings

    (tmp_path / "study").mkdir()
    study, out = make_study(tmp_path / "study", children=8), tmp_path / "out"
    out.mkdir()
    paths = {"weights": out / "w.safetensors", "model": out / "model.json", "history": out / "history.csv"}
    finetune(
        study.train,
        study.validation,
        study.clips,
        **paths,
        model_name="childgait_video",
        fold="holdout",
        seed=0,
        params=settings(epochs=1, frames=4),
        checkpoint=tmp_path / "cache",
    )
    client = mlflow.MlflowClient(f"sqlite:///{store}")
    (run,) = client.search_runs(
        [client.get_experiment_by_name("childgait").experiment_id], "tags.model = 'childgait_video'"
    )
    inputs = {entry.dataset.name: entry.dataset.digest for entry in run.inputs.dataset_inputs}
    digests = {"train": digest_of(study.train), "validation": digest_of(study.validation)}
    assert inputs == {name: digest[:36] for name, digest in digests.items()}
    assert run.data.metrics["validation_loss"] > 0
    assert run.data.metrics["clips_a_second"] > 0
    model = mlflow.pyfunc.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
    clip = study.clips[0]
    answer = model.predict(pd.DataFrame({"clip": [str(clip)]}))
    trained = TrainedModel(ModelDescription.read(paths["model"]), load_file(paths["weights"]))
    expected = probabilities_of_clips(trained, [clip])
    np.testing.assert_allclose(answer.to_numpy(), expected, rtol=1e-6)
    signature = model.metadata.signature
    assert (signature.inputs.input_names(), signature.outputs.input_names()) == (["clip"], list(TARGET_NAMES))
    assert list(tmp_path.rglob("artifacts/*.safetensors")), "the weights keep their name"
    assert not list((tmp_path / "mlruns").rglob(".partial-*"))
    logged = list(tmp_path.rglob("mlflow_model.py"))
    assert logged, "the package's code was not logged"
    assert not list(tmp_path.rglob("*.pkl"))
    assert not list(tmp_path.rglob("*.onnx")), "the embedded weights must not be copied into every run"
