"""Pre-trains one network on clips of the cohort's children without scores, by masked reconstruction of patches.

For a laboratory with more videos than scores: such a video has no target but itself. The children are in no part of any
fold, so no run trains, validates or tests on them. Some are held out, and their clips measure the reconstruction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from childgait.domain.evgs import TARGETS
from childgait.errors import StepError
from childgait.files.clips import Clip
from childgait.models.batch import Batch
from childgait.models.registry import Model
from childgait.params import Finetune, Pretrain
from childgait.training.augmentation import UNCHANGED
from childgait.training.masked_pretraining import NoTargets
from childgait.training.predict import loading_of
from childgait.training.pretraining import OnRound, Visit, ignore_round
from childgait.training.stream_pretraining import PretrainingResult, build_network, pretrain_on_windows
from childgait.training.windows import Loading, Sample, Windows, collate

HELD_OUT = 0.1  # share of the children whose clips measure the reconstruction, at least one child
STRIP_FRAMES = 8


class ClipWindows(Dataset[tuple[Sample, NoTargets]]):
    """Random windows of clips, one per clip and epoch, without targets."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, visit: Visit) -> tuple[Sample, NoTargets]:
        return self.windows[visit], NoTargets()


def collate_clips(items: list[tuple[Sample, NoTargets]]) -> tuple[Batch, NoTargets]:
    """Stack windows; there are no targets."""
    return collate([sample for sample, _ in items]), NoTargets()


def divide_children(subjects: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """Return the children to train on and those held out, drawn by the seed."""
    children = sorted(set(subjects))
    if len(children) < 2:
        raise StepError(
            f"pretrain.source is cohort, but the number of children without scores who have clips is {len(children)}",
            hint="at least two children in no part of any fold are needed: add videos of children without scores, "
            "or set pretrain.source to stream",
        )
    order = [children[int(place)] for place in np.random.default_rng(seed).permutation(len(children))]
    held_out = max(math.ceil(HELD_OUT * len(order)), 1)
    return sorted(order[held_out:]), sorted(order[:held_out])


def pretrain_on_clips(
    model: Model,
    settings: Pretrain,
    network_settings: Finetune,
    clips: Sequence[Clip],
    *,
    save_as: Path,
    fingerprint: str,
    on_round: OnRound = ignore_round,
) -> PretrainingResult:
    """Pre-train a network on clips; `network_settings` is params' finetune section as this model gets it."""
    trained, held_out = divide_children([clip.subject for clip in clips], settings.seed)
    network = build_network(model, settings, network_settings)
    loading = loading_of(network, network_settings)
    training = [clip for clip in clips if clip.subject in trained]
    others = [clip for clip in clips if clip.subject in held_out]
    windows = _windows(training, loading, settings.seed, augmentation=network_settings.augmentation)
    return pretrain_on_windows(
        network,
        settings,
        network_settings,
        ClipWindows(windows),
        held_out_batches(others, loading, settings),
        None,
        collate=collate_clips,
        save_as=save_as,
        fingerprint=fingerprint,
        on_round=on_round,
        strip=draw_strip(training, network_settings),
        children=(len(trained), len(held_out)),
    )


def _windows(clips: Sequence[Clip], loading: Loading, seed: int, **options: Any) -> Windows:
    """Return windows of clips without labels."""
    labels = np.full((len(clips), len(TARGETS)), np.nan, np.float32)
    return Windows(clips, labels, loading, seed=seed, **options)


def held_out_batches(clips: Sequence[Clip], loading: Loading, settings: Pretrain) -> list[tuple[Batch, NoTargets]]:
    """Return the same windows of the held-out children for each validation, evenly spread over their clips."""
    each = max(settings.validation_windows // len(clips), 1)
    windows = ClipWindows(_windows(clips, loading, settings.seed, windows_per_video=each))
    count = min(len(windows), settings.validation_windows)
    indices = np.linspace(0, len(windows) - 1, count).round().astype(int)
    return [
        collate_clips([windows[0, int(index)] for index in indices[start : start + settings.batch_size]])
        for start in range(0, count, settings.batch_size)
    ]


def draw_strip(clips: Sequence[Clip], settings: Finetune) -> NDArray[np.uint8]:
    """Draw the first child's clips with their skeletons, one row per clip: RGB (H, W, 3)."""
    own = [clip for clip in clips if clip.subject == clips[0].subject]
    loading = Loading(STRIP_FRAMES, frozenset({"frames"}), settings.drawing, frame_step=settings.frame_step)
    windows = _windows(own, loading, 0, windows_per_video=1)
    rows = []
    for row in range(len(own)):
        frames = windows.sample(row, 0, UNCHANGED).frames
        assert frames is not None
        rows.append(np.concatenate(list(frames), axis=1))
    return np.concatenate(rows)
