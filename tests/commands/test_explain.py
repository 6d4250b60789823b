"""Patches, measured values or trees, as the model has them; a model with nothing to show and a wrong folder are
told."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.numpy import save_file

from childgait.commands.explain import explain
from childgait.errors import StepError
from childgait.files.parts import open_part
from childgait.lineage.search import mentions, names_of
from childgait.models.registry import MODELS, settings_of
from childgait.training.description import describe
from childgait.training.fit import FitResult, fit_table
from support.small_study import make_study, settings


def make_run(folder: Path, name: str) -> tuple[Path, Path]:
    study = make_study(folder, children=4)
    selected = settings_of(MODELS[name], settings(frames=4))
    torch.manual_seed(0)
    weights = {}
    if MODELS[name].kind == "network":
        weights = {key: value.numpy() for key, value in MODELS[name].build(selected, 32).state_dict().items()}
    parts = {part: open_part(study.train, study.clips) for part in ("train", "validation")}
    description = describe(MODELS[name], "holdout", 0, selected, parts, FitResult(weights, [], 1, {"pixels": 32}))
    description.write(folder / "model.json")
    save_file(weights or {"seed": torch.tensor([1]).numpy()}, folder / "weights.safetensors")
    return folder, study.train


@pytest.mark.parametrize("name", ["childgait_video", "r3d18", "stgcn"])
def test_it_writes_a_sheet_and_says_how_far_random_weights_agree(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, part = make_run(tmp_path, name)
    explain(run, part, tmp_path, tmp_path / "out", children=2)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "0001.png",
        "0002.png",
        "focus.csv",
    }  # a child's alone
    for picture in (tmp_path / "out").glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert mentions(picture.stem).search(names_of(picture)), "an erasure would not find it"
    header = "video,target,probability,share,even,random_share,agreement"
    assert (tmp_path / "out" / "focus.csv").read_text().startswith(header)
    output = capsys.readouterr().out
    assert "0001-0001_" in output
    assert "of the evidence lies at the items' joints" in output


def test_the_rules_list_what_they_measured(tmp_path: Path) -> None:
    run, part = make_table_run(tmp_path, "rules")
    explain(run, part, tmp_path, tmp_path / "out")
    header = "video,limb,code,value,zero_low,zero_high,score,seconds,frame,strides,near"
    assert (tmp_path / "out" / "measured.csv").read_text().startswith(header)


def test_the_trees_name_what_they_lean_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, part = make_table_run(tmp_path, "kinematic_trees")
    content = json.loads((run / "model.json").read_text())
    assert len(content["facts"]["importance"]) == 17
    content["facts"]["importance"]["KFX"] = {"own knee most in swing": 0.4}
    (run / "model.json").write_text(json.dumps(content))
    explain(run, part, tmp_path, tmp_path / "out")
    assert "KFX: own knee most in swing 40%" in capsys.readouterr().out


def make_table_run(folder: Path, name: str) -> tuple[Path, Path]:
    study, selected = make_study(folder), settings_of(MODELS[name], settings())
    parts = {part: open_part(study.train, study.clips) for part in ("train", "validation")}
    learnt = fit_table(MODELS[name], selected, parts["train"], seed=0)
    description = describe(MODELS[name], "holdout", 0, selected, parts, learnt)
    description.write(folder / "model.json")
    save_file(learnt.weights, folder / "weights.safetensors")
    return folder, study.train


def test_what_cannot_be_explained_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"has no model\.json"):
        explain(tmp_path)
    run, part = make_run(tmp_path, "coin")
    with pytest.raises(StepError, match="coin reads neither pictures nor joints"):
        explain(run, part, tmp_path, tmp_path / "out")
