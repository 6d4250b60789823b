"""The report states with which weights its networks started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from childgait.report.headline import _starting_weights


def run(model: str, weights_from: str, pretrained: dict[str, int] | None = None) -> Any:
    return SimpleNamespace(model=model, weights_from=weights_from, pretrained=pretrained)


def test_different_initial_weights_are_stated() -> None:
    scratch = run("videomae", "from scratch")
    started = run("childgait_video", "pre-trained on 9 synthetic children", {"children": 9})
    table = run("rules", "")
    assert "different initial weights" in _starting_weights([started, scratch, table])[-1]
    for runs in ([scratch, table], [started, table], [table]):
        assert not any("different initial weights" in line for line in _starting_weights(runs))
