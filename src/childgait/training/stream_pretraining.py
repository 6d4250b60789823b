"""Pre-trains one network of the registry on the stream of synthetic walks, as the study's settings have it.

The network reads what it reads in the study: the same frames per window, drawing, pruning and augmentation. Yields the
checkpoint's tensors, the figures for its description, the history, and a strip of painted windows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset

from childgait.errors import StepError
from childgait.files.pretrained import NetworkInputs
from childgait.models.batch import Batch
from childgait.models.dense_heads import PretrainingModel
from childgait.models.masked_decoder import MaskedDecoder
from childgait.models.pretrained import describe_network, tensors_of
from childgait.models.registry import Model
from childgait.synthetic.outlines import StreamSettings
from childgait.training.masked_pretraining import encoder_of, make_masked_validator
from childgait.training.precision import check_precision
from childgait.training.predict import loading_of
from childgait.training.pretraining import Collate, DenseScale, OnRound, ignore_round, pretrain_network
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
    children: int  # trained on
    held_out_children: int


def make_stream_settings(pretrain: Pretrain, clips: PrepareClips, refine_pose: RefinePose) -> StreamSettings:
    """Return the stream's settings with the study's crops and refinement."""
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
    on_round: OnRound = ignore_round,
) -> PretrainingResult:
    """Pre-train a network; `network_settings` is params' finetune section as this model gets it."""
    network = build_network(model, settings, network_settings)
    check_can_be_pretrained(model, network)
    loading = loading_of(network, network_settings)
    windows = WalkWindows(
        range(settings.children),
        settings.seed,
        stream_settings,
        loading,
        augmentation=network_settings.augmentation,
        cache=cache,
    )
    scale = measure_scale(settings, stream_settings, windows) if settings.method != "masked" else None
    held_out = held_out_batches(settings, stream_settings, loading, cache)
    children = range(min(STRIP_CHILDREN, settings.children))
    return pretrain_on_windows(
        network,
        settings,
        network_settings,
        windows,
        held_out,
        scale,
        collate=collate_walks,
        save_as=save_as,
        fingerprint=fingerprint,
        on_round=on_round,
        strip=draw_strip(children, settings.seed, stream_settings, network_settings.drawing),
        children=(settings.children, settings.held_out_children),
    )


def build_network(model: Model, settings: Pretrain, network_settings: Finetune) -> Network:
    """Check device and precision, and build the network with the seed's random weights."""
    check_precision(settings.precision, settings.device, "pretrain.precision")
    prepare_device(settings)
    torch.manual_seed(settings.seed)
    network = model.build(network_settings.model_copy(update={"pooling": "own"}), settings.pixels)
    if settings.method != "dense":
        encoder_of(network)
    return network


def pretrain_on_windows(
    network: Network,
    settings: Pretrain,
    network_settings: Finetune,
    windows: Dataset[Any],
    held_out: list[tuple[Batch, Any]],
    scale: DenseScale | None,
    *,
    collate: Collate,
    save_as: Path,
    fingerprint: str,
    on_round: OnRound,
    strip: NDArray[np.uint8],
    children: tuple[int, int],
) -> PretrainingResult:
    """Pre-train on windows by the method of the settings; `scale` is None without dense targets."""
    pretraining = PretrainingModel(network, network_settings.encoder.head_hidden)
    decoder = None
    if settings.method != "dense":
        decoder = MaskedDecoder(encoder_of(network), settings.masking.decoder_depth)
    history = pretrain_network(
        pretraining,
        windows,
        make_validators(settings, held_out, scale, decoder),
        scale,
        settings,
        collate=collate,
        decoder=decoder,
        save_as=save_as,
        fingerprint=fingerprint,
        on_round=on_round,
    )
    measures = {} if scale is None else {n: value for n, value in vars(scale).items() if n.startswith("measure_")}
    return PretrainingResult(
        tensors_of(pretraining, measures),
        describe_network(network, network_settings, settings.pixels, settings.frame_step),
        history,
        strip,
        sum(parameter.numel() for parameter in network.parameters()),
        *children,
    )


def make_validators(
    settings: Pretrain, held_out: list[tuple[Batch, Any]], scale: DenseScale | None, decoder: MaskedDecoder | None
) -> Callable[[nn.Module], dict[str, float]]:
    """Return a function from the model to the validation figures of the method."""
    parts: list[Callable[[Any], dict[str, float]]] = []
    where: Any = {"device": settings.device, "precision": settings.precision}
    if scale is not None:
        parts.append(make_validator(held_out, scale, **where))
    if decoder is not None:
        parts.append(make_masked_validator(held_out, decoder, settings.masking, seed=settings.seed, **where))

    def validate(model: nn.Module) -> dict[str, float]:
        figures: dict[str, float] = {}
        for part in parts:
            figures |= part(model)
        return {"validation_loss": figures.get("validation_masked", float("nan")), **figures}

    return validate


def prepare_device(settings: Pretrain) -> None:
    """Set threads from params, because the last bits of a sum depend on them; deterministic kernels on a CPU."""
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
    """Measure means, deviations and clipping bounds over the first children of the stream."""
    targets = target_scale(settings.seed, stream_settings, range(min(settings.children, SCALE_CHILDREN)))
    points_of_windows = [windows[0, index][1].points for index in range(min(len(windows), SCALE_WINDOWS))]
    points = np.concatenate(points_of_windows).astype(np.float64)
    deviation = np.maximum(points.std(axis=0), 1e-3)
    return DenseScale(
        **vars(targets),
        point_mean=points.mean(axis=0).astype(np.float32),
        point_deviation=deviation.astype(np.float32),
    )


def held_out_batches(
    settings: Pretrain, stream_settings: StreamSettings, loading: Loading, cache: Path | None
) -> list[tuple[Any, Any]]:
    """Return the validation windows, painted once and kept in memory (0.1 MB each at 64 pixels, pruned)."""
    children = range(settings.children, settings.children + settings.held_out_children)
    each = max(settings.validation_windows // (len(children) * VIEWS_PER_CHILD), 1)
    windows = WalkWindows(children, settings.seed, stream_settings, loading, windows=each, cache=cache)
    indices = range(min(len(windows), settings.validation_windows))
    return [
        collate_walks([windows[0, index] for index in indices[start : start + settings.batch_size]])
        for start in range(0, len(indices), settings.batch_size)
    ]
