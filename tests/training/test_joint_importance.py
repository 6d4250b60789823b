"""The joints that count choose the numbers, in the training fold alone; a run ends with the same bytes, cut off
or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from childgait.domain.evgs import LIMBS
from childgait.domain.skeleton import INDEX, POINTS
from childgait.files.parts import open_part
from childgait.gait.feature_names import NAMES, joints_of_feature
from childgait.models.batch import Batch
from childgait.models.network import Network
from childgait.models.registry import MODELS, settings_of
from childgait.params import Augmentation
from childgait.training.fit import FitResult, fit_network
from childgait.training.joint_importance import features_of_joints, joint_importance, set_features
from childgait.training.predict import predict
from childgait.training.windows import Loading, Windows
from support.small_study import PARAMS, interrupt_after
from support.small_study import settings as small
from support.walking_study import make_walking_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_walking_study(tmp_path_factory.mktemp("walk"), train=6, test=2, neutral=False, rate=30.0)


def settings(**how: Any) -> Any:
    skeleton = {**PARAMS["finetune"]["skeleton"], "width": 4}
    fusion = {**PARAMS["finetune"]["fusion"], "first_epochs": 2, "heads": 2, **how}
    return settings_of(
        MODELS["stgcn_fusion"],
        small(skeleton=skeleton, fusion=fusion, epochs=2, overrides={"stgcn_fusion": {"frames": 16}}),
    )


def fitted(study: Any, folder: Path, name: str = "stgcn_fusion", stop_after: int = 0, **how: Any) -> FitResult:
    folder.mkdir(exist_ok=True)
    parts = [open_part(path, study.clips) for path in (study.train, study.validation)]
    return fit_network(
        MODELS[name],
        settings(**how),
        *parts,
        seed=1,
        save_as=folder / "state.safetensors",
        fingerprint="same",
        on_epoch=interrupt_after(stop_after),
    )


def test_numbers_of_the_joint_that_counts_are_chosen() -> None:
    shares = np.zeros(len(POINTS))
    shares[INDEX["right_knee"]] = 1.0
    selected = features_of_joints(shares, 20)
    assert selected.tolist() == sorted(set(selected.tolist()))
    for number in selected:
        limb, name = LIMBS[number // len(NAMES)], NAMES[number % len(NAMES)]
        assert "right_knee" in joints_of_feature(name, limb)
    ranked = features_of_joints(shares, 5)  # the item's own numbers lean on the knee alone
    assert {NAMES[number % len(NAMES)] for number in ranked} >= {"EVGS KEX", "EVGS KFX", "EVGS KPS", "EVGS KPA"}


def test_a_joint_that_alone_moves_the_answer_contributes_alone(study: Any) -> None:
    class Known(Network):
        """Its map is one at the left ankle, and every answer grows with it."""

        def maps(self, batch: Batch) -> torch.Tensor:
            maps = torch.zeros(batch.size, 1, 2, len(POINTS))
            maps[..., INDEX["left_ankle"]] = 1.0
            return maps

        def logits_from_maps(self, maps: torch.Tensor, batch: Batch) -> torch.Tensor:
            return maps.mean(dim=(2, 3)).expand(-1, 34)

    part = open_part(study.train, study.clips)
    windows = Windows(part.clips, part.atypical, Loading(8, frozenset({"points"})), windows_per_video=1)
    shares = joint_importance(Known(), windows)
    assert shares[INDEX["left_ankle"]] == pytest.approx(1.0)


def test_numbers_are_scaled_by_the_training_clips_and_their_mirror_images(study: Any) -> None:
    part = open_part(study.train, study.clips)
    run_settings = settings(choose="all")
    network = MODELS["stgcn_fusion"].build(run_settings, 32)
    windows = Windows(part.clips, part.atypical, Loading(8, frozenset({"points", "features"})), windows_per_video=1)
    assert windows.features is not None
    set_features(network, windows, np.arange(2 * len(NAMES)))
    middle = network.tokens.median.numpy().reshape(2, -1)
    assert np.allclose(middle[0], middle[1])
    knee = NAMES.index("knee most in swing")
    both = windows.features.reshape(len(part.clips), 2, -1)[:, :, knee]
    assert middle[0, knee] == pytest.approx(np.nanmedian(both), rel=1e-5)


def test_in_a_mirrored_window_the_limbs_numbers_swap(study: Any) -> None:
    part = open_part(study.train, study.clips)
    loading = Loading(8, frozenset({"points", "features"}))
    mirror = Augmentation(flip=1.0, scale=0.0, shift=0.0, colour=0.0, time=0.0)
    mirrored = Windows(part.clips, part.atypical, loading, augmentation=mirror)[0, 0].features
    plain = Windows(part.clips, part.atypical, loading)[0, 0].features
    assert plain is not None
    assert mirrored is not None
    halves = plain.reshape(2, len(NAMES))
    assert not np.array_equal(halves[0], halves[1], equal_nan=True)
    assert np.array_equal(mirrored.reshape(2, len(NAMES)), halves[::-1], equal_nan=True)


def test_what_was_found_is_told_and_kept_in_the_weights(study: Any, tmp_path: Path) -> None:
    learnt = fitted(study, tmp_path)
    assert set(learnt.facts["joints"]) == set(POINTS)
    assert sum(learnt.facts["joints"].values()) == pytest.approx(1.0, abs=0.01)
    selected = learnt.weights["tokens.selected"]
    assert len(selected) == len(learnt.facts["numbers"]) == round(0.5 * 2 * len(NAMES))
    assert learnt.facts["numbers"][0] == f"{LIMBS[selected[0] // len(NAMES)]} {NAMES[selected[0] % len(NAMES)]}"
    assert not list(tmp_path.glob("first-*"))  # the first network's state is of no use any more
    predicted = predict(
        MODELS["stgcn_fusion"], settings(), learnt.weights, learnt.facts, open_part(study.test, study.clips), 1
    )
    assert np.isfinite(predicted.logits).all()


def test_a_run_that_was_cut_off_in_its_second_part_ends_the_same(study: Any, tmp_path: Path) -> None:
    whole = fitted(study, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fitted(study, tmp_path / "cut", stop_after=2)
    resumed = fitted(study, tmp_path / "cut")
    assert all(np.array_equal(value, resumed.weights[name]) for name, value in whole.weights.items())


def test_random_and_all_are_controls_that_need_no_contributions(study: Any, tmp_path: Path) -> None:
    random = fitted(study, tmp_path / "random", choose="random", join="features")
    assert "joints" not in random.facts
    assert len(random.facts["numbers"]) == round(0.5 * 2 * len(NAMES))
    every = fitted(study, tmp_path / "all", choose="all", join="features")
    assert len(every.facts["numbers"]) == 2 * len(NAMES)


def test_the_skeleton_alone_gives_the_st_gcns_own_weights(study: Any, tmp_path: Path) -> None:
    alone = fitted(study, tmp_path / "alone", join="skeleton")
    plain = fitted(study, tmp_path / "plain", name="stgcn")
    assert alone.weights.keys() == plain.weights.keys()
    assert all(np.array_equal(value, plain.weights[name]) for name, value in alone.weights.items())
