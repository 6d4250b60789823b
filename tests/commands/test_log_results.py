"""MLflow has the test metrics of every run with intervals, tables included, and the means of each model beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from childgait.commands.log_results import log_results
from childgait.engine.mlflow_tracking import track_run
from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.metrics.run_metrics import read_run_metrics
from childgait.params import Evaluate
from childgait.steps.evaluate import evaluate
from childgait.steps.finetune import finetune
from support.small_study import make_study, settings

NAMES = ("majority", "age_sex")


def finish_study(folder: Path) -> None:
    """Two table models, trained and evaluated, and a report's metrics."""
    (folder / "study").mkdir()
    study = make_study(folder / "study", children=24)
    for name in NAMES:
        trained, evaluated = (folder / step / name / "holdout-0" for step in ("finetune", "evaluate"))
        trained.mkdir(parents=True)
        evaluated.mkdir(parents=True)
        paths = {"weights": trained / "weights.safetensors", "model": trained / "model.json"}
        run = {"model_name": name, "fold": "holdout", "seed": 0}
        history = trained / "history.csv"
        finetune(study.train, study.validation, study.clips, **paths, history=history, **run, params=settings())
        out = {"predictions": evaluated / "predictions.parquet", "metrics": evaluated / "metrics.json"}
        draws = Evaluate(
            bootstrap=20, appearances=0, seed=1, windows_per_video=1, bins=5, age_edges=[6, 12], error_rate=0.1
        )
        evaluate(*paths.values(), study.validation, study.test, study.clips, **out, **run, params=draws)
    (folder / "reports" / "tables").mkdir(parents=True)
    (folder / "reports" / "tables" / "models.csv").write_text("model,accuracy\n")
    scopes = {"holdout": {"majority": {"accuracy": 0.75, "auroc": None}, "age_sex": {"accuracy": 0.5, "auroc": 0.25}}}
    (folder / "reports" / "metrics.json").write_text(json.dumps({"models": scopes}))


@pytest.mark.slow
def test_every_run_has_its_test_metrics_and_its_model_the_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    finish_study(tmp_path)
    weights = sha256(tmp_path / "finetune/age_sex/holdout-0/weights.safetensors")
    tags = {"model": "age_sex", "fold": "holdout", "seed": "0"}
    with track_run("age_sex", "age_sex holdout-0", {}, tags, "f") as run:  # as a training run leaves it
        run.tags({"weights_sha256": weights})
    places = (tmp_path / "evaluate", tmp_path / "finetune", tmp_path / "reports")
    log_results(*places)
    log_results(*places)
    printed = capsys.readouterr().out
    assert "2 of 2 runs are new" in printed
    assert "0 of 2 runs are new" in printed

    import mlflow

    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("childgait")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    result = {logged.info.run_name: logged for logged in client.search_runs([experiment.experiment_id])}
    assert set(result) == {"majority", "age_sex", "majority holdout-0", "age_sex holdout-0", "comparison"}
    assert result["age_sex holdout-0"].info.run_id == run.id
    for name in NAMES:
        logged, parent = result[f"{name} holdout-0"], result[name]
        assert logged.data.tags["mlflow.parentRunId"] == parent.info.run_id
        cells = read_run_metrics(tmp_path / "evaluate" / name / "holdout-0" / "metrics.json").natural
        accuracy = cells.groups["overall"]["accuracy"]
        kept = [logged.data.metrics[f"test/accuracy{ending}"] for ending in ("", "_low", "_high")]
        assert kept == [accuracy.value, accuracy.low, accuracy.high]
        for target, row in cells.targets.items():
            assert logged.data.metrics.get(f"{target}/accuracy") == row.accuracy.value
            assert len(client.get_metric_history(logged.info.run_id, f"{target}/accuracy")) in (0, 1)
    assert result["majority"].data.metrics == {"holdout/accuracy": 0.75}
    assert result["comparison"].data.metrics["age_sex/holdout/auroc"] == 0.25
    names = {entry.path for entry in client.list_artifacts(result["comparison"].info.run_id)}
    assert names == {"metrics.json", "models.csv"}


def test_a_lost_store_costs_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    finish_study(tmp_path)
    log_results(tmp_path / "evaluate", tmp_path / "finetune", tmp_path / "reports")
    assert [record for record in caplog.records if "is lost" in record.message]


def test_a_study_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no evaluated run"):
        log_results(tmp_path, tmp_path, tmp_path)
