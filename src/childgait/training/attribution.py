"""Which patches of a clip moved an answer: gradient times input on the kept patches, with the check that it means something.

The check: the same map from a network of the same kind with fresh random weights. If the two maps agree, the map shows
the picture's edges and not what was learnt; their rank correlation stands beside every map. Reads a network with
`packing` and a batch; yields a number a kept patch, and a sheet of frames with the map on them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.gait.evgs import TARGET_NAMES

if TYPE_CHECKING:
    from torch import nn

    from childgait.models.batch import Batch
    from childgait.models.registry import Model
    from childgait.params import Finetune
    from childgait.training.learn import Judged, Part

SHEET_FRAMES = 8


@dataclass(frozen=True)
class Relevance:
    """One window of one video, for one target."""

    video: str
    target: str
    index: NDArray[np.int64]  # number of each kept patch in the clip's grid
    trained: NDArray[np.float64]  # relevance of each, 0 or more
    randomised: NDArray[np.float64]  # the same from random weights
    agreement: float | None  # rank correlation of the two; near 0 is good; None where a map is flat

    def as_json(self) -> dict[str, Any]:
        return {"video": self.video, "target": self.target, "patches": len(self.index), "randomised": self.agreement}


def patch_relevance(network: nn.Module, batch: Batch, target: int) -> NDArray[np.float64]:
    """|gradient · input| of every kept patch of a batch of one clip, for one target's logit."""
    import torch

    assert batch.size == 1
    assert batch.packed is not None
    encoder: Any = network.encoder
    pixels = encoder.normalise(batch.packed.patches).detach().requires_grad_()
    network.eval()
    with torch.enable_grad():
        logit = network(replace(batch, packed=replace(batch.packed, patches=pixels)))[0, target]
        (gradient,) = torch.autograd.grad(logit, pixels)
    return (gradient * pixels).sum(dim=1).abs().detach().double().cpu().numpy()


def explain(
    model: Model, settings: Finetune, weights: dict[str, Any], facts: dict[str, Any], part: Part, judged: Judged,
    children: int, seed: int,
) -> tuple[list[Relevance], NDArray[np.uint8]]:  # fmt: skip
    """For the first `children` of a part, the video and target the model is surest is atypical; maps and a sheet."""
    import torch

    from childgait.training.clips import Windows, collate
    from childgait.training.learn import loading_of
    from childgait.training.predictions import mean_by_video

    network = None if model.kind == "table" else model.build(settings, facts["pixels"])
    if network is None or not hasattr(network, "packing"):
        raise StepError(f"{model.name} reads no patches", hint="maps are made for videomae, childgait_video and their kin")
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    torch.manual_seed(seed)
    fresh = model.build(settings, facts["pixels"])
    loading, sure = loading_of(network, settings), mean_by_video(judged, part.table.height)
    sure = np.where(np.isnan(part.atypical), -np.inf, sure)
    windows = Windows(part.clips, part.atypical, loading, views=1)
    plain = Windows(part.clips, part.atypical, replace(loading, packing=None, ingredients=frozenset({"frames"})), views=1)
    subjects = part.table["subject"].to_numpy()
    found, strips = [], []
    for subject in sorted(set(subjects))[:children]:
        rows = np.flatnonzero(subjects == subject)
        row, target = np.unravel_index(np.argmax(sure[rows]), sure[rows].shape)
        visit = (0, int(rows[row]))
        batch = collate([windows[visit]])
        assert batch.packed is not None
        maps = [patch_relevance(one, batch, int(target)) for one in (network, fresh)]
        index = batch.packed.index.numpy()
        video = str(part.table["video"][int(rows[row])])
        found.append(Relevance(video, TARGET_NAMES[target], index, maps[0], maps[1], _rank_correlation(*maps)))
        frames = plain[visit].frames
        assert frames is not None
        strips += [on_frames(frames, index, each, loading.packing) for each in maps]
    return found, np.concatenate(strips)


def _rank_correlation(one: NDArray[np.float64], two: NDArray[np.float64]) -> float | None:
    from scipy.stats import spearmanr

    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return None
    return round(float(spearmanr(one, two).statistic), 4)


def on_frames(
    frames: NDArray[np.uint8], index: NDArray[np.int64], relevance: NDArray[np.float64], packing: Any
) -> NDArray[np.uint8]:
    """A strip of frames, the kept patches tinted by their share of the most relevant one, the dropped ones grey."""
    from childgait.models.tokens import grid_of

    t, h, w = grid_of(len(frames), frames.shape[1], packing.tubelet, packing.patch)
    heat = np.full(t * h * w, np.nan)
    heat[index] = relevance / max(float(relevance.max(initial=0.0)), 1e-12)
    whole = heat.reshape(t, h, w).repeat(packing.tubelet, 0).repeat(packing.patch, 1).repeat(packing.patch, 2)[..., None]
    chosen = np.unique(np.linspace(0, len(frames) - 1, SHEET_FRAMES).round().astype(int))
    picture, share = frames[chosen].astype(float), whole[chosen]
    grey = np.repeat(picture.mean(axis=3, keepdims=True), 3, axis=3) * 0.5
    tinted = picture * (1 - 0.6 * share) + np.array([255.0, 64.0, 0.0]) * 0.6 * share
    shown = np.where(np.isnan(share), grey, tinted)
    return np.concatenate(list(shown.round().astype(np.uint8)), axis=1)
