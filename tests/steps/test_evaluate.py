"""Every probability is kept, every metric can be computed again from them, and a leak stops the step."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file
from sklearn.metrics import balanced_accuracy_score

from childgait.domain.evgs import TARGET_NAMES, VIEWS_OF_PLANE
from childgait.errors import StepError
from childgait.files.parts import open_part
from childgait.models.registry import MODELS, settings_of
from childgait.params import Evaluate
from childgait.steps.evaluate import evaluate
from childgait.training.description import describe
from childgait.training.fit import FitResult
from support.small_study import Study, judging, make_study, settings


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    study = make_study(folder, children=24, never="L.HFX")
    for name in ("coin", "childgait_video"):
        write_model(study, folder, name)
    return study


def write_model(study: Study, folder: Path, name: str) -> None:
    """Weights without training: evaluate does not care how they came about."""
    import torch

    selected = settings_of(MODELS[name], settings(frames=4))
    parts = {part: open_part(getattr(study, part), study.clips) for part in ("train", "validation")}
    if name == "coin":
        weights: dict[str, Any] = {"seed": np.array([1])}
        facts: dict[str, Any] = {"learns": 1}
    else:
        torch.manual_seed(0)
        network = MODELS[name].build(selected, 32)
        torch.nn.init.normal_(network.head[-1].weight, std=0.5)
        weights, facts = {k: v.numpy() for k, v in network.state_dict().items()}, {"pixels": 32}
    learnt = FitResult(weights, [], 2, facts)
    save_file(weights, folder / f"{name}.safetensors")
    describe(MODELS[name], "holdout", 0, selected, parts, learnt).write(folder / f"{name}.json")


def run(study: Study, out: Path, name: str = "coin", params: Evaluate | None = None, **changes: Any) -> dict[str, Any]:
    folder = study.train.parent
    values: dict[str, Any] = {
        "weights": folder / f"{name}.safetensors",
        "model": folder / f"{name}.json",
        "validation": study.validation,
        "test": study.test,
        "clips": study.clips,
        "predictions": out / "predictions.parquet",
        "metrics": out / "metrics.json",
        "model_name": name,
        "fold": "holdout",
        "seed": 0,
        "params": params or judging(),
    }
    evaluate(**{**values, **changes})
    return json.loads((out / "metrics.json").read_text())


def test_every_window_video_and_child_is_kept(study: Study, tmp_path: Path) -> None:
    run(study, tmp_path, "childgait_video")
    table = pl.read_parquet(tmp_path / "predictions.parquet")
    test = table.filter(pl.col("part") == "test")
    videos = pl.read_parquet(study.test)
    sizes = {level: test.filter(pl.col("level") == level).height for level in ("window", "video", "child")}
    children = videos["subject"].n_unique()
    assert sizes == {"window": videos.height * 2 * 34, "video": videos.height * 34, "child": children * 34}
    one = test.filter((pl.col("subject") == videos["subject"][0]) & (pl.col("target") == "L.KFX"))
    windows = one.filter((pl.col("level") == "window") & (pl.col("view") == "left"))
    video = one.filter((pl.col("level") == "video") & (pl.col("view") == "left"))
    assert video["logit"].item() == pytest.approx(windows["logit"].mean())
    child = one.filter(pl.col("level") == "child")
    seen = one.filter((pl.col("level") == "video") & pl.col("counts"))
    assert set(seen["view"]) <= set(VIEWS_OF_PLANE["sagittal"])  # the coronal video has no say in a sagittal item
    assert child["logit"].item() == pytest.approx(seen["logit"].mean())
    assert child["probability"].item() == pytest.approx(1 / (1 + np.exp(-child["logit"].item())))


def test_metrics_can_be_computed_again_from_the_predictions(study: Study, tmp_path: Path) -> None:
    metrics = run(study, tmp_path)
    table = pl.read_parquet(tmp_path / "predictions.parquet")
    child = table.filter((pl.col("part") == "test") & (pl.col("level") == "child"))
    each = []
    for target in TARGET_NAMES:
        rows = child.filter((pl.col("target") == target) & pl.col("atypical").is_not_null())
        cell = metrics["natural"]["targets"][target]["balanced_accuracy"]
        if rows["atypical"].n_unique() == 2:
            again = balanced_accuracy_score(rows["atypical"], rows["probability"] >= 0.5)
            assert cell["value"] == pytest.approx(again, abs=1e-6)
            assert cell["low"] <= cell["value"] <= cell["high"]
            each.append(again)
    overall = metrics["natural"]["groups"]["overall"]["balanced_accuracy"]
    assert overall["value"] == pytest.approx(np.mean(each), abs=1e-6)
    assert overall["over"] == len(each) == 33


def test_an_item_without_a_positive_is_null_with_a_reason(
    study: Study, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = run(study, tmp_path)
    assert metrics["natural"]["targets"]["L.HFX"]["f1"] == {"value": None, "reason": "no atypical child"}
    assert metrics["natural"]["targets"]["L.HFX"]["accuracy"]["value"] is not None
    assert "not defined for L.HFX (no atypical child)" in caplog.text
    assert metrics["confusion"]["L.HFX"]["tp"] == metrics["confusion"]["L.HFX"]["fn"] == 0


def test_balanced_natural_tuned_calibration_and_subgroups_stand_side_by_side(study: Study, tmp_path: Path) -> None:
    metrics = run(study, tmp_path)
    cell = metrics["balanced"]["targets"]["L.IC"]
    assert cell["accuracy"]["value"] == pytest.approx(cell["balanced_accuracy"]["value"], abs=1e-6)
    assert set(metrics["tuned"]["groups"]) == set(metrics["natural"]["groups"])
    assert set(metrics["thresholds"]) == set(TARGET_NAMES)
    assert set(metrics["thresholds"].values()) == {0.5}, "so few validation children tune nothing (statistics D12)"
    assert 0.04 < metrics["temperature"] < 21
    assert {"sex.female", "sex.male", "view.left", "view.forward", "aid.none"} <= set(metrics["subgroups"])
    by_sex = [metrics["subgroups"][f"sex.{sex}"]["children"] for sex in ("female", "male")]
    assert sum(by_sex) == metrics["children"]["test"]
    by_age = [group["children"] for name, group in metrics["subgroups"].items() if name.startswith("age.")]
    assert sum(by_age) == metrics["children"]["test"]
    assert metrics["subgroups"]["view.left"]["cells"] < 34 * metrics["children"]["test"]
    assert 0 <= metrics["challenge"]["value"] <= 1


def test_the_same_inputs_give_the_same_bytes(study: Study, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    run(study, tmp_path / "a", "childgait_video")
    run(study, tmp_path / "b", "childgait_video")
    for name in ("predictions.parquet", "metrics.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_weights_of_another_split_are_refused(study: Study, tmp_path: Path) -> None:
    other = tmp_path / "test.parquet"
    pl.read_parquet(study.test).with_columns(pl.lit("f" * 64).alias("split_hash")).write_parquet(other)
    with pytest.raises(StepError, match=r"is of split ffffffffffff, but .* was trained on split"):
        run(study, tmp_path, test=other)


def test_a_test_child_whom_the_model_has_seen_stops_the_step(study: Study, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="contains child 0001, who was in train when the model was trained"):
        run(study, tmp_path, test=study.train)


def test_weights_of_another_run_are_refused(study: Study, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="is coin holdout-0, not coin holdout-1"):
        run(study, tmp_path, seed=1)


def test_what_a_row_needs_and_costs_stands_beside_its_metrics(study: Study, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    coin, video = run(study, tmp_path / "a"), run(study, tmp_path / "b", "childgait_video")
    assert (coin["inputs"], coin["parameters"], coin["operations"]) == ([], 1, None)
    assert video["inputs"] == ["frames", "masks", "points"]
    network = MODELS["childgait_video"].build(settings_of(MODELS["childgait_video"], settings(frames=4)), 32)
    assert video["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert video["operations"] > 2 * 192 * 34  # at the least its last layers
