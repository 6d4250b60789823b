"""Joint moments against mechanics by hand: a pendulum, a leaning child, other scales, other shares of the ground."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from childgait.domain.body_segments import UPPER_BODY_CENTRE, leg_segments
from childgait.domain.skeleton import INDEX
from childgait.errors import StepError
from childgait.models import joint_moments as module
from childgait.models.joint_moments import GRAVITY, _metres_of_leg, joint_moments
from childgait.models.point_inputs import PointInputs
from childgait.params import Finetune
from childgait.preflight.params import _check_moments_rate
from support.small_study import PARAMS, settings
from support.stick_child import scored_points

AGE, RATE, FRAMES, LEG = 9.0, 60.0, 90, 100.0  # LEG: pixels of thigh and shank


def scene(places: Mapping[str, tuple[Tensor | float, Tensor | float]]) -> Tensor:
    """Return points (1, T, 23, 3) from x and y (upwards) in leg lengths; the others are unseen."""
    points = torch.zeros(1, FRAMES, 23, 3)
    for name, (x, y) in places.items():
        points[0, :, INDEX[name], 0] = 200 + LEG * torch.as_tensor(x)
        points[0, :, INDEX[name], 1] = 300 - LEG * torch.as_tensor(y)
        points[0, :, INDEX[name], 2] = 0.9
    return points


def straight_leg(limb: str, angle: Tensor | float, hip: tuple[float, float], foot: float = 0.3) -> dict[str, tuple]:
    """Return a leg that hangs from the hip at an angle to the vertical; the foot prolongs it."""
    across, down = torch.sin(torch.as_tensor(angle)), torch.cos(torch.as_tensor(angle))
    distances = {"hip": 0.0, "knee": 0.5, "ankle": 1.0, "heel": 1.0, "big_toe": 1.0 + foot}
    return {f"{limb}_{name}": (hip[0] + d * across, hip[1] - d * down) for name, d in distances.items()}


def standing_leg(limb: str, x: float) -> dict[str, tuple]:
    """Return an upright leg on the ground, whose foot reaches from 0.1 behind to 0.2 in front of the ankle."""
    return {
        f"{limb}_hip": (x, 1.0),
        f"{limb}_knee": (x, 0.5),
        f"{limb}_ankle": (x, 0.0),
        f"{limb}_heel": (x - 0.1, 0.0),
        f"{limb}_big_toe": (x + 0.2, 0.0),
    }


def shoulders(x: float, y: float) -> dict[str, tuple]:
    return {f"{limb}_shoulder": (x, y) for limb in ("left", "right")}


def pendulum() -> tuple[Tensor, Tensor, Tensor]:
    """Return a left leg that swings from a fixed hip, high above the other foot, its angle and angular acceleration."""
    time, speed = torch.arange(FRAMES) / RATE, 2 * math.pi * 0.8
    angle = 0.4 * torch.sin(speed * time)
    places = straight_leg("left", angle, (0.0, 1.6)) | standing_leg("right", 0.0) | shoulders(0.0, 1.8)
    return scene(places), angle, -(speed**2) * angle


def of(joint: str, moments: Tensor) -> Tensor:
    return moments[0, :, INDEX[joint]]


def test_a_swinging_leg_has_the_moment_of_a_compound_pendulum() -> None:
    points, angle, acceleration = pendulum()
    acceleration = acceleration * _metres_of_leg(AGE) / GRAVITY
    segments, expected = leg_segments(AGE), {}
    begins, lengths = {"thigh": 0.0, "shank": 0.5, "foot": 1.0}, {"thigh": 0.5, "shank": 0.5, "foot": 0.3}
    inertia = weight = 0.0
    for name, segment in segments.items():
        distance = begins[name] + segment.centre * lengths[name]
        inertia += segment.mass * (distance**2 + (segment.radius * lengths[name]) ** 2)
        weight += segment.mass * distance
    expected = inertia * acceleration + weight * torch.sin(angle)
    hip = of("left_hip", joint_moments(points, AGE, RATE))
    inner = slice(3, -3)
    assert (hip - expected)[inner].abs().max() < 0.02 * expected.abs().max()
    static = weight * torch.sin(angle)
    assert (hip - static)[inner].abs().max() > 0.2 * expected.abs().max(), "the leg's inertia counts"


@pytest.mark.parametrize("lean", [-0.05, 0.0, 0.1])
def test_a_leaning_trunk_is_held_by_the_hips(lean: float) -> None:
    places = standing_leg("left", 0.0) | standing_leg("right", 0.0) | shoulders(lean, 1.6)
    moments = joint_moments(scene(places), AGE, RATE)
    upper = 1 - 2 * sum(segment.mass for segment in leg_segments(AGE).values())
    both = of("left_hip", moments) + of("right_hip", moments)
    assert torch.allclose(both, torch.full_like(both, -upper * UPPER_BODY_CENTRE * lean), atol=1e-4)
    assert torch.allclose(of("left_hip", moments), of("right_hip", moments), atol=1e-5)


def test_size_and_place_of_the_picture_do_not_matter_and_its_mirror_turns_the_sign() -> None:
    points = torch.from_numpy(scored_points("right", 32))
    moments = joint_moments(points, AGE, 30.0)
    assert moments.abs().max() > 0.01
    larger = points.clone()
    larger[..., :2] = 1.7 * larger[..., :2] + 40
    torch.testing.assert_close(joint_moments(larger, AGE, 30.0), moments, rtol=1e-3, atol=1e-3)
    mirrored = points.clone()
    mirrored[..., 0] = 640 - mirrored[..., 0]
    torch.testing.assert_close(joint_moments(mirrored, AGE, 30.0), -moments, rtol=1e-3, atol=1e-3)


def test_a_leg_in_swing_does_not_depend_on_how_the_ground_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    points, _, _ = pendulum()
    before = joint_moments(points, AGE, RATE)
    monkeypatch.setattr(module, "SHARE_HEIGHT", 0.03)
    torch.testing.assert_close(of("left_hip", joint_moments(points, AGE, RATE)), of("left_hip", before))


def test_the_sole_of_one_foot_carries_the_whole_body() -> None:
    """The other leg is lifted: the ankle's moment is the weight without the foot, on its way to the pressure point."""
    lifted = {name: (x, y + 0.3) for name, (x, y) in standing_leg("right", 0.0).items()}
    points = scene(standing_leg("left", 0.0) | lifted | shoulders(0.15, 1.6))
    segments = leg_segments(AGE)
    upper = 1 - 2 * sum(segment.mass for segment in segments.values())
    foot = segments["foot"]
    of_feet = 2 * foot.mass * (-0.1 + 0.3 * foot.centre)
    centre = upper * UPPER_BODY_CENTRE * 0.15 + of_feet
    ankle = of("left_ankle", joint_moments(points, AGE, RATE))
    assert torch.allclose(ankle, torch.full_like(ankle, -centre + of_feet / 2), atol=1e-4)


def test_a_joint_above_an_unseen_toe_has_no_moment_in_that_frame() -> None:
    points, _, _ = pendulum()
    points[0, 40, INDEX["left_knee"], 2] = 0
    moments = joint_moments(points, AGE, RATE)
    assert of("left_hip", moments)[40] == of("left_knee", moments)[40] == 0
    assert of("left_ankle", moments)[40] != 0
    assert of("left_hip", moments)[41] != 0
    assert not joint_moments(torch.zeros_like(points), AGE, RATE).any()


def test_the_table_has_the_published_masses_and_lies_between_them() -> None:
    assert [leg_segments(6)[name].mass for name in ("thigh", "shank", "foot")] == [0.085, 0.046, 0.019]
    assert [leg_segments(12)[name].mass for name in ("thigh", "shank", "foot")] == [0.110, 0.053, 0.021]
    assert leg_segments(9)["thigh"].mass == pytest.approx(0.0975)
    assert leg_segments(3) == leg_segments(3.0)
    assert leg_segments(3)["thigh"].mass == 0.085


def test_they_are_a_channel_of_their_own_at_six_joints() -> None:
    points = torch.from_numpy(scored_points("right", 20))
    skeleton = settings().skeleton.model_copy(update={"extra": ["moments"]})
    inputs = PointInputs(skeleton)
    channel = inputs(points)[:, -1]
    assert torch.equal(channel, joint_moments(points, skeleton.moments_age, skeleton.moments_rate))
    others = [n for name, n in INDEX.items() if name.split("_", 1)[-1] not in ("hip", "knee", "ankle")]
    assert not channel[:, :, others].any()


def test_a_wrong_rate_of_the_windows_is_refused() -> None:
    def study(rate: float) -> Finetune:
        skeleton = {**PARAMS["finetune"]["skeleton"], "extra": ["moments"], "moments_rate": rate}
        return settings(models=["tcn"], skeleton=skeleton, frame_step=2)

    _check_moments_rate(study(15.0), 30.0)
    with pytest.raises(StepError, match=r"moments_rate is 30 for tcn, but its windows have 15 frames per second"):
        _check_moments_rate(study(30.0), 30.0)
