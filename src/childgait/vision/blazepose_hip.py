"""Moves BlazePose's hip to the joint's centre in side views.

The network puts the hip of the limb near the camera before the joint, so that hip and knee seem straighter by three
degrees. The offset is the median over six videos of three mesh children (`synthesize.body: mesh`, seed 41003; `heavy`
in the box of the true mask). Eleven videos of bodies of capsules, which it was not taken from, give .0165; no real
child was measured. The far limb's offset differs from body to body, and the feet's height, too: they stay
(docs/LOG.md).
"""

from __future__ import annotations

import numpy as np

from childgait.domain.evgs import LIMBS, View
from childgait.domain.poses import Poses
from childgait.domain.skeleton import INDEX
from childgait.gait.body import body_height

BACKWARD = 0.0143  # body heights, across the thigh


def move_near_hip(poses: Poses, view: View | None) -> None:
    """Move the near limb's hip backward, in place; end views stay as they are."""
    if view not in ("left", "right"):
        return
    ahead = _forward(poses)
    hip, knee = (poses.xy[:, INDEX[f"{view}_{name}"]].astype(np.float64) for name in ("hip", "knee"))
    thigh = knee - hip
    across = np.column_stack([thigh[:, 1], -thigh[:, 0]]) * ahead
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
    moved = hip - BACKWARD * body_height(poses.xy)[:, None] * across
    known = np.isfinite(moved).all(axis=1)
    poses.xy[known, INDEX[f"{view}_hip"]] = moved[known]


def _forward(poses: Poses) -> int:
    """Return 1 where the toes point to the picture's right in most frames, -1 to its left, 0 if no foot is known."""
    toes, heels = ([INDEX[f"{limb}_{name}"] for limb in LIMBS] for name in ("big_toe", "heel"))
    ahead = (poses.xy[:, toes, 0] - poses.xy[:, heels, 0]).ravel()
    ahead = ahead[np.isfinite(ahead)]
    return int(np.sign(np.median(ahead))) if len(ahead) else 0
