"""What `finetune.skeleton.extra` and `attention` add to the inputs of every network on keypoints."""

from __future__ import annotations

import pytest
import torch

from childgait.domain.evgs import TARGETS
from childgait.domain.skeleton import INDEX, POINTS
from childgait.models.batch import Batch
from childgait.models.point_inputs import ChannelGate, PointInputs, bone_lengths, haar_details
from childgait.models.points import CHANNELS, body_centred
from childgait.models.registry import find_model
from childgait.params import Skeleton
from support.small_study import settings
from support.stick_child import scored_points

DEFAULT: Skeleton = settings().skeleton
ALL = DEFAULT.model_copy(update={"extra": ["proportions", "wavelets"], "attention": "channel"})


def test_without_extras_there_are_no_weights_and_the_joints_are_as_before() -> None:
    inputs, points = PointInputs(DEFAULT), torch.from_numpy(scored_points("right", 20))
    assert inputs.channels == CHANNELS
    assert not inputs.state_dict()
    assert torch.equal(inputs(points), body_centred(points))


def test_extras_follow_the_joints_in_a_fixed_order() -> None:
    points = torch.from_numpy(scored_points("right", 20))
    inputs = PointInputs(ALL.model_copy(update={"attention": "none"}))
    extended = inputs(points)
    assert extended.shape == (1, inputs.channels, 20, len(POINTS)) == (1, CHANNELS + 7, 20, len(POINTS))
    centred = body_centred(points)
    assert torch.equal(extended[:, :CHANNELS], centred)
    assert torch.equal(extended[:, CHANNELS:-1], haar_details(centred[:, 2:4]))
    assert torch.equal(extended[:, -1:], bone_lengths(centred))


def test_a_constant_velocity_has_no_details() -> None:
    velocity = torch.full((1, 2, 12, 1), 0.25)
    velocity[:, :, 0] = 0  # the first frame has no velocity yet
    assert haar_details(velocity).abs().max() < 1e-6


def test_a_step_of_velocity_is_in_each_scale_for_as_long_as_the_scale_is() -> None:
    velocity = torch.zeros(1, 2, 20, 1)
    velocity[0, 0, 10:] = 1.0
    details = haar_details(velocity)[0, ::2, :, 0]  # x at the scales of 1, 2 and 4 frames
    assert details[0].nonzero().flatten().tolist() == [10]
    assert details[1].tolist()[9:14] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert details[2].tolist()[9:18] == pytest.approx([0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0])
    assert haar_details(velocity)[0, 1::2].abs().max() < 1e-6  # y does not move


def test_a_longer_shank_changes_the_length_at_the_ankle_alone() -> None:
    points = torch.from_numpy(scored_points("right", 16))
    moved = points.clone()
    knee, ankle = moved[:, :, INDEX["left_knee"], :2], moved[:, :, INDEX["left_ankle"], :2]
    shift = 0.5 * (ankle - knee)
    for name in ("ankle", "heel", "big_toe", "small_toe"):
        moved[:, :, INDEX[f"left_{name}"], :2] += shift
    before, after = (bone_lengths(body_centred(one))[0, 0, 0] for one in (points, moved))
    changed = (after - before).abs() > 1e-4
    assert changed.nonzero().flatten().tolist() == [INDEX["left_ankle"]]
    assert after[INDEX["left_ankle"]] == pytest.approx(1.5 * float(before[INDEX["left_ankle"]]), rel=1e-3)


def test_a_bone_that_was_never_seen_has_no_length() -> None:
    points = torch.from_numpy(scored_points("right", 8))
    points[:, :, INDEX["left_ankle"], 2] = 0
    lengths = bone_lengths(body_centred(points))[0, 0, 0]
    assert lengths[INDEX["left_ankle"]] == 0
    assert lengths[INDEX["right_ankle"]] > 0


def test_the_gate_weighs_whole_channels_between_nothing_and_all() -> None:
    torch.manual_seed(0)
    gate, x = ChannelGate(4), torch.randn(3, 4, 5, len(POINTS))
    shares = gate(x) / x
    assert ((shares > 0) & (shares < 1)).all()
    assert shares.flatten(2).std(dim=2).max() < 1e-5


@pytest.mark.parametrize("name", ["stgcn", "stgcn_fusion", "ctrgcn", "gaitmixer", "gaitformer", "gru", "lstm", "tcn"])
def test_every_network_takes_the_extras(name: str) -> None:
    torch.manual_seed(0)
    small = ALL.model_copy(update={"width": 8, "extra": ["proportions", "wavelets", "moments"]})
    network = find_model(name).build(settings(frames=16, skeleton=small.model_dump()), 64).eval()
    points = torch.from_numpy(scored_points("right", 16))
    features = torch.zeros(1, 182) if "features" in network.inputs else None
    logits = network(Batch(size=1, points=points, features=features))
    assert logits.shape == (1, len(TARGETS))
    logits.sum().backward()
    gates = [value for key, value in network.named_parameters() if ".gate." in key]
    assert gates
    assert all(value.grad is not None for value in gates)
