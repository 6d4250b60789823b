"""Predicts with a trained model: networks per window, table models per child.

Logits are averaged over a video's windows, over the child's videos that show the item, and over models. Which views
show an item is read from the labels' table, not from a child's scores, which may be missing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGETS
from childgait.errors import StepError
from childgait.files.clips import open_clip
from childgait.files.model_description import Facts, ModelDescription
from childgait.files.parts import Part, children_of
from childgait.metrics.aggregate import WindowLogits, mean_by_child, mean_by_video
from childgait.metrics.scores import Array
from childgait.models.registry import Model
from childgait.models.table import Arrays
from childgait.training.features import features_for

if TYPE_CHECKING:
    from torch import nn

    from childgait.models.network import Network
    from childgait.params import Finetune
    from childgait.training.windows import Loading, Windows, WindowShare

log = logging.getLogger("childgait")


@dataclass(frozen=True)
class TrainedModel:
    """A trained model: its description (model.json) and its weights."""

    description: ModelDescription
    weights: Arrays


def predict(
    model: Model, settings: Finetune, weights: Arrays, facts: Facts, part: Part, windows_per_video: int
) -> WindowLogits:
    """Return a trained model's logits for every window of a part."""
    if model.kind == "table":
        return _predict_table(model, settings, weights, part)
    from childgait.training.windows import Windows

    settings = inference_settings(model, settings)
    network = load_network(model, settings, weights, facts)
    windows = Windows(part.clips, part.atypical, loading_of(network, settings), windows_per_video=windows_per_video)
    return predict_windows(network, windows, settings, settings.device)


def load_network(model: Model, settings: Finetune, weights: Arrays, facts: Facts) -> Network:
    """Return a trained network on its device."""
    import torch

    prepare_torch(settings)
    network = model.build(settings, facts["pixels"])
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise StepError(
            f"the weights of {model.name} do not fit its description ({reason})", hint="take both files of one run"
        ) from None
    return network.to(settings.device)


def _predict_table(model: Model, settings: Finetune, weights: Arrays, part: Part) -> WindowLogits:
    """Return a table model's logits: one window per video, with the logits of the clip or of its child."""
    table, rows = model.build_table(settings), np.arange(part.table.height)
    arrays = {name: np.asarray(value) for name, value in weights.items()}
    logits = table.predict(arrays, features_for(table, part, settings))
    if table.unit == "child":
        place = {subject: number for number, subject in enumerate(children_of(part.table))}
        logits = logits[[place[subject] for subject in part.table["subject"]]]
    return WindowLogits(rows, np.zeros_like(rows), logits)


def predict_described(model: TrainedModel, part: Part, windows_per_video: int) -> WindowLogits:
    """Return a trained model's logits for every window of a part, with the settings of its description."""
    from childgait.models.registry import find_model

    described = model.description
    return predict(
        find_model(described.model), settings_from(described), model.weights, described.facts, part, windows_per_video
    )


def predictions_by_child(
    models: list[TrainedModel], part: Part, visible: dict[str, NDArray[np.bool_]], windows_per_video: int
) -> tuple[list[str], Array]:
    """Return the children and their mean logits (N, 34) over models; `visible[view]` is which targets a view shows."""
    children, subjects = children_of(part.table), part.table["subject"].to_numpy()
    targets = np.stack([visible[view] for view in part.table["view"]])
    logits = []
    for model in models:
        described = model.description
        if both := sorted(described.children_of_training() & set(children)):
            raise StepError(
                f"{described.model}, fold {described.fold}, was trained on child {both[0]}, whom it is to predict",
                hint="list the test's children in split.csv before the split is made, and train again",
            )
        logits.append(mean_by_video(predict_described(model, part, windows_per_video), part.table.height))
    of_video = np.mean(logits, axis=0)
    of_child = mean_by_child(of_video, targets, subjects, children)
    if missing := int(np.isnan(of_child).sum()):
        log.warning(
            "%d predictions are of children without a recording that shows the item: other views are used", missing
        )
        of_child = np.where(
            np.isnan(of_child), mean_by_child(of_video, np.ones_like(targets), subjects, children), of_child
        )
    return children, of_child


def probabilities_of_clips(model: TrainedModel, clip_files: list[Path]) -> NDArray[np.float64]:
    """Return (clips, 34) probabilities for clips without labels: of the mean logit over a clip's windows."""
    import polars as pl

    from childgait.files.split import PARTS
    from childgait.metrics.scores import sigmoid

    clips = [open_clip(path) for path in clip_files]
    rows = [{"video": clip.video, "subject": clip.subject, "view": clip.view} for clip in clips]
    part = Part(pl.DataFrame(rows, schema=PARTS.schema()), clips)
    return sigmoid(mean_by_video(predict_described(model, part, windows_per_video=4), len(clips)))


def predict_windows(network: Network, windows: Windows, settings: Finetune, device: str) -> WindowLogits:
    """Return the network's logits for every window, in the windows' order."""
    return predict_loader(network, loader_of(windows, settings, device), settings, device)


def predict_loader(network: nn.Module, loader: Any, settings: Finetune, device: str) -> WindowLogits:
    """Return the network's logits for every window of a loader."""
    import torch

    from childgait.training.order import autocast

    rows, starts, outputs, filled = [], [], [], 0
    network.eval()
    with torch.inference_mode(), autocast(settings, device):
        for batch in loader:
            outputs.append(network(batch.to(device)).double().cpu().numpy())
            rows.append(batch.rows.numpy())
            starts.append(batch.windows.numpy())
            filled += batch.filled
    if filled:
        log.info(
            "%d patches of %d windows were kept only to reach min_tokens: their masks are small or empty",
            filled,
            sum(map(len, rows)),
        )
    logits, targets = np.concatenate(outputs), len(TARGETS)
    ordinal = logits.shape[1] == 2 * targets  # loss corn: then come the logits of score 2 given atypical
    severe = logits[:, targets:] if ordinal else None
    return WindowLogits(
        np.concatenate(rows), np.concatenate(starts), logits[:, :targets] if ordinal else logits, severe
    )


def loader_of(windows: Windows | WindowShare, settings: Finetune, device: str) -> Any:
    """Return a loader of every window once, in order."""
    from childgait.training.windows import make_loader

    return make_loader(
        windows,
        batch_size=settings.micro_batch_size,
        workers=settings.workers,
        shuffle=False,
        pin_memory=device != "cpu",
    )[0]


def loading_of(network: Network, settings: Finetune) -> Loading:
    """Return what the loader reads for this network, in training and in inference."""
    from childgait.training.windows import Loading

    style = settings.drawing if network.prompted else None
    columns = settings.silhouette.columns
    return Loading(settings.frames, network.inputs, style, network.packing, settings.frame_step, columns)


def prepare_torch(settings: Finetune) -> None:
    """Set threads (sums depend on their number) and kernels as in params, for reproducible bytes."""
    import torch

    from childgait.training.precision import set_kernels

    torch.set_num_threads(settings.threads)
    set_kernels(settings)


def settings_from(description: ModelDescription) -> Finetune:
    """Return the settings of a trained model; the study's list of runs is not among them."""
    from childgait.params import Finetune

    model, fold, seed = description.model, description.fold, description.seed
    return Finetune(models=[model], folds=[fold], seeds=[seed], overrides={}, **dict(description.settings))


def inference_settings(model: Model, settings: Finetune) -> Finetune:
    """Fall back to what this machine has (slower, equal up to rounding): the CPU, fp32. Training never does."""
    import torch

    from childgait.training.precision import AMPERE, cpu_has_bf16, resolve_precision

    if settings.device == "cuda" and not torch.cuda.is_available():
        log.warning("%s was trained on a GPU, and torch finds none here: inference runs on the CPU", model.name)
        return settings.model_copy(update={"device": "cpu", "precision": "fp32"})
    if settings.device == "cpu" and settings.precision == "bf16" and not cpu_has_bf16():
        log.warning("%s was trained in bf16, which this CPU lacks: inference runs in fp32", model.name)
        return settings.model_copy(update={"precision": "fp32"})
    wants = settings.device == "cuda" and settings.precision in ("bf16", "tf32")
    if wants and torch.cuda.get_device_capability(0) < AMPERE:
        log.warning(
            "%s was trained in %s, which this GPU lacks: inference runs in fp32", model.name, settings.precision
        )
        return settings.model_copy(update={"precision": "fp32"})
    return resolve_precision(settings)
