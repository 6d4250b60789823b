"""The map points at the patches that decide, and differs from that of random weights."""

from pathlib import Path

import numpy as np
import torch

from childgait.models.registry import MODELS, settings_of
from childgait.training.attribution import explain, on_frames, patch_relevance
from childgait.training.clips import Windows, collate
from childgait.training.learn import Judged, loading_of, open_part
from small_study import make_study, settings


def test_only_the_patch_that_the_network_reads_is_relevant(tmp_path: Path) -> None:
    study = make_study(tmp_path, children=2)
    chosen = settings_of(MODELS["videomae"], settings(frames=4))
    network = MODELS["videomae"].build(chosen, 32)
    part = open_part(study.train, study.clips)
    batch = collate([Windows(part.clips, part.atypical, loading_of(network, chosen), views=1)[0, 0]])

    class OnePatch(torch.nn.Module):
        """Answers the sum of the third patch."""

        encoder = network.encoder

        def forward(self, given: object) -> torch.Tensor:
            return given.packed.patches[2].sum().expand(1, 34)  # type: ignore[attr-defined]

    relevance = patch_relevance(OnePatch(), batch, 5)
    assert relevance[2] > 0
    assert (np.delete(relevance, 2) == 0).all()


def test_maps_stand_beside_those_of_random_weights(tmp_path: Path) -> None:
    study = make_study(tmp_path, children=4)
    model = MODELS["childgait_video"]
    chosen = settings_of(model, settings(frames=4))
    torch.manual_seed(1)
    network = model.build(chosen, 32)
    torch.nn.init.normal_(network.head[-1].weight, std=0.5)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    part = open_part(study.train, study.clips)
    rows = np.arange(part.table.height)
    judged = Judged(rows, np.zeros_like(rows), np.random.default_rng(0).normal(size=(len(rows), 34)))
    found, sheet = explain(model, chosen, weights, {"pixels": 32}, part, judged, children=2, seed=0)
    assert [one.video[:4] for one in found] == ["0001", "0002"]
    for one in found:
        assert not np.isnan(part.atypical[part.table["video"].to_list().index(one.video)][
            part.table.columns.index(one.target) - part.table.columns.index("L.IC")])  # fmt: skip
        assert len(one.trained) == len(one.index) == len(one.randomised)
        assert one.trained.max() > 0
        assert abs(one.agreement) < 0.9
    assert sheet.shape == (2 * 2 * 32, 4 * 32, 3)
    same, _ = explain(model, chosen, weights, {"pixels": 32}, part, judged, children=2, seed=0)
    assert np.array_equal(same[0].trained, found[0].trained)


def test_dropped_patches_are_grey_and_the_most_relevant_is_tinted() -> None:
    from childgait.models.tokens import Packing

    frames = np.full((2, 32, 32, 3), (0, 200, 100), np.uint8)
    sheet = on_frames(frames, np.array([0, 3]), np.array([0.0, 2.0]), Packing(2, 16, "mask", 0.1, 0, 1))
    assert tuple(sheet[5, 5]) == (0, 200, 100)  # kept, irrelevant: as it was
    assert tuple(sheet[20, 20]) == (153, 118, 40)
    assert len(set(sheet[5, 20])) == 1
