"""Precision is resolved by what the device has and recorded; kernels, shares and buckets are as the settings state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from childgait.errors import StepError
from childgait.files.parts import open_part
from childgait.models import network as network_module
from childgait.models.registry import MODELS, settings_of
from childgait.training import distributed, precision
from childgait.training.distributed import GradientSum, Group, join_group
from childgait.training.fit import fit_network, make_validator
from childgait.training.order import with_last
from childgait.training.precision import resolve_precision, set_kernels
from childgait.training.predict import inference_settings, loading_of
from support import toy_training
from support.small_study import SIZE, make_study, settings

has_bf16 = pytest.mark.skipif(not precision.cpu_has_bf16(), reason="needs AMX or AVX512-BF16")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"Device {index}")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 0))
    return monkeypatch


@pytest.fixture
def flags() -> Iterator[None]:
    """Restore torch's global switches."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    deterministic, fill = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic
    filled = fill.fill_uninitialized_memory
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = before[1:]
    torch.use_deterministic_algorithms(deterministic)
    fill.fill_uninitialized_memory = filled


def test_auto_is_bf16_on_a_capable_gpu_and_fp32_elsewhere(
    gpu: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    auto = settings(device="cuda", precision="auto")
    assert resolve_precision(auto).precision == "bf16"
    assert "precision is auto: bf16 on Device 0" in caplog.text
    assert resolve_precision(settings(device="cuda", precision="fp32")).precision == "fp32"
    assert resolve_precision(settings(device="cpu", precision="auto")).precision == "fp32"
    gpu.setattr(torch.cuda, "get_device_capability", lambda index: (7, 5))
    assert resolve_precision(auto).precision == "fp32"
    for lacking in ("bf16", "tf32"):
        with pytest.raises(StepError, match=f"precision is {lacking}, but Device 0 has no instructions for it"):
            resolve_precision(settings(device="cuda", precision=lacking))


def test_a_cpu_refuses_what_it_lacks_and_inference_falls_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StepError, match="precision is tf32, which only GPUs compute"):
        resolve_precision(settings(precision="tf32"))
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: False)
    bf16 = settings(precision="bf16")
    with pytest.raises(StepError, match=r"finetune.precision is bf16, but this CPU has no bf16 instructions"):
        resolve_precision(bf16)
    assert inference_settings(MODELS["tcn"], bf16).precision == "fp32"
    assert "trained in bf16, which this CPU lacks" in caplog.text
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: True)
    assert resolve_precision(bf16).precision == inference_settings(MODELS["tcn"], bf16).precision == "bf16"


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_a_model_of_a_newer_gpu_predicts_in_fp32_on_an_older_one(
    precision: str, gpu: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trained = settings(device="cuda", precision=precision)
    assert inference_settings(MODELS["tcn"], trained).precision == precision
    gpu.setattr(torch.cuda, "get_device_capability", lambda index: (7, 5))
    assert inference_settings(MODELS["tcn"], trained).precision == "fp32"
    assert f"tcn was trained in {precision}, which this GPU lacks" in caplog.text


@pytest.mark.usefixtures("gpu", "flags")
def test_a_gpu_gets_tf32_and_fast_kernels_unless_params_ask_for_exact_ones() -> None:
    set_kernels(settings(device="cuda", precision="bf16", deterministic=False))
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == ("high", True)
    assert torch.backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()
    set_kernels(settings(device="cuda", precision="fp32", deterministic=True))
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == ("highest", False)
    assert not torch.backends.cudnn.benchmark
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory


@pytest.mark.usefixtures("flags")
def test_a_cpu_does_not_fill_fresh_buffers() -> None:
    torch.utils.deterministic.fill_uninitialized_memory = True
    set_kernels(settings(device="cpu", deterministic=True))
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory


def test_nccl_is_given_its_device_and_a_timeout(gpu: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}
    gpu.setenv("WORLD_SIZE", "2")
    gpu.setenv("LOCAL_RANK", "1")
    gpu.setattr(torch.cuda, "set_device", lambda device: None)
    gpu.setattr(torch.distributed, "init_process_group", lambda name, **options: given.update(options, name=name))
    gpu.setattr(torch.distributed, "get_rank", lambda: 1)
    assert join_group("cuda") == Group(1, 2, "cuda:1")
    assert given == {"name": "nccl", "timeout": distributed.TIMEOUT, "device_id": torch.device("cuda:1")}


@has_bf16
def test_bf16_trains_on_a_cpu_and_differs_from_fp32_by_rounding(tmp_path: Path) -> None:
    study, model = make_study(tmp_path, children=8), MODELS["tcn"]
    parts = [open_part(path, study.clips) for path in (study.train, study.validation)]
    losses = []
    for kind in ("fp32", "bf16"):
        chosen = settings_of(model, settings(precision=kind, overrides={"tcn": {"frames": 4}}))
        how = {"seed": 0, "save_as": tmp_path / kind, "fingerprint": "", "on_epoch": lambda row, speed: None}
        losses.append([row["loss"] for row in fit_network(model, chosen, *parts, **how).history])
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)


def test_each_process_validates_its_share_of_the_windows(tmp_path: Path) -> None:
    study, chosen = make_study(tmp_path, children=8), settings(validation_windows=2, overrides={"tcn": {"frames": 4}})
    network = MODELS["tcn"].build(settings_of(MODELS["tcn"], chosen), SIZE)
    part, parts = open_part(study.validation, study.clips), []

    class Recorder(Group):
        def sum_array(self, array: np.ndarray) -> np.ndarray:
            parts.append(array.copy())
            return array

    values = []
    for rank, world in ((0, 1), (0, 2), (1, 2)):
        group = Recorder(rank, world, "cpu")
        loading = loading_of(network, settings_of(MODELS["tcn"], chosen))
        values.append(make_validator(part, loading, np.ones(34, np.float32), chosen, group)(network))
    assert np.allclose(parts[0], parts[1] + parts[2], atol=1e-6)
    assert ((parts[1] == 0) != (parts[2] == 0)).all()
    assert set(values[0]) == {"validation_loss", "validation_balanced_accuracy"}


def test_buckets_are_sent_from_the_last_layer_while_the_backward_pass_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []

    class Work:
        def wait(self) -> None: ...

    def all_reduce(flat: Tensor, async_op: bool) -> Work:
        sent.append(flat.numel())
        flat.mul_(2)  # the other process has the same gradients
        return Work()

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    monkeypatch.setattr(distributed, "BUCKET", 100)
    network = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 6), nn.Linear(6, 2))
    gradients = GradientSum(list(network.parameters()), Group(0, 2, "cpu"))
    x = torch.randn(3, 4)
    network(x).sum().backward()
    assert sent == []  # not the step's last backward pass
    gradients.before_last_backward()
    network(x).sum().backward()
    assert sent[0] == 20  # the last layer, and the bias of the one before
    before = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    assert sum(sent) == sum(parameter.numel() for parameter in network.parameters())
    gradients.finish()
    for parameter, old in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter.grad, 2 * old)
    sent.clear()
    network.zero_grad()
    gradients.finish()  # a process without a micro-batch sends zeros, in the same order
    assert sum(sent) == sum(parameter.numel() for parameter in network.parameters())
    gradients.close()


def test_the_last_micro_batch_is_known() -> None:
    assert list(with_last(iter([(0, "a"), (2, "b")]))) == [(0, "a", False), (2, "b", True)]
    assert list(with_last(iter(()))) == []


@pytest.mark.parametrize("name", ["childgait_video", "tcn"])
def test_a_compiled_network_trains_as_an_uncompiled_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_module, "COMPILER", "eager")  # traced by torch.compile, but without a C++ compiler
    study, model = make_study(tmp_path, children=8), MODELS[name]
    parts = [open_part(path, study.clips) for path in (study.train, study.validation)]
    weights = []
    for compiled in (False, True):
        chosen = settings_of(model, settings(epochs=1, compile=compiled, overrides={name: {"frames": 4}}))
        how = {"seed": 0, "save_as": tmp_path / f"{compiled}", "fingerprint": "", "on_epoch": lambda row, speed: None}
        weights.append(fit_network(model, chosen, *parts, **how).weights)
    assert weights[0].keys() == weights[1].keys()
    for key, value in weights[0].items():
        assert np.allclose(value, weights[1][key], atol=1e-5), key


def test_losses_are_read_once_per_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a number off a device waits for it, so no step may do so."""
    read: list[int] = []
    plain = Tensor.tolist

    def count(self: Tensor) -> list[float]:
        read.append(1)
        return plain(self)

    monkeypatch.setattr(Tensor, "tolist", count)
    toy_training.run(tmp_path, settings(epochs=2))
    assert len(read) == 4  # losses and norms of each epoch
