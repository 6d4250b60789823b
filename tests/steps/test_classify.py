"""Networks trained on the items are trained on other classes of children or limbs; no training child is classified."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from childgait.domain.evgs import LIMBS
from childgait.engine import mlflow_tracking
from childgait.errors import StepError
from childgait.files.labels import SUBJECTS
from childgait.models.registry import KEYPOINTS
from childgait.params import Classify
from childgait.steps.classify import classify
from childgait.steps.finetune import finetune
from support.small_study import PARAMS, Study, make_study, settings

SMALL = {
    "skeleton": {
        "width": 8,
        "temporal_kernel": 3,
        "dropout": 0.0,
        "extra": [],
        "attention": "none",
        "moments_age": 9.0,
        "moments_rate": 15.0,
    },
    "epochs": 12,
    "learning_rate": 0.01,
    "fusion": {**PARAMS["finetune"]["fusion"], "first_epochs": 2},
}
TOLD = {False: 1, True: 3}  # the level of a child whose legs go slowly, and of one whose legs go fast
TYPES = {False: "WNL", True: "type2"}  # likewise, of both limbs


def is_sick(subject: str) -> bool:
    return int(subject) % 2 == 0


def write_subjects(path: Path, level_of: dict[str, int | None]) -> Path:
    rows = [
        {"subject": subject, "age_years": 8.0, "sex": "female", "diagnosis": "", "aid": "none", "severity": level}
        | {f"{limb}_gait_type": TYPES[is_sick(subject)] for limb in LIMBS}
        for subject, level in level_of.items()
    ]
    known = SUBJECTS.schema() | {f"{limb}_gait_type": pl.String() for limb in LIMBS}
    pl.DataFrame(rows, schema=known).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    study = make_study(folder, children=24)
    write_subjects(folder / "subjects.parquet", {f"{n:04d}": TOLD[is_sick(f"{n:04d}")] for n in range(1, 25)})
    return study


@pytest.fixture(scope="module")
def learnt(study: Study, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each network with what finetune leaves there; its runs go to no store of MLflow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
        patch.setattr(mlflow_tracking, "CONNECT_SECONDS", 0.2)
        return {name: _train(study, name, tmp_path_factory.mktemp(name)) for name in ("stgcn", "stgcn_fusion")}


def _train(study: Study, name: str, folder: Path) -> Path:
    out = {"weights": "weights.safetensors", "model": "model.json", "history": "history.csv"}
    finetune(
        study.train,
        study.validation,
        study.clips,
        model_name=name,
        fold="holdout",
        seed=0,
        params=settings(**{**SMALL, "epochs": 2}),
        checkpoint=folder / "state",
        **{flag: folder / file for flag, file in out.items()},
    )
    description = json.loads((folder / "model.json").read_text())
    description["settings"] |= {key: value for key, value in SMALL.items() if key in ("epochs", "learning_rate")}
    (folder / "model.json").write_text(json.dumps(description))
    return folder


def run(study: Study, learnt: Path, out: Path, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "weights": learnt / "weights.safetensors",
        "model": learnt / "model.json",
        "train": study.train,
        "validation": study.validation,
        "test": study.test,
        "subjects": study.train.parent / "subjects.parquet",
        "clips": study.clips,
        "weights_out": out / "weights.safetensors",
        "classes": out / "classes.csv",
        "metrics": out / "metrics.json",
        "task_name": "severity",
        "model_name": learnt.name.rstrip("0123456789"),
        "fold": "holdout",
        "seed": 0,
        "params": Classify(tasks=["severity"], models=["stgcn"], windows_per_video=2, bootstrap=50, seed=1),
        "checkpoint": out / "state",
    }
    classify(**{**values, **changes})
    return json.loads((out / "metrics.json").read_text())


@pytest.fixture(scope="module")
def graded(study: Study, learnt: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each network with what classify writes on severity."""
    folders = {name: tmp_path_factory.mktemp("graded") for name in learnt}
    for name, folder in folders.items():
        run(study, learnt[name], folder)
    return folders


def trained_briefly(learnt: Path, out: Path) -> Path:
    """Write a copy of a model.json with two epochs, for a test that needs no trained network."""
    description = json.loads((learnt / "model.json").read_text())
    description["settings"]["epochs"] = 2
    path = out / "model.json"
    path.write_text(json.dumps(description))
    return path


@pytest.mark.parametrize("name", ["stgcn", "stgcn_fusion"])
def test_levels_that_show_in_the_legs_are_found(graded: dict[str, Path], name: str) -> None:
    assert name in KEYPOINTS
    result = json.loads((graded[name] / "metrics.json").read_text())
    table = pl.read_csv(graded[name] / "classes.csv", schema_overrides={"subject": pl.String})
    assert table["true"].to_list() == [TOLD[is_sick(subject)] for subject in table["subject"]]
    assert result["metrics"]["accuracy"]["value"] == pytest.approx((table["true"] == table["predicted"]).mean())
    assert result["metrics"]["accuracy"]["value"] >= 0.8 > result["commonest"]["accuracy"]["value"]
    assert sum(map(sum, result["confusion"])) == table.height == result["children"]["test"]
    at_least = table.select("at_least_2", "at_least_3", "at_least_4").to_numpy()
    assert table["predicted"].to_list() == (1 + (at_least >= 0.5).sum(axis=1)).tolist()


def test_unordered_classes_of_each_limb_are_found(study: Study, learnt: dict[str, Path], tmp_path: Path) -> None:
    result = run(study, learnt["stgcn"], tmp_path, task_name="gait_type")
    table = pl.read_csv(tmp_path / "classes.csv", schema_overrides={"subject": pl.String})
    assert table["limb"].to_list() == ["left", "right"] * (table.height // 2)
    assert table["true"].to_list() == [TYPES[is_sick(subject)] for subject in table["subject"]]
    each = table.select("is_WNL", "is_type1", "is_type2", "is_type3", "is_type4").to_numpy()
    assert table["predicted"].to_list() == [result["classes"][place] for place in each.argmax(axis=1)]
    assert result["metrics"]["accuracy"]["value"] >= 0.8 > result["commonest"]["accuracy"]["value"]
    expected = (result["metrics"]["accuracy"]["value"] + result["metrics"]["f1"]["value"]) / 2
    assert result["metrics"]["challenge"]["value"] == pytest.approx(expected, abs=1e-5)
    assert sum(map(sum, result["confusion"])) == table.height == 2 * result["children"]["test"]
    assert load_file(tmp_path / "weights.safetensors")["head.bias"].shape == (10,)


def test_only_the_last_layer_is_new_and_the_numbers_stay_chosen(
    learnt: dict[str, Path], graded: dict[str, Path]
) -> None:
    before, after = (
        load_file(learnt["stgcn_fusion"] / "weights.safetensors"),
        load_file(graded["stgcn_fusion"] / "weights.safetensors"),
    )
    changed = {name for name in before if before[name].shape != after[name].shape}
    assert before.keys() == after.keys()
    assert changed == {"head.4.weight", "head.4.bias"}
    assert after["head.4.bias"].shape == (3,)
    assert np.array_equal(before["tokens.selected"], after["tokens.selected"])


def test_the_same_again_gives_the_same_bytes(study: Study, learnt: dict[str, Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        run(study, learnt["stgcn"], tmp_path / name, model=trained_briefly(learnt["stgcn"], tmp_path))
    for file in ("weights.safetensors", "classes.csv", "metrics.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_a_child_without_a_level_is_left_out_by_name(study: Study, learnt: dict[str, Path], tmp_path: Path) -> None:
    tested = sorted(set(pl.read_parquet(study.test)["subject"]))
    level_of = {f"{n:04d}": None if f"{n:04d}" == tested[0] else TOLD[is_sick(f"{n:04d}")] for n in range(1, 25)}
    subjects, model = (
        write_subjects(tmp_path / "subjects.parquet", level_of),
        trained_briefly(learnt["stgcn"], tmp_path),
    )
    result = run(study, learnt["stgcn"], tmp_path, subjects=subjects, model=model)
    assert result["without_class"] == {"train": [], "validation": [], "test": [tested[0]]}
    assert result["children"]["test"] == len(tested) - 1
    assert tested[0] not in (tmp_path / "classes.csv").read_text()


def test_a_cohort_without_levels_is_told_so(study: Study, learnt: dict[str, Path], tmp_path: Path) -> None:
    nobody = write_subjects(tmp_path / "subjects.parquet", {f"{n:04d}": None for n in range(1, 25)})
    with pytest.raises(StepError, match=r"no child of .*train.parquet has a class of severity and a"):
        run(study, learnt["stgcn"], tmp_path, subjects=nobody)


def test_a_test_child_that_taught_stops_the_step(study: Study, learnt: dict[str, Path], tmp_path: Path) -> None:
    child = sorted(set(pl.read_parquet(study.train)["subject"]))[0]
    with pytest.raises(StepError, match=f"contains child {child}, who was in train when the model was trained"):
        run(study, learnt["stgcn"], tmp_path, test=study.train)


def test_a_table_model_has_no_last_layer(study: Study, learnt: dict[str, Path], tmp_path: Path) -> None:
    description = json.loads((learnt["stgcn"] / "model.json").read_text()) | {"model": "rules", "kind": "table"}
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(StepError, match="rules is no network"):
        run(study, learnt["stgcn"], tmp_path, model=tmp_path / "model.json", model_name="rules")
