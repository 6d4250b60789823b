"""Checkpoints in the report: matched by sha256, of the study or the repository; others are named without a curve."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from childgait.engine.source_files import code_of
from childgait.files.model_description import PretrainingSummary
from childgait.files.pretrained import SHIPPED, read_description, shipped_checkpoint
from childgait.report.figures import draw_pretraining
from childgait.report.pretraining import PretrainedStart, pretrained_starts

DESCRIPTION = read_description(shipped_checkpoint("childgait_video"))


@dataclass(frozen=True)
class Run:
    model: str
    pretrained: PretrainingSummary | None
    weights_from: str = "pre-trained on 4000 synthetic children"


def starts(*runs: Run, files: tuple[Path, ...] = ()) -> list[PretrainedStart]:
    return pretrained_starts(runs, files)  # type: ignore[arg-type]


def test_a_run_from_scratch_has_no_checkpoint() -> None:
    assert starts(Run("stgcn", None)) == []


def test_runs_of_the_shipped_checkpoint_share_one_curve() -> None:
    summary = DESCRIPTION.summary()
    (start,) = starts(Run("prompted", summary), Run("childgait_video", summary), Run("childgait_video", summary))
    assert start.models == ["childgait_video", "prompted"]
    assert start.history is not None
    assert start.history["windows"].max() == DESCRIPTION.windows
    assert start.history["validation_r2_knee"][-1] == DESCRIPTION.validation["r2_knee"]  # type: ignore[index]
    assert start.strip is not None
    assert start.strip.stat().st_size < 300_000
    assert "the repository's" in start.sentence
    assert "no item score" in start.sentence


def test_a_checkpoint_of_the_study_is_read_from_its_stage(tmp_path: Path) -> None:
    own = DESCRIPTION.model_copy(update={"sha256": "ab" * 32})
    own.write(tmp_path / "weights.json")
    pl.DataFrame({"windows": [10.0, 20.0], "loss": [2.0, 1.0], "validation_loss": [2.0, 1.5]}).write_csv(
        tmp_path / "history.csv"
    )
    files = tuple(tmp_path / name for name in ("weights.json", "history.csv", "strip.png"))
    shutil.copy(SHIPPED / "childgait_video.strip.png", files[2])
    (start,) = starts(Run("stgcn", own.summary()), files=files)
    assert (start.strip, "in this study" in start.sentence) == (files[2], True)
    draw_pretraining(tmp_path / "pretraining.png", [start])  # no R² among its columns
    assert (tmp_path / "pretraining.png").read_bytes().startswith(b"\x89PNG")


def test_another_checkpoint_has_no_curve(tmp_path: Path) -> None:
    (start,) = starts(Run("stgcn", {**DESCRIPTION.summary(), "sha256": "00"}))
    assert (start.history, start.strip) == (None, None)
    assert "has no curve" in start.sentence
    for number in range(2):  # the same bytes, without a curve too
        draw_pretraining(tmp_path / f"{number}.png", [start])
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


def test_curve_and_strip_are_inputs_of_the_report_alone() -> None:
    """They stand beside the weights, but a new picture must not train every network again."""
    shown = {"childgait_video.history.csv", "childgait_video.strip.png"}
    assert shown <= {path.name for path in code_of("write_report")}
    training = {path.name for path in code_of("finetune")}
    assert not shown & training
    assert {"childgait_video.safetensors", "childgait_video.json"} <= training
