"""A walking stick child for tests: 23 points over time from mean joint curves, seen from any of the four views.

Hip, knee and ankle follow the Fourier form of the published mean curves of healthy children (Schwartz et al. 2008),
shifted by a pattern's offsets; the pelvis stands on the lowest foot point. Kept apart from childgait.synthetic, so
that what is tested here does not lean on the generator that other tests use.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from childgait.domain.skeleton import INDEX, POINTS

_CURVES = {
    "hip": (18.44, (20.86, -3.15, -0.11, -0.11, -0.28), (-3.19, -1.54, 1.62, -0.09, 0.27)),
    "knee": (22.87, (-1.91, -13.64, -0.70, -0.87, -0.55), (-18.75, 7.00, 4.31, 0.63, 0.73)),
    "ankle": (0.75, (-2.05, 0.81, -4.60, 2.20, -0.53), (7.09, -7.22, 0.86, 0.24, -1.38)),
}
_TILT = 11.6
HEIGHT = 1.25  # metres


@dataclass
class Walk:
    """What is true of a walk."""

    seconds: np.ndarray  # (T,)
    xy: np.ndarray  # (T, 23, 2) pixels
    contacts: dict[str, np.ndarray]  # limb: seconds of initial contacts
    foot_offs: dict[str, np.ndarray]
    knee: dict[str, np.ndarray]  # limb: degrees over time, flexion positive
    hip: dict[str, np.ndarray]  # of the thigh to a vertical trunk
    ankle: dict[str, np.ndarray]


def curve(name: str, phase: np.ndarray) -> np.ndarray:
    mean, cosines, sines = _CURVES[name]
    turns = 2 * np.pi * phase[:, None] * np.arange(1, 6)
    return mean + np.cos(turns) @ np.array(cosines) + np.sin(turns) @ np.array(sines)


def walk(
    view: str = "right",
    seconds: float = 4.0,
    rate: float = 60.0,
    stride: float = 0.95,
    knee: float = 0.0,
    ankle: float = 0.0,
    hip: float = 0.0,
    foot_off: float = 0.59,
    width: int = 640,
    height: int = 360,
) -> Walk:
    """A child that crosses the picture (left, right), comes (forward) or goes (backward)."""
    t = np.arange(round(seconds * rate)) / rate
    phase = {"left": t / stride, "right": t / stride + 0.5}
    joints = {
        limb: {
            "hip": curve("hip", p) + hip - _TILT,
            "knee": curve("knee", p) + knee,
            "ankle": curve("ankle", p) + ankle,
        }
        for limb, p in phase.items()
    }
    body = _body(t, joints, stride)
    xy = _seen(body, view, width, height)
    contacts, offs = {}, {}
    for limb, p in phase.items():
        whole = np.arange(np.ceil(p[0]), p[-1] + 1e-9)
        contacts[limb] = (whole - p[0]) * stride
        whole = np.arange(np.ceil(p[0] - foot_off), p[-1] - foot_off + 1e-9)
        offs[limb] = (whole + foot_off - p[0]) * stride
    angles = [{limb: joints[limb][name] for limb in joints} for name in ("knee", "hip", "ankle")]
    return Walk(t, xy, contacts, offs, *angles)


def _body(t: np.ndarray, joints: dict[str, dict[str, np.ndarray]], stride: float) -> np.ndarray:
    """(T, 23, 3) metres: forward, up, to the child's left."""
    body = np.zeros((len(t), len(POINTS), 3))
    along = lambda degrees: np.stack([np.sin(np.radians(degrees)), -np.cos(np.radians(degrees))], 1)  # noqa: E731
    for limb, sign in (("left", 1), ("right", -1)):
        thigh = joints[limb]["hip"]
        shank = thigh - joints[limb]["knee"]
        pitch = np.radians(shank + joints[limb]["ankle"])
        forward, up = np.stack([np.cos(pitch), np.sin(pitch)], 1), np.stack([-np.sin(pitch), np.cos(pitch)], 1)
        at = {name: INDEX[f"{limb}_{name}"] for name in ("hip", "knee", "ankle", "heel", "big_toe", "small_toe")}
        body[:, at["knee"], :2] = 0.22 * HEIGHT * along(thigh)
        body[:, at["ankle"], :2] = body[:, at["knee"], :2] + 0.235 * HEIGHT * along(shank)
        for name, ahead in (("heel", -0.04), ("big_toe", 0.11), ("small_toe", 0.09)):
            body[:, at[name], :2] = body[:, at["ankle"], :2] + HEIGHT * (ahead * forward - 0.04 * up)
        for name, index in at.items():
            body[:, index, 2] = sign * HEIGHT * (0.052 + (0.02 if name == "small_toe" else 0))
        swing = 0.12 * HEIGHT * np.sin(np.radians(thigh))
        for name, up_by, move in (("shoulder", 0.3, 0), ("elbow", 0.13, -0.5), ("wrist", 0.0, -1.0)):
            body[:, INDEX[f"{limb}_{name}"]] = np.stack(
                [move * swing, np.full(len(t), up_by * HEIGHT), np.full(len(t), sign * HEIGHT * 0.11)], 1
            )
        body[:, INDEX[f"{limb}_eye"]] = [0.06, 0.45 * HEIGHT, sign * 0.03]
        body[:, INDEX[f"{limb}_ear"]] = [0.0, 0.44 * HEIGHT, sign * 0.06]
    body[:, INDEX["nose"]] = [0.08, 0.43 * HEIGHT, 0]
    feet = [INDEX[f"{limb}_{name}"] for limb in ("left", "right") for name in ("heel", "big_toe", "small_toe")]
    body[..., 1] -= body[:, feet, 1].min(axis=1)[:, None]
    hips = [joints[limb]["hip"] for limb in joints]
    step = 0.455 * HEIGHT * 2 * np.sin(np.radians((np.ptp(hips[0]) + np.ptp(hips[1])) / 4))
    body[..., 0] += (2 * step * t / stride)[:, None]
    return body


def _seen(body: np.ndarray, view: str, width: int, height: int) -> np.ndarray:
    """Through a pinhole at 0.7 m above the ground, 3.6 m beside the way or at its end."""
    forward, up, left = body[..., 0], body[..., 1], body[..., 2]
    middle = forward[:, :1].mean()
    if view in ("right", "left"):  # the side that faces the camera is the side it walks to
        across, depth = (forward - middle, 3.6 + left) if view == "right" else (middle - forward, 3.6 - left)
    elif view == "forward":
        across, depth = left, 2.4 + forward.max() - forward
    else:
        across, depth = -left, 2.4 + forward - forward.min()
    focal = 1.1 * height * 1.6
    return np.stack([width / 2 + focal * across / depth, height / 2 + focal * (0.7 - up) / depth], axis=2).astype(
        np.float32
    )


def scored_points(view: str = "right", frames: int = 40) -> np.ndarray:
    """(1, T, 23, 3) of a walk at 30 frames per second, every point known: what a network on keypoints is given."""
    xy = walk(view, rate=30.0).xy[:frames]
    return np.concatenate([xy, np.full((*xy.shape[:2], 1), 0.9, np.float32)], axis=2)[None]
