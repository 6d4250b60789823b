"""A network of a few numbers and clips that are a vector each: the training loop without the videos.

Run as a program it trains into a folder, so that tests can kill it or start it with torchrun.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from childgait.models.batch import Batch
from childgait.models.network import Network
from childgait.params import Finetune
from childgait.training import distributed
from childgait.training.distributed import join_group, leave_group
from childgait.training.loop import Outcome, Trainer
from support.small_study import interrupt_after, settings

CLIPS, WIDTH = 10, 6


class Toy(Network):
    def __init__(self, dropout: float, normed: bool = False) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(WIDTH, 8), nn.Linear(8, 34)
        self.norm = nn.BatchNorm1d(8) if normed else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: Batch) -> torch.Tensor:
        assert batch.features is not None
        return self.last(self.dropout(torch.tanh(self.norm(self.first(batch.features)))))

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        return {"stem": r"^first", "blocks": [(r"^last", (0,))]}

    def layer_of(self, parameter: str) -> int:
        return 0 if parameter.startswith("first") else 1


class Vectors(torch.utils.data.Dataset[Any]):
    """Half of the clips are atypical in everything, and the first number says which; noise from the visit's seed."""

    def __init__(self, broken_epoch: int | None) -> None:
        self.broken_epoch = broken_epoch

    def __len__(self) -> int:
        return CLIPS

    def __getitem__(self, visit: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, int]:
        epoch, index = visit
        vector = np.random.default_rng([epoch, index]).normal(0, 0.3, WIDTH).astype(np.float32)
        vector[0] += index % 2 * 2 - 1
        if epoch == self.broken_epoch:
            vector[:] = np.nan
        labels = np.full(34, index % 2, dtype=np.float32)
        labels[index % 34] = np.nan
        return vector, labels, index


def collate(samples: list[tuple[np.ndarray, np.ndarray, int]]) -> Batch:
    vectors, labels, rows = zip(*samples, strict=True)
    return Batch(
        size=len(samples),
        features=torch.from_numpy(np.stack(vectors)),
        labels=torch.from_numpy(np.stack(labels)),
        rows=torch.tensor(rows),
    )


class Sets(torch.utils.data.Dataset[Any]):
    """Several vectors per clip."""

    def __init__(self, vectors: Vectors, count: int) -> None:
        self.vectors, self.count = vectors, count

    def __len__(self) -> int:
        return CLIPS

    def __getitem__(self, visit: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray, int]]:
        epoch, index = visit
        return [
            (self.vectors[epoch + 1000 * number, index][0], *self.vectors[visit][1:]) for number in range(self.count)
        ]


def collate_sets(sets: list[list[tuple[np.ndarray, np.ndarray, int]]]) -> Batch:
    return collate([sample for samples in sets for sample in samples])


def no_judge(network: nn.Module) -> dict[str, float]:
    return {"validation_loss": 1.0, "validation_balanced_accuracy": 0.5}


def run(
    folder: Path,
    chosen: Finetune,
    *,
    seed: int = 1,
    stop_after: int | None = None,
    fingerprint: str = "same",
    broken_epoch: int | None = None,
    judge: Any = no_judge,
    dropout: float = 0.2,
    normed: bool = False,
    in_sets: bool = False,
) -> Outcome:
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    group = join_group(chosen.device)
    try:
        torch.manual_seed(seed)
        trainer = Trainer(
            Toy(dropout, normed),
            Sets(Vectors(broken_epoch), chosen.training_windows) if in_sets else Vectors(broken_epoch),
            judge,
            chosen,
            positive_weights=np.ones(34, np.float32),
            seed=seed,
            group=group,
            collate=collate_sets if in_sets else collate,
            name_of=lambda row: f"clip-{row}",
        )
        outcome = trainer.run(folder / "state.safetensors", fingerprint, interrupt_after(stop_after))
    finally:
        leave_group(group)
    if group.leads:
        from safetensors.torch import save_file

        save_file(outcome.weights, folder / "weights.safetensors")
    return outcome


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "weights.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--normed", action="store_true")
    arguments = parser.parse_args()
    distributed.BUCKET = 200  # bytes, so that this small network has several buckets
    run(arguments.folder, settings(epochs=arguments.epochs), normed=arguments.normed)
