"""Which arithmetic a network computes in: float32, or bf16 autocast where the device has instructions for it.

`auto` is resolved before training starts, so that the description of a model holds what was used.
"""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from childgait.errors import StepError

if TYPE_CHECKING:
    from childgait.params import Finetune

log = logging.getLogger("childgait")

Precision = Literal["fp32", "bf16"]
BF16_FLAGS = {"amx_bf16", "avx512_bf16"}  # of /proc/cpuinfo
AMPERE = (8, 0)  # first compute capability with bf16 and TF32 (CUDA C++ Programming Guide, table of capabilities)


def cpu_has_bf16() -> bool:
    """Whether this processor multiplies in bf16 (AMX or AVX-512); without, torch emulates it and is slower."""
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    checks = [getattr(torch.cpu, name) for name in names if hasattr(torch.cpu, name)]
    if checks:
        return any(check() for check in checks)
    info = Path("/proc/cpuinfo")  # another torch has other names
    return info.is_file() and not BF16_FLAGS.isdisjoint(info.read_text().split())


def check_precision(precision: Precision, device: str, key: str) -> None:
    """Refuse bf16 on a processor without it; `key` names the setting in params.yaml."""
    if precision == "bf16" and device == "cpu" and not cpu_has_bf16():
        raise StepError(
            f"{key} is bf16, but this CPU has no bf16 instructions (AMX or AVX512-BF16)",
            hint=f"set {key} to fp32, which is faster here and equal but for rounding",
        )


def check_gpu(device: str) -> None:
    """Refuse to train on a GPU where there is none."""
    if device == "cuda" and not torch.cuda.is_available():
        raise StepError("finetune.device is cuda, but torch finds no GPU here", hint="set finetune.device to cpu")


def resolve_precision(settings: Finetune) -> Finetune:
    """Return the settings with the precision that `auto` stands for here; refuse one that the device lacks."""
    precision, device = settings.precision, settings.device
    if device == "cpu":
        if precision == "tf32":
            raise StepError(
                "finetune.precision is tf32, which only GPUs compute, but finetune.device is cpu",
                hint="set finetune.precision to auto or fp32",
            )
        check_precision("bf16" if precision == "bf16" else "fp32", device, "finetune.precision")
        return settings.model_copy(update={"precision": "fp32"}) if precision == "auto" else settings
    check_gpu(device)
    index = int(os.environ.get("LOCAL_RANK", "0"))
    name, capable = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index) >= AMPERE
    if precision in ("tf32", "bf16") and not capable:
        raise StepError(
            f"finetune.precision is {precision}, but {name} has no instructions for it",
            hint="set finetune.precision to auto or fp32",
        )
    if precision != "auto":
        return settings
    log.info("finetune.precision is auto: %s on %s", "bf16" if capable else "fp32", name)
    return settings.model_copy(update={"precision": "bf16" if capable else "fp32"})


def set_kernels(settings: Finetune) -> None:
    """Set deterministic kernels, TF32 and cuDNN's search for the fastest convolution as the settings state.

    On a GPU some kernels have no deterministic form (the backward of fused attention adds in any order): torch warns
    and uses them, so runs there agree up to rounding. Fresh buffers are not filled: no step reads one before it is
    written, and filling takes 5 to 12 % of a training step on a CPU.
    """
    on_gpu = settings.device == "cuda"
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(settings.deterministic, warn_only=on_gpu)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if on_gpu:
        fast = settings.precision != "fp32"
        torch.set_float32_matmul_precision("high" if fast else "highest")
        torch.backends.cudnn.allow_tf32 = fast
        torch.backends.cudnn.benchmark = not settings.deterministic


def autocast_context(precision: Precision, device: str) -> AbstractContextManager[None]:
    """bf16 autocast on the device, or nothing for fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast("cuda" if device.startswith("cuda") else "cpu", dtype=torch.bfloat16)
