"""Sapiens 2's real class at its smallest: a folder saved and loaded like the real one, boxes in, our 23 points out."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from childgait.domain.poses import Status
from childgait.domain.skeleton import INDEX, LAYOUTS
from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.files.video import Colour, Frame, from_rgb
from childgait.vision.sapiens import Sapiens2

FRAMES, WIDTH, HEIGHT = 5, 160, 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import Sapiens2Config, Sapiens2ForPoseEstimation, Sapiens2ImageProcessor

    where = tmp_path_factory.mktemp("sapiens")
    torch.manual_seed(0)
    config = Sapiens2Config(
        image_size=[128, 96],
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads_per_layer=[2, 2],
        num_register_tokens=2,
        num_labels=308,
        head_config={
            "upsample_out_channels": [32, 32],
            "upsample_kernel_sizes": [4, 4],
            "conv_out_channels": [32],
            "conv_kernel_sizes": [1],
        },
    )
    Sapiens2ForPoseEstimation(config).save_pretrained(where)
    Sapiens2ImageProcessor(size={"height": 128, "width": 96}).save_pretrained(where)
    return where


@pytest.fixture(scope="module")
def model(folder: Path) -> Sapiens2:
    return Sapiens2(folder, sha256(folder / "model.safetensors"))


def film() -> list[Frame]:
    draw = np.random.default_rng(0)
    pictures = [draw.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(FRAMES)]
    return [Frame(n, Fraction(n * 1001, 60000), from_rgb(p), Colour()) for n, p in enumerate(pictures)]


def boxes() -> np.ndarray:
    rows = np.tile([40.0, 20.0, 100.0, 110.0], (FRAMES, 1))
    rows[2] = np.nan
    return rows


def test_frames_with_a_box_get_points_and_others_stay_missing(model: Sapiens2) -> None:
    poses = model.estimate(film(), boxes(), batch=2, flip=False)
    assert poses.xy.shape == (FRAMES, 23, 2)
    assert poses.seconds[1] == pytest.approx(1001 / 60000)
    assert (poses.status[2] == Status.MISSING).all()
    seen = np.delete(np.arange(FRAMES), 2)
    assert (poses.status[seen] == Status.MEASURED).all()


def test_the_batch_size_does_not_matter(model: Sapiens2) -> None:
    one, other = (model.estimate(film(), boxes(), batch=batch, flip=False) for batch in (1, 4))
    assert np.allclose(one.xy, other.xy, atol=1e-3, equal_nan=True)


def planted(where: dict[int, tuple[int, int]]):
    """Heatmaps with one peak a point of the 308, at (x, y) of the map; stands in for the network."""

    def look(pixels: torch.Tensor):
        maps = torch.zeros(len(pixels), 308, 32, 24)
        rows, columns = torch.meshgrid(torch.arange(32), torch.arange(24), indexing="ij")
        for point, (x, y) in where.items():
            maps[:, point] = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4.0)
        return type("Out", (), {"heatmaps": maps})

    return look


def test_points_come_from_the_layouts_own_places_and_in_picture_pixels(
    model: Sapiens2, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peak in the middle of the map lies in the middle of the box; wrists stand with the hands in this layout."""
    assert LAYOUTS["goliath308"].source[INDEX["left_wrist"]] == 62
    monkeypatch.setattr(model, "_model", planted({62: (12, 16), 41: (12, 16), 9: (6, 8)}))
    poses = model.estimate(film(), boxes(), batch=4, flip=False)
    assert np.allclose(poses.xy[0, INDEX["left_wrist"]], [70, 65], atol=3)
    assert poses.xy[0, INDEX["left_hip"], 0] < 70
    assert poses.score[0, INDEX["left_wrist"]] == pytest.approx(1, abs=0.05)
    assert poses.score[0, INDEX["nose"]] == pytest.approx(0, abs=0.01)


def test_the_flip_test_mirrors_places_and_sides(model: Sapiens2, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that always sees the left hip left of the middle sees, in the mirrored picture, the right one there."""
    monkeypatch.setattr(model, "_model", planted({9: (6, 16), 10: (17, 16)}))
    plain = model.estimate(film(), boxes(), batch=4, flip=False)
    flipped = model.estimate(film(), boxes(), batch=4, flip=True)
    for side in ("left_hip", "right_hip"):
        assert np.allclose(plain.xy[0, INDEX[side]], flipped.xy[0, INDEX[side]], atol=1)
        assert flipped.score[0, INDEX[side]] > 0.9


def test_weights_are_checked_before_they_are_used(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"contains no model\.safetensors"):
        Sapiens2(tmp_path, "0")
    with pytest.raises(StepError, match="has sha256"):
        Sapiens2(folder, "0" * 64)
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    digest = sha256(other / "model.safetensors")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"architectures": ["Sapiens2ForSemanticSegmentation"]}))
    with pytest.raises(StepError, match="weights of another model"):
        Sapiens2(other, digest)
    fewer = dict(list(config["id2label"].items())[:133])
    (other / "config.json").write_text(json.dumps(config | {"id2label": fewer}))
    with pytest.raises(StepError, match="133 points"):
        Sapiens2(other, digest)


def test_boxes_of_another_video_are_refused(model: Sapiens2) -> None:
    with pytest.raises(StepError, match="more frames than the table of boxes"):
        model.estimate(film(), boxes()[:3], batch=2, flip=False)
    with pytest.raises(StepError, match="has 5 frames, but the table of boxes 6"):
        model.estimate(film(), np.vstack([boxes(), boxes()[:1]]), batch=2, flip=False)


def test_a_folder_that_does_not_fit_its_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    def changed(name: str, file: str, **values: object) -> Path:
        path = tmp_path / name
        shutil.copytree(folder, path)
        content = json.loads((path / file).read_text())
        (path / file).write_text(json.dumps(content | values))
        return path

    digest = sha256(folder / "model.safetensors")
    for number, (file, values) in enumerate(
        (
            ("config.json", {"num_attention_heads": "two"}),
            ("config.json", {"hidden_size": [64]}),
            ("preprocessor_config.json", {"size": 3.5}),
        )
    ):
        with pytest.raises(StepError, match="does not load as a Sapiens 2 pose model") as caught:
            Sapiens2(changed(f"wrong{number}", file, **values), digest)
        assert "\n" not in str(caught.value)
    config = json.loads((folder / "config.json").read_text())
    deeper = {"num_hidden_layers": 3, "num_key_value_heads_per_layer": [2, 2, 2]}
    assert deeper.keys() <= config.keys()
    with pytest.raises(StepError, match=r"lacks .* weights of a Sapiens 2 pose model"):
        Sapiens2(changed("deeper", "config.json", **deeper), digest)


def test_weights_with_nan_are_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, tmp_path / "nan")
    file = tmp_path / "nan" / "model.safetensors"
    state = load_file(file)
    next(iter(state.values())).view(-1)[0] = float("nan")
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(StepError, match="contains NaN or infinity"):
        Sapiens2(tmp_path / "nan", sha256(file))
