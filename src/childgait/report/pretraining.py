"""The checkpoints that networks of the study start from: their learning curves and the windows that were painted.

A run states the sha256 of its checkpoint. The curve and the strip of windows are those of the study's own stage
pretrain, or lie beside a checkpoint of the repository; of any other checkpoint the report has no curve.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from childgait.files.pretrained import SHIPPED, PretrainingDescription, read_description

if TYPE_CHECKING:
    from childgait.metrics.run_metrics import RunMetrics

SHOWN = (
    "What such a row shows: a network that has met many walks whose joint motion was known can learn the items from "
    "few scored children."
)
NOT_SHOWN = (
    "What it does not show: how well the network performs on real children; on a synthetic cohort it has met the "
    "generator of its test children, though not the children."
)


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of one checkpoint; `strip` may not exist."""

    origin: str  # in words
    description: PretrainingDescription
    history: Path
    strip: Path


@dataclass(frozen=True)
class PretrainedStart:
    """A checkpoint and the models of the study that start from it."""

    models: list[str]
    sentence: str
    history: pl.DataFrame | None  # one row per validation
    strip: Path | None


def pretrained_starts(runs: Iterable[RunMetrics], files: Iterable[Path]) -> list[PretrainedStart]:
    """Return the checkpoints that the runs start from; `files` are the outputs of the stage pretrain."""
    models: dict[str, set[str]] = {}
    words: dict[str, str] = {}
    for run in runs:
        if run.pretrained is not None:
            digest = run.pretrained["sha256"]
            models.setdefault(digest, set()).add(run.model)
            words.setdefault(digest, run.weights_from)
    known = {one.description.sha256: one for one in [*_shipped(), *_of_study(files)]}
    return [_start(sorted(names), words[digest], known.get(digest)) for digest, names in sorted(models.items())]


def _of_study(files: Iterable[Path]) -> Iterable[CheckpointFiles]:
    """List the checkpoints of the study's stage pretrain by their descriptions."""
    for path in sorted(files):
        if path.name == "weights.json":
            description = read_description(path.with_suffix(".safetensors"))
            yield CheckpointFiles("in this study", description, path.parent / "history.csv", path.parent / "strip.png")


def _shipped() -> Iterable[CheckpointFiles]:
    """List the checkpoints of the repository."""
    for path in sorted(SHIPPED.glob("*.safetensors")):
        beside = {name: path.with_suffix(f".{name}") for name in ("history.csv", "strip.png")}
        yield CheckpointFiles("the repository's", read_description(path), beside["history.csv"], beside["strip.png"])


def _start(models: list[str], words: str, found: CheckpointFiles | None) -> PretrainedStart:
    """Describe one checkpoint."""
    verb = "start" if len(models) > 1 else "starts"
    begin = f"{', '.join(models)} {verb} from a checkpoint {words}"
    if found is None:
        return PretrainedStart(models, f"{begin}; it is not of this repository and has no curve here.", None, None)
    sentence = f"{begin}, {found.origin}; targets: {found.description.targets or 'not stated'}."
    history = pl.read_csv(found.history) if found.history.is_file() else None
    return PretrainedStart(models, sentence, history, found.strip if found.strip.is_file() else None)
