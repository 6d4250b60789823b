"""Features of whole clips for linear probes: the mean silhouette, and what a frozen encoder makes of a clip.

An encoder is a network of the registry (its `clip_features`, mean over evenly spread windows) or a timm ViT (per
frame its class token and the mean of its patches; mean and standard deviation over evenly spread frames). Its
features are kept per clip in `finetune.frozen.cache`, under a digest of the clip's arrays, the settings and the
weights.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.files.clips import Clip

if TYPE_CHECKING:
    from childgait.models.network import Network
    from childgait.params import Finetune

Floats = NDArray[np.float64]
Encode = Callable[[Clip], NDArray[np.float32]]
WINDOWS = 4  # per clip, of a network of the registry

log = logging.getLogger("childgait")


def mean_silhouettes(clips: list[Clip], settings: Finetune) -> Floats:
    """Return (clips, 64 x columns): the share of frames in which each pixel of the silhouette is the child."""
    from childgait.vision.silhouette_crops import crop_silhouettes

    rows = []
    for clip in clips:
        crops, _ = crop_silhouettes(clip.masks(np.arange(clip.length)), settings.silhouette.columns)
        rows.append(crops.mean(axis=0).ravel() / 255)
    return np.array(rows)


def encoder_features(clips: list[Clip], settings: Finetune, *, drawn: bool = True) -> Floats:
    """Return (clips, F): the frozen encoder's features, from the cache where they are kept.

    `drawn`: a network of the registry that is prompted by drawn skeletons reads them; false: it reads bare frames.
    """
    import torch

    from childgait.models.registry import MODELS

    torch.set_num_threads(settings.threads)
    of_network = settings.frozen.encoder in MODELS
    if of_network:
        encode, weights = _encode_by_network(settings, clips[0].size, [clip.subject for clip in clips], drawn)
    else:
        encode, weights = _encode_by_frames(settings)
    folder = Path(settings.frozen.cache) if settings.frozen.cache else None
    shape = settings.model_dump(include={"frozen", "frames", "frame_step", "encoder"})
    key = json.dumps([shape, weights, of_network, *([] if drawn else ["bare frames"])])
    return np.stack([_cached(clip, encode, folder, key) for clip in clips]).astype(np.float64)


def probe_features(clips: list[Clip], settings: Finetune) -> Floats:
    """Return (clips, F): the features that linear_probe reads, of an encoder with the probe's own settings.

    `overrides` of the encoder's row are not used: a trained probe's model.json lacks them, so a prediction could not
    repeat them.
    """
    return encoder_features(clips, settings.model_copy(update={"overrides": {}}))


CLIP_FEATURES: dict[str, Callable[[list[Clip], Finetune], Floats]] = {
    "gei": mean_silhouettes,
    "encoder": probe_features,
}


def _cached(clip: Clip, encode: Encode, folder: Path | None, key: str) -> NDArray[np.float32]:
    """Return the features of a clip, reading or writing its file in `folder`."""
    if folder is None:
        return encode(clip)
    from childgait.files.atomic import atomic_outputs

    digest = hashlib.sha256(key.encode())
    for part in ("frames", "masks", "points"):
        if clip.path(part).exists():
            digest.update(hashlib.sha256(clip.path(part).read_bytes()).digest())
    path = folder / f"{clip.video}-{digest.hexdigest()[:16]}.npy"
    if path.exists():
        return np.asarray(np.load(path, allow_pickle=False), np.float32)
    features = encode(clip)
    with atomic_outputs([path]) as partial, partial[path].open("wb") as file:
        np.save(file, features)
    return features


def _encode_by_frames(settings: Finetune) -> tuple[Encode, str]:
    """Return the encoding of a clip by a timm ViT, and where its weights come from."""
    import torch

    from childgait.models.frozen_vit import load_vit, normalise_frames

    frozen = settings.frozen
    vit, origin = load_vit(frozen.encoder, (frozen.pixels, frozen.pixels), settings)

    def encode(clip: Clip) -> NDArray[np.float32]:
        index = np.unique(np.linspace(0, clip.length - 1, frozen.frames_per_clip).round().astype(int))
        frames = torch.from_numpy(clip.frames(index))
        with torch.inference_mode():
            tokens = vit.forward_features(normalise_frames(frames, (frozen.pixels, frozen.pixels), vit))
            patches = tokens[:, vit.num_prefix_tokens :].mean(dim=1)
            per_frame = torch.cat([tokens[:, 0], patches], dim=1) if vit.num_prefix_tokens else patches
            return torch.cat([per_frame.mean(dim=0), per_frame.std(dim=0, correction=0)]).numpy()

    return encode, origin


def _encode_by_network(settings: Finetune, size: int, subjects: list[str], drawn: bool) -> tuple[Encode, str]:
    """Return the encoding of a clip by a network of the registry, and where its weights come from."""
    import torch

    from childgait.models.registry import find_model, settings_of
    from childgait.training.windows import Loading, Windows, collate

    model = find_model(settings.frozen.encoder)
    own = settings_of(model, settings).model_copy(update={"head": "mlp", "pooling": "own"})
    torch.manual_seed(0)
    network = model.build(own, size)
    origin = _load_encoder(network, model.name, own, size, subjects)
    network.eval()
    style, columns = own.drawing if network.prompted and drawn else None, own.silhouette.columns
    loading = Loading(own.frames, network.inputs, style, network.packing, own.frame_step, columns)

    def encode(clip: Clip) -> NDArray[np.float32]:
        windows = Windows([clip], np.full((1, 34), np.nan, np.float32), loading, windows_per_video=WINDOWS)
        with torch.inference_mode():
            features = network.clip_features(collate([windows[0, view] for view in range(WINDOWS)])).clip
            return features.mean(dim=0).numpy()

    return encode, origin


def _load_encoder(network: Network, name: str, settings: Finetune, size: int, subjects: list[str]) -> str:
    """Load a pre-trained checkpoint of this project or a published one; return where the weights come from.

    A checkpoint that was pre-trained on one of the children `subjects` is refused.
    """
    from childgait.files.pretrained import SHIPPED_NAME, check_same_network, description_of, shipped_checkpoint
    from childgait.models.pretrained import describe_network, load_pretrained, read_pretrained
    from childgait.training.leak_checks import check_not_pretrained_on

    if not settings.weights:
        log.warning("linear_probe: %s has random weights, because finetune.weights is empty", name)
        return "random"
    path = shipped_checkpoint(name) if settings.weights == SHIPPED_NAME else Path(settings.weights)
    if not description_of(path).is_file():
        network.load_published(path, settings.weights_sha256)
        return settings.weights_sha256
    checkpoint = read_pretrained(path)
    check_not_pretrained_on(path, checkpoint.description.summary(), subjects)
    check_same_network(
        checkpoint.path, checkpoint.description, describe_network(network, settings, size, settings.frame_step)
    )
    load_pretrained(network, checkpoint)
    return hashlib.sha256(path.read_bytes()).hexdigest()
