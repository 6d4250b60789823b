"""Settings are declared once, errors name the key and what is allowed, and old names of keys lead to the new ones."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from childgait.commands.preset import preset
from childgait.engine.source_files import ROOT
from childgait.errors import StepError
from childgait.params import RENAMED, SECTIONS, descriptions, load_params, unknown_key

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def write_with(folder: Path, key: str, value: object, *, remove: str = "") -> Path:
    """Write params.yaml with one more key, at a path such as finetune.fusion.keep."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    *path, last = key.split(".")
    section = values
    for part in path:
        section = section[part]
    section[last] = value
    section.pop(remove, None)
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return folder / "params.yaml"


def keys_of(values: dict[str, Any], where: str) -> list[str]:
    result = []
    for key, value in values.items():
        result.append(f"{where}{key}")
        if isinstance(value, dict) and f"{where}{key}.{next(iter(value), '')}" in descriptions():
            result += keys_of(value, f"{where}{key}.")
    return result


def test_params_yaml_has_the_declared_keys_in_the_declared_order() -> None:
    assert keys_of(PARAMS, "") == ["preset", *descriptions()]


def test_each_remark_is_the_description_of_its_key() -> None:
    done = subprocess.run([sys.executable, "workflow/params_remarks.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    remarks = [line.split(" # ", 1)[1] for line in (ROOT / "params.yaml").read_text().splitlines() if " # " in line]
    assert [*descriptions().values()] == remarks[-len(descriptions()) :]


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "workflow" / "presets").glob("*.yaml")))
def test_the_schema_accepts_every_preset(name: str, tmp_path: Path) -> None:
    validator = Draft202012Validator(json.loads((ROOT / "workflow" / "params.schema.json").read_text()))
    params = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    assert params.read_text().startswith("# yaml-language-server: $schema=workflow/params.schema.json\n")
    preset(name, params, ROOT / "workflow" / "presets")
    assert not list(validator.iter_errors(yaml.safe_load(params.read_text())))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("finetune.epochz", 3, "epochz"),
        ("finetune.epochs", -1, "minimum"),
        ("finetune.epochs", "many", "integer"),
        ("segment.backend", "sam", "sam"),
    ],
)
def test_the_schema_refuses_what_a_run_refuses(key: str, value: object, words: str, tmp_path: Path) -> None:
    validator = Draft202012Validator(json.loads((ROOT / "workflow" / "params.schema.json").read_text()))
    path = write_with(tmp_path, key, value)
    (error,) = validator.iter_errors(yaml.safe_load(path.read_text()))
    assert words in error.message
    with pytest.raises(StepError):
        load_params(path)


@pytest.mark.parametrize("key", RENAMED)
def test_an_old_key_is_answered_with_its_new_name(key: str, tmp_path: Path) -> None:
    new = RENAMED[key]
    params = write_with(tmp_path, key, 1, remove=new)
    with pytest.raises(StepError, match=rf"params\.yaml: {re.escape(key)} is called {new} now\. Hint"):
        load_params(params)


@pytest.mark.parametrize("key", RENAMED)
def test_the_new_name_of_an_old_key_exists(key: str) -> None:
    section, *path = key.split(".")
    assert unknown_key(section, [*path[:-1], RENAMED[key]]) is None


def test_old_keys_lead_to_the_field_s_terms() -> None:
    """The mapping itself: a wrong target would send a person to another setting of the same section."""
    assert RENAMED == {
        "finetune.changes": "augmentation",
        "finetune.clips_a_step": "batch_size",
        "finetune.clips_at_once": "micro_batch_size",
        "finetune.average_decay": "ema_decay",
        "finetune.keep": "checkpoint",
        "finetune.validation_views": "validation_windows",
        "finetune.least_learning_rate": "min_learning_rate",
        "finetune.mean_teacher.clips_a_step": "batch_size",
        "finetune.fusion.keep": "keep_share",
        "build_labels.views": "camera_views",
        "evaluate.views": "windows_per_video",
        "deidentify.most_whole": "max_whole_person_share",
    }


@pytest.mark.parametrize("key", [key for key in RENAMED if key.startswith("finetune.")])
def test_an_old_key_of_an_override_is_answered_with_its_new_name(key: str, tmp_path: Path) -> None:
    value: object = 1
    for part in reversed(key.split(".")[1:]):
        value = {part: value}
    params = write_with(tmp_path, "finetune.overrides", {"stgcn": value})
    old = key.replace("finetune", "finetune.overrides.stgcn", 1)
    with pytest.raises(StepError, match=rf": {re.escape(old)} is called {RENAMED[key]} now\. Hint"):
        load_params(params)


@pytest.mark.parametrize("key", RENAMED)
def test_an_old_key_of_a_preset_is_answered_with_its_new_name(key: str, tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text((ROOT / "params.yaml").read_text())
    value: object = 1
    for part in reversed(key.split(".")):
        value = {part: value}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(value))
    with pytest.raises(StepError, match=rf"the preset mine sets {re.escape(key)}, which is called {RENAMED[key]} now"):
        preset("mine", params, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("evaluate.bins", 1, "evaluate.bins is 1, but must be at least 2"),
        ("evaluate.bins", 51, "evaluate.bins is 51, but must be at most 50"),
        ("evaluate.bins", 2.5, "evaluate.bins is 2.5, but must be a whole number"),
        ("evaluate.bins", "ten", "evaluate.bins is 'ten', but must be a whole number"),
        ("evaluate.bins", None, "evaluate.bins is None, but must be a whole number"),
        ("prepare_clips.size", 100, "prepare_clips.size is 100, but must be a multiple of 8"),
        ("prepare_clips.rate", 0, "prepare_clips.rate is 0, but must be greater than 0"),
        ("split_subjects.holdout", 0.9, "split_subjects.holdout is 0.9, but must be less than 0.9"),
        ("split_subjects.holdout", "some", "split_subjects.holdout is 'some', but must be a number"),
        ("segment.backend", "sam", "segment.backend is 'sam', but must be 'auto', 'classical', 'blazepose' or 'sam3'"),
        ("segment.sam3_prompts", "child", "segment.sam3_prompts is 'child', but must be a list, such as [a, b]"),
        ("finetune.deterministic", "perhaps", "finetune.deterministic is 'perhaps', but must be true or false"),
        ("finetune.models", [], "finetune.models is [], but must have at least 1 entries"),
        ("finetune.folds", [0], "finetune.folds.0 is 0, but must be a text (put it in quotes)"),
        ("finetune.encoder", 3, "finetune.encoder is 3, but must be a section of keys"),
        ("finetune.encoder.sise", 3, "finetune.encoder.sise is no key of this section (nearest valid name: 'size')"),
        ("finetune.cnn.colour", 3, "finetune.cnn.colour is no key of this section (valid: width, dropout)"),
        ("finetune.drawing.left", [1, 2], "finetune.drawing.left.2 is missing"),
        ("cohort.exclude", [], "cohort.exclude is [], but must be a mapping of keys to values, such as {key: value}"),
        ("cohort.root", "my data", "cohort.root is 'my data', but a path without blanks is expected"),
        ("synthesize.seconds", [5, 3], "synthesize: seconds must be two numbers, 0.5 <= shortest <= longest <= 20"),
        (
            "finetune.training_windows",
            9,
            "finetune: training_windows is 9, but micro_batch_size is 8: the windows of a",
        ),
        (
            "finetune.processes",
            2,
            "finetune: processes is 2, but a step of batch_size 8 has fewer micro-batches (of 8 clips): lower",
        ),
        ("build_labels.camera_views", "all", "build_labels.camera_views is 'all', but must be 'registry'"),
    ],
)
def test_a_wrong_value_is_answered_with_what_is_allowed(key: str, value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught:
        load_params(write_with(tmp_path, key, value))
    assert message in str(caught.value)


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    params = write_with(tmp_path, "evaluate.bins", 1)
    params.write_text(params.read_text().replace("\nregister:", "\nregistr:"))
    with pytest.raises(StepError) as caught:
        load_params(params)
    text = str(caught.value)
    for part in ("evaluate.bins is 1", "section 'registr' is unknown (nearest", "section 'register' is missing"):
        assert part in text


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "there is no"), ("a: [", "is not YAML"), ("[a, b]", "holds list, not sections")],
)
def test_a_file_that_is_no_params_yaml_is_named(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StepError, match=message):
        load_params(path)


def test_every_section_has_a_description() -> None:
    assert all(descriptions()[name] for name in SECTIONS)
