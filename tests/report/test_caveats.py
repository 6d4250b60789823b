"""The report states with which weights its networks started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from childgait.report.headline import _rule_row, _starting_weights


def run(model: str, weights_from: str, pretrained: dict[str, int] | None = None) -> Any:
    return SimpleNamespace(model=model, weights_from=weights_from, pretrained=pretrained)


def test_different_initial_weights_are_stated() -> None:
    scratch = run("videomae", "from scratch")
    started = run("childgait_video", "pre-trained on 9 synthetic children", {"children": 9})
    table = run("rules", "")
    assert "different initial weights" in _starting_weights([started, scratch, table])[-1]
    for runs in ([scratch, table], [started, table], [table]):
        assert not any("different initial weights" in line for line in _starting_weights(runs))


def test_what_the_rule_row_shares_with_the_synthetic_labels_is_stated() -> None:
    def study(root: str, population: str, *models: str) -> Any:
        runs = [run(model, "") for model in models]
        settings = {"synthesize": {"population": population}}
        return SimpleNamespace(cohort=SimpleNamespace(root=root), runs=runs, settings=settings)

    assert "share bands and windows" in _rule_row(study("data/demo", "independent", "rules"))[0]
    assert "but not their windows" in _rule_row(study("data/demo", "clinic", "kinematic_trees"))[0]
    assert not _rule_row(study("data/demo", "clinic", "tcn"))
    assert not _rule_row(study("data/raw", "clinic", "rules"))
