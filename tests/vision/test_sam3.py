"""SAM 3's real classes, tiny and random: objects keep their numbers, prompts reach the model, weights are checked."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.vision.sam3 import Sam3, SegmentedObject, box_of, clean, distinct

HEIGHT, WIDTH, FRAMES = 90, 160, 6


@pytest.fixture(scope="module")
def sam3(sam3_folder: Path) -> Sam3:
    return Sam3(sam3_folder, sha256(sam3_folder / "model.safetensors"))


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(FRAMES)]


def square() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[20:60, 40:80] = True
    return mask


def test_text_finds_objects_that_keep_their_numbers(sam3: Sam3, frames: list[np.ndarray]) -> None:
    results = list(sam3.text(iter(frames), ["child", "a man"]))
    assert len(results) == FRAMES
    lasting = set.intersection(*(set(objects) for objects in results))
    assert lasting
    for objects in results:
        for one in objects.values():
            assert one.mask.shape == (HEIGHT, WIDTH)
            assert one.mask.dtype == bool
            assert one.box == box_of(one.mask)
            assert 0.05 < one.score < 1
        masks = [one.mask for one in objects.values()]
        for i, a in enumerate(masks):
            assert all((a & b).sum() < 0.7 * (a | b).sum() for b in masks[i + 1 :])


def test_a_video_leaves_nothing_behind_for_the_next(sam3: Sam3, frames: list[np.ndarray]) -> None:
    first, second = (list(sam3.text(frames, ["child"])) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        assert all((a[n].mask == b[n].mask).all() for n in a)


@pytest.mark.parametrize("prompt", ["box", "points", "mask"])
def test_track_follows_both_ways_from_the_prompt(sam3: Sam3, frames: list[np.ndarray], prompt: str) -> None:
    given = {"box": (40, 20, 80, 60), "points": [(50, 30), (60, 40)], "mask": square()}
    results = list(sam3.track(frames, frame_index=2, **{prompt: given[prompt]}))
    assert len(results) == FRAMES
    assert all(set(objects) == {1} for objects in results)
    if prompt == "mask":  # on its own frame the mask is used unchanged
        overlap = [(objects[1].mask & square()).sum() / (objects[1].mask | square()).sum() for objects in results]
        assert int(np.argmax(overlap)) == 2
        assert overlap[2] > 0.9


def test_frames_wait_small_and_in_main_memory(sam3: Sam3, frames: list[np.ndarray]) -> None:
    import torch

    _, processor = sam3._load("Sam3Video")
    session = sam3._session(processor, iter(frames))
    assert session.num_frames == FRAMES
    held = session.processed_frames[0]
    assert (held.dtype, held.device.type, tuple(held.shape)) == (torch.bfloat16, "cpu", (3, 112, 112))


def test_nothing_is_fetched(sam3: Sam3) -> None:
    from transformers.models.sam3_video import modeling_sam3_video

    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert modeling_sam3_video.cv_utils_kernel is False


def test_other_weights_are_refused(sam3_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="other weights"):
        Sam3(sam3_folder, "0" * 64)
    with pytest.raises(StepError, match=r"contains no model\.safetensors"):
        Sam3(tmp_path, "0" * 64)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(StepError, match="bert, not sam3_video"):
        Sam3(tmp_path, sha256(tmp_path / "model.safetensors"))


def test_a_configuration_of_another_network_is_refused(
    sam3_folder: Path, frames: list[np.ndarray], tmp_path: Path
) -> None:
    """transformers would fill what the file lacks with random numbers, and such a network finds no head."""
    digest = sha256(sam3_folder / "model.safetensors")
    for number, (change, message) in enumerate(
        (
            (lambda config: config["detector_config"]["detr_encoder_config"].update(num_layers=2), "lacks .* weights"),
            (lambda config: config["detector_config"].update(vision_config=[]), "does not load as Sam3Video"),
        )
    ):
        path = tmp_path / str(number)
        shutil.copytree(sam3_folder, path)
        config = json.loads((path / "config.json").read_text())
        change(config)
        (path / "config.json").write_text(json.dumps(config))
        with pytest.raises(StepError, match=message):
            list(Sam3(path, digest).text(iter(frames), ["child"]))


def test_a_prompt_beyond_the_video_is_refused(sam3: Sam3, frames: list[np.ndarray]) -> None:
    with pytest.raises(StepError, match="frame 6 of a video of 6"):
        list(sam3.track(frames, frame_index=6, box=(0, 0, 5, 5)))


def test_clean_fills_holes_and_drops_specks() -> None:
    mask = square()
    mask[30:32, 50:52] = False  # a hole of 4
    mask[40:46, 50:56] = False  # one of 36
    mask[5:7, 5:7] = True  # a speck of 4
    mask[70:76, 100:106] = True  # a piece of 36
    result = clean(mask, 10)
    assert result[31, 51]
    assert not result[43, 53]
    assert not result[5, 5]
    assert result[73, 103]
    tiny = np.zeros((20, 20), bool)
    tiny[3, 3] = True
    assert clean(tiny, 10).sum() == 1  # the largest piece stays
    assert clean(~tiny, 10).all()
    assert not clean(np.zeros((20, 20), bool), 10).any()


def test_distinct_keeps_the_surest_of_equals() -> None:
    near = square()
    near[20] = False
    other = np.roll(square(), 60, axis=1)
    boxed = [(4, square(), 0.6), (2, near, 0.9), (7, other, 0.1)]
    objects = {number: SegmentedObject(mask, box_of(mask), score) for number, mask, score in boxed}
    assert list(distinct(objects)) == [2, 7]
