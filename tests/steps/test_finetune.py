"""The step trains, writes the same bytes again, takes a killed run up, and never lets a child into two parts."""

import csv
import json
import os
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from safetensors.numpy import load_file

from childgait.engine import mlflow_tracking
from childgait.engine.source_files import ROOT
from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.files.parts import labels_of_children, open_part
from childgait.params import Finetune
from childgait.steps.finetune import finetune
from childgait.training import loop
from support.small_study import Study, make_study, settings

SMALL = settings(epochs=2, frames=4)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"), children=8)


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setattr(mlflow_tracking, "CONNECT_SECONDS", 0.2)
    monkeypatch.chdir(tmp_path)


def run(study: Study, out: Path, params: Finetune = SMALL, name: str = "childgait_video", **changes: Any) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {
        "train": study.train,
        "validation": study.validation,
        "clips": study.clips,
        "weights": out / "weights.safetensors",
        "model": out / "model.json",
        "history": out / "history.csv",
        "model_name": name,
        "fold": "holdout",
        "seed": 0,
        "params": params,
        "checkpoint": out / "cache",
    }
    finetune(**{**values, **changes})
    return out


def test_it_writes_weights_a_description_and_a_curve(study: Study, tmp_path: Path) -> None:
    out = run(study, tmp_path / "a")
    weights, description = load_file(out / "weights.safetensors"), json.loads((out / "model.json").read_text())
    assert all(np.isfinite(value).all() for value in weights.values())
    assert description["facts"]["weights_from"] == "from scratch"
    assert description["children"]["train"] == sorted(set(pl.read_parquet(study.train)["subject"]))
    assert description["split_hash"] == pl.read_parquet(study.test)["split_hash"][0]
    with (out / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["epoch"]) for row in rows] == [1, 2]
    assert float(rows[0]["validation_loss"]) > 0
    assert not any((out / "cache").glob("*"))  # a checkpoint is of no use once the job is done
    again = run(study, tmp_path / "b")
    for name in ("weights.safetensors", "model.json", "history.csv"):
        assert (out / name).read_bytes() == (again / name).read_bytes()


def test_a_run_cut_off_is_taken_up_and_ends_the_same(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(study, tmp_path / "whole", settings(epochs=3, frames=4))
    saved = loop.checkpoint.save

    def save_and_die(path: Path, state: Any, fingerprint: str) -> None:
        saved(path, state, fingerprint)
        if state.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.checkpoint, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "cut", settings(epochs=3, frames=4))
    assert not (tmp_path / "cut" / "weights.safetensors").exists()
    monkeypatch.setattr(loop.checkpoint, "save", saved)
    taken_up = run(study, tmp_path / "cut", settings(epochs=3, frames=4))
    for name in ("weights.safetensors", "history.csv"):
        assert (whole / name).read_bytes() == (taken_up / name).read_bytes()


@pytest.mark.slow
def test_torchrun_shares_a_step_and_one_process_writes(study: Study, tmp_path: Path) -> None:
    """Two processes, two small batches a step, through the command line; drop path and augmentation on."""
    one = run(study, tmp_path / "one", SMALL)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["finetune"] = SMALL.model_dump(mode="json")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    two = tmp_path / "two"
    torchrun = [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        "localhost:0",
        "-m",
        "childgait",
        "finetune",
    ]
    files = {
        "train": study.train,
        "validation": study.validation,
        "weights": two / "weights.safetensors",
        "model": two / "model.json",
        "history": two / "history.csv",
        "params": tmp_path / "params.yaml",
        "record": two / "finetune.record.json",
    }
    flags = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    flags += ["--clips", *map(str, study.clips), "--model-name", "childgait_video", "--fold", "holdout", "--seed", "0"]
    subprocess.run([sys.executable, *torchrun, *flags], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    first, second = load_file(one / "weights.safetensors"), load_file(two / "weights.safetensors")
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=1e-5, atol=1e-7)
    assert json.loads((one / "model.json").read_text()) == json.loads((two / "model.json").read_text())
    assert (two / "finetune.record.json").exists()
    assert not list(two.glob(".partial-*"))


@pytest.mark.parametrize("name", ["childgait_video", "stgcn", "gaitset"])
def test_any_network_trains_on_several_windows_per_video(study: Study, tmp_path: Path, name: str) -> None:
    params = settings(epochs=1, frames=4, training_windows=2)
    several = run(study, tmp_path / "several", params, name)
    single = run(study, tmp_path / "single", settings(epochs=1, frames=4), name)
    assert json.loads((several / "model.json").read_text())["settings"]["training_windows"] == 2
    assert (several / "weights.safetensors").read_bytes() != (single / "weights.safetensors").read_bytes()


def test_a_table_model_is_fitted_and_has_no_curve(study: Study, tmp_path: Path) -> None:
    out = run(study, tmp_path / "majority", name="majority")
    labels = labels_of_children(open_part(study.train, study.clips).table)
    logit = load_file(out / "weights.safetensors")["logit"]
    positives = np.nansum(labels, axis=0)
    assert logit == pytest.approx(np.log((positives + 1) / (len(labels) - positives + 1)))
    assert (out / "history.csv").read_text().startswith("epoch,learning_rate,loss")


def test_a_child_in_two_parts_stops_the_run(study: Study, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="child 0001 is in train and in validation"):
        run(study, tmp_path, validation=study.train)


def test_tables_of_two_splits_stop_the_run(study: Study, tmp_path: Path) -> None:
    other = tmp_path / "validation.parquet"
    pl.read_parquet(study.validation).with_columns(pl.lit("other").alias("split_hash")).write_parquet(other)
    with pytest.raises(StepError, match="of two splits"):
        run(study, tmp_path, validation=other)


def test_a_clip_that_was_not_given_is_named(study: Study, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="whose clips were not given, first 0008-0001_forward_1-20"):
        run(study, tmp_path, clips=[clip for clip in study.clips if "0008-" not in clip.name])


def test_an_empty_part_and_an_unknown_model_are_named(study: Study, tmp_path: Path) -> None:
    bare = tmp_path / "train.parquet"
    pl.read_parquet(study.train).clear().write_parquet(bare)
    with pytest.raises(StepError, match="has no rows"):
        run(study, tmp_path, train=bare)
    with pytest.raises(StepError, match="no model is called 'resnet'"):
        run(study, tmp_path, name="resnet")


def test_a_gpu_that_is_not_there_is_said(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(StepError, match=r"finetune\.device is cuda, but torch finds no GPU"):
        run(study, tmp_path, settings(device="cuda"))


def test_a_lost_server_costs_curves_and_is_told_once(
    study: Study, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = run(study, tmp_path / "a")
    assert (out / "weights.safetensors").exists()
    assert (
        sum("MLflow at http://127.0.0.1:1 is lost (cannot connect" in record.message for record in caplog.records) == 1
    )


def test_the_record_of_a_distilled_run_holds_the_hash_of_its_teacher(study: Study, tmp_path: Path) -> None:
    teacher = run(study, tmp_path / "teacher", name="gru")
    files = [teacher / "weights.safetensors", teacher / "model.json"]
    own = {**SMALL.distillation.model_dump(), "teacher": "gru"}
    params = SMALL.model_copy(update={"overrides": {"tcn": {"distillation": own, "frames": 4}}})
    out = run(study, tmp_path / "student", params, "tcn", teacher=files)
    digest = sha256(files[0])
    assert json.loads((out / "model.json").read_text())["facts"]["teacher"] == (
        f"gru, fold holdout, seed 0 (sha256 {digest})"
    )
    with pytest.raises(StepError, match=r"teacher is gru, but --teacher has 0 file"):
        run(study, tmp_path / "alone", params, "tcn")
    parameter = signature(finetune).parameters["teacher"]
    assert "Input" in str(parameter.annotation), "so that the record hashes the files"
