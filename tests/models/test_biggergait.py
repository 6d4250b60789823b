"""BiggerGait reads a frozen transformer through masks: what is frozen, what is masked, and the published sizes."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from childgait.errors import StepError
from childgait.models.batch import Batch
from childgait.models.biggergait import Biggergait, TokenProjection, middle_columns
from childgait.models.registry import MODELS, settings_of
from support.small_study import PARAMS, settings


def build(**frozen: Any) -> Biggergait:
    small = {**PARAMS["finetune"]["frozen"], "pixels": 64, "layers": 2, "width": 4, **frozen}
    torch.manual_seed(0)
    network = MODELS["biggergait"].build(settings_of(MODELS["biggergait"], settings(frozen=small)), 32)
    assert isinstance(network, Biggergait)
    return network


def walk() -> Batch:
    random = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (2, 4, 32, 32, 3), generator=random, dtype=torch.uint8)
    masks = torch.zeros(2, 4, 32, 32, dtype=torch.bool)
    masks[:, :, 4:28, 12:20] = True
    return Batch(size=2, frames=frames, masks=masks)


def test_a_projection_has_the_published_size() -> None:
    assert sum(value.numel() for value in TokenProjection(384).parameters()) == 77_008


def test_the_transformer_is_frozen_and_stored() -> None:
    network = build().train()
    assert not [name for name, _ in network.named_parameters() if name.startswith("encoder.")]
    assert "encoder.blocks.0.attn.qkv.weight" in network.state_dict()
    assert not network.encoder.training
    before = network.encoder.blocks[0].attn.qkv.weight.clone()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    network(walk()).sum().backward()
    optimizer.step()
    assert torch.equal(network.encoder.blocks[0].attn.qkv.weight, before)


def test_what_no_mask_covers_does_not_count() -> None:
    network, batch = build().eval(), walk()
    assert batch.frames is not None
    assert batch.masks is not None
    with torch.inference_mode():
        maps = network.maps(batch)
        assert maps.shape == (2, 2 * 8 * 4, 4, 32, 32)
        assert not maps[..., :8].any()
        assert not maps[..., -8:].any()
        empty = Batch(size=2, frames=batch.frames, masks=torch.zeros_like(batch.masks))
        other = Batch(size=2, frames=255 - batch.frames, masks=empty.masks)
        torch.testing.assert_close(network(empty), network(other))
        assert not torch.allclose(network(batch), network(empty))


def test_tokens_are_of_the_middle_columns_and_normalised_together() -> None:
    network, batch = build().eval(), walk()
    assert batch.frames is not None
    frames = batch.frames[0]
    tokens = network.tokens(frames)
    assert tokens.shape == (2, 4, 192, 4, 2)
    joined = tokens.transpose(0, 1).flatten(1, 2)
    torch.testing.assert_close(joined.mean(dim=1), torch.zeros(4, 4, 2), atol=1e-4, rtol=0)
    aside = frames.clone()
    aside[:, :, :8] = 0
    torch.testing.assert_close(network.tokens(aside), tokens)
    assert middle_columns(torch.arange(8)).tolist() == [2, 3, 4, 5]


def test_strips_add_up_to_the_logits() -> None:
    network, batch = build().eval(), walk()
    _, last = network.classifier()
    assert isinstance(last, torch.nn.Linear)
    with torch.inference_mode():
        parts = network.strip_logits(batch)
        assert parts.shape == (2, 2 * 16, 34)
        torch.testing.assert_close(parts.sum(dim=1) + last.bias, network(batch), atol=1e-4, rtol=1e-4)


def test_weights_of_another_transformer_are_refused(tmp_path: Path) -> None:
    network = build()
    state = {
        name.removeprefix("encoder."): value.clone()
        for name, value in network.state_dict().items()
        if name.startswith("encoder.")
    }
    path = tmp_path / "vit.safetensors"
    save_file({name: value + 1 for name, value in state.items()}, path)
    network.load_published(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert torch.equal(network.encoder.norm.weight, state["norm.weight"] + 1)
    state.pop("norm.weight")
    save_file(state, path)
    with pytest.raises(StepError, match=r"does not fit vit_tiny_patch16_224.*norm\.weight"):
        network.load_published(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("encoder", ["vit_minuscule", "resnet18"])
def test_an_unknown_or_other_encoder_stops_the_run(encoder: str) -> None:
    with pytest.raises(StepError, match=f"frozen.encoder is {encoder}, which is neither a network .* nor a ViT"):
        build(encoder=encoder)
