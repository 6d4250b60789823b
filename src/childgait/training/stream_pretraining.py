"""Pre-trains one network of the registry on the stream of synthetic walks, as the study's settings have it.

The network reads what it reads in the study: the same frames per window, drawing, pruning and augmentation. Yields the
checkpoint's tensors, the figures for its description, the history, and a strip of painted windows.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.pretrained import NetworkInputs
from childgait.models.dense_heads import PretrainingModel
from childgait.models.pretrained import describe_network, tensors_of
from childgait.models.registry import Model
from childgait.synthetic.outlines import StreamSettings
from childgait.training.precision import check_precision
from childgait.training.predict import loading_of
from childgait.training.pretraining import DenseScale, OnRound, pretrain_network
from childgait.training.pretraining_validation import make_validator
from childgait.training.walk_windows import WalkWindows, collate_walks, draw_strip, target_scale

if TYPE_CHECKING:
    from torch import Tensor

    from childgait.models.network import Network
    from childgait.params import Finetune, PrepareClips, Pretrain, RefinePose
    from childgait.training.windows import Loading

log = logging.getLogger("childgait")

VIEWS_PER_CHILD = 4
SCALE_CHILDREN = 500  # from whom means, deviations and percentiles of curves and measures are taken
SCALE_WINDOWS = 256  # ... and those of the points, which depend on the crop
STRIP_CHILDREN = 1


@dataclass(frozen=True)
class PretrainingResult:
    tensors: dict[str, Tensor]
    network: NetworkInputs
    history: list[dict[str, float]]
    strip: NDArray[np.uint8]  # painted windows, RGB, with their skeletons whether this network sees them or not
    parameters: int


def make_stream_settings(pretrain: Pretrain, clips: PrepareClips, refine_pose: RefinePose) -> StreamSettings:
    """The stream as the study has its crops and its refinement."""
    own = ("pixels", "frame_step", "seconds", "bystander", "jitter", "dropout", "swap", "outlier", "mask_error")
    return StreamSettings(
        **{name: getattr(pretrain, name) for name in own},
        margin=clips.margin,
        smoothing_seconds=clips.smoothing_seconds,
        refinement=refine_pose,
    )


def pretrain_on_stream(
    model: Model,
    settings: Pretrain,
    network_settings: Finetune,
    stream_settings: StreamSettings,
    *,
    save_as: Path,
    fingerprint: str,
    cache: Path | None,
    on_round: OnRound = lambda row, speed: None,
) -> PretrainingResult:
    """Pre-train a network; `network_settings` is params' finetune section as this model gets it."""
    check_precision(settings.precision, settings.device, "pretrain.precision")
    prepare_device(settings)
    torch.manual_seed(settings.seed)
    network = model.build(network_settings, settings.pixels)
    check_can_be_pretrained(model, network)
    pretraining = PretrainingModel(network, network_settings.encoder.head_hidden)
    loading = loading_of(network, network_settings)
    children = range(settings.children)
    windows = WalkWindows(
        children, settings.seed, stream_settings, loading, augmentation=network_settings.augmentation, cache=cache
    )
    scale = measure_scale(settings, stream_settings, windows)
    validate = make_validator(
        held_out_batches(settings, stream_settings, loading, cache),
        scale,
        device=settings.device,
        precision=settings.precision,
    )
    history = pretrain_network(
        pretraining,
        windows,
        validate,
        scale,
        settings,
        collate=collate_walks,
        save_as=save_as,
        fingerprint=fingerprint,
        on_round=on_round,
    )
    measures = {name: value for name, value in vars(scale).items() if name.startswith("measure_")}
    shown = range(min(STRIP_CHILDREN, settings.children))
    return PretrainingResult(
        tensors_of(pretraining, measures),
        describe_network(network, network_settings, settings.pixels, settings.frame_step),
        history,
        draw_strip(shown, settings.seed, stream_settings, network_settings.drawing),
        sum(parameter.numel() for parameter in network.parameters()),
    )


def prepare_device(settings: Pretrain) -> None:
    """Threads from params, because the last bits of a sum depend on them; deterministic kernels on a CPU."""
    torch.set_num_threads(settings.threads)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise StepError("pretrain.device is cuda, but torch finds no GPU here", hint="set pretrain.device to cpu")
    torch.use_deterministic_algorithms(True, warn_only=settings.device == "cuda")


def check_can_be_pretrained(model: Model, network: Network) -> None:
    """Refuse a network that reads numbers of a whole recording: a window of the stream has none."""
    if not network.takes_other_heads:
        raise StepError(
            f"pretrain.models names {model.name}, which reads numbers of a whole recording that the stream has not",
            hint="name a network on frames or on keypoints alone",
        )


def measure_scale(settings: Pretrain, stream_settings: StreamSettings, windows: WalkWindows) -> DenseScale:
    """Means, deviations and clipping bounds over the first children of the stream."""
    known = target_scale(settings.seed, stream_settings, range(min(settings.children, SCALE_CHILDREN)))
    shown = [windows[0, index][1].points for index in range(min(len(windows), SCALE_WINDOWS))]
    points = np.concatenate(shown).astype(np.float64)
    deviation = np.maximum(points.std(axis=0), 1e-3)
    return DenseScale(
        **vars(known),
        point_mean=points.mean(axis=0).astype(np.float32),
        point_deviation=deviation.astype(np.float32),
    )


def held_out_batches(
    settings: Pretrain, stream_settings: StreamSettings, loading: Loading, cache: Path | None
) -> list[tuple[Any, Any]]:
    """The validation windows, painted once and kept in memory (0.1 MB each at 64 pixels, pruned)."""
    children = range(settings.children, settings.children + settings.held_out_children)
    each = max(settings.validation_windows // (len(children) * VIEWS_PER_CHILD), 1)
    windows = WalkWindows(children, settings.seed, stream_settings, loading, windows=each, cache=cache)
    chosen = range(min(len(windows), settings.validation_windows))
    return [
        collate_walks([windows[0, index] for index in chosen[start : start + settings.batch_size]])
        for start in range(0, len(chosen), settings.batch_size)
    ]
