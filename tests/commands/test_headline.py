"""The last thing `make run` prints: the numbers, what they are not, and where to read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from childgait.commands.headline import headline
from childgait.errors import StepError


def test_the_headline_is_that_of_metrics_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = {"model": "childgait_video", "part": "hold-out", "children": 3, "videos": 12, "seeds": 1}
    head["majority_accuracy"] = 0.7
    values = {"accuracy": 0.8125, "balanced_accuracy": None, "f1": 0.5, "auroc": None}
    for key, value in values.items():
        head |= {key: value, f"{key}_low": None if value is None else value - 0.1, f"{key}_high": value and value + 0.1}
    study = {"headline": head, "caveats": ["made up"], "models": {}, "cohort": {}, **{metric: {} for metric in values}}
    (tmp_path / "metrics.json").write_text(json.dumps(study))
    headline(tmp_path / "metrics.json", tmp_path / "index.html")
    output = capsys.readouterr().out
    assert "childgait_video, hold-out children: 3, evaluated on 12 videos" in output
    assert "0.812  (95 % interval 0.713 to 0.912)" in output
    assert "balanced accuracy  unknown" in output
    assert "always the majority 0.700" in output
    assert "note: made up" in output
    assert output.splitlines()[-1] == f"report: {tmp_path / 'index.html'}"


def test_without_a_report_there_is_no_headline(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"there is no .*metrics\.json"):
        headline(tmp_path / "metrics.json")
