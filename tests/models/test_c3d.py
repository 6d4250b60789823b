"""C3D as published: what each layer sees, how many numbers it has; shorter windows still pass."""

from __future__ import annotations

import pytest
import torch

from childgait.models.batch import Batch
from childgait.models.registry import MODELS, settings_of
from support.small_study import PARAMS, settings


def test_at_full_width_it_has_the_published_size() -> None:
    run_settings = settings_of(MODELS["c3d"], settings(frames=16, cnn={**PARAMS["finetune"]["cnn"], "width": 64}))
    with torch.device("meta"):
        network = MODELS["c3d"].build(run_settings, 112)
    wide = [layer for layer in network.head if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in wide] == [(8192, 4096), (4096, 4096), (4096, 34)]
    convolutions = sum(parameter.numel() for parameter in network.trunk.parameters())
    assert (
        convolutions == 27_655_936
    )  # 3x3x3 kernels with biases over 3, 64, 128, 256, 256, 512, 512, 512, 512 channels
    assert network.maps(Batch(1, frames=torch.zeros(1, 16, 112, 112, 3, device="meta"))).shape == (1, 512, 2, 7, 7)


@pytest.mark.parametrize(("frames", "pixels"), [(2, 32), (16, 48), (20, 64)])
def test_other_windows_pass(frames: int, pixels: int) -> None:
    run_settings = settings_of(MODELS["c3d"], settings(frames=frames, cnn={**PARAMS["finetune"]["cnn"], "width": 2}))
    network = MODELS["c3d"].build(run_settings, pixels).eval()
    batch = Batch(2, frames=torch.randint(0, 256, (2, frames, pixels, pixels, 3), dtype=torch.uint8))
    assert network(batch).shape == (2, 34)
