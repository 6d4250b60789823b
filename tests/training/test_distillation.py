"""Distillation: formulas against numbers by hand, the same moment for both, and a student that follows its teacher."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from childgait.errors import StepError
from childgait.files.model_description import ModelDescription
from childgait.files.parts import Part, open_part
from childgait.models.batch import Batch
from childgait.models.registry import MODELS, settings_of
from childgait.models.strips import StripNetwork
from childgait.params import Finetune
from childgait.training.auxiliary_losses import AUXILIARY
from childgait.training.description import describe
from childgait.training.distillation import (
    Teacher,
    TeacherWindows,
    align_parts,
    boundary_loss,
    check_strips,
    collate_with_teacher,
    logits_by_part,
    softened_divergence,
)
from childgait.training.fit import FitResult, fit_network
from childgait.training.predict import load_network, loading_of, predict
from childgait.training.teacher_run import TeacherRun, read_teacher
from childgait.training.windows import Windows
from support.small_study import PARAMS, SIZE, Study, make_study, settings

OPTIONS = PARAMS["finetune"]["distillation"]
FRAMES = 12


def taught(**changes: Any) -> Finetune:
    """Return settings of `tcn` with the teacher `gru`."""
    own = {**OPTIONS, "teacher": "gru", **changes}
    return settings_of(
        MODELS["tcn"], settings(overrides={"tcn": {"distillation": own, "frames": FRAMES}}, ema_decay=0.0)
    )


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_the_divergence_is_that_of_two_softened_classes() -> None:
    student, teacher = torch.full((3, 34), 1.0), torch.full((3, 34), 3.0)
    known = torch.zeros(3, 34, dtype=torch.bool)
    known[:2, :5] = True
    student[1] = 3.0
    teacher[0, 5:] = 99  # unknown items do not count
    p, s = sigmoid(3 / 2), sigmoid(1 / 2)
    expected = 4 * (p * math.log(p / s) + (1 - p) * math.log((1 - p) / (1 - s)))
    assert softened_divergence(student, teacher, known, 2.0).tolist() == pytest.approx([expected, 0, 0], abs=1e-6)


def test_strips_are_compared_one_by_one_and_not_by_their_mean() -> None:
    teacher, student = torch.zeros(1, 2, 34), torch.zeros(1, 2, 34)
    teacher[0, 0], teacher[0, 1] = 2.0, -2.0  # the mean is the student's
    known = torch.ones(1, 34, dtype=torch.bool)
    p = sigmoid(2.0)
    expected = p * math.log(p / 0.5) + (1 - p) * math.log((1 - p) / 0.5)
    assert float(softened_divergence(student, teacher, known, 1.0)) == pytest.approx(expected, abs=1e-6)
    fine, coarse = align_parts(torch.arange(4.0).view(1, 4, 1), torch.tensor([[[9.0], [8.0]]]))
    assert fine.flatten().tolist() == [0.5, 2.5]
    assert coarse.flatten().tolist() == [9, 8]


def test_the_boundary_is_a_squared_hinge_on_the_teachers_side() -> None:
    teacher = torch.tensor([[2.0, 2.0, -1.0, -1.0, 0.0]])
    student = torch.tensor([[0.5, 3.0, 0.5, -2.0, -0.5]])
    expected = (0.5**2 + 0 + 1.5**2 + 0 + 0.5**2) / 5
    assert float(boundary_loss(student, teacher, 1.0)) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["gaitbase", "sconet", "gaitgl"])
def test_the_logits_of_strips_have_the_networks_logits_as_their_mean(name: str) -> None:
    torch.manual_seed(0)
    network = MODELS[name].build(settings(loss="corn"), SIZE).eval()
    assert isinstance(network, StripNetwork)
    batch = Batch(size=2, silhouettes=torch.randint(0, 2, (2, 6, 64, 44), dtype=torch.uint8) * 255)
    logits, features = network.with_features(batch)
    parts = logits_by_part(network, features)
    assert parts.shape == (2, network.strips, 34)
    torch.testing.assert_close(parts.mean(dim=1), logits[:, :34], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"), children=16)


@pytest.fixture(scope="module")
def parts(study: Study) -> tuple[Part, Part]:
    return open_part(study.train, study.clips), open_part(study.validation, study.clips)


def fit(used: Finetune, parts: tuple[Part, Part], folder: Path, name: str = "tcn", run: Any = None) -> FitResult:
    folder.mkdir(parents=True, exist_ok=True)
    return fit_network(
        *(MODELS[name], used, *parts),
        seed=0,
        save_as=folder / "state.safetensors",
        fingerprint="one",
        on_epoch=lambda row, speed: None,
        teacher=run,
    )


@pytest.fixture(scope="module")
def files(parts: tuple[Part, Part], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return weights and description of a run of `gru`."""
    folder = tmp_path_factory.mktemp("gru")
    used = settings(frames=FRAMES, epochs=12, learning_rate=0.02, ema_decay=0.0)
    result = fit(used, parts, folder, "gru")
    named = dict(zip(("train", "validation"), parts, strict=True))
    save_file(result.weights, folder / "weights.safetensors")
    describe(MODELS["gru"], "holdout", 0, used, named, result).write(folder / "model.json")
    return [folder / "weights.safetensors", folder / "model.json"]


@pytest.fixture(scope="module")
def run(files: list[Path], parts: tuple[Part, Part], study: Study) -> TeacherRun:
    teacher = read_teacher(files, taught(), "holdout", 0, study.train, parts[0])
    assert teacher is not None
    return teacher


def distance(result: FitResult, used: Finetune, parts: tuple[Part, Part], run: TeacherRun) -> float:
    """Return the mean difference of the probabilities of student and teacher on the training children."""
    described = run.model.description
    of_teacher = predict(MODELS["gru"], settings(frames=FRAMES), run.model.weights, described.facts, parts[0], 1)
    of_student = predict(MODELS["tcn"], used, result.weights, result.facts, parts[0], 1)
    one, two = (1 / (1 + np.exp(-each.logits)) for each in (of_teacher, of_student))
    return float(np.abs(one - two)[~np.isnan(parts[0].atypical)].mean())


def test_a_student_follows_its_teacher_where_the_labels_say_otherwise(
    parts: tuple[Part, Part], run: TeacherRun, tmp_path: Path
) -> None:
    """With every label turned round the labels alone lead away from the teacher."""
    turned = (replace(parts[0], answers=1 - parts[0].atypical), parts[1])
    used = taught(weight=20.0, temperature=1.0).model_copy(update={"epochs": 8, "learning_rate": 0.02})
    alone = used.model_copy(update={"distillation": settings().distillation})
    followed = distance(fit(used, turned, tmp_path / "taught", run=run), used, parts, run)
    left = distance(fit(alone, turned, tmp_path / "alone"), alone, parts, run)
    assert followed < 0.7 * left


def test_a_teacher_without_weight_changes_no_byte(parts: tuple[Part, Part], run: TeacherRun, tmp_path: Path) -> None:
    plain = fit(settings(frames=FRAMES), parts, tmp_path / "plain")
    idle = taught(weight=0.0).model_copy(update={"ema_decay": settings().ema_decay})
    silent = fit(idle, parts, tmp_path / "silent", run=run)
    assert plain.weights.keys() == silent.weights.keys()
    assert all(np.array_equal(plain.weights[name], silent.weights[name]) for name in plain.weights)


def test_learnt_parts_of_the_losses_are_trained_and_not_kept(
    parts: tuple[Part, Part], run: TeacherRun, tmp_path: Path
) -> None:
    contrast = {**PARAMS["finetune"]["contrast"], "weight": 0.1}
    used = taught(boundary_weight=1.0).model_copy(update={"contrast": settings(contrast=contrast).contrast})
    result = fit(used, parts, tmp_path, run=run)
    assert not [name for name in result.weights if AUXILIARY in name]
    assert result.facts["parameters"] == fit(settings(), parts, tmp_path / "plain").facts["parameters"]
    assert result.facts["teacher"] == f"gru, fold holdout, seed 0 (sha256 {run.sha256})"
    load_network(MODELS["tcn"], used, result.weights, result.facts)


def test_the_boundary_loss_brings_features_to_the_teachers_side(
    parts: tuple[Part, Part], run: TeacherRun, tmp_path: Path
) -> None:
    curves = []
    for weight in (0.0, 5.0):
        used = taught(weight=0.0, boundary_weight=weight).model_copy(update={"epochs": 12, "learning_rate": 0.02})
        curves.append([row["loss"] for row in fit(used, parts, tmp_path / str(weight), run=run).history])
    added = [two - one for one, two in zip(*curves, strict=True)]
    assert added[-1] < 0.5 * added[0]


def test_both_see_the_same_moment_mirrored_alike(parts: tuple[Part, Part], run: TeacherRun) -> None:
    part = parts[0]
    student, teacher = (
        loading_of(MODELS["tcn"].build(settings(frames=count), SIZE), settings(frames=count)) for count in (4, 8)
    )
    changes = settings().augmentation.model_copy(update={"flip": 1.0, "scale": 0.0, "shift": 0.0, "time": 0.0})
    own = Windows(part.clips, part.atypical, student, seed=3, augmentation=changes)
    pairs = TeacherWindows(own, Windows(part.clips, part.atypical, teacher))
    for row in range(len(pairs)):
        one, two = pairs[0, row]
        assert one.start == own[0, row].start
        assert one.points is not None
        assert two.points is not None
        offset = one.start - two.start
        assert two.start == min(max(one.start - 2, 0), part.clips[row].length - 8), "both windows have one middle"
        assert np.array_equal(one.points, two.points[offset : offset + 4])
    batch = collate_with_teacher([pairs[0, 0], pairs[0, 1]]).to("cpu")
    assert batch.teacher is not None
    assert batch.teacher.labels is None, "a teacher's batch has no score"
    assert batch.teacher.points is not None
    assert batch.teacher.points.shape[:2] == (2, 8)


def test_features_of_the_teacher_are_standardised_over_the_training_clips(
    parts: tuple[Part, Part], run: TeacherRun
) -> None:
    network = load_network(MODELS["gru"], settings(), run.model.weights, run.model.description.facts)
    teacher = Teacher(network, loading_of(network, settings()))
    teacher.measure_features(parts[0].clips, settings(), "cpu")
    assert teacher.mean.shape == (network.classifier_width(),)
    middle = teacher.standardise(teacher.mean[None])
    assert middle.abs().max() < 1e-6
    assert not any(value.requires_grad for value in network.parameters())


def test_another_run_or_a_missing_file_is_refused(files: list[Path], parts: tuple[Part, Part], study: Study) -> None:
    used, table = taught(), study.train
    with pytest.raises(StepError, match="is gru holdout-0, not gru 1-0"):
        read_teacher(files, used, "1", 0, table, parts[0])
    with pytest.raises(StepError, match=r"teacher is gru, but --teacher has 1 file"):
        read_teacher(files[:1], used, "holdout", 0, table, parts[0])
    other = files[1].with_name("other.json")
    described = ModelDescription.read(files[1])
    described.model_copy(update={"split_hash": "0" * 64}).write(other)
    with pytest.raises(StepError, match="was trained on split 000000000000"):
        read_teacher([files[0], other], used, "holdout", 0, table, parts[0])
    assert read_teacher([], settings(), "holdout", 0, table, parts[0]) is None


def test_children_of_the_teachers_pool_are_the_students_too(run: TeacherRun, parts: tuple[Part, Part]) -> None:
    described = run.model.description
    pool = described.model_copy(update={"children": {**described.children, "unlabelled": ["0099"]}})
    teacher = TeacherRun(type(run.model)(pool, run.model.weights), run.sha256)
    named = dict(zip(("train", "validation"), parts, strict=True))
    result = FitResult({}, [], 1, {})
    assert describe(MODELS["tcn"], "holdout", 0, taught(), named, result, teacher=teacher).children["unlabelled"] == [
        "0099"
    ]


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"distillation": {"teacher": "rules"}}, "teacher is rules for tcn, but rules is not a network"),
        ({"distillation": {"teacher": "tcn"}}, "teacher is tcn for tcn itself"),
        ({"distillation": {"teacher": "nobody"}}, "no model is called 'nobody'"),
        ({"distillation": {"teacher": "gru"}, "compile": True}, "teacher is set, but compile is true"),
        ({"distillation": {"teacher": "gru"}, "training_windows": 2}, "but training_windows is 2"),
        ({"distillation": {"teacher": "gru", "boundary_weight": 1.0}, "tune": "head"}, "boundary_weight is not 0"),
        ({"distillation": {"teacher": "gru", "parts": "strips"}, "head": "linear"}, "needs head mlp and pooling own"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(own: dict[str, Any], words: str) -> None:
    with pytest.raises(StepError, match=words):
        settings_of(MODELS["tcn"], settings(overrides={"tcn": own}))


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (("tcn", "gaitbase"), "Tcn has no strips"),
        (("gaitbase", "gaitset"), "Gaitset has no strips in one order"),
        (("gaitbase", "swingait"), "the student has 16, the teacher 15"),
        (("gaitbase", "deepgaitv2"), None),
    ],
)
def test_strips_need_two_networks_whose_strips_can_be_laid_on_each_other(
    pair: tuple[str, str], words: str | None
) -> None:
    student, teacher = (MODELS[name].build(settings(), SIZE) for name in pair)
    if words is None:
        check_strips(student, teacher)
        return
    with pytest.raises(StepError, match=words):
        check_strips(student, teacher)
