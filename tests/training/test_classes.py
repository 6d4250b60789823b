"""Classes as binary targets, and their metrics against scikit-learn's and by hand."""

from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, f1_score

from childgait.domain.evgs import VIEWS
from childgait.domain.tasks import TASKS
from childgait.files.labels import SUBJECTS
from childgait.files.parts import Part, open_part
from childgait.metrics.challenge import subtype_score
from childgait.models.registry import MODELS, settings_of
from childgait.params import Augmentation, TaskName
from childgait.training.classes import (
    UNKNOWN,
    Classified,
    binary_targets,
    class_cells,
    classes_of_children,
    commonest,
    confusion_tables,
    measure_classes,
    part_of_task,
    true_classes,
    weights_of_units,
)
from childgait.training.optim import positive_weights
from childgait.training.windows import Loading, Windows
from support.small_study import make_study, settings

RANDOM = np.random.default_rng(0)
SEVERITY, GAIT_TYPE = TASKS["severity"], TASKS["gait_type"]
TRUTH, PREDICTED = RANDOM.integers(0, 4, 40), RANDOM.integers(0, 4, 40)
CHILDREN = [f"{number:04d}" for number in range(40)]


def test_the_tasks_are_those_of_params() -> None:
    assert set(get_args(TaskName)) == set(TASKS)


def test_metrics_are_scikit_learns() -> None:
    tables = confusion_tables(PREDICTED, TRUTH, np.ones((1, 40)), 4)
    result = {name: value[0] for name, value in measure_classes(tables, SEVERITY).items()}
    assert result["accuracy"] == pytest.approx((PREDICTED == TRUTH).mean())
    assert result["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(TRUTH, PREDICTED))
    assert result["f1"] == pytest.approx(f1_score(TRUTH, PREDICTED, average="macro"))
    assert result["kappa"] == pytest.approx(cohen_kappa_score(TRUTH, PREDICTED, labels=range(4), weights="quadratic"))
    assert result["error"] == pytest.approx(np.abs(PREDICTED - TRUTH).mean())


def test_metrics_of_unordered_classes_by_hand() -> None:
    """Ten limbs: recalls 2/4, 3/3, 1/3 of three classes; F1 2·2/(4+2), 2·3/(3+6), 2·1/(3+2); no order, no kappa."""
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
    predicted = np.array([0, 0, 1, 2, 1, 1, 1, 1, 1, 2])
    table = confusion_tables(predicted, truth, np.ones((1, 10)), 5)
    assert table[0, :3, :3].tolist() == [[2, 1, 1], [0, 3, 0], [0, 2, 1]]
    result = measure_classes(table, GAIT_TYPE)
    f1 = (4 / 6 + 6 / 9 + 2 / 5) / 3
    assert result["accuracy"][0] == pytest.approx(0.6)
    assert result["balanced_accuracy"][0] == pytest.approx((0.5 + 1 + 1 / 3) / 3)
    assert result["f1"][0] == pytest.approx(f1)
    assert result["challenge"][0] == pytest.approx((0.6 + f1) / 2)
    names = GAIT_TYPE.classes
    assert result["challenge"][0] == pytest.approx(
        subtype_score([names[n] for n in predicted], [names[n] for n in truth])
    )
    assert not {"kappa", "error"} & set(result)


def test_a_child_drawn_twice_counts_twice() -> None:
    weights = RANDOM.multinomial(40, np.full(40, 1 / 40)).astype(float)
    drawn = measure_classes(confusion_tables(PREDICTED, TRUTH, weights[None], 4), SEVERITY)
    again = np.repeat(np.arange(40), weights.astype(int))
    assert drawn["kappa"][0] == pytest.approx(
        cohen_kappa_score(TRUTH[again], PREDICTED[again], labels=range(4), weights="quadratic")
    )
    assert drawn["accuracy"][0] == pytest.approx((TRUTH[again] == PREDICTED[again]).mean())


def test_both_limbs_of_a_child_are_drawn_together() -> None:
    weights = weights_of_units(["0001", "0001", "0002", "0003", "0003"], 30, seed=1)
    assert np.array_equal(weights[:, 0], weights[:, 1])
    assert np.array_equal(weights[:, 3], weights[:, 4])
    assert set(weights[:, [0, 2, 3]].sum(axis=1)) == {3.0}


def test_what_is_not_defined_has_a_reason_and_not_a_number() -> None:
    result = class_cells(np.full(5, 1), np.full(5, 1), CHILDREN[:5], SEVERITY, draws=20, seed=0)
    assert result["kappa"].as_json() == {
        "value": None,
        "reason": "all have one class, and no other was predicted",
    }
    assert result["accuracy"].as_json() == {"value": 1.0, "low": 1.0, "high": 1.0}


def labelled(tmp_path: Path, task_name: str, **columns: list[str | int | None]) -> tuple[Part, Part]:
    """A part of the small study, and the same part with the classes of `columns`, by child in turn."""
    task, study = TASKS[task_name], make_study(tmp_path, children=16)
    part = open_part(study.train, study.clips)
    subjects = sorted(set(part.table["subject"]))
    people = {"subject": subjects} | {name: (given * 16)[: len(subjects)] for name, given in columns.items()}
    classes_of = classes_of_children(pl.DataFrame(people), task)
    return part, part_of_task(part, task, classes_of, study.train)


def test_ordered_classes_become_thresholds_and_back(tmp_path: Path) -> None:
    part, by_level = labelled(tmp_path, "severity", severity=[1, 2, 3, 4])
    assert true_classes(by_level, SEVERITY).tolist() == [0, 1, 2, 3, 0, 1, 2, 3][: by_level.table["subject"].n_unique()]
    assert by_level.table.equals(part.table)
    assert by_level.atypical[0].tolist() == [0, 0, 0]
    assert binary_targets(np.array([2, UNKNOWN]), SEVERITY)[0].tolist() == [1, 1, 0]
    assert np.isnan(binary_targets(np.array([2, UNKNOWN]), SEVERITY)[1]).all()
    predicted = Classified(SEVERITY, ["a", "b"], np.array([[0.9, 0.6, 0.1], [0.2, 0.1, 0.1]]))
    assert predicted.classes.tolist() == [2, 0]
    assert commonest(np.array([2, 1, 2, 1, 3, UNKNOWN])) == 1


def test_a_limb_without_a_class_is_masked_and_a_child_without_any_is_left_out(tmp_path: Path) -> None:
    left, right = ["type1", None, None, "WNL"], ["type3", "type2", None, None]
    part, by_type = labelled(tmp_path, "gait_type", left_gait_type=left, right_gait_type=right)
    subjects = sorted(set(part.table["subject"]))
    assert set(part.table["subject"]) - set(by_type.table["subject"]) == set(subjects[2::4])
    assert by_type.atypical[0].tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    assert true_classes(by_type, GAIT_TYPE)[:6].tolist() == [1, 3, UNKNOWN, 2, 0, UNKNOWN]
    assert set(SUBJECTS.optional_schema()) == {"left_gait_type", "right_gait_type", "knee_alignment", "scoliosis"}


@pytest.mark.parametrize(
    ("task_name", "column", "view"),
    [
        ("scoliosis", "scoliosis", "forward"),
        ("knee_alignment", "knee_alignment", "forward"),
        ("gait_type", "left_gait_type", "left"),
    ],
)
def test_a_task_reads_the_views_that_show_it(tmp_path: Path, task_name: str, column: str, view: str) -> None:
    part, shown = labelled(tmp_path, task_name, **{column: [TASKS[task_name].classes[0]]})
    assert set(part.table["view"]) == {"forward", "left"}
    assert set(shown.table["view"]) == {view}
    assert {clip.view for clip in shown.clips} == {view}
    assert set(TASKS["severity"].views) == set(VIEWS)


MIRROR = Augmentation(flip=1.0, scale=0.0, shift=0.0, colour=0.0, time=0.0)


@pytest.mark.parametrize(
    ("task_name", "columns", "plain", "mirrored"),
    [
        ("severity", {"severity": [3]}, [1, 1, 0], [1, 1, 0]),
        ("scoliosis", {"scoliosis": ["positive"]}, [0, 0, 1], [0, 0, 1]),
        (
            "gait_type",
            {"left_gait_type": ["type1"], "right_gait_type": ["WNL"]},
            [0, 1, 0, 0, 0, 1, 0, 0, 0, 0],
            [1, 0, 0, 0, 0, 0, 1, 0, 0, 0],
        ),
    ],
)
def test_a_flip_exchanges_the_limbs_classes_and_leaves_the_childs(
    tmp_path: Path, task_name: str, columns: dict[str, list[str | int | None]], plain: list[int], mirrored: list[int]
) -> None:
    _, part = labelled(tmp_path, task_name, **columns)
    loading = Loading(4, frozenset({"points"}))
    for how, expected in ((None, plain), (MIRROR, mirrored)):
        windows = Windows(part.clips, part.atypical, loading, augmentation=how, mirrored=part.mirrored)
        assert windows[0, 0].labels.tolist() == expected


def test_flipped_training_weighs_both_limbs_classes_alike() -> None:
    """Left always type1, right always WNL: mirrored windows show each limb both, so that no weight is one-sided."""
    targets = np.tile(binary_targets(np.array([1, 0]), GAIT_TYPE).reshape(1, -1), (8, 1))
    weights = positive_weights(targets, 5, 0.5, None, GAIT_TYPE.mirrored)
    assert weights.tolist() == [1.0] * 10  # 4 of 8 shown windows each; classes that nobody has weigh 1


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.kind == "network"])
def test_any_network_can_be_asked_something_else(name: str) -> None:
    network = MODELS[name].build(settings_of(MODELS[name], settings()), 32)
    before = {key: value.shape for key, value in network.state_dict().items()}
    network.reset_classifier(3)
    after = {key: value.shape for key, value in network.state_dict().items()}
    changed = [key for key in before if before[key] != after[key]]
    assert before.keys() == after.keys()
    assert [after[key] for key in changed] == [torch.Size([3, before[changed[0]][1]]), torch.Size([3])]
