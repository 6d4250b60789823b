"""Presets change the keys they set and no others, lead back to the demo, and never write an invalid file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from childgait.commands.preset import FREE, preset
from childgait.errors import StepError
from childgait.models.registry import find_model
from childgait.params import load_params

ROOT = Path(__file__).parents[2]
PRESETS = ROOT / "workflow" / "presets"
NAMES = sorted(path.stem for path in PRESETS.glob("*.yaml"))


def leaves(values: dict[str, Any], where: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and key not in FREE:
            result |= leaves(value, f"{where}{key}.")
        else:
            result[f"{where}{key}"] = value
    return result


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def test_there_are_the_promised_presets() -> None:
    assert NAMES == ["cgv", "demo", "keypoints", "peers", "silhouettes", "smoke"]


def test_a_preset_for_a_quick_look_leads_there_from_any_other(params: Path) -> None:
    result = []
    for other in ("demo", "cgv"):
        preset(other, params, PRESETS)
        preset("smoke", params, PRESETS)
        result.append(yaml.safe_load(params.read_text()))
    assert result[0] == result[1]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("cgv", "silhouettes")])  # DVC wraps long lists
def test_dvc_changes_no_other_line_of_params_yaml(name: str, params: Path) -> None:
    """`dvc exp run -S finetune.epochs=5` writes the file with DVC's own formatting."""
    from dvc.utils.serialize import modify_yaml

    preset(name, params, PRESETS)
    before = params.read_text().splitlines()
    with modify_yaml(str(params)) as values:
        values["finetune"]["epochs"] = 4321
    after = params.read_text().splitlines()
    changed = [line for line, old in zip(after, before, strict=True) if line != old]
    assert len(changed) == 1
    assert changed[0].split()[:2] == ["epochs:", "4321"]


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_sets_what_it_names_and_nothing_else(name: str, params: Path) -> None:
    before = leaves(yaml.safe_load(params.read_text()))
    preset(name, params, PRESETS)
    after = leaves(yaml.safe_load(params.read_text()))
    values = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
    like = values.pop("like", None)
    named = (leaves(yaml.safe_load((PRESETS / f"{like}.yaml").read_text())) if like else {}) | leaves(values)
    assert after == before | named | {"preset": name}
    for model in load_params(params)["finetune"].models:  # type: ignore[attr-defined]
        find_model(model)


@pytest.mark.parametrize("name", NAMES)
def test_the_demo_leads_back_to_the_very_same_file(name: str, params: Path) -> None:
    committed = params.read_text()
    preset(name, params, PRESETS)
    preset("demo", params, PRESETS)
    assert params.read_text() == committed, "demo.yaml must name every key that another preset changes"


def test_the_committed_params_are_the_demo(params: Path) -> None:
    before = params.stat().st_mtime_ns
    preset("demo", params, PRESETS)
    assert params.stat().st_mtime_ns == before, "nothing to change, nothing written"


def test_comments_stay(params: Path) -> None:
    comments = [line.split("#", 1)[1] for line in params.read_text().splitlines() if "#" in line]
    preset("cgv", params, PRESETS)
    assert [line.split("#", 1)[1] for line in params.read_text().splitlines() if "#" in line] == comments


def test_an_unknown_preset_names_the_nearest(params: Path) -> None:
    with pytest.raises(StepError, match=r"no preset 'smok' .*did you mean 'smoke'"):
        preset("smok", params, PRESETS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("evaluat: {windows_per_video: 1}", "sets evaluat, which"),
        ("evaluate: {vews: 1}", r"sets evaluate\.vews, which"),
        ("finetune: {encoder: {sise: tiny}}", r"sets finetune\.encoder\.sise, which"),
        ("evaluate: {windows_per_video: 0}", r"evaluate\.windows_per_video is 0, but"),
    ],
)
def test_a_wrong_preset_leaves_the_file_alone(params: Path, tmp_path: Path, text: str, message: str) -> None:
    committed = params.read_text()
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "mine.yaml").write_text(text)
    with pytest.raises(StepError, match=message):
        preset("mine", params, tmp_path / "presets")
    assert params.read_text() == committed
