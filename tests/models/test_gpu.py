"""What a GPU is asked to do: held to account without one, by tensors that say `cuda` and hold no numbers; and
with one."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from childgait.errors import StepError
from childgait.files.parts import Part, open_part
from childgait.models import videomae
from childgait.models.batch import Batch
from childgait.models.registry import MODELS, settings_of
from childgait.models.tokens import Packed, pack
from childgait.models.videomae import Size, VideoMAE, VideoMAESettings
from childgait.training.fit import fit_network
from childgait.training.gradcam import explain
from childgait.training.losses import loss_of_clips
from childgait.training.optim import make_optimizer
from childgait.training.order import autocast
from childgait.training.predict import loading_of, predict
from childgait.training.windows import Windows, collate
from support import toy_training
from support.small_study import SIZE, Study, settings

NETWORKS = [name for name, model in MODELS.items() if model.kind == "network"]
SMALL = Size(width=96, depth=2, heads=3, hidden=192, patch=16)
LENGTHS = (5, 17, 1, 32)

needs_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
ON_BOTH = ["cpu", pytest.param("cuda", marks=needs_gpu)]


@pytest.fixture
def mode(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorMode]:
    """Within it tensors have a kind, a shape and a device, and mixing devices fails; bf16 as loop.autocast asks."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))  # asked for where kernels are chosen
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)  # the context manager refuses where no GPU is
    torch.set_autocast_dtype("cuda", torch.bfloat16)
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)  # tests of training leave it on; on a GPU training only warns
    yield FakeTensorMode()
    torch.use_deterministic_algorithms(deterministic)
    torch.set_autocast_enabled("cuda", before[0])
    torch.set_autocast_dtype("cuda", before[1])


def to_no_gpu(network: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """As network.to("cuda") would."""
    for module in network.modules():
        for held in (module._parameters, module._buffers):
            for name, value in held.items():
                if value is not None:
                    with mode:
                        empty = torch.empty(value.shape, dtype=value.dtype, device="cuda")
                    held[name] = nn.Parameter(empty) if isinstance(value, nn.Parameter) else empty
    return network


def emptied(held: Any, mode: FakeTensorMode) -> Any:
    """A batch without its numbers, still on the CPU."""
    if isinstance(held, Tensor):
        return mode.from_tensor(held)
    if isinstance(held, Batch | Packed):
        return replace(held, **{field.name: emptied(getattr(held, field.name), mode) for field in fields(held)})
    return held


def noise(lengths: tuple[int, ...]) -> Packed:
    random = np.random.default_rng(0)
    index = [np.sort(random.choice(32, length, replace=False)) for length in lengths]
    patches = [random.integers(0, 256, (length, 2 * 16 * 16 * 3), dtype=np.uint8) for length in lengths]
    return pack([torch.from_numpy(one) for one in patches], [torch.from_numpy(one) for one in index])


def test_the_kernel_is_given_what_it_takes(mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> None:
    """bf16 rows that lie together, int32 offsets; and the residual stream stays float32 around it."""
    seen: list[tuple[Any, ...]] = []
    kernel = videomae.attend_at_once

    def with_runtime(qkv: Tensor, packed: Packed) -> Tensor:
        out = kernel(qkv, packed)
        seen.append((qkv.dtype, packed.offsets.dtype, packed.offsets.device.type, out.dtype, out.shape))
        return out

    monkeypatch.setattr(videomae, "attend_at_once", with_runtime)
    network = to_no_gpu(VideoMAE(VideoMAESettings(SMALL, 4, 64, 34, 0.1, 0.1)), mode)
    assert isinstance(network, VideoMAE)
    packed = emptied(noise(LENGTHS), mode)
    with mode:
        there = packed.to("cuda")
        assert network.tokens(there).dtype == torch.float32
        assert network(there).shape == (len(LENGTHS), 34)
    row = (torch.bfloat16, torch.int32, "cuda", torch.bfloat16, (sum(LENGTHS), 3, 32))
    assert seen == [row] * 2 * SMALL.depth


def test_a_tensor_left_on_the_cpu_is_found(mode: FakeTensorMode) -> None:
    """Else the next test would prove nothing."""
    network = to_no_gpu(nn.Linear(3, 3), mode)
    with mode, pytest.raises(RuntimeError, match="device"):
        network(torch.zeros(2, 3))


# A recurrent network asks cuDNN itself, which needs a driver; the tests below run it where there is one.
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("gru", "lstm")])
@pytest.mark.parametrize("learns", [True, False])
def test_nothing_of_a_network_stays_behind_on_the_cpu(
    name: str, learns: bool, part: Part, mode: FakeTensorMode
) -> None:
    run_settings = settings_of(MODELS[name], settings(overrides={name: {"frames": 4}}))
    network = MODELS[name].build(run_settings, SIZE)
    windows = Windows(part.clips, part.atypical, loading_of(network, run_settings), windows_per_video=1)
    batch = emptied(collate([windows[0, row] for row in range(4)]), mode)
    to_no_gpu(network, mode).train(learns)
    with mode:
        moved = batch.to("cuda")
        logits = network(moved)
        loss = loss_of_clips(logits, moved.labels, torch.ones(34, device="cuda"))
    assert logits.shape == (4, 34)
    assert (loss.device.type, loss.dtype) == ("cuda", torch.float32)


def test_a_step_is_one_kernel_a_group_on_a_gpu(mode: FakeTensorMode) -> None:
    network = to_no_gpu(toy_training.Toy(0.0), mode)
    with mode:
        optimizer = make_optimizer(network, settings())
        for parameter in network.parameters():
            parameter.grad = torch.empty_like(parameter)
        optimizer.step()
    assert all(group["fused"] for group in optimizer.param_groups)
    assert not any(group["fused"] for group in make_optimizer(toy_training.Toy(0.0), settings()).param_groups)


def test_the_kernel_and_the_loop_over_clips_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's place taken by what its documentation says, as it runs on no CPU; logits and gradients."""

    def by_the_book(q: Tensor, k: Tensor, v: Tensor, *rest: Any) -> Tensor:
        starts, same, longest, likewise = rest
        lengths = starts.diff()
        assert starts.dtype == torch.int32
        assert torch.equal(starts, same)
        assert (int(starts[0]), int(starts[-1])) == (0, len(q))
        assert longest == likewise == int(lengths.max())
        assert all(part.is_contiguous() for part in (q, k, v))
        clips = zip(*(part.transpose(0, 1).split(lengths.tolist(), dim=1) for part in (q, k, v)), strict=True)
        return torch.cat([functional.scaled_dot_product_attention(*clip) for clip in clips], dim=1).transpose(0, 1)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", by_the_book)
    torch.manual_seed(0)
    network, packed = VideoMAE(VideoMAESettings(SMALL, 4, 64, 34, 0.0, 0.0)), noise(LENGTHS)
    nn.init.normal_(network.head.weight)  # type: ignore[arg-type]
    for parameter in network.blocks.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    result = []
    for way in (videomae.attend, videomae.attend_at_once):
        monkeypatch.setattr(videomae, "attend", way)
        network.zero_grad()
        logits = network(packed)
        logits.square().sum().backward()
        result.append([logits.detach(), *(p.grad.clone() for p in network.parameters() if p.grad is not None)])
    assert len(result[0]) == 1 + len(list(network.parameters()))
    for one, other in zip(*result, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * max(float(one.abs().max()), 1))


@pytest.mark.parametrize("device", ON_BOTH)
@pytest.mark.parametrize("name", ["childgait_video", "videomae", "agrm", "lstm", "stgcn_fusion"])
def test_it_learns_judges_and_explains_itself_on(
    device: str, name: str, study: Study, part: Part, tmp_path: Path
) -> None:
    """A network of each kind, in half precision where it is a GPU's."""
    run_settings = settings_of(MODELS[name], settings(device=device, precision="auto", overrides={name: {"frames": 4}}))
    validation = open_part(study.validation, study.clips)
    learnt = fit_network(
        MODELS[name],
        run_settings,
        part,
        validation,
        seed=0,
        save_as=tmp_path / "state.safetensors",
        fingerprint="",
        on_epoch=lambda row, speed: None,
    )
    assert [row["epoch"] for row in learnt.history] == [1, 2, 3]
    predicted = predict(MODELS[name], run_settings, learnt.weights, learnt.facts, validation, windows_per_video=2)
    assert predicted.logits.shape == (2 * len(validation.clips), 34)
    assert np.isfinite(predicted.logits).all()
    focus, shown, sheet = explain(MODELS[name], run_settings, learnt.weights, learnt.facts, validation, predicted, 1, 0)
    assert focus.height > 0
    assert shown
    assert sheet.size


def test_what_learnt_on_a_gpu_judges_without_one_but_does_not_learn_there(
    study: Study, part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, validation = MODELS["tcn"], open_part(study.validation, study.clips)
    run_settings = settings_of(model, settings(overrides={"tcn": {"frames": 4}}))
    how: dict[str, Any] = {"seed": 0, "save_as": tmp_path / "state.safetensors", "fingerprint": "", "on_epoch": print}
    learnt = fit_network(model, run_settings, part, validation, **how)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    elsewhere = run_settings.model_copy(update={"device": "cuda"})
    here = predict(model, run_settings, learnt.weights, learnt.facts, validation, windows_per_video=1)
    assert np.array_equal(
        predict(model, elsewhere, learnt.weights, learnt.facts, validation, windows_per_video=1).logits, here.logits
    )
    assert "tcn was trained on a GPU, and torch finds none here" in caplog.text
    with pytest.raises(StepError, match="torch finds no GPU here"):
        fit_network(model, elsewhere, part, validation, **how)


@pytest.mark.parametrize("device", ON_BOTH)
def test_stopped_and_taken_up_it_ends_alike_on(device: str, tmp_path: Path) -> None:
    """The optimizer's and the average's state go through a file and back to the device."""
    run_settings = settings(epochs=4, device=device)
    whole = toy_training.run(tmp_path / "whole", run_settings)
    with pytest.raises(KeyboardInterrupt):
        toy_training.run(tmp_path / "cut", run_settings, stop_after=2)
    taken_up = toy_training.run(tmp_path / "cut", run_settings)
    for name, value in whole.weights.items():
        assert value.device.type == "cpu"
        torch.testing.assert_close(taken_up.weights[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("device", ON_BOTH)
def test_clips_that_keep_different_numbers_of_tokens_equal_each_alone_on(device: str) -> None:
    """Logits and gradients against float32, one clip at a time, on the CPU."""
    torch.manual_seed(0)
    network = VideoMAE(VideoMAESettings(SMALL, 4, 64, 34, 0.0, 0.0))
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    packed, weights = noise(LENGTHS), torch.randn(len(LENGTHS), 34)
    one_by_one = zip(packed.patches.split(packed.lengths), packed.index.split(packed.lengths), strict=True)
    exact = torch.cat([network(pack([patches], [index])) for patches, index in one_by_one])
    (exact * weights).sum().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    network.zero_grad()
    network.to(device)
    with autocast(settings(precision="fp32" if device == "cpu" else "bf16"), device):
        together = network(packed.to(device))
    (together.float() * weights.to(device)).sum().backward()
    allowed = 1e-5 if device == "cpu" else 0.05
    assert together.dtype == (torch.float32 if device == "cpu" else torch.bfloat16)
    assert relative(together, exact) < allowed
    for (name, parameter), gradient in zip(network.named_parameters(), gradients, strict=True):
        assert relative(parameter.grad, gradient) < allowed, name


def relative(result: Tensor | None, exact: Tensor | None) -> float:
    """How far, of how long it is."""
    assert result is not None
    assert exact is not None
    return float((result.detach().float().cpu() - exact.detach()).norm() / exact.detach().norm())
