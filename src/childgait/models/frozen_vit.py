"""A frozen vision transformer of timm: built by name, weights from a file whose sha256 is checked, else random.

Its tensors are buffers, not parameters: they are stored with the network that uses them, and no optimizer changes
them.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from childgait.errors import StepError

if TYPE_CHECKING:
    from childgait.params import Finetune

log = logging.getLogger("childgait")


def make_vit(name: str, size: tuple[int, int]) -> Any:
    """Return timm's vision transformer for images of `size` (rows, columns), frozen, with random weights."""
    import timm
    from timm.models.vision_transformer import VisionTransformer

    base = name.split(".")[0]
    if not (base.startswith("vit_") and timm.is_model(base)):
        raise StepError(
            f"finetune.frozen.encoder is {name}, which is neither a network of the registry nor a ViT of timm",
            hint="as vit_tiny_patch16_224 or vit_small_patch14_dinov2",
        )
    vit = timm.create_model(name, pretrained=False, num_classes=0, img_size=size)
    assert isinstance(vit, VisionTransformer), type(vit)
    freeze(vit)
    return vit


def freeze(network: nn.Module) -> None:
    """Turn every parameter into a buffer, and set inference mode."""
    for part in network.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach())
    network.eval()


def load_vit(name: str, size: tuple[int, int], settings: Finetune) -> tuple[Any, str]:
    """Return the frozen transformer and where its weights come from: finetune.weights, or a fixed random draw."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vit = make_vit(name, size)
    if not settings.weights:
        log.warning("%s has random weights, because finetune.weights is empty", name)
        return vit, "random"
    load_weights(vit, name, Path(settings.weights), settings.weights_sha256)
    return vit, settings.weights_sha256


def load_weights(vit: Any, name: str, path: Path, sha256: str) -> None:
    """Load a checkpoint with timm's or the publisher's names; the position embedding is resized, nothing else."""
    from timm.models.vision_transformer import checkpoint_filter_fn

    from childgait.models.checkpoints import check_checkpoint, read_state

    check_checkpoint(path, sha256)
    state = {
        key: value for key, value in checkpoint_filter_fn(read_state(path), vit).items() if "mask_token" not in key
    }
    state = {key: value for key, value in state.items() if not key.startswith("head.")}
    expected = vit.state_dict()
    wrong = [key for key in expected if key not in state or state[key].shape != expected[key].shape]
    wrong += [key for key in state if key not in expected]
    if wrong:
        raise StepError(
            f"{path} does not fit {name}: {len(wrong)} tensors are missing, unknown or of another shape, as {wrong[0]}",
            hint="give the weights of the same model, as timm publishes them",
        )
    vit.load_state_dict(state)


def normalise_frames(frames: Tensor, size: tuple[int, int], vit: Any) -> Tensor:
    """Return (N, 3, *size) normalised as the transformer's weights expect, from uint8 (N, S, S', 3)."""
    pixels = frames.movedim(3, 1).float() / 255
    pixels = functional.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
    mean, deviation = (
        torch.tensor(vit.pretrained_cfg[key], device=pixels.device).view(3, 1, 1) for key in ("mean", "std")
    )
    return (pixels - mean) / deviation
