"""Which arithmetic a network computes in: float32, or bf16 autocast where the device has instructions for it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from childgait.errors import StepError

Precision = Literal["fp32", "bf16"]


def cpu_has_bf16() -> bool:
    """Whether this processor multiplies in bf16 (AMX or AVX-512); without, torch emulates it and is slower."""
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    checks = [getattr(torch.cpu, name) for name in names if hasattr(torch.cpu, name)]
    return any(check() for check in checks)


def check_precision(precision: Precision, device: str, key: str) -> None:
    """Refuse bf16 on a processor without it; `key` names the setting in params.yaml."""
    if precision == "bf16" and device == "cpu" and not cpu_has_bf16():
        raise StepError(
            f"{key} is bf16, but this CPU has no bf16 instructions (AMX or AVX512-BF16)",
            hint=f"set {key} to fp32, which is faster here and equal but for rounding",
        )


def autocast_context(precision: Precision, device: str) -> AbstractContextManager[None]:
    """bf16 autocast on the device, or nothing for fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast("cuda" if device.startswith("cuda") else "cpu", dtype=torch.bfloat16)
