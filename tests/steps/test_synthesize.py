"""The step: folders are whole or untouched, overrides are checked, a real cohort is never replaced."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from childgait.engine.flags import flags_of
from childgait.engine.run_step import run_step
from childgait.engine.source_files import ROOT
from childgait.errors import StepError
from childgait.params import Synthesize, load_section
from childgait.steps.synthesize import synthesize


def hashes(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def call(out: Path, params_file: Path, **values: object) -> None:
    flags = {flag.name: flag.default for flag in flags_of(synthesize)}
    run_step(synthesize, flags | {"out": out} | values, params_file, None)


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["synthesize"] |= {"subjects": 2, "width": 64, "height": 64, "seconds": [0.5, 0.5], "bystander": 0.0}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_the_step_replaces_its_own_folder_and_takes_overrides(tmp_path: Path, params_file: Path) -> None:
    out = tmp_path / "demo"
    call(out, params_file, preview=True)
    first = hashes(out)
    assert "preview/contact.png" in first
    assert "preview/clip.mp4" in first
    call(out, params_file, subjects=3, seed=9)
    labels = json.loads((out / "labels.json").read_text())
    assert len([row for row in labels if "rater" not in row]) == 3
    assert json.loads((out / "cohort.json").read_text())["params"]["seed"] == 9
    assert "preview/contact.png" not in hashes(out)  # whole, nothing of the old one
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".partial")] == []


def test_a_folder_that_is_not_synthetic_is_not_touched(tmp_path: Path, params_file: Path) -> None:
    out = tmp_path / "real"
    (out / "dataset" / "0001").mkdir(parents=True)
    (out / "labels.json").write_text("[]")
    with pytest.raises(StepError, match=r"real contains files but is no synthetic cohort .*Hint: choose an empty"):
        call(out, params_file)
    assert (out / "labels.json").read_text() == "[]"
    assert (out / "dataset" / "0001").is_dir()


def test_a_failed_run_leaves_the_old_cohort(tmp_path: Path, params_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "demo"
    call(out, params_file)
    before = hashes(out)

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("childgait.synthetic.recording.save_truth", broken)
    with pytest.raises(StepError, match="No space left"):
        call(out, params_file, seed=10)
    assert hashes(out) == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".partial")] == []


def test_an_override_out_of_range_is_named(tmp_path: Path, params_file: Path) -> None:
    expected = r"--width is 63, but must be .*Hint: src/childgait/params\.py states the range of synthesize\.width"
    with pytest.raises(StepError, match=expected):
        call(tmp_path / "demo", params_file, width=63)
    assert not (tmp_path / "demo").exists()


def test_clip_lengths_out_of_order_are_refused(tmp_path: Path) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["synthesize"]["seconds"] = [5.0, 3.0]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(StepError, match=r"synthesize.*seconds must be two numbers"):
        load_section(path, Synthesize)
