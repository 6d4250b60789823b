"""Net moments of hip, knee and ankle from keypoints: inverse dynamics in the plane of the image.

Newton's and Euler's equations per segment, from the foot up, with a child's segment table (domain/body_segments.py).
Moments are over body mass, gravity and leg length (thigh plus shank), so a larger picture of the same walk has the
same ones. From the side the plane is the sagittal one, from the front the frontal one. Positive turns the distal
segment anticlockwise in the picture.

Ground reaction is not measured. Assumed: its sum is what moves the mass of the whole body; each foot's share falls
smoothly with its height above the other foot (`SHARE_HEIGHT`), so that a leg in swing has practically none and its
moments do not depend on this; it acts below the centre of mass of the body, but within heel and toe. The crop that
follows the child counts as unaccelerated. Acceleration is a second difference of positions, smoothed over five frames
above 40 Hz, three above 20 Hz.

One age sets table and leg length for all children: moments that depend on each child's age would show a network the
age. A joint whose segments, down to the foot, are not all seen has moment 0.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from childgait.domain.body_segments import UPPER_BODY_CENTRE, BodySegment, leg_segments
from childgait.domain.skeleton import INDEX
from childgait.gait.normative import height_of, proportions

GRAVITY = 9.81  # m/s²
SHARE_HEIGHT = 0.02  # leg lengths by which a foot is higher where the shares are as 1 to e
LARGEST = 2.0  # of a moment; beyond it is an error of the keypoints
# Weights of five frames by the rate above which they are used: fewer where frames are far apart (docs/LOG.md).
_SMOOTHING = {40.0: (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16), 20.0: (0.0, 0.25, 0.5, 0.25, 0.0), 0.0: (0, 0, 1, 0, 0)}
_LEG = ("hip", "knee", "ankle", "heel", "big_toe")
JOINTS = ("hip", "knee", "ankle")


class Motion(NamedTuple):
    """Place and acceleration of a segment; lengths in leg lengths, accelerations in those of gravity."""

    centre: Tensor  # (B, T, 2)
    acceleration: Tensor  # (B, T, 2)
    turning: Tensor  # (B, T) angular acceleration times leg length over gravity


def joint_moments(points: Tensor, age_years: float, rate: float) -> Tensor:
    """Return (B, T, 23), 0 but at hips, knees and ankles, from points (B, T, 23, 3) at `rate` frames per second."""
    known = points[..., 2] > 0
    position = _hold(points[..., :2].float() * points.new_tensor([1.0, -1.0]), known)
    position = _smooth(position / _leg_length(position, known)[:, None, None, None], rate)
    seconds = (_metres_of_leg(age_years) / GRAVITY) ** 0.5 * rate  # frames per unit of time
    segments = leg_segments(age_years)
    legs = {limb: {name: position[:, :, INDEX[f"{limb}_{name}"]] for name in _LEG} for limb in ("left", "right")}
    motions = {limb: _motions(leg, segments, seconds) for limb, leg in legs.items()}
    reaction, centre = _whole_body(position, motions, segments, seconds)
    share = _share_of_left(legs)
    moments = points.new_zeros(points.shape[:3])
    for limb, part in (("left", share), ("right", 1 - share)):
        pressure = _pressure_point(legs[limb], centre)
        values = _leg_moments(legs[limb], motions[limb], segments, part[..., None] * reaction, pressure)
        for number, joint in enumerate(JOINTS):
            distal = [INDEX[f"{limb}_{name}"] for name in _LEG[number:]]
            seen = known[:, :, distal].all(dim=2)
            value = values[joint].clamp(-LARGEST, LARGEST)
            moments[:, :, INDEX[f"{limb}_{joint}"]] = torch.where(seen, value, torch.zeros_like(value))
    return moments


def _leg_moments(
    leg: dict[str, Tensor],
    motions: dict[str, Motion],
    segments: dict[str, BodySegment],
    reaction: Tensor,
    pressure: Tensor,
) -> dict[str, Tensor]:
    """Return the moment on each joint's distal segment, (B, T); the ground pushes at `pressure` with `reaction`."""
    moments: dict[str, Tensor] = {}
    force, moment, place = reaction, torch.zeros_like(reaction[..., 0]), pressure  # on the segment's distal end
    lengths = {
        "foot": _distance(leg["heel"], leg["big_toe"]),
        "shank": _distance(leg["knee"], leg["ankle"]),
        "thigh": _distance(leg["hip"], leg["knee"]),
    }
    for name, joint in (("foot", "ankle"), ("shank", "knee"), ("thigh", "hip")):
        segment, motion = segments[name], motions[name]
        inertia = segment.mass * (segment.radius * lengths[name]) ** 2
        proximal = segment.mass * (motion.acceleration - _gravity(motion.acceleration)) - force
        moments[joint] = (
            inertia * motion.turning
            - moment
            - _cross(leg[joint] - motion.centre, proximal)
            - _cross(place - motion.centre, force)
        )
        force, moment, place = -proximal, -moments[joint], leg[joint]
    return moments


def _motions(leg: dict[str, Tensor], segments: dict[str, BodySegment], seconds: float) -> dict[str, Motion]:
    """Return the motion of thigh, shank and foot."""
    ends = {
        "thigh": (leg["hip"], leg["knee"]),
        "shank": (leg["knee"], leg["ankle"]),
        "foot": (leg["heel"], leg["big_toe"]),
    }
    motions = {}
    for name, (first, last) in ends.items():
        centre = first + segments[name].centre * (last - first)
        way = last - first
        second = _acceleration(way, seconds)
        # of a direction u of constant length: the component of its acceleration across it over its length
        turning = _cross(way, second) / way.square().sum(dim=-1).clamp(min=1e-6)
        motions[name] = Motion(centre, _acceleration(centre, seconds), turning)
    return motions


def _whole_body(
    position: Tensor, motions: dict[str, dict[str, Motion]], segments: dict[str, BodySegment], seconds: float
) -> tuple[Tensor, Tensor]:
    """Return the ground reaction (B, T, 2) in body weights, and the centre of mass of the body (B, T, 2)."""
    hips, shoulders = (
        (position[:, :, INDEX[f"left_{name}"]] + position[:, :, INDEX[f"right_{name}"]]) / 2
        for name in ("hip", "shoulder")
    )
    upper = 1 - 2 * sum(segment.mass for segment in segments.values())
    trunk = hips + UPPER_BODY_CENTRE * (shoulders - hips)
    centre, force = upper * trunk, upper * _acceleration(trunk, seconds)
    for of_leg in motions.values():
        for name, segment in segments.items():
            centre = centre + segment.mass * of_leg[name].centre
            force = force + segment.mass * of_leg[name].acceleration
    return force - _gravity(force), centre


def _share_of_left(legs: dict[str, dict[str, Tensor]]) -> Tensor:
    """Return (B, T) the left foot's share of the ground reaction, from the heights of the feet's lowest points."""
    left, right = (torch.minimum(leg["heel"][..., 1], leg["big_toe"][..., 1]) for leg in legs.values())
    return torch.sigmoid((right - left) / SHARE_HEIGHT)


def _pressure_point(leg: dict[str, Tensor], centre: Tensor) -> Tensor:
    """Return (B, T, 2): the point of the foot's sole below the centre of mass, or the nearest end of the foot."""
    heel, toe = leg["heel"], leg["big_toe"]
    along = torch.clamp(
        centre[..., 0], min=torch.minimum(heel[..., 0], toe[..., 0]), max=torch.maximum(heel[..., 0], toe[..., 0])
    )
    return torch.stack([along, torch.minimum(heel[..., 1], toe[..., 1])], dim=-1)


def _acceleration(path: Tensor, frames_per_unit: float) -> Tensor:
    """Return the second derivative of (B, T, 2); that of the first and last frame is their neighbour's."""
    if path.shape[1] < 3:
        return torch.zeros_like(path)
    inner = (path[:, 2:] - 2 * path[:, 1:-1] + path[:, :-2]) * frames_per_unit**2
    return torch.cat([inner[:, :1], inner, inner[:, -1:]], dim=1)


def _smooth(position: Tensor, rate: float) -> Tensor:
    """Smooth (B, T, 23, 2) over time; the ends are extended by point reflection, so that a line stays one."""
    if position.shape[1] < 3:
        return position
    first, last = 2 * position[:, :1], 2 * position[:, -1:]
    before = [first - position[:, 2:3], first - position[:, 1:2]]
    padded = torch.cat([*before, position, last - position[:, -2:-1], last - position[:, -3:-2]], dim=1)
    time, weights = position.shape[1], next(weights for least, weights in _SMOOTHING.items() if rate > least)
    return torch.stack([weight * padded[:, at : at + time] for at, weight in enumerate(weights)]).sum(dim=0)


def _hold(position: Tensor, known: Tensor) -> Tensor:
    """Give unseen points of (B, T, 23, 2) their last seen place, at the start their first; 0 where never seen."""
    time = torch.arange(known.shape[1], device=known.device)[None, :, None]
    last = torch.where(known, time, -1).cummax(dim=1).values
    first = torch.where(known, time, known.shape[1]).amin(dim=1, keepdim=True).clamp(max=known.shape[1] - 1)
    index = torch.where(last >= 0, last, first)
    held = position.nan_to_num(nan=0.0).gather(1, index[..., None].expand_as(position))
    return torch.where(known.any(dim=1)[:, None, :, None], held, torch.zeros_like(held))


def _leg_length(position: Tensor, known: Tensor) -> Tensor:
    """Return (B,) the median length of thigh plus shank over frames and limbs that are seen; 1 where none is."""
    lengths = []
    for limb in ("left", "right"):
        hip, knee, ankle = (INDEX[f"{limb}_{name}"] for name in JOINTS)
        length = _distance(position[:, :, hip], position[:, :, knee])
        length = length + _distance(position[:, :, knee], position[:, :, ankle])
        seen = known[:, :, [hip, knee, ankle]].all(dim=2)
        lengths.append(torch.where(seen, length, torch.full_like(length, torch.nan)))
    return torch.cat(lengths, dim=1).nanmedian(dim=1).values.nan_to_num(nan=1.0).clamp(min=1.0)


def _metres_of_leg(age_years: float) -> float:
    """Return the length of thigh and shank at this age, the mean of girls and boys."""
    height = (height_of(age_years, "female") + height_of(age_years, "male")) / 2
    shares = proportions(age_years)
    return height * (shares["thigh"] + shares["shank"])


def _gravity(like: Tensor) -> Tensor:
    return functional.one_hot(torch.tensor(1), 2).to(like) * -1.0


def _cross(one: Tensor, two: Tensor) -> Tensor:
    return one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0]


def _distance(one: Tensor, two: Tensor) -> Tensor:
    return (one - two).norm(dim=-1)
