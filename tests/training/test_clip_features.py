"""Features of clips for linear probes: mean silhouettes, frozen encoders, and their cache."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from childgait.files.clips import open_clip
from childgait.models.registry import MODELS, settings_of
from childgait.params import Finetune
from childgait.training.clip_features import encoder_features, mean_silhouettes
from support.small_study import PARAMS, make_study, settings


def probe(**frozen: Any) -> Finetune:
    own = {**PARAMS["finetune"]["frozen"], "pixels": 32, "frames_per_clip": 4, **frozen}
    return settings_of(MODELS["linear_probe"], settings(frozen=own))


def test_a_mean_silhouette_is_a_share_of_frames(tmp_path: Path) -> None:
    clips = [open_clip(path) for path in make_study(tmp_path, children=2).clips]
    features = mean_silhouettes(clips, probe())
    assert features.shape == (4, 64 * 44)
    assert features.min() == 0
    assert features.max() == pytest.approx(1)
    assert ((features > 0.05) & (features < 0.95)).any(), "the bar moves"


@pytest.mark.parametrize(("encoder", "width"), [("vit_tiny_patch16_224", 4 * 192), ("gru", 48), ("gaitset", 62 * 64)])
def test_an_encoder_gives_the_same_features_again(encoder: str, width: int, tmp_path: Path) -> None:
    clips = [open_clip(path) for path in make_study(tmp_path, children=2).clips]
    features = encoder_features(clips, probe(encoder=encoder))
    assert features.shape == (4, width)
    assert np.isfinite(features).all()
    assert np.array_equal(features[:2], encoder_features(clips[:2], probe(encoder=encoder)))


def test_features_are_kept_until_the_clip_or_the_encoder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clips").mkdir()
    clips = [open_clip(path) for path in make_study(tmp_path / "clips", children=2).clips]
    run_settings = probe(cache=str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    first = encoder_features(clips, run_settings)
    kept = sorted((tmp_path / "cache").iterdir())
    assert len(kept) == len(clips)
    np.save(kept[0], np.full(first.shape[1], 7, np.float32))
    again = encoder_features(clips, run_settings)
    assert (again == 7).all(axis=1).sum() == 1, "the file is read"
    encoder_features(clips, probe(cache=str(tmp_path / "cache"), frames_per_clip=3))
    assert len(list((tmp_path / "cache").iterdir())) == 2 * len(clips)
    np.save(clips[0].path("frames"), 255 - np.load(clips[0].path("frames")))
    encoder_features(clips, run_settings)
    assert len(list((tmp_path / "cache").iterdir())) == 2 * len(clips) + 1
