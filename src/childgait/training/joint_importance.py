"""Importance of each joint for an ST-GCN, measured in the training fold alone, and the gait features selected by it.

A plain ST-GCN is trained on the training children first. For every target, Grad-CAM on its last block gives each
joint's share of the predictions for training clips; the mean over clips and targets is the joint's importance. The
score of a gait feature is the mean importance of the joints it is measured on, and the features with the highest
scores are selected. No validation or test child is read, except for the first network's learning curve.

Reads training windows; sets `selected`, `median` and `deviation` of a StgcnFusion, and its skeleton's weights; yields
facts for the model's description.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from childgait.domain.evgs import LIMBS, TARGETS
from childgait.domain.skeleton import INDEX, POINTS
from childgait.files.model_description import Facts
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
BATCH_SIZE = 16  # clips


def select_features(
    network: Network,
    windows: Windows,
    settings: Finetune,
    seed: int,
    prior: Tensor,
    train: Callable[[Stgcn, Finetune], Outcome],
) -> Facts:
    """Select a StgcnFusion's gait features and start it from a first ST-GCN; do nothing to other networks.

    `windows` are the training clips without augmentation; `train` trains a network on them. Returns the joints'
    importance and the features' names.
    """
    if not isinstance(network, StgcnFusion):
        return {}
    fusion = settings.fusion
    facts: Facts = {}
    shorter: dict[str, object]
    first = Stgcn(settings.skeleton)
    if fusion.choose == "contributions" or network.join != "features":
        first.set_prior_bias(prior)
        shorter = {"epochs": fusion.first_epochs, "warmup_epochs": min(settings.warmup_epochs, fusion.first_epochs)}
        if settings.loss == "corn":  # an ST-GCN by itself, whose joints are measured, has one output per target
            shorter["loss"] = "bce"
        first.load_state_dict(train(first, settings.model_copy(update=shorter)).weights)
        first.cpu()
    shares = np.random.default_rng(seed).random(len(POINTS))
    if fusion.choose == "contributions":
        keypoints = replace(windows.loading, inputs=first.inputs)
        shares = joint_importance(first, Windows(windows.clips, windows.labels, keypoints, windows_per_video=1))
        facts["joints"] = {name: round(float(share), 4) for name, share in zip(POINTS, shares, strict=True)}
    set_features(network, windows, features_of_joints(shares, len(network.tokens.selected)))
    if network.join != "features":
        network.skeleton.load_state_dict(first.trunk_state())
    selected = network.tokens.selected.tolist()
    facts["numbers"] = [f"{LIMBS[n // len(NAMES)]} {NAMES[n % len(NAMES)]}" for n in selected]
    return facts


def joint_importance(network: Network, windows: Windows) -> Floats:
    """Return (23,) each joint's share of the predictions for the windows' known targets; they sum to 1."""
    network.eval()
    total, count = np.zeros((len(TARGETS), len(POINTS))), np.zeros(len(TARGETS))
    for start in range(0, len(windows.clips), BATCH_SIZE):
        batch = collate([windows[0, row] for row in range(start, min(start + BATCH_SIZE, len(windows.clips)))])
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


def features_of_joints(shares: Floats, count: int) -> NDArray[np.int64]:
    """Return the indices of the `count` features on the most important joints, ascending; of equals the first."""
    score = np.array(
        [np.mean([shares[INDEX[joint]] for joint in joints_of_feature(name, limb)]) for limb in LIMBS for name in NAMES]
    )
    return np.sort(np.argsort(-score, kind="stable")[:count]).astype(np.int64)


def set_features(network: StgcnFusion, windows: Windows, selected: NDArray[np.int64]) -> None:
    """Set the selected features, and the median and deviation of each over training clips and their mirror images."""
    assert windows.features is not None
    tokens = network.tokens
    values = windows.features.astype(np.float64)
    mirrored = values.reshape(len(values), 2, -1)[:, ::-1].reshape(len(values), -1)
    both = np.concatenate([values, mirrored])[:, selected]
    known = ~np.isnan(both).all(axis=0)
    median, deviation = np.zeros(len(selected)), np.ones(len(selected))
    median[known], deviation[known] = np.nanmedian(both[:, known], axis=0), np.nanstd(both[:, known], axis=0)
    tokens.selected.copy_(torch.from_numpy(selected))
    tokens.median.copy_(torch.from_numpy(median))
    tokens.deviation.copy_(torch.from_numpy(np.where(deviation > 1e-9, deviation, 1.0)))
