"""The teacher is the average it is said to be, teaches what is shown and sure, and never meets a test child."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from childgait.errors import StepError
from childgait.files.clips import open_clip
from childgait.files.parts import Part, open_part
from childgait.models.registry import MODELS, settings_of
from childgait.params import MeanTeacher as Settings
from childgait.training.augmentation import Window
from childgait.training.description import describe
from childgait.training.distributed import Group
from childgait.training.fit import FitResult, fit_network, labelled_part
from childgait.training.leak_checks import check_pool
from childgait.training.mean_teacher import (
    PoolSampler,
    TwoViews,
    make_corruption,
    make_teacher,
    pool_losses,
    ramp,
    visible_items_by_view,
)
from childgait.training.windows import Loading, Windows
from support.small_study import PARAMS, SIZE, Study, interrupt_after, make_study, settings

HOW = Settings.model_validate(PARAMS["finetune"]["mean_teacher"])


def how(**changes: Any) -> Settings:
    return HOW.model_copy(update=changes)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"), children=12)


def test_the_weight_of_the_pool_rises_over_thirty_epochs() -> None:
    published = how(ramp_epochs=30, weight=1.0, supervised_epochs=0)
    assert [ramp(epoch, published) for epoch in (0, 15, 30, 99)] == [0.0, 0.5, 1.0, 1.0]
    assert [ramp(epoch, how(supervised_epochs=10, ramp_epochs=20)) for epoch in (9, 10)] == [0.0, 0.5]


def test_the_teacher_is_the_moving_average_from_the_first_step_on() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, 1.0)
    run_settings = settings(mean_teacher=how(decay=0.9).model_dump())
    average = make_teacher(network, run_settings)
    for value in (2.0, 3.0, 5.0):
        torch.nn.init.constant_(network.weight, value)
        average.update(network)
    expected = 0.9**3 * 1 + 0.1 * (0.9**2 * 2 + 0.9 * 3 + 5)
    assert float(average.module.weight.detach()) == pytest.approx(expected)


def test_what_is_taught() -> None:
    """Two clips of three items by hand: distance of both classes, labels only where sure, nothing that is not shown."""
    logit = lambda *p: torch.logit(torch.tensor(p))[None]  # noqa: E731
    teacher, student = logit(0.9, 0.3, 0.95), logit(0.6, 0.3, 0.9).requires_grad_()
    shown = torch.tensor([[True, True, False]])
    apart, pseudo, accepted = pool_losses(student, teacher, shown, torch.ones(3), how(confidence=0.8, sure="teacher"))
    assert apart.item() == pytest.approx(2 * 0.3**2 / 2, rel=1e-5)
    assert pseudo.item() == pytest.approx(-np.log(0.6), rel=1e-5)
    assert accepted.item() == 0.5
    (apart + pseudo).sum().backward()
    assert student.grad is not None
    assert student.grad[0, 2] == 0
    assert student.grad[0, 0] < 0  # towards the teacher's yes
    _, _, both = pool_losses(student, teacher, shown, torch.ones(3), how(confidence=0.8, sure="both"))
    assert both.item() == 0  # the student is not that sure


@pytest.mark.parametrize(("confidence", "accepted"), [(0.5, 1.0), (0.7, 0.75), (0.8, 0.5), (0.95, 0.25)])
def test_the_gate_counts_what_is_sure_either_way(confidence: float, accepted: float) -> None:
    teacher = torch.logit(torch.tensor([[0.99, 0.1, 0.75, 0.4]]))
    shown = torch.ones(1, 4, dtype=torch.bool)
    result = pool_losses(teacher.clone(), teacher, shown, torch.ones(4), how(confidence=confidence))
    assert result[2].item() == accepted


def test_student_and_teacher_see_one_clip_mirrored_alike(study: Study) -> None:
    part = open_part(study.train, study.clips)
    loading = Loading(4, frozenset({"frames", "points"}))
    labels = np.full_like(part.atypical, np.nan)
    labels[:, :17] = 0  # as if only left items were shown: mirrored, they are right ones
    views = TwoViews(
        Windows(part.clips, labels, loading, seed=3), flip=0.5, settings=how(scale=0.0, shift=0.0, weak_shift=0.0)
    )
    mirrored = []
    for row in range(len(views)):
        weak, strong = views[0, row]
        mirrored.append(bool(np.isnan(weak.labels[0])))
        assert np.array_equal(np.isnan(weak.labels), np.isnan(strong.labels))
        assert weak.frames is not None
        assert strong.frames is not None
        assert not np.array_equal(weak.frames, strong.frames)
        again = views[0, row][1]
        assert again.frames is not None
        assert np.array_equal(strong.frames, again.frames)
        assert abs(strong.start - weak.start) <= HOW.jitter_frames
    assert {True, False} == set(mirrored)


def test_the_wiped_rectangle_is_wiped_from_everything() -> None:
    frames, masks = np.full((2, SIZE, SIZE, 3), 255, np.uint8), np.ones((2, SIZE, SIZE), bool)
    points = np.zeros((2, 23, 3), np.float32)
    points[..., 0], points[..., 1], points[..., 2] = np.linspace(0, SIZE - 1, 23), SIZE / 2, 0.9
    window = Window(frames, masks, points, np.zeros(34, np.float32), "left", SIZE)
    wiped = 0
    for seed in range(12):
        rough = make_corruption(how(noise=0.0, erase=0.9), np.random.default_rng(seed))(window)
        assert rough.frames is not None
        assert rough.masks is not None
        assert rough.points is not None
        gone = ~rough.masks[0]
        assert (rough.frames[0][gone] == 128).all()
        assert (rough.frames[0][~gone] == 255).all()
        for x, y, score in rough.points[0]:
            assert np.isnan(x) == np.isnan(y) == (score == 0)
        lost = [bool(gone[int(y), int(x)]) for x, y, _ in points[0]]
        assert lost == [bool(score == 0) for score in rough.points[0, :, 2]]
        wiped += sum(lost)
    assert wiped > 0
    assert (points[..., 2] > 0).all()  # the clip itself is left alone


def test_the_pool_goes_round_and_everybody_has_a_turn() -> None:
    sampler = PoolSampler(5, batch_size=4, micro_batch_size=2, seed=1, group=Group(0, 1, "cpu"))
    sampler.steps_per_epoch = 5
    plan = sampler.plan()
    assert [len(step.clips) for step in plan] == [4] * 5
    order = [clip for step in plan for clip in step.clips]
    assert all(sorted(order[start : start + 5]) == list(range(5)) for start in range(0, 20, 5))
    shared = [PoolSampler(5, 4, 2, 1, Group(rank, 2, "cpu")) for rank in (0, 1)]
    for one in shared:
        one.steps_per_epoch = 5
    halves = [[batch for step in one.plan() for _, batch in step.micro_batches] for one in shared]
    assert sorted(clip for batch in halves[0] + halves[1] for clip in batch) == sorted(order)


def test_each_view_shows_its_items() -> None:
    atypical = np.array([[1, np.nan], [np.nan, np.nan], [np.nan, 0]], np.float32)
    shown = visible_items_by_view(atypical, ["left", "left", "forward"])
    assert {view: (~np.isnan(row)).tolist() for view, row in shown.items()} == {
        "left": [True, False],
        "forward": [False, True],
    }


def fitted(
    study: Study, folder: Path, stop_after: int = 0, unlabelled: tuple[Path, ...] = (), **changes: Any
) -> FitResult:
    """agrm, tiny, on the small study."""
    teaching = {**HOW.model_dump(), "ramp_epochs": 2, "batch_size": 4, **changes}
    narrow = {**PARAMS["finetune"]["cnn"], "width": 2}
    run_settings = settings_of(MODELS["r3d18"], settings(epochs=3, cnn=narrow, mean_teacher=teaching))

    folder.mkdir(exist_ok=True)
    parts = [open_part(path, study.clips) for path in (study.train, study.validation)]
    return fit_network(
        MODELS["agrm"],
        run_settings,
        *parts,
        seed=1,
        save_as=folder / "state.safetensors",
        fingerprint="same",
        on_epoch=interrupt_after(stop_after),
        unlabelled=[open_clip(path) for path in unlabelled],
    )


def same(one: FitResult, two: FitResult) -> bool:
    return all(np.array_equal(one.weights[name], two.weights[name]) for name in one.weights)


def test_with_the_option_off_nothing_is_different_and_with_it_on_something_is(study: Study, tmp_path: Path) -> None:
    off = fitted(study, tmp_path / "off", pool="none")
    assert "consistency" not in off.history[0]
    assert "pool_clips" not in off.facts
    on = fitted(study, tmp_path / "on", pool="training")
    assert on.history[0]["consistency"] == 0.0  # the weight begins at 0
    assert on.history[2]["consistency"] > 0
    assert on.facts["pool_clips"] == on.facts["labelled_clips"] == len(open_part(study.train, study.clips).clips)
    assert not same(off, on)


def test_a_run_that_was_cut_off_ends_the_same(study: Study, tmp_path: Path) -> None:
    whole = fitted(study, tmp_path / "whole", pool="training")
    with pytest.raises(KeyboardInterrupt):
        fitted(study, tmp_path / "cut", stop_after=3, pool="training")
    resumed = fitted(study, tmp_path / "cut", pool="training")
    assert same(whole, resumed)
    assert whole.history == resumed.history


def test_children_whose_scores_are_not_used_are_in_the_pool(study: Study, tmp_path: Path) -> None:
    part = open_part(study.train, study.clips)
    few = labelled_part(part, 0.5, seed=1)
    assert 0 < few.table["subject"].n_unique() < part.table["subject"].n_unique()
    assert few.table["video"].to_list() == [clip.video for clip in few.clips]
    assert labelled_part(part, 1.0, seed=1) is part
    learnt = fitted(study, tmp_path, pool="unscored", labelled=0.5)
    assert learnt.facts["labelled_clips"] == len(few.clips)
    assert learnt.facts["pool_clips"] == len(part.clips) - len(few.clips)


def test_clips_without_scores_teach(study: Study, tmp_path: Path) -> None:
    """Two recordings that are in neither part stand in for a child whom nobody scored; more of them, another
    network."""
    others = [clip.facts_path for clip in open_part(study.test, study.clips).clips]
    one, two = (fitted(study, tmp_path / str(n), pool="unscored", unlabelled=tuple(others[:n])) for n in (1, 2))
    assert (one.facts["pool_clips"], two.facts["pool_clips"]) == (1, 2)
    assert not same(one, two)


def test_an_empty_pool_is_told(study: Study, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="the mean teacher has no clips"):
        fitted(study, tmp_path, pool="unscored")


def test_no_child_of_any_part_may_be_in_the_pool(study: Study, tmp_path: Path) -> None:
    with (tmp_path / "subjects.csv").open("w", newline="") as stream:
        rows = [("0", "0006", "none"), ("holdout", "0006", "test"), ("0", "0099", "none"), ("holdout", "0099", "none")]
        csv.writer(stream).writerows([("fold", "subject", "part"), *rows])
    check_pool({"0099"}, tmp_path / "subjects.csv")
    with pytest.raises(StepError, match="child 0006 is in the unlabelled pool, but is in test of fold holdout"):
        check_pool({"0006", "0099"}, tmp_path / "subjects.csv")
    with pytest.raises(StepError, match="--unlabelled needs --assignment"):
        check_pool({"0006"}, None)


def test_a_pool_is_described_so_that_evaluate_can_refuse_it(study: Study) -> None:
    from childgait.training.leak_checks import check_children_unseen

    part = open_part(study.train, study.clips)
    test = open_part(study.test, study.clips)
    parts = {"train": part, "validation": Part(part.table.clear(), [])}
    learnt = FitResult({}, [], 1, {})
    plain = describe(MODELS["agrm"], "holdout", 0, settings(), parts, learnt)
    assert set(plain.children) == {"train", "validation"}
    child = test.clips[0].video[:4]
    note = describe(MODELS["agrm"], "holdout", 0, settings(), parts, learnt, test.clips[:1])
    check_children_unseen(plain, study.test, {child})
    with pytest.raises(StepError, match=f"child {child}, who was in unlabelled when the model was trained"):
        check_children_unseen(note, study.test, {child})
