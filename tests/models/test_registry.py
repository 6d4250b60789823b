"""Every registered model builds, judges and learns; names and settings are checked."""

import numpy as np
import pytest

from childgait.code import code_of
from childgait.errors import StepError
from childgait.gait.evgs import TARGETS
from childgait.models.registry import ABLATION, BASELINES, FRAMES, MODELS, find_model, settings_of
from small_study import SIZE, settings

TABLES = [name for name, model in MODELS.items() if model.kind == "table"]
NETWORKS = [name for name, model in MODELS.items() if model.kind == "network"]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(StepError, match=r"no model is called 'childgait_vido'.*did you mean 'childgait_video'"):
        find_model("childgait_vido")
    assert {*BASELINES, *ABLATION, *FRAMES} <= MODELS.keys()


def test_settings_are_the_registrys_then_those_of_params() -> None:
    chosen = settings(overrides={"videomae": {"learning_rate": 0.5, "encoder": {"size": "small"}}})
    plain = settings_of(MODELS["videomae"], chosen)
    assert (plain.encoder.prompt, plain.encoder.prune, plain.encoder.size) == ("none", "none", "small")
    assert plain.learning_rate == 0.5
    assert settings_of(MODELS["childgait_video"], chosen).learning_rate == chosen.learning_rate
    assert settings_of(MODELS["childgait_video_t8"], chosen).frames == 8


def test_overrides_are_checked_like_params() -> None:
    with pytest.raises(StepError, match=r"finetune.overrides.videomae: .*learning_rat"):
        settings_of(MODELS["videomae"], settings(overrides={"videomae": {"learning_rat": 0.5}}))
    with pytest.raises(StepError, match="overrides names 'videome'"):
        settings_of(MODELS["videomae"], settings(overrides={"videome": {}}))


def test_the_two_by_two_differs_in_prompt_and_prune_only() -> None:
    found = [settings_of(MODELS[name], settings()) for name in ABLATION]
    assert len({(s.encoder.prompt, s.encoder.prune) for s in found}) == 4
    rest = [s.model_copy(update={"encoder": s.encoder.model_copy(update={"prompt": "", "prune": ""})}) for s in found]
    assert all(one == rest[0] for one in rest)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_model_fits_judges_and_does_not_mind_missing_labels(name: str) -> None:
    random = np.random.default_rng(0)
    features = random.integers(0, 50, size=(20, 4)).astype(float)
    atypical = (random.random((20, 34)) < 0.5).astype(np.float32)
    atypical[:, 3], atypical[0, :5] = 0.0, np.nan
    built = MODELS[name].build(settings(), 0)
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
    majority = MODELS["majority"].build(None, 0)
    said = majority.predict(majority.fit(features, atypical, 0), features)
    assert (said[:, 0] > 0).all()
    assert (said[:, 1] < 0).all()
    told = MODELS["age_sex"].build(None, 0)
    assert ((told.predict(told.fit(features, atypical, 0), features)[:, 5] > 0) == (atypical[:, 5] == 1)).all()
    coin = MODELS["coin"].build(None, 0)
    numbers = np.arange(400.0)[:, None]
    tossed = coin.predict(coin.fit(numbers, atypical, 3), numbers) > 0
    assert 0.47 < tossed.mean() < 0.53
    assert not np.array_equal(tossed, coin.predict(coin.fit(numbers, atypical, 4), numbers) > 0)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_builds_and_says_what_it_reads(name: str) -> None:
    network = MODELS[name].build(settings_of(MODELS[name], settings(frames=4)), SIZE)
    assert network.ingredients <= {"frames", "masks", "points"}
    assert sum(parameter.numel() for parameter in network.parameters()) > 0


def test_an_edit_in_a_model_reruns_finetune_and_evaluate() -> None:
    for step in ("finetune", "evaluate"):
        reached = {path.name for path in code_of(step)}
        assert {"majority.py", "childgait_video.py", "videomae.py", "registry.py"} <= reached
