"""The methods paragraph reports what ran, from each step's own sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from childgait.engine.source_files import PACKAGE
from childgait.errors import StepError
from childgait.metrics.run_metrics import RunMetrics, TrainingLength
from childgait.params import read_params
from childgait.report import methods as methods_module
from childgait.report.methods import STEPS, fill_in, methods, sentence_of

ROOT = Path(__file__).parents[2]
FRAMES = {"b": 16, "a": 16, "c": 64}
SILENT = {
    "synthesize",
    "draw_sheets",
    "trace_lineage",
    "write_submission",
    "bundle",
    "write_child_page",
    "draw_examples",
    "classify",
    "write_subtypes",
    "open_vault",
    "reidentify",
}  # they change no number of the report


def run_of(model: str, frames: int | None) -> RunMetrics:
    """The part of a run that the methods paragraph reads."""
    trained = None if frames is None else TrainingLength(epochs=40, frames=frames)
    return RunMetrics.model_construct(model=model, seed=3, trained=trained, pretrained=None)


def test_every_step_of_the_study_has_its_sentence() -> None:
    steps = {path.stem for path in (PACKAGE / "steps").glob("*.py")} - {"__init__"}
    assert set(STEPS) == steps - SILENT
    assert [step for step in STEPS if sentence_of(PACKAGE / "steps" / f"{step}.py") is None] == []


def test_the_sentences_hold_the_values_that_ran() -> None:
    settings = read_params(ROOT / "params.yaml")
    settings["prepare_clips"]["size"] = 321
    settings["deidentify"]["backends"] = ["centerface", "sam3"]
    runs = [run_of(name, frames) for name, frames in FRAMES.items()]
    settings = fill_in(settings, [*runs, run_of("rules", None)])
    sentences = dict(methods(settings, list(STEPS)))
    assert (
        "at most 40 epochs on windows of 16 frames: a, b; at most 40 epochs on windows of 64 frames: c"
        in sentences["finetune"]
    )
    assert "fitted in one go: rules" in sentences["finetune"]
    assert "seeds 3" in sentences["finetune"]
    assert "321 pixels per side" in sentences["prepare_clips"]
    assert "centerface, sam3" in sentences["deidentify"]
    for step, text in sentences.items():
        assert text.endswith("."), step
        assert "{" not in text, step


def test_the_sentence_names_each_loss_and_its_models() -> None:
    settings = read_params(ROOT / "params.yaml")
    plain = run_of("a", 16)
    other = run_of("b", 16).model_copy(update={"trained": TrainingLength(epochs=4, frames=16, loss="corn")})
    text = dict(methods(fill_in(settings, [plain]), ["finetune"]))["finetune"]
    assert "a masked binary cross-entropy over 34 targets" in text
    text = dict(methods(fill_in(settings, [plain, other]), ["finetune"]))["finetune"]
    assert "a masked binary cross-entropy (a) or ordinal loss (CORN) (b) over" in text


def test_without_a_video_nothing_is_said_of_pictures() -> None:
    settings = fill_in(read_params(ROOT / "params.yaml"), [])
    sentences = " ".join(dict(methods(settings, list(STEPS), video=False)).values())
    for word in ("decoded", "Heads", "covered", "segmented", "pixels", "de-identified"):
        assert word not in sentences
    assert "there are no videos" in sentences


def test_a_sentence_that_asks_for_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "segment.py").write_text('METHODS = "By {backand}."\n')
    monkeypatch.setattr(methods_module, "PACKAGE", tmp_path)
    with pytest.raises(StepError, match="methods sentence of segment cannot be filled in"):
        methods({"segment": {"backend": "classical"}}, ["segment"])
