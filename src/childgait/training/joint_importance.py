"""Which joints an ST-GCN leans on, found in the training fold alone, and the numbers of the walk that they choose.

A plain ST-GCN learns from the training children first. For every target, Grad-CAM on its last block gives each joint's
share of the answers it gives to training clips; the mean over clips and targets is the joint's contribution. A number
of the walk scores the mean contribution of the joints it is measured on, and the best are taken. Nothing here sees a
validation or a test child but for the first network's learning curve.

Reads training windows; sets `chosen`, `middle` and `spread` of a StgcnFusion, and its skeleton's weights; yields what
was found, for the model's description.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from childgait.domain.evgs import LIMBS, TARGETS
from childgait.domain.skeleton import INDEX, POINTS
from childgait.gait.feature_names import NAMES, joints_of_feature
from childgait.models.network import Network
from childgait.models.stgcn import Stgcn
from childgait.models.stgcn_fusion import StgcnFusion
from childgait.training.gradcam import grad_cam
from childgait.training.windows import Windows, collate

if TYPE_CHECKING:
    from childgait.params import Finetune
    from childgait.training.loop import Outcome

Floats = NDArray[np.float64]
AT_ONCE = 16  # clips


def choose_numbers(
    network: Network,
    windows: Windows,
    settings: Finetune,
    seed: int,
    prior: Tensor,
    learn: Callable[[Stgcn, Finetune], Outcome],
) -> dict[str, Any]:
    """Choose a StgcnFusion's numbers and start its skeleton where a first ST-GCN ended; what was found. Nothing to do
    for any other network. `windows` are the training clips, unchanged; `learn` trains a network on them."""
    if not isinstance(network, StgcnFusion):
        return {}
    how = settings.fusion
    found: dict[str, Any] = {}
    first = Stgcn(settings.skeleton)
    if how.choose == "contributions" or network.join != "features":
        first.set_prior_bias(prior)
        shorter = {"epochs": how.first_epochs, "warmup_epochs": min(settings.warmup_epochs, how.first_epochs)}
        first.load_state_dict(learn(first, settings.model_copy(update=shorter)).weights)
        first.cpu()
    shares = np.random.default_rng(seed).random(len(POINTS))
    if how.choose == "contributions":
        shares = contributions(first, windows)
        found["joints"] = {name: round(float(share), 4) for name, share in zip(POINTS, shares, strict=True)}
    scale_numbers(network, windows, choose(shares, len(network.tokens.selected)))
    if network.join != "features":
        network.skeleton.load_state_dict(first.trunk_state())
    chosen = network.tokens.selected.tolist()
    return found | {"numbers": [f"{LIMBS[n // len(NAMES)]} {NAMES[n % len(NAMES)]}" for n in chosen]}


def contributions(network: Network, windows: Windows) -> Floats:
    """(23,) each joint's share of the answers to the windows' known targets; the shares of all joints make one."""
    network.eval()
    total, count = np.zeros((len(TARGETS), len(POINTS))), np.zeros(len(TARGETS))
    for start in range(0, len(windows.clips), AT_ONCE):
        batch = collate([windows[0, row] for row in range(start, min(start + AT_ONCE, len(windows.clips)))])
        assert batch.labels is not None
        known = ~torch.isnan(batch.labels).numpy()
        for target in np.flatnonzero(known.any(axis=0)):
            of_joints = grad_cam(network, batch, int(target)).sum(axis=1)  # (clips, 23)
            whole = of_joints.sum(axis=1, keepdims=True)
            shares = np.divide(of_joints, whole, out=np.zeros_like(of_joints), where=whole > 0)[known[:, target]]
            total[target] += shares.sum(axis=0)
            count[target] += len(shares)
    mean = (total / np.maximum(count, 1)[:, None])[count > 0].mean(axis=0)
    return np.asarray(mean / max(mean.sum(), 1e-12))


def choose(shares: Floats, count: int) -> NDArray[np.int64]:
    """The `count` numbers measured on the joints that contribute most, in their own order; of equals the first."""
    score = np.array(
        [np.mean([shares[INDEX[joint]] for joint in joints_of_feature(name, limb)]) for limb in LIMBS for name in NAMES]
    )
    return np.sort(np.argsort(-score, kind="stable")[:count]).astype(np.int64)


def scale_numbers(network: StgcnFusion, windows: Windows, chosen: NDArray[np.int64]) -> None:
    """Set which numbers are read, and the middle and spread of each over the training clips and their mirror images."""
    assert windows.features is not None
    tokens = network.tokens
    seen = windows.features.astype(np.float64)
    both = np.concatenate([seen, seen.reshape(len(seen), 2, -1)[:, ::-1].reshape(len(seen), -1)])[:, chosen]
    known = ~np.isnan(both).all(axis=0)
    middle, spread = np.zeros(len(chosen)), np.ones(len(chosen))
    middle[known], spread[known] = np.nanmedian(both[:, known], axis=0), np.nanstd(both[:, known], axis=0)
    tokens.selected.copy_(torch.from_numpy(chosen))
    tokens.median.copy_(torch.from_numpy(middle))
    tokens.deviation.copy_(torch.from_numpy(np.where(spread > 1e-9, spread, 1.0)))
