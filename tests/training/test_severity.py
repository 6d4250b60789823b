"""Levels as questions, and their metrics against scikit-learn's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, f1_score

from childgait.files.parts import open_part
from childgait.models.registry import MODELS, settings_of
from childgait.params import Augmentation
from childgait.training.severity import (
    LEVELS,
    Graded,
    commonest,
    confusion_tables,
    levels_of,
    measure_levels,
    part_of_levels,
    severity_cells,
)
from childgait.training.windows import Loading, Windows
from support.small_study import make_study, settings

RANDOM = np.random.default_rng(0)
TRUTH, SAID = RANDOM.integers(1, 5, 40), RANDOM.integers(1, 5, 40)


def test_metrics_are_scikit_learns() -> None:
    result = {name: value[0] for name, value in measure_levels(confusion_tables(SAID, TRUTH, np.ones((1, 40)))).items()}
    assert result["accuracy"] == pytest.approx((SAID == TRUTH).mean())
    assert result["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(TRUTH, SAID))
    assert result["f1"] == pytest.approx(f1_score(TRUTH, SAID, average="macro"))
    assert result["kappa"] == pytest.approx(cohen_kappa_score(TRUTH, SAID, labels=LEVELS, weights="quadratic"))
    assert result["error"] == pytest.approx(np.abs(SAID - TRUTH).mean())


def test_a_child_drawn_twice_counts_twice() -> None:
    weights = RANDOM.multinomial(40, np.full(40, 1 / 40)).astype(float)
    drawn = measure_levels(confusion_tables(SAID, TRUTH, weights[None]))
    again = np.repeat(np.arange(40), weights.astype(int))
    assert drawn["kappa"][0] == pytest.approx(
        cohen_kappa_score(TRUTH[again], SAID[again], labels=LEVELS, weights="quadratic")
    )
    assert drawn["accuracy"][0] == pytest.approx((TRUTH[again] == SAID[again]).mean())


def test_what_is_not_defined_has_a_reason_and_not_a_number() -> None:
    result = severity_cells(np.full(5, 2), np.full(5, 2), draws=20, seed=0)
    assert result["kappa"].as_json() == {
        "value": None,
        "reason": "all children have one level, and nothing else was said",
    }
    assert result["accuracy"].as_json() == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_levels_become_questions_and_questions_levels(tmp_path: Path) -> None:
    study = make_study(tmp_path, children=16)
    part = open_part(study.train, study.clips)
    children = sorted(set(part.table["subject"]))
    level_of = {child: 1 + n % 4 for n, child in enumerate(children)}
    by_level = part_of_levels(part, level_of, study.train)
    assert levels_of(by_level).tolist() == [level_of[child] for child in children]
    assert np.array_equal(by_level.atypical[0], [level_of[part.table["subject"][0]] >= level for level in (2, 3, 4)])
    assert Graded(["a", "b"], np.array([[0.9, 0.6, 0.1], [0.2, 0.1, 0.1]])).levels.tolist() == [3, 1]
    assert commonest(np.array([3, 2, 3, 2, 4])) == 2


def test_a_level_has_no_side_so_a_flip_leaves_it(tmp_path: Path) -> None:
    study = make_study(tmp_path, children=16)
    part = open_part(study.train, study.clips)
    by_level = part_of_levels(part, dict.fromkeys(part.table["subject"], 3), study.train)
    mirror = Augmentation(flip=1.0, scale=0.0, shift=0.0, colour=0.0, time=0.0)
    for windows in (
        Windows(by_level.clips, by_level.atypical, Loading(4, frozenset({"points"})), augmentation=mirror),
        Windows(by_level.clips, by_level.atypical, Loading(4, frozenset({"points"}))),
    ):
        assert windows[0, 0].labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.kind == "network"])
def test_any_network_can_be_asked_something_else(name: str) -> None:
    network = MODELS[name].build(settings_of(MODELS[name], settings()), 32)
    before = {key: value.shape for key, value in network.state_dict().items()}
    network.reset_classifier(3)
    after = {key: value.shape for key, value in network.state_dict().items()}
    changed = [key for key in before if before[key] != after[key]]
    assert before.keys() == after.keys()
    assert [after[key] for key in changed] == [torch.Size([3, before[changed[0]][1]]), torch.Size([3])]
