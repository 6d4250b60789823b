"""One interface for patches, cells and joints: what decides is what counts, in its place, and random weights differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from childgait.domain.evgs import TARGETS
from childgait.domain.skeleton import INDEX
from childgait.files.parts import open_part
from childgait.metrics.aggregate import WindowLogits
from childgait.models.batch import Batch
from childgait.models.network import Network
from childgait.models.registry import MODELS, settings_of
from childgait.training.gradcam import (
    Evidence,
    draw_on_frames,
    evidence_maps,
    evidence_of,
    explain,
    grad_cam,
    joints_of_places,
    share_on,
)
from childgait.training.predict import loading_of
from childgait.training.windows import Windows, collate
from support.small_study import SIZE, make_study, settings
from support.stick_child import scored_points

KINDS = ("childgait_video", "r3d18", "gaitset", "gaitgl", "stgcn", "gru")  # patches, cells, crops, joints, input joints
KNEE = next(number for number, target in enumerate(TARGETS) if (target.limb, target.code) == ("left", "KFX"))


def test_grad_cam_of_a_linear_answer_is_known_by_hand() -> None:
    class Known(Network):
        """Two channels on 3 moments by 4 places; the answer is twice the first channel's mean less the second's."""

        def maps(self, batch: Batch) -> torch.Tensor:
            return torch.arange(24.0).cos().reshape(1, 2, 3, 4)

        def logits_from_maps(self, maps: torch.Tensor, batch: Batch) -> torch.Tensor:
            means = maps.mean(dim=(2, 3))
            return (2 * means[:, :1] - means[:, 1:]).expand(1, 34)

    result = grad_cam(Known(), Batch(1), 3)
    channels = np.cos(np.arange(24.0)).reshape(2, 3, 4)
    assert result[0] == pytest.approx(np.maximum(2 / 12 * channels[0] - 1 / 12 * channels[1], 0), abs=1e-6)
    assert 0 < (result > 0).mean() < 1


def test_only_the_patch_that_the_network_reads_counts(tmp_path: Path) -> None:
    study = make_study(tmp_path, children=2)
    run_settings = settings_of(MODELS["videomae"], settings(frames=4))
    network = MODELS["videomae"].build(run_settings, SIZE)
    part = open_part(study.train, study.clips)
    batch = collate([Windows(part.clips, part.atypical, loading_of(network, run_settings), windows_per_video=1)[0, 0]])
    network.logits_from_maps = lambda maps, batch: maps[2].sum().expand(1, 34)
    (amount,) = evidence_maps(network, batch, [5])
    assert amount[2] > 0
    assert (np.delete(amount.numpy(), 2) == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_says_where(kind: str, tmp_path: Path) -> None:
    study = make_study(tmp_path, children=2)
    part = open_part(study.train, study.clips)
    run_settings = settings_of(MODELS[kind], settings(overrides={kind: {"frames": 4}}))
    torch.manual_seed(0)
    network = MODELS[kind].build(run_settings, SIZE)
    loading = loading_of(network, run_settings)
    windows = Windows(part.clips, part.atypical, loading, windows_per_video=1)
    points = part.clips[0].points(np.arange(4)).astype(float)
    trained = evidence_of(network, loading, collate([windows[0, 0]]), points, SIZE, list(range(34)))
    assert len(trained) == 34
    assert sum(np.nanmax(one.amount) > 0 for one in trained) > 10  # of others nothing speaks for them
    for one in trained:
        assert one.amount.shape == one.where.shape[:2]
        assert np.nanmin(one.amount) >= 0
        assert set(one.frames) <= set(range(4))
        assert (one.where >= -0.5).all()
        assert (one.where <= SIZE - 0.5).all()
    assert (one.cell == 0) == (kind in ("stgcn", "gru"))


@pytest.mark.parametrize("kind", ["cells", "joints"])
def test_evidence_on_the_knee_is_about_the_knee(kind: str) -> None:
    """Planted on the left knee, all of a knee item's evidence lies there, and none of the right knee's or the
    trunk's."""
    size, points = 112, scored_points("left", frames=4)[0].astype(float)
    low, high = points[..., :2].min(), points[..., :2].max()
    points[..., :2] = (points[..., :2] - low) / (high - low) * (size - 1)
    knee = points[:, INDEX["left_knee"], :2]
    if kind == "joints":
        amount, where = np.zeros((4, 23)), points[..., :2]
        amount[:, INDEX["left_knee"]] = 3.0
        evidence = Evidence(amount, where, np.arange(4), 0)
    else:
        y, x = np.meshgrid(*[np.arange(28) * 4 + 1.5] * 2, indexing="ij")
        where = np.broadcast_to(np.stack([x, y], axis=-1).reshape(1, -1, 2), (4, 784, 2))
        distance = np.linalg.norm(where - knee[:, None], axis=2)
        evidence = Evidence((distance == distance.min(axis=1, keepdims=True)).astype(float), where, np.arange(4), 4)
    belongs = joints_of_places(evidence, points, size)
    by_name = {(target.limb, target.code): share_on(evidence, belongs, target) for target in TARGETS}
    share, even = by_name["left", "KFX"]
    assert share is not None
    assert even is not None
    assert share > 0.9
    assert 0 < even < 0.1
    assert by_name["left", "TSG"][0] == 0
    assert by_name["right", "SAD"][0] == 0


def test_a_cell_wider_than_a_joint_is_shared_out() -> None:
    """One cell over the left half of the picture, with the knee at its top and the ankle at its bottom: half to
    each."""
    points = np.zeros((1, 23, 3))
    for joint, y in (("left_knee", 3.5), ("left_ankle", 11.5)):
        points[0, INDEX[joint]] = (7.5, y, 0.9)
    cell = Evidence(np.ones((1, 1)), np.array([[[7.5, 7.5]]]), np.zeros(1, int), 16)
    belongs = joints_of_places(cell, points, 112)
    assert belongs[0, 0, INDEX["left_knee"]] == belongs[0, 0, INDEX["left_ankle"]] == 0.5
    assert joints_of_places(cell, points, 14).sum() < 0.5  # most spots are farther than a seventh of so small a picture


def test_flat_evidence_has_no_share_and_unseen_places_do_not_count() -> None:
    owner = np.zeros((1, 3, 23))
    owner[0, 0, INDEX["left_knee"]] = owner[0, 1, INDEX["left_ankle"]] = 1.0
    where, knee = np.zeros((1, 3, 2)), TARGETS[KNEE]
    assert share_on(Evidence(np.zeros((1, 3)), where, np.zeros(1, int), 16), owner, knee) == (None, None)
    dropped = Evidence(np.array([[1.0, 3.0, np.nan]]), where, np.zeros(1, int), 16)
    assert share_on(dropped, owner, knee) == (0.25, 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_maps_stand_beside_those_of_random_weights(kind: str, tmp_path: Path) -> None:
    study = make_study(tmp_path, children=4)
    model = MODELS[kind]
    run_settings = settings_of(model, settings(overrides={kind: {"frames": 4}}))
    torch.manual_seed(1)
    network: Any = model.build(run_settings, SIZE)
    last = [layer for layer in network.head.modules() if isinstance(layer, nn.Linear)][-1]
    nn.init.normal_(last.weight, std=0.5)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    part = open_part(study.train, study.clips)
    rows = np.arange(part.table.height)
    predicted = WindowLogits(rows, np.zeros_like(rows), np.random.default_rng(0).normal(size=(len(rows), 34)))
    focus, shown, sheet = explain(model, run_settings, weights, {"pixels": SIZE}, part, predicted, children=2, seed=0)
    assert [one.video[:4] for one in shown] == ["0001", "0002"]
    known = int((~np.isnan(part.atypical[:4])).sum())
    assert focus.height == known  # every item of every recording of both children
    assert focus["probability"].is_between(0, 1).all()
    for one in shown:
        row = part.table["video"].to_list().index(one.video)
        assert not np.isnan(part.atypical[row][[target.name for target in TARGETS].index(one.target)])
    assert not focus["share"].equals(focus["random_share"])
    assert focus["agreement"].drop_nulls().abs().mean() < 0.9
    assert sheet.shape == (2 * 2 * SIZE, 4 * SIZE, 3)
    again, _, _ = explain(model, run_settings, weights, {"pixels": SIZE}, part, predicted, children=2, seed=0)
    assert again.equals(focus)


def test_the_check_finds_a_map_that_random_weights_also_draw(tmp_path: Path) -> None:
    """The trained network is the random one itself: every map agrees wholly."""
    study = make_study(tmp_path, children=2)
    run_settings = settings_of(MODELS["stgcn"], settings(overrides={"stgcn": {"frames": 4}}))
    torch.manual_seed(7)
    weights = {name: value.numpy() for name, value in MODELS["stgcn"].build(run_settings, SIZE).state_dict().items()}
    part = open_part(study.train, study.clips)
    rows = np.arange(part.table.height)
    predicted = WindowLogits(rows, np.zeros_like(rows), np.zeros((len(rows), 34)))
    focus, _, _ = explain(MODELS["stgcn"], run_settings, weights, {"pixels": SIZE}, part, predicted, children=1, seed=7)
    assert (focus["agreement"].drop_nulls() == 1.0).all()
    assert focus["share"].equals(focus["random_share"])


def test_dropped_patches_are_grey_and_the_most_relevant_is_tinted() -> None:
    frames = np.full((2, 32, 32, 3), (0, 200, 100), np.uint8)
    where = np.array([[[7.5, 7.5], [23.5, 7.5], [7.5, 23.5], [23.5, 23.5]]])
    sheet = draw_on_frames(frames, Evidence(np.array([[0.0, np.nan, np.nan, 2.0]]), where, np.zeros(1, int), 16))
    assert tuple(sheet[5, 5]) == (0, 200, 100)  # kept, irrelevant: as it was
    assert tuple(sheet[16, 16]) == tuple(sheet[31, 31]) == (153, 118, 40)
    assert tuple(sheet[15, 15]) == (0, 200, 100)
    assert len(set(sheet[5, 20])) == 1
