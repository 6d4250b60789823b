"""Inputs of networks on keypoints: positions relative to the hips, in trunk lengths, with velocity and score.

Reads Batch.points (B, T, 23, 3) in pixels of the crop; yields (B, C, T, 23). A point of score 0 is missing: it stands
at the hips with speed 0, and its score is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from childgait.domain.skeleton import INDEX

CHANNELS = 5  # x, y, velocity of x, velocity of y, score

_HIPS = (INDEX["left_hip"], INDEX["right_hip"])
_SHOULDERS = (INDEX["left_shoulder"], INDEX["right_shoulder"])


def body_centred(points: Tensor) -> Tensor:
    """(B, T, 23, 3) to (B, 5, T, 23). The origin follows the hips, so that walking along the corridor is no motion; the
    unit is the clip's median trunk length, so that a child far from the lens is as large as one near it."""
    position, score = points[..., :2], points[..., 2]
    known = score > 0
    hips = _mean_of(position, known, _HIPS)
    trunk = (_mean_of(position, known, _SHOULDERS) - hips).norm(dim=-1)
    unit = trunk.nanmedian(dim=1).values.nan_to_num(nan=1.0).clamp(min=1.0)
    hips = _hold(hips)
    centred = (position - hips[:, :, None]) / unit[:, None, None, None]
    centred = torch.where(known[..., None], centred.nan_to_num(nan=0.0), torch.zeros_like(centred))
    speed = torch.zeros_like(centred)
    both = (known[:, 1:] & known[:, :-1])[..., None]
    speed[:, 1:] = torch.where(both, centred[:, 1:] - centred[:, :-1], torch.zeros_like(centred[:, 1:]))
    stacked = torch.cat([centred, speed, score[..., None]], dim=-1)
    return stacked.permute(0, 3, 1, 2).contiguous()


def _mean_of(position: Tensor, known: Tensor, pair: tuple[int, int]) -> Tensor:
    """Return the midpoint of two points, or the one that is known, or NaN."""
    pair_positions = torch.where(known[..., None], position, torch.full_like(position, torch.nan))[:, :, list(pair)]
    return pair_positions.nanmean(dim=2)


def _hold(track: Tensor) -> Tensor:
    """Fill NaN frames of (B, T, 2) with the last known value, and those at the start with the first known one."""
    held = track.clone()
    for step in range(1, held.shape[1]):
        held[:, step] = torch.where(held[:, step].isnan(), held[:, step - 1], held[:, step])
    for step in range(held.shape[1] - 2, -1, -1):
        held[:, step] = torch.where(held[:, step].isnan(), held[:, step + 1], held[:, step])
    return held
