"""Dense heads fit every network that sees frames or keypoints; a measures head starts at the prior or the bands."""

import numpy as np
import pytest
import torch

from childgait.domain.evgs import CODES
from childgait.gait.scoring import bands_of
from childgait.models.batch import Batch
from childgait.models.dense_heads import PretrainingModel, mean_over_steps, steps_from_maps
from childgait.models.item_heads import MeasuresHead, coefficients_of_bands
from childgait.models.registry import MODELS, settings_of
from childgait.models.tokens import pack_clips
from support.small_study import settings

FRAMES, PIXELS = 16, 32
NETWORKS = [name for name, model in MODELS.items() if model.kind == "network" and name != "stgcn_fusion"]


def batch_for(network: torch.nn.Module, frames: int, clips: int = 2) -> Batch:
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 256, (clips, frames, PIXELS, PIXELS, 3), dtype=np.uint8)
    masks = np.zeros((clips, frames, PIXELS, PIXELS), bool)
    masks[:, :, 4:20, 4:20] = True
    points = rng.uniform(2, 30, (clips, frames, 23, 3)).astype(np.float32)
    packing = getattr(network, "packing", None)
    if packing is not None:
        return Batch(size=clips, packed=pack_clips(pictures, masks, packing))
    silhouettes = torch.from_numpy(rng.integers(0, 256, (clips, frames, 64, 44), dtype=np.uint8))
    return Batch(
        size=clips,
        frames=torch.from_numpy(pictures),
        masks=torch.from_numpy(masks),
        silhouettes=silhouettes,
        points=torch.from_numpy(points),
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_predicts_dense_targets(name: str) -> None:
    run_settings = settings_of(MODELS[name], settings(frames=FRAMES))
    torch.manual_seed(0)
    model = PretrainingModel(MODELS[name].build(run_settings, PIXELS), 8)
    batch = batch_for(model.network, run_settings.frames)
    result = model(batch)
    steps = run_settings.frames // 2
    assert result.measures.shape == (2, 34)
    if result.curves is None:
        assert name in ("c3d",), f"{name} has no time axis"
        return
    assert result.curves.shape == (2, steps, 28)
    assert result.phases.shape == (2, steps, 4)
    assert result.points.shape == (2, steps, 23, 2)
    (result.curves.square().mean() + result.measures.square().mean()).backward()
    encoder = [p for n, p in model.network.named_parameters() if not n.startswith("head.")]
    assert all(parameter.grad is not None for parameter in encoder)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_item_head_reads_the_features_that_pretraining_taught(name: str) -> None:
    run_settings = settings_of(MODELS[name], settings(frames=FRAMES))
    network = MODELS[name].build(run_settings, PIXELS).eval()
    head = torch.nn.Linear(network.feature_width, 34)
    network.replace_head(head)
    batch = batch_for(network, run_settings.frames)
    torch.testing.assert_close(network(batch), head(network.clip_features(batch).clip))
    prior = torch.full((34,), 0.3)
    measures = MeasuresHead(network.feature_width, 8, 0.1, shared=False)
    network.replace_head(measures)
    network.set_prior_bias(prior)
    torch.testing.assert_close(network(batch).sigmoid(), prior.expand(2, 34))


def test_a_time_step_without_a_token_is_marked() -> None:
    tokens = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    means, known = mean_over_steps(tokens, torch.tensor([0, 0, 2]), 3)
    assert known.tolist() == [True, False, True]
    assert means.tolist() == [[2.0, 3.0], [0.0, 0.0], [5.0, 6.0]]


def test_maps_with_another_time_axis_are_brought_to_time_steps() -> None:
    maps = torch.arange(8.0).view(1, 8, 1)
    assert steps_from_maps(maps, 8).flatten().tolist() == [0.5, 2.5, 4.5, 6.5]
    assert steps_from_maps(maps, 16) is maps
    assert steps_from_maps(maps[:, :2], 8).shape == (1, 4, 1)
    assert steps_from_maps(maps[:, :1], 8) is None


def test_a_ridge_pulls_the_limbs_of_an_item_together() -> None:
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(1)
    features = torch.randn(200, 4, generator=rng)
    slopes = {}
    for ridge in (0.0, 10.0):
        head = MeasuresHead(4, 8, ridge, shared=False)
        torch.nn.init.normal_(head.measures[2].weight, generator=torch.Generator().manual_seed(2))
        measures = head.measures(features).detach()
        truth = (measures > 0).float()
        truth[:, 17:] = 1 - truth[:, 17:]  # the right limb the other way round
        optimizer = torch.optim.Adam([head.bias, head.pair_mean, head.half_difference], 0.1)
        for _ in range(100):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(head(features), truth) + head.limb_penalty()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        slopes[ridge] = head.coefficients()[0].detach()
    assert (slopes[0.0][:17] - slopes[0.0][17:]).abs().mean() > 10 * (
        slopes[10.0][:17] - slopes[10.0][17:]
    ).abs().mean()
    shared = MeasuresHead(4, 8, 0.0, shared=True)
    assert torch.equal(shared.coefficients()[:, :17], shared.coefficients()[:, 17:])
    assert shared.limb_penalty() == 0


def test_a_measures_head_starts_at_the_edges_of_the_typical_bands() -> None:
    mean, deviation = torch.linspace(-5, 20, 34), torch.linspace(2, 6, 34)
    bands = [bands_of(code) for code in CODES] * 2
    for shared in (False, True):
        head = MeasuresHead(34, 8, 0.01, shared=shared)
        head.measures = torch.nn.Identity()
        if shared:  # one pair of coefficients fits both limbs only where their scales agree
            mean, deviation = mean[:17].repeat(2), deviation[:17].repeat(2)
        head.start_at_bands(mean, deviation)
        for value in np.linspace(-40, 60, 101):
            measures = (torch.full((34,), float(value)) - mean) / deviation
            logits = head(measures[None])[0]
            for target, (logit, band) in enumerate(zip(logits.tolist(), bands, strict=True)):
                edges = (np.array([band.zero_low, band.zero_high]) - float(mean[target])) / float(deviation[target])
                if (np.abs(edges) < 4).all():
                    assert (logit < 1e-3) == (band.zero_low - 1e-3 <= value <= band.zero_high + 1e-3), (target, value)


def test_a_band_with_one_edge_in_reach_gives_a_straight_line() -> None:
    low, high = np.array([-np.inf, -1.0, -9.0, -1.0]), np.array([1.5, np.inf, 1.5, 1.0])
    bias, slope, curvature = coefficients_of_bands(low, high)
    assert slope.tolist() == [2.0, -2.0, 2.0, 0.0]
    assert curvature.tolist() == [0.0, 0.0, 0.0, 1.0]
    np.testing.assert_allclose(bias, [-3.0, -2.0, -3.0, -1.0])
