"""Every registered model is built, trained and predicts; names and settings are checked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from childgait.domain.evgs import TARGETS
from childgait.engine.source_files import code_of
from childgait.errors import StepError
from childgait.files.parts import Part, open_part
from childgait.models.batch import Batch
from childgait.models.registry import ABLATION, BASELINES, FRAMES, KEYPOINTS, MODELS, find_model, settings_of
from childgait.training.fit import fit_table
from childgait.training.losses import loss_of_clips
from childgait.training.predict import loading_of, predict
from childgait.training.windows import Windows, collate
from support.marks import mark_slow
from support.small_study import SIZE, Study, make_study, settings

TABLES = [name for name, model in MODELS.items() if model.kind == "table"]
NETWORKS = [name for name, model in MODELS.items() if model.kind == "network"]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(StepError, match=r"no model is called 'childgait_vido'.*did you mean 'childgait_video'"):
        find_model("childgait_vido")
    assert {*BASELINES, *ABLATION, *FRAMES, *KEYPOINTS} <= MODELS.keys()


def test_networks_that_need_no_video_are_named() -> None:
    """A bench of keypoints, and the check before a run, go by this list."""
    blind = set()
    for name in NETWORKS:
        network = MODELS[name].build(settings_of(MODELS[name], settings()), SIZE)
        blind |= set() if network.inputs & {"frames", "masks", "silhouettes"} else {name}
    assert blind == set(KEYPOINTS)


def test_settings_are_the_registrys_then_those_of_params() -> None:
    run_settings = settings(overrides={"videomae": {"learning_rate": 0.5, "encoder": {"size": "small"}}})
    plain = settings_of(MODELS["videomae"], run_settings)
    assert (plain.encoder.prompt, plain.encoder.prune, plain.encoder.size) == ("none", "none", "small")
    assert plain.learning_rate == 0.5
    assert settings_of(MODELS["childgait_video"], run_settings).learning_rate == run_settings.learning_rate
    assert settings_of(MODELS["childgait_video_t8"], run_settings).frames == 8


def test_overrides_are_checked_like_params() -> None:
    with pytest.raises(ValidationError, match=r"finetune\.overrides\.videomae\.learning_rat is no key"):
        settings(overrides={"videomae": {"learning_rat": 0.5}})
    with pytest.raises(StepError, match=r"^finetune\.overrides\.videomae\.learning_rate is 5, but must be less than 1"):
        settings_of(MODELS["videomae"], settings(overrides={"videomae": {"learning_rate": 5}}))
    with pytest.raises(StepError, match="overrides names 'videome'"):
        settings_of(MODELS["videomae"], settings(overrides={"videome": {}}))


def test_the_two_by_two_differs_in_prompt_and_prune_only() -> None:
    result = [settings_of(MODELS[name], settings()) for name in ABLATION]
    assert len({(s.encoder.prompt, s.encoder.prune) for s in result}) == 4
    rest = [s.model_copy(update={"encoder": s.encoder.model_copy(update={"prompt": "", "prune": ""})}) for s in result]
    assert all(one == rest[0] for one in rest)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_model_fits_judges_and_does_not_mind_missing_labels(name: str) -> None:
    random = np.random.default_rng(0)
    built = MODELS[name].build_table(settings())
    features = random.integers(0, 50, size=(20, 34 if built.features == "measured" else 4)).astype(float)
    atypical = (random.random((20, 34)) < 0.5).astype(np.float32)
    atypical[:, 3], atypical[0, :5] = 0.0, np.nan
    state = built.fit(features, atypical, seed=1)
    logits = built.predict(state, features)
    assert logits.shape == (20, len(TARGETS))
    assert np.isfinite(logits).all()
    assert np.array_equal(logits, built.predict(built.fit(features, atypical, seed=1), features))


def test_the_baselines_do_what_their_names_say() -> None:
    features = np.stack([np.arange(20) % 2, np.zeros(20)], axis=1).astype(float)
    atypical = np.repeat((np.arange(20) % 2)[:, None], 34, axis=1).astype(np.float32)
    atypical[:, 0] = np.arange(20) < 15  # mostly atypical
    atypical[:, 1] = np.arange(20) < 5
    majority = MODELS["majority"].build_table(settings())
    predicted = majority.predict(majority.fit(features, atypical, 0), features)
    assert (predicted[:, 0] > 0).all()
    assert (predicted[:, 1] < 0).all()
    description = MODELS["age_sex"].build_table(settings())
    assert (
        (description.predict(description.fit(features, atypical, 0), features)[:, 5] > 0) == (atypical[:, 5] == 1)
    ).all()
    coin = MODELS["coin"].build_table(settings())
    numbers = np.arange(400.0)[:, None]
    tossed = coin.predict(coin.fit(numbers, atypical, 3), numbers) > 0
    assert 0.47 < tossed.mean() < 0.53
    assert not np.array_equal(tossed, coin.predict(coin.fit(numbers, atypical, 4), numbers) > 0)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_model_reads_clips(name: str, part: Part, study: Study) -> None:
    """From part and clips to a row a video, and again from the arrays alone."""
    section, validation = settings_of(MODELS[name], settings()), open_part(study.validation, study.clips)
    learnt = fit_table(MODELS[name], section, part, seed=1)
    assert learnt.facts["learns"] > 0
    predictions = predict(MODELS[name], section, learnt.weights, learnt.facts, validation, windows_per_video=1)
    assert predictions.logits.shape == (validation.table.height, len(TARGETS))
    assert np.isfinite(predictions.logits).all()
    assert all(value.dtype.kind in "fi" for value in learnt.weights.values())  # what a safetensors file can hold


def built(name: str, part: Part) -> tuple[Any, Batch]:
    """The untrained network in its own settings, made small, and four clips as its loader gives them."""
    run_settings = settings_of(MODELS[name], settings(overrides={name: {"frames": 4}}))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = MODELS[name].build(run_settings, SIZE)
    windows = Windows(part.clips, part.atypical, loading_of(network, run_settings), windows_per_video=1)
    batch = collate([windows[0, row] for row in range(4)])
    if batch.features is not None:  # the bars of light of this study take no steps that could be measured
        batch.features = torch.randn(batch.features.shape, generator=torch.Generator().manual_seed(0))
        batch.features[:, ::7] = torch.nan
    return network, batch


def overfitted(name: str, part: Part) -> tuple[list[float], torch.Tensor]:
    """Train a few steps on one batch; return the losses and the logits afterwards."""
    network, batch = built(name, part)
    assert batch.labels is not None
    normed = any(isinstance(part, torch.nn.modules.batchnorm._BatchNorm) for part in network.modules())
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2 if normed else 2e-3)
    losses = []
    for step in range(25):
        torch.manual_seed(step)
        network.train()
        loss = loss_of_clips(network(batch), batch.labels, torch.ones(34)).mean()
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            silent = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
            assert not silent, f"no gradient reaches {silent}"
        optimizer.step()
        losses.append(loss.item())
    network.eval()
    with torch.inference_mode():
        return losses, network(batch)


@pytest.mark.parametrize("name", mark_slow(NETWORKS, {"biggergait", "swingait"}))
def test_a_network_learns_a_batch_by_heart_and_does_so_again(name: str, part: Part) -> None:
    losses, answers = overfitted(name, part)
    assert answers.shape == (4, len(TARGETS))
    assert np.mean(losses[-3:]) < 0.75 * losses[0], (
        losses
    )  # torch 2.11 draws other first weights than 2.15 and learns slower
    assert torch.equal(overfitted(name, part)[1], answers)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_given_what_it_reads_and_nothing_else(name: str, part: Part) -> None:
    network, batch = built(name, part)
    parts = ("frames", "masks", "silhouettes", "points", "features")
    assert network.inputs <= set(parts)
    packed = network.packing is not None
    given = {key for key in parts if getattr(batch, key) is not None}
    assert given == (set() if packed else network.inputs)
    assert (batch.packed is not None) == packed
    network.eval()
    one = collate_one(network, name, part)
    one.features = None if batch.features is None else batch.features[1:2]
    answer, alone = network(batch), network(one)
    assert torch.allclose(answer[1], alone[0], atol=1e-4), "a clip's answer depends on its neighbours"


def collate_one(network: Any, name: str, part: Part) -> Batch:
    run_settings = settings_of(MODELS[name], settings(overrides={name: {"frames": 4}}))
    return collate([Windows(part.clips, part.atypical, loading_of(network, run_settings), windows_per_video=1)[0, 1]])


@pytest.mark.parametrize("name", KEYPOINTS)
def test_a_cohort_of_keypoints_needs_no_pixels(name: str, tmp_path: Path) -> None:
    bare = make_study(tmp_path)
    for array in ("frames", "masks"):
        for path in tmp_path.glob(f"*.{array}.npy"):
            path.unlink()
    network, batch = built(name, open_part(bare.train, bare.clips))
    network.eval()
    assert torch.isfinite(network(batch)).all()


def test_an_edit_in_a_model_reruns_finetune_and_evaluate() -> None:
    for step in ("finetune", "evaluate"):
        reached = {path.name for path in code_of(step)}
        assert {"majority.py", "childgait_video.py", "videomae.py", "registry.py"} <= reached
