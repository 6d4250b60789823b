"""The test for shortcuts: a network that reads the picture fails it, one that reads the walk passes."""

from __future__ import annotations

import numpy as np
import pytest
from torch import Tensor

from childgait.domain.evgs import TARGETS, VIEWS
from childgait.models.batch import Batch
from childgait.models.network import Network
from childgait.training import appearance
from childgait.training.appearance import (
    RepaintedWalks,
    children_without_aids,
    compare_movements,
    exact_stream,
    measure_appearance,
)
from childgait.training.predict import loading_of
from childgait.training.windows import Loading
from support.small_study import settings

SETTINGS = settings(frames=4, frame_step=2, micro_batch_size=8)
PIXELS = 32


class Colours(Network):
    """Predicts by the picture's mean colour, which no walk changes much."""

    inputs = frozenset({"frames"})

    def forward(self, batch: Batch) -> Tensor:
        assert batch.frames is not None
        level = batch.frames.float().mean(dim=tuple(range(1, batch.frames.ndim)))
        return (level[:, None] / 10 - 12).expand(-1, len(TARGETS))


class Joints(Network):
    """Predicts by the skeleton's height in the picture, which no colour changes."""

    inputs = frozenset({"frames", "points"})

    def forward(self, batch: Batch) -> Tensor:
        assert batch.points is not None
        return batch.points[..., 1].std(dim=(1, 2))[:, None].div(PIXELS).expand(-1, len(TARGETS))


@pytest.fixture(autouse=True)
def two_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appearance, "CHILDREN", 2)


def test_only_the_picture_differs_between_two_appearances_of_a_walk() -> None:
    loading = Loading(4, frozenset({"frames", "masks", "points"}), frame_step=2)
    walks = RepaintedWalks(children_without_aids(2), exact_stream(SETTINGS, PIXELS), loading)
    first, again, other = walks[0, 3][0], walks[0, 3][0], walks[1, 3][0]
    for name in ("frames", "points"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert np.array_equal(first.points, other.points)
    assert not np.array_equal(first.frames, other.frames)
    assert not np.array_equal(walks[0, 0][0].points, walks[0, 4][0].points)  # another child in the same view
    outlines = walks.view(0, 3)
    assert np.array_equal(outlines.estimated[..., :2], outlines.exact), "keypoints without an estimator's errors"


def test_a_network_that_reads_colours_is_found() -> None:
    test = measure_appearance(Colours(), SETTINGS, loading_of(Colours(), SETTINGS), PIXELS, 3)
    assert test is not None
    assert test.ratio is not None
    assert test.ratio > 0.5
    assert test.repainted > 0.02


def test_a_network_that_reads_joints_does_not_move_with_the_picture() -> None:
    test = measure_appearance(Joints(), SETTINGS, loading_of(Joints(), SETTINGS), PIXELS, 3)
    assert test is not None
    assert (test.repainted, test.ratio) == (0, 0)
    assert test.other_walk > 0


def test_a_network_without_pictures_and_a_study_without_appearances_are_not_tested() -> None:
    keypoints = Loading(4, frozenset({"points"}))
    assert measure_appearance(Joints(), SETTINGS, keypoints, PIXELS, 3) is None
    assert measure_appearance(Joints(), SETTINGS, loading_of(Joints(), SETTINGS), PIXELS, 1) is None


def test_changes_are_counted_over_the_targets_that_a_view_shows() -> None:
    probability = np.zeros((2, 2 * len(VIEWS), len(TARGETS)))
    probability[1, :, 0] = 0.5  # the appearance moves target 0
    probability[:, len(VIEWS) :, 1] = 0.25  # the child moves target 1
    visible = np.zeros((2 * len(VIEWS), len(TARGETS)), bool)
    visible[:, :2] = True
    test = compare_movements(probability, visible)
    assert (test.repainted, test.other_walk, test.ratio) == (0.25, 0.125, 2)
    visible[:, 1] = False
    hidden = compare_movements(probability, visible)
    assert (hidden.repainted, hidden.other_walk, hidden.ratio, hidden.low) == (0.5, 0, None, None)
