"""Predicts with a trained model: networks per window, table models per child.

Logits are averaged over a video's windows, over the child's videos that show the item, and over runs. Which views show
an item comes from the labels' table, not from a child's scores, which may be missing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.clips import open_clip
from childgait.files.parts import Part, children_of
from childgait.metrics.aggregate import WindowLogits, mean_by_child, mean_by_video
from childgait.metrics.scores import Array
from childgait.models.registry import Model
from childgait.training.features import FEATURES

if TYPE_CHECKING:
    from torch import nn

    from childgait.models.network import Network
    from childgait.params import Finetune
    from childgait.training.windows import Loading, Windows

log = logging.getLogger("childgait")


@dataclass(frozen=True)
class Run:
    """A trained model: its description (model.json) and its weights."""

    told: dict[str, Any]
    weights: dict[str, NDArray[Any]]


def predict(
    model: Model, settings: Finetune, weights: dict[str, Any], facts: dict[str, Any], part: Part, windows_per_video: int
) -> WindowLogits:
    """What a trained model says about every window of a part."""
    if model.kind == "table":
        built = model.build_table(settings)
        features = FEATURES[built.features](part.table, {clip.video: clip for clip in part.clips})
        of_child = built.predict({name: np.asarray(value) for name, value in weights.items()}, features)
        place = {subject: number for number, subject in enumerate(children_of(part.table))}
        rows = np.arange(part.table.height)
        logits = of_child[[place[subject] for subject in part.table["subject"]]]
        return WindowLogits(rows, np.zeros_like(rows), logits)
    import torch

    from childgait.training.windows import Windows

    settings = inference_settings(model, settings)
    prepare_torch(settings)
    network = model.build(settings, facts["pixels"])
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    network.to(settings.device)
    windows = Windows(part.clips, part.atypical, loading_of(network, settings), windows_per_video=windows_per_video)
    return predict_windows(network, windows, settings, settings.device)


def answer(
    runs: list[Run], part: Part, shown: dict[str, NDArray[np.bool_]], windows_per_video: int
) -> tuple[list[str], Array]:
    """The children and their (N, 34) logits. `shown[view]` says which targets are judged from a view."""
    from childgait.models.registry import find_model

    children, subjects = children_of(part.table), part.table["subject"].to_numpy()
    visible = np.stack([shown[view] for view in part.table["view"]])
    logits = []
    for run in runs:
        learnt_from = {child for names in run.told["children"].values() for child in names}
        if both := sorted(learnt_from & set(children)):
            raise StepError(
                f"{run.told['model']}, fold {run.told['fold']}, has learnt from child {both[0]}, for whom it is "
                "to answer",
                hint="list the test's children in split.csv before the split is made, and train again",
            )
        judged = predict(
            find_model(run.told["model"]),
            settings_from(run.told),
            run.weights,
            run.told["facts"],
            part,
            windows_per_video,
        )
        logits.append(mean_by_video(judged, part.table.height))
    of_video = np.mean(logits, axis=0)
    found = mean_by_child(of_video, visible, subjects, children)
    if hidden := int(np.isnan(found).sum()):
        log.warning("%d answers are of children without a recording that shows the item; another view answers", hidden)
        found = np.where(np.isnan(found), mean_by_child(of_video, np.ones_like(visible), subjects, children), found)
    return children, found


def probabilities_of_clips(
    told: dict[str, Any], weights: dict[str, Any], clip_files: list[Path]
) -> NDArray[np.float64]:
    """(clips, 34) for clips of anybody, without labels: the mean logit over a clip's windows, as a probability."""
    import polars as pl

    from childgait.files.split import PARTS
    from childgait.metrics.aggregate import mean_by_video
    from childgait.metrics.scores import sigmoid
    from childgait.models.registry import find_model

    clips = [open_clip(path) for path in clip_files]
    rows = [{"video": clip.video, "subject": clip.subject, "view": clip.view} for clip in clips]
    table = pl.DataFrame(rows, schema=PARTS.schema())
    judged = predict(find_model(told["model"]), settings_from(told), weights, told["facts"], Part(table, clips), 4)
    return sigmoid(mean_by_video(judged, len(clips)))


def predict_windows(network: Network, windows: Windows, settings: Finetune, device: str) -> WindowLogits:
    """The network's logits for every window, in the windows' order."""
    return predict_loader(network, loader_of(windows, settings, device), settings, device)


def predict_loader(network: nn.Module, loader: Any, settings: Finetune, device: str) -> WindowLogits:
    import torch

    from childgait.training.order import autocast

    rows, starts, logits, filled = [], [], [], 0
    network.eval()
    with torch.inference_mode(), autocast(settings, device):
        for batch in loader:
            logits.append(network(batch.to(device)).double().cpu().numpy())
            rows.append(batch.rows.numpy())
            starts.append(batch.windows.numpy())
            filled += batch.filled
    if filled:
        log.info(
            "%d patches of %d windows were kept only so that none has too few: their masks are small or empty",
            filled,
            sum(map(len, rows)),
        )
    return WindowLogits(np.concatenate(rows), np.concatenate(starts), np.concatenate(logits))


def loader_of(windows: Windows, settings: Finetune, device: str) -> Any:
    """Every window once, in order."""
    from childgait.training.windows import make_loader

    return make_loader(
        windows,
        batch_size=settings.micro_batch_size,
        workers=settings.workers,
        shuffle=False,
        pin_memory=device != "cpu",
    )[0]


def loading_of(network: Network, settings: Finetune) -> Loading:
    """What the loader shows this network: the same in training and in judging."""
    from childgait.training.windows import Loading

    style = settings.drawing if network.prompted else None
    return Loading(settings.frames, network.inputs, style, network.packing, settings.frame_step)


def prepare_torch(settings: Finetune) -> None:
    """The same bytes again: threads from params (sums depend on their number), deterministic kernels where asked.

    On a GPU some kernels have no deterministic form (the backward of fused attention adds in any order): torch warns
    and uses them, so runs there agree but for rounding.
    """
    import os

    import torch

    torch.set_num_threads(settings.threads)
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=settings.device == "cuda")


def settings_from(told: dict[str, Any]) -> Finetune:
    """The settings that a trained model's description keeps; which runs a study has is not among them."""
    from childgait.params import Finetune

    study = {"models": [told["model"]], "folds": [told["fold"]], "seeds": [told["seed"]], "overrides": {}}
    return Finetune.model_validate(study | told["settings"])


def inference_settings(model: Model, settings: Finetune) -> Finetune:
    """What learnt on a GPU may judge without one, more slowly and but for rounding the same; to learn it needs one."""
    if settings.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            log.warning("%s learnt on a GPU, and torch finds none here: it judges on the CPU", model.name)
            return settings.model_copy(update={"device": "cpu"})
    return settings
