"""r3d18 and r2plus1d are torchvision's networks under our head, at any width; its weights load whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import video

from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.models.batch import Batch
from childgait.models.frames import FrameNetwork
from childgait.models.registry import MODELS, settings_of
from childgait.models.resnet3d import make_trunk
from childgait.training.fit import load_start
from childgait.training.optim import freeze_for_epoch, make_optimizer
from support.small_study import PARAMS, settings

PUBLISHED = {"r3d18": video.r3d_18, "r2plus1d": video.r2plus1d_18}
NARROW = {**PARAMS["finetune"]["cnn"], "width": 4}


def built(name: str, width: int) -> FrameNetwork:
    run_settings = settings_of(MODELS[name], settings(cnn={**NARROW, "width": width}))
    return MODELS[name].build(run_settings, 32)


@pytest.mark.parametrize("name", PUBLISHED)
def test_at_full_width_every_tensor_is_torchvisions(name: str) -> None:
    with torch.device("meta"):
        theirs = {k: v.shape for k, v in PUBLISHED[name](weights=None).state_dict().items() if not k.startswith("fc.")}
        ours = {k: v.shape for k, v in make_trunk(name == "r3d18", 64).state_dict().items()}
    assert ours == theirs


@pytest.mark.slow
def test_with_torchvisions_weights_it_sees_what_torchvision_sees(tmp_path: Path) -> None:
    """A file as published (its own last layer and all), loaded by path and hash, gives torchvision's features."""
    torch.manual_seed(0)
    theirs = video.r3d_18(weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "r3d_18.pth")
    ours = built("r3d18", 64).eval()
    run_settings = settings(weights=str(tmp_path / "r3d_18.pth"), weights_sha256=sha256(tmp_path / "r3d_18.pth"))
    assert load_start(MODELS["r3d18"], ours, run_settings, 112)[0].startswith("r3d_18.pth")
    frames = torch.randint(0, 256, (1, 4, 32, 32, 3), dtype=torch.uint8)
    colours = frames.permute(0, 4, 1, 2, 3) / 255 - torch.tensor([0.43216, 0.394666, 0.37645])[:, None, None, None]
    colours = colours / torch.tensor([0.22803, 0.22145, 0.216989])[:, None, None, None]
    theirs.fc = nn.Identity()
    with torch.no_grad():
        seen = ours.maps(Batch(1, frames=frames)).mean(dim=(2, 3, 4))
        assert torch.allclose(seen, theirs(colours), atol=1e-4)


def test_weights_that_do_not_fit_are_named_and_change_nothing(tmp_path: Path) -> None:
    network = built("r3d18", 4)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = built("r3d18", 8).trunk.state_dict()
    del state["layer4.1.conv2.1.bias"]
    path = tmp_path / "other.pth"
    torch.save(state | {"fc.weight": torch.zeros(400, 64), "extra": torch.zeros(1)}, path)
    run_settings = settings(weights=str(path), weights_sha256=sha256(path))
    with pytest.raises(StepError, match=r"missing: layer4\.1\.conv2\.1\.bias; unknown: extra; stem\.0\.weight is \[8"):
        load_start(MODELS["r3d18"], network, run_settings, 112)
    with pytest.raises(StepError, match=r"has sha256 .* but finetune.weights_sha256 is"):
        load_start(MODELS["r3d18"], network, settings(weights=str(path), weights_sha256="0" * 64), 112)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_time_and_space_are_seen_as_published() -> None:
    network = built("r3d18", 4).eval()
    assert network.maps(Batch(1, frames=torch.zeros(1, 16, 64, 64, 3, dtype=torch.uint8))).shape == (1, 32, 2, 4, 4)


def test_layers_are_numbered_from_the_stem_to_the_head() -> None:
    network = built("r2plus1d", 4)
    rates: dict[int, float] = {}
    for group in make_optimizer(network, settings(layer_decay=0.5)).param_groups:
        for parameter in group["params"]:
            name = next(n for n, p in network.named_parameters() if p is parameter)
            rates.setdefault(network.layer_of(name), group["lr_scale"])
            assert rates[network.layer_of(name)] == group["lr_scale"], name
    assert [rates[depth] for depth in range(6)] == pytest.approx([0.5**n for n in (5, 4, 3, 2, 1, 0)])
    freeze_for_epoch(network, settings(freeze_layers=2), 0)
    assert {n.split(".")[1] for n, p in network.named_parameters() if not p.requires_grad} == {"stem", "layer1"}


def test_it_starts_at_the_shares_it_is_given() -> None:
    network = built("r3d18", 4)
    network.set_prior_bias(torch.full((34,), 0.2))
    assert torch.allclose(network.head.linear.bias, torch.logit(torch.tensor(0.2)).expand(34))
