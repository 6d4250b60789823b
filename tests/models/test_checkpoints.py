"""Published weights in every form in circulation load strictly; a file that does not fit says why."""

import argparse
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.models.checkpoints import load_checkpoint
from childgait.models.childgait_video import ChildGaitVideo
from childgait.models.registry import MODELS
from childgait.models.videomae import SIZES, Size, VideoMAE, VideoMAESettings
from support.small_study import settings

SMALL = Size(width=48, depth=2, heads=3, hidden=96, patch=16)


def build(outputs=34, size=SMALL):
    return VideoMAE(VideoMAESettings(size, 4, 32, outputs, 0.0, 0.0))


@pytest.fixture
def weights():
    """The official state of a shaken model with a head of 710 classes."""
    torch.manual_seed(0)
    model = build(710)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def load(path, model=None):
    model = build() if model is None else model
    return model, load_checkpoint(model, path, sha256(path))


def as_transformers(weights, *, old):
    """transformers' names; old files have q_bias, those saved by version 5.23 query.bias."""
    named = {}
    for name, value in weights.items():
        if name.startswith("patch_embed.proj"):
            name = name.replace("patch_embed.proj", "videomae.embeddings.patch_embeddings.projection")
        elif name.startswith("blocks."):
            _, number, rest = name.split(".", 2)
            layer = f"videomae.encoder.layer.{number}."
            attention = layer + "attention.attention."
            if rest == "attn.qkv.weight":
                for part, rows in zip(("query", "key", "value"), value.chunk(3), strict=True):
                    named[f"{attention}{part}.weight"] = rows.clone()
                continue
            for ours, theirs in {
                "attn.q_bias": attention + ("q_bias" if old else "query.bias"),
                "attn.v_bias": attention + ("v_bias" if old else "value.bias"),
                "norm1": layer + "layernorm_before",
                "norm2": layer + "layernorm_after",
                "attn.proj": layer + "attention.output.dense",
                "mlp.fc1": layer + "intermediate.dense",
                "mlp.fc2": layer + "output.dense",
            }.items():
                rest = rest.replace(ours, theirs)
            name = rest
        named[name.replace("head.", "classifier.")] = value
    return named


def same(model, weights, *, but=()):
    for name, value in model.state_dict().items():
        if not name.startswith(("head.", *but)):
            assert torch.equal(value, weights[name].float()), name


def test_fine_tuned_files_in_half_precision(weights, tmp_path):
    torch.save({"module": {name: value.half() for name, value in weights.items()}}, tmp_path / "ft.pth")
    model, loaded = load(tmp_path / "ft.pth")
    same(model, {name: value.half() for name, value in weights.items()})
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert loaded.unused == ("head.bias", "head.weight")  # 710 classes of another task
    assert loaded.kept == ("head.bias", "head.weight")


def test_a_head_of_our_own_is_taken(weights, tmp_path):
    torch.save(weights, tmp_path / "bare.pth")
    model, loaded = load(tmp_path / "bare.pth", build(710))
    assert torch.equal(model.head.weight, weights["head.weight"])
    assert loaded.kept == loaded.unused == ()


def test_pre_trained_files_bring_a_decoder_and_no_final_norm(weights, tmp_path):
    state = {f"encoder.{n}": v for n, v in weights.items() if not n.startswith(("fc_norm", "head"))}
    state |= {
        "encoder.norm.weight": torch.ones(48),
        "encoder.norm.bias": torch.ones(48),
        "mask_token": torch.ones(1),
        "encoder_to_decoder.weight": torch.ones(2, 2),
        "decoder.blocks.0.norm1.weight": torch.ones(2),
    }
    torch.save({"model": state}, tmp_path / "pt.pth")
    model, loaded = load(tmp_path / "pt.pth")
    same(model, weights, but=("fc_norm",))
    assert torch.equal(model.fc_norm.weight, torch.ones(48))
    assert loaded.kept == ("fc_norm.bias", "fc_norm.weight", "head.bias", "head.weight")
    assert set(loaded.unused) == {
        "norm.weight",
        "norm.bias",
        "mask_token",
        "encoder_to_decoder.weight",
        "decoder.blocks.0.norm1.weight",
    }


def test_the_hub_layout_of_version_2(weights, tmp_path):
    save_file({f"model.{n}": v for n, v in weights.items() if not n.startswith("head")}, tmp_path / "v2.safetensors")
    model, loaded = load(tmp_path / "v2.safetensors", build(0))
    same(model, weights)
    assert loaded.kept == loaded.unused == ()


@pytest.mark.parametrize("old", [True, False])
def test_transformers_names_old_and_new(weights, tmp_path, old):
    save_file(as_transformers(weights, old=old), tmp_path / "hf.safetensors")
    model, loaded = load(tmp_path / "hf.safetensors", build(710))
    same(model, weights)
    assert loaded.kept == loaded.unused == ()


def test_a_bias_on_k_is_left_out_and_named(weights, tmp_path):
    for block in ("blocks.0", "blocks.1"):
        q, v = weights.pop(f"{block}.attn.q_bias"), weights.pop(f"{block}.attn.v_bias")
        weights[f"{block}.attn.qkv.bias"] = torch.cat([q, torch.ones(48), v])
    torch.save(weights, tmp_path / "timm.pth")
    model, loaded = load(tmp_path / "timm.pth", build(710))
    assert loaded.unused == ("blocks.0.attn.k_bias", "blocks.1.attn.k_bias")
    assert torch.equal(model.blocks[1].attn.v_bias, weights["blocks.1.attn.qkv.bias"][96:])


def test_the_whole_model_gets_its_encoder_filled(tmp_path):
    model = ChildGaitVideo(settings().encoder, 4, 32)
    other = build(0, SIZES["tiny"])
    torch.save(other.state_dict(), tmp_path / "tiny.pth")
    model.load_published(tmp_path / "tiny.pth", sha256(tmp_path / "tiny.pth"))
    same(model.encoder, other.state_dict())


def refused(path, model=None, expected=None):
    model = build() if model is None else model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(StepError) as error:
        load_checkpoint(model, path, sha256(path) if expected is None else expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return str(error.value)


def test_another_size_is_named(weights, tmp_path):
    torch.save(build(0, SIZES["small"]).state_dict(), tmp_path / "s.pth")
    message = refused(tmp_path / "s.pth", build(0, SIZES["tiny"]))
    assert (
        "is of width 384 with 12 blocks and patches of 16 pixels, the model of width 192 with 4 and 16 (tiny)"
        in message
    )
    assert "set finetune.encoder.size to small" in message


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_truncated_file(weights, tmp_path, ending):
    path = tmp_path / f"cut.{ending}"
    save_file(weights, path) if ending == "safetensors" else torch.save(weights, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cannot be read as weights" in refused(path)
    path.write_bytes(b"")
    assert "cannot be read as weights" in refused(path)


def test_another_sha256(weights, tmp_path):
    torch.save(weights, tmp_path / "w.pth")
    assert "finetune.weights_sha256 is aaaa" in refused(tmp_path / "w.pth", expected="aaaa")
    assert "there is no checkpoint" in refused(tmp_path / "none.pth", expected="aaaa")


def test_code_in_a_file_is_not_run(weights, tmp_path):
    torch.save({"model": weights, "args": argparse.Namespace(lr=1)}, tmp_path / "run.pth")
    assert "holds more than tensors, and its code is not run" in refused(tmp_path / "run.pth")


def test_every_missing_and_unknown_key_is_named(weights, tmp_path):
    for name in ("blocks.0.attn.q_bias", "blocks.1.mlp.fc1.weight"):
        del weights[name]
    weights["blocks.0.gamma_1"] = torch.ones(48)
    torch.save(weights, tmp_path / "w.pth")
    message = refused(tmp_path / "w.pth")
    assert "missing: blocks.0.attn.q_bias, blocks.1.mlp.fc1.weight; unknown: blocks.0.gamma_1" in message
    weights = {name: value for name, value in weights.items() if name.startswith("fc_norm")}
    torch.save(weights, tmp_path / "n.pth")
    assert "has no patch embedding of VideoMAE; it begins with fc_norm.bias" in refused(tmp_path / "n.pth")


def test_a_wrong_shape_is_named(weights, tmp_path):
    weights["blocks.0.mlp.fc1.bias"] = torch.ones(95)
    torch.save(weights, tmp_path / "w.pth")
    assert "blocks.0.mlp.fc1.bias is [95], not [96]" in refused(tmp_path / "w.pth")


def test_a_network_without_an_encoder_says_so(weights, tmp_path):
    torch.save(weights, tmp_path / "w.pth")
    network = MODELS["stgcn"].build(settings(), 32)
    with pytest.raises(StepError, match=r"Stgcn reads no published weights, but finetune.weights is"):
        network.load_published(tmp_path / "w.pth", sha256(tmp_path / "w.pth"))


class Command:
    """Unpickled, it would run a command."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.system, (f"touch {self.marker}",))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_that_calls_code_is_named_as_such(tmp_path, protocol):
    path = tmp_path / "code.pth"
    path.write_bytes(pickle.dumps({"model": Command(tmp_path / "PWNED")}, protocol=protocol))
    assert "holds more than tensors, and its code is not run" in refused(path)
    torch.save({"model": Command(tmp_path / "PWNED")}, path)
    assert "holds more than tensors, and its code is not run" in refused(path)
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_numbers_that_are_no_weights(weights, tmp_path, ending):
    path = tmp_path / f"w.{ending}"
    write = save_file if ending == "safetensors" else torch.save
    name = "blocks.0.mlp.fc1.bias"
    write({**weights, name: torch.full_like(weights[name], float("nan"))}, path)
    assert f"{name} contains NaN or infinity" in refused(path)
    write({**weights, name: torch.ones(weights[name].shape, dtype=torch.int8)}, path)
    assert f"{name} is of type int8" in refused(path)


def test_one_key_under_two_prefixes(weights, tmp_path):
    torch.save({**weights, "module.blocks.0.mlp.fc1.bias": weights["blocks.0.mlp.fc1.bias"]}, tmp_path / "w.pth")
    assert "contain blocks.0.mlp.fc1.bias under two prefixes" in refused(tmp_path / "w.pth")
