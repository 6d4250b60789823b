"""A stand-in for the stream of painted walks: a few windows whose pixels, points and targets go together.

Run as a program it pre-trains into a folder, so that tests can kill it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from childgait.engine.source_files import ROOT
from childgait.models.batch import Batch
from childgait.models.dense_heads import PretrainingModel
from childgait.models.registry import MODELS, settings_of
from childgait.params import Pretrain
from childgait.training.pretraining import DenseScale, pretrain_network
from childgait.training.pretraining_validation import make_validator
from support.small_study import settings as finetune_settings

FRAMES, CHILDREN = 8, 6


@dataclass(frozen=True)
class FakeTargets:
    curves: Tensor
    phases: Tensor
    points: Tensor
    measures: Tensor
    visible: Tensor

    def to(self, device: str) -> FakeTargets:
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


class FakeWalks(torch.utils.data.Dataset[Any]):
    """Window i of child i: everything is a function of one angle, which the keypoints show."""

    def __init__(self, seed: int, count: int = CHILDREN) -> None:
        self.seed, self.count = seed, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, visit: tuple[int, int]) -> tuple[np.ndarray, float, int]:
        epoch, index = visit
        angle = float(np.random.default_rng([self.seed, epoch, index]).uniform(-1, 1))
        points = np.ones((FRAMES, 23, 3), np.float32)
        points[..., 0] = 10 + 8 * angle * np.arange(23) / 22
        points[..., 1] = np.arange(23)
        return points, angle, index


def collate(samples: list[tuple[np.ndarray, float, int]]) -> tuple[Batch, FakeTargets]:
    points, angles, rows = zip(*samples, strict=True)
    angle, steps = torch.tensor(angles, dtype=torch.float32), FRAMES // 2
    stacked = torch.from_numpy(np.stack(points))
    batch = Batch(size=len(samples), points=stacked, rows=torch.tensor(rows))
    shares = (stacked[:, ::2, :, :2] + stacked[:, 1::2, :, :2]) / 2 / 32
    phases = torch.stack([angle.cos(), angle.cos(), angle.sin(), angle.sin()], dim=-1)
    return batch, FakeTargets(
        (30 * angle)[:, None, None].expand(-1, steps, 28),
        phases[:, None].expand(-1, steps, 4),
        shares,
        (40 * angle)[:, None].expand(-1, 34),
        torch.ones(len(samples), 34, dtype=torch.bool),
    )


def scale() -> DenseScale:
    def full(shape: tuple[int, ...], value: float) -> np.ndarray:
        return np.full(shape, value, np.float32)

    return DenseScale(
        full((28,), 0), full((28,), 17), full((23, 2), 0.4), full((23, 2), 0.2),
        full((34,), 0), full((34,), 23), full((34,), -38), full((34,), 38),
    )  # fmt: skip


def settings(**changes: object) -> Pretrain:
    section = yaml.safe_load((ROOT / "params.yaml").read_text())["pretrain"]
    small = {
        "windows": 48,
        "batch_size": 4,
        "warmup_windows": 8,
        "validation_every": 16,
        "validation_windows": 6,
        "children": CHILDREN,
        "held_out_children": 3,
        "workers": 0,
        "pixels": 32,
        "precision": "fp32",
    }
    return Pretrain.model_validate({**section, **small, **changes})


def run(folder: Path, chosen: Pretrain, name: str = "gru", stop_after: int | None = None) -> Any:
    """Pre-train; the model and its history."""
    torch.set_num_threads(1)
    torch.manual_seed(chosen.seed)
    own = settings_of(MODELS[name], finetune_settings(overrides={name: {"frames": FRAMES}}))
    model = PretrainingModel(MODELS[name].build(own, 32), 8)
    held_out = [collate([FakeWalks(99)[0, index] for index in range(6)])]
    folder.mkdir(parents=True, exist_ok=True)

    def on_round(row: dict[str, float], speed: float) -> None:
        if stop_after is not None and row["windows"] >= stop_after:
            raise KeyboardInterrupt

    history = pretrain_network(
        model,
        FakeWalks(chosen.seed),
        make_validator(held_out, scale(), device="cpu", precision=chosen.precision),
        scale(),
        chosen,
        collate=collate,
        save_as=folder / "state.safetensors",
        fingerprint="same",
        on_round=on_round,
    )
    return model, history


if __name__ == "__main__":
    from safetensors.torch import save_file

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--windows", type=int, required=True)
    arguments = parser.parse_args()
    trained, _ = run(arguments.folder, settings(windows=arguments.windows))
    save_file(trained.state_dict(), arguments.folder / "weights.safetensors")
