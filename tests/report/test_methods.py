"""The methods paragraph says what really ran, from each step's own sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from childgait.engine.source_files import PACKAGE
from childgait.errors import StepError
from childgait.params import read_params
from childgait.report import methods as room
from childgait.report.methods import methods, sentence_of
from childgait.steps.write_report import STEPS, told_as_done

ROOT = Path(__file__).parents[2]
FRAMES = {"b": 16, "a": 16, "c": 64}
SILENT = {
    "synthesize",
    "review",
    "trace_lineage",
    "write_submission",
    "grade_severity",
}  # they move no number of the report


def test_every_step_of_the_study_has_its_sentence() -> None:
    steps = {path.stem for path in (PACKAGE / "steps").glob("*.py")} - {"__init__"}
    assert set(STEPS) == steps - SILENT
    assert [step for step in STEPS if sentence_of(PACKAGE / "steps" / f"{step}.py") is None] == []


def test_the_sentences_hold_the_values_that_ran() -> None:
    settings = read_params(ROOT / "params.yaml")
    settings["prepare_clips"]["size"] = 321
    settings["deidentify"]["backends"] = ["centerface", "sam3"]
    runs = [{"model": name, "seed": 3, "trained": {"epochs": 40, "frames": frames}} for name, frames in FRAMES.items()]
    settings = told_as_done(settings, [*runs, {"model": "rules", "seed": 3, "trained": None}])
    told = dict(methods(settings, list(STEPS)))
    assert (
        "at most 40 epochs on windows of 16 frames: a, b; at most 40 epochs on windows of 64 frames: c"
        in told["finetune"]
    )
    assert "fitted in one go: rules" in told["finetune"]
    assert "seeds 3" in told["finetune"]
    assert "321 pixels a side" in told["prepare_clips"]
    assert "centerface, sam3" in told["deidentify"]
    for step, words in told.items():
        assert words.endswith("."), step
        assert "{" not in words, step


def test_without_a_video_nothing_is_said_of_pictures() -> None:
    settings = told_as_done(read_params(ROOT / "params.yaml"), [])
    told = " ".join(dict(methods(settings, list(STEPS), video=False)).values())
    for word in ("decoded", "Heads", "covered", "segmented", "pixels", "de-identified"):
        assert word not in told
    assert "there are no videos" in told


def test_a_sentence_that_asks_for_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "segment.py").write_text('METHODS = "By {backand}."\n')
    monkeypatch.setattr(room, "PACKAGE", tmp_path)
    with pytest.raises(StepError, match="methods sentence of segment cannot be filled in"):
        methods({"segment": {"backend": "classical"}}, ["segment"])
