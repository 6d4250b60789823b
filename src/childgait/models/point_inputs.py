"""The inputs of a network on keypoints: centred joints, and what `finetune.skeleton.extra` adds to them.

`wavelets` adds the details of a stationary Haar transform of each joint's velocity at three scales: how the velocity
changes within 2, 4 and 8 frames. `proportions` adds the length of the bone that ends at each joint, in trunk lengths,
the median over the window. `moments` adds the net moments of hips, knees and ankles (models/joint_moments.py), 0 at the
other joints. `finetune.skeleton.attention: channel` weighs all channels by a gate (squeeze and
excitation), so that a network may prefer places, velocities, their changes or proportions from window to window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from childgait.domain.skeleton import BONES, INDEX, POINTS
from childgait.models.joint_moments import joint_moments
from childgait.models.points import CHANNELS, body_centred

if TYPE_CHECKING:
    from childgait.params import Skeleton

SCALES = (1, 2, 4)  # frames whose mean velocity is compared with that of as many frames before
EXTRA_CHANNELS = {"wavelets": 2 * len(SCALES), "proportions": 1, "moments": 1}
_VELOCITY, _SCORE = slice(2, 4), 4  # channels of `body_centred`
_REDUCTION = 2


class PointInputs(nn.Module):
    """Keypoints (B, T, 23, 3) to (B, `channels`, T, 23). Without extras it has no weights and only centres."""

    def __init__(self, settings: Skeleton) -> None:
        super().__init__()
        self.age, self.rate = settings.moments_age, settings.moments_rate
        self.extra = tuple(name for name in EXTRA_CHANNELS if name in settings.extra)
        self.channels = CHANNELS + sum(EXTRA_CHANNELS[name] for name in self.extra)
        self.gate = ChannelGate(self.channels) if settings.attention == "channel" else nn.Identity()

    def forward(self, points: Tensor) -> Tensor:
        x = body_centred(points)
        parts = [x]
        if "wavelets" in self.extra:
            parts.append(haar_details(x[:, _VELOCITY]))
        if "proportions" in self.extra:
            parts.append(bone_lengths(x))
        if "moments" in self.extra:
            parts.append(joint_moments(points, self.age, self.rate)[:, None])
        return self.gate(torch.cat(parts, dim=1) if len(parts) > 1 else x)


class ChannelGate(nn.Module):
    """Squeeze and excitation over the channels of (B, C, T, 23): each is weighed by a number between 0 and 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(channels // _REDUCTION, 1)
        self.weigh = nn.Sequential(nn.Linear(channels, narrow), nn.ReLU(), nn.Linear(narrow, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        spread = x.abs().mean(dim=(2, 3))  # of centred joints the mean itself is near 0
        return x * self.weigh(spread)[:, :, None, None]


def haar_details(velocity: Tensor) -> Tensor:
    """Return (B, 6, T, 23): per scale the mean velocity of the latest frames less that of as many frames before.

    Frames before the window have the velocity of its first moving frame.
    """
    before, moving = 2 * max(SCALES), velocity[:, :, 1:]
    padded = torch.cat([moving[:, :, :1].expand(-1, -1, before + 1, -1), moving], dim=2)
    total = torch.cat([torch.zeros_like(padded[:, :, :1]), padded.cumsum(dim=2)], dim=2)
    end = torch.arange(before + 1, padded.shape[2] + 1, device=velocity.device)
    details = []
    for scale in SCALES:
        latest = total[:, :, end] - total[:, :, end - scale]
        earlier = total[:, :, end - scale] - total[:, :, end - 2 * scale]
        details.append((latest - earlier) / scale)
    return torch.cat(details, dim=1)


def bone_lengths(centred: Tensor) -> Tensor:
    """Return (B, 1, T, 23): the median length of the bone that ends at each joint; 0 where it was never seen."""
    start = torch.tensor(_bone_starts(), device=centred.device)
    position, known = centred[:, :2], centred[:, _SCORE] > 0
    length = (position - position[..., start]).norm(dim=1)
    both = known & known[..., start]
    median = torch.where(both, length, torch.full_like(length, torch.nan)).nanmedian(dim=1, keepdim=True).values
    return median.nan_to_num(nan=0.0)[:, None].expand(-1, -1, centred.shape[2], -1)


def _bone_starts() -> list[int]:
    """Return per joint the other end of the first bone that ends there, itself where none does."""
    starts = list(range(len(POINTS)))
    for first, last in BONES:
        if starts[INDEX[last]] == INDEX[last]:
            starts[INDEX[last]] = INDEX[first]
    return starts
