"""What a network on keypoints sees does not depend on where the crop lies, how large the child is, or on unknown
points."""

from __future__ import annotations

import pytest
import torch

from childgait.domain.skeleton import INDEX, POINTS
from childgait.models.points import CHANNELS, body_centred
from support.stick_child import scored_points


def clip(view: str = "right", frames: int = 40) -> torch.Tensor:
    return torch.from_numpy(scored_points(view, frames))


def test_five_channels_of_every_joint() -> None:
    seen = body_centred(clip())
    assert seen.shape == (1, CHANNELS, 40, len(POINTS))
    assert torch.isfinite(seen).all()
    hips = seen[0, :2, :, [INDEX["left_hip"], INDEX["right_hip"]]].mean(dim=2)
    assert hips.abs().max() < 1e-4  # the origin
    shoulders = seen[0, :2, :, [INDEX["left_shoulder"], INDEX["right_shoulder"]]].mean(dim=2)
    assert shoulders.norm(dim=0).median() == pytest.approx(1.0, abs=1e-3)  # the unit
    assert torch.allclose(seen[0, 2:4, 1:], seen[0, :2, 1:] - seen[0, :2, :-1])
    assert (seen[0, 2:4, 0] == 0).all()


@pytest.mark.parametrize("view", ["left", "right", "forward", "backward"])
def test_place_and_size_of_the_crop_do_not_matter(view: str) -> None:
    points = clip(view)
    moved = points.clone()
    moved[..., :2] = 0.4 * moved[..., :2] + torch.tensor([31.0, -12.0])
    sway = torch.arange(points.shape[1])[None, :, None, None] * torch.tensor([2.0, 1.0])  # the crop itself moves
    moved[..., :2] += sway
    assert torch.allclose(body_centred(moved), body_centred(points), atol=1e-3)


def test_mirrored_points_are_seen_mirrored() -> None:
    points = clip()
    flipped = points.clone()
    flipped[..., 0] = 111 - flipped[..., 0]
    expected = body_centred(points)
    expected[:, [0, 2]] *= -1
    assert torch.allclose(body_centred(flipped), expected, atol=1e-3)


def test_an_unknown_point_says_nothing_whatever_stands_in_its_place() -> None:
    points = clip()
    ankle = INDEX["left_ankle"]
    points[:, 5:9, ankle, 2] = 0
    answers = []
    for stand_in in (0.0, 1e4, float("nan")):
        points[:, 5:9, ankle, :2] = stand_in
        answers.append(body_centred(points))
    assert all(torch.equal(answers[0], other) for other in answers[1:])
    assert (answers[0][0, :, 5:9, ankle] == 0).all()
    assert (answers[0][0, 2:4, 9, ankle] == 0).all()  # no speed out of nowhere
    known = [index for index in range(len(POINTS)) if index != ankle]
    assert torch.equal(answers[0][..., known], body_centred(clip())[..., known])


def test_hips_that_are_lost_stay_where_they_were() -> None:
    points, hips = clip(), [INDEX["left_hip"], INDEX["right_hip"]]
    standing = points[:, :1].expand(-1, 10, -1, -1).clone()
    standing[:, [0, 1, 6], 11:13, 2] = 0
    assert hips == [11, 12]
    seen = body_centred(standing)
    knee = seen[0, :2, :, INDEX["left_knee"]]
    assert torch.allclose(knee, knee[:, 3:4].expand_as(knee))
    assert body_centred(torch.zeros(2, 5, len(POINTS), 3)).abs().max() == 0  # nobody there at all
