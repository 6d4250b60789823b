"""Outlines of a walk must be those of the cohort's generator: body, sides, depth, keypoints and what is known of it."""

from functools import cache

import numpy as np
import pytest

from childgait.domain.evgs import BY_CODE, TARGETS, VIEWS, VIEWS_OF_PLANE
from childgait.domain.skeleton import INDEX
from childgait.synthetic.motion import measure
from childgait.synthetic.outlines import (
    CORNERS,
    HEIGHT,
    PIECES,
    RATE,
    WIDTH,
    Outlines,
    StreamSettings,
    draw_stream_child,
    outline_child,
)
from childgait.synthetic.walks import CHILD, PERSON, THING
from childgait.training.walk_windows import OutlineCache
from support.walk_stream import COHORT_ERRORS, stream_settings

SEED = 990001


@cache
def views_of(index: int, seed: int = SEED, settings: StreamSettings | None = None) -> dict[str, Outlines]:
    settings = settings or stream_settings()
    cache_ = OutlineCache(seed, settings)
    return {view: cache_.view(index, place) for place, view in enumerate(VIEWS)}


def same(one: Outlines, other: Outlines) -> bool:
    ours, theirs = one.arrays(), other.arrays()
    return all(np.array_equal(ours[name], theirs[name], equal_nan=ours[name].dtype.kind == "f") for name in ours)


def test_a_child_depends_on_seed_and_number_alone() -> None:
    settings = stream_settings(bystander=0.5, **COHORT_ERRORS)
    first, again = (OutlineCache(SEED, settings) for _ in range(2))
    again.view(5, 0)  # another child before it
    for place in range(len(VIEWS)):
        assert same(first.view(3, place), again.view(3, place))
    assert not same(first.view(3, 0), first.view(5, 0))


def test_children_of_two_seeds_differ() -> None:
    for index in range(3):
        ours, theirs = views_of(index)["left"], views_of(index, SEED + 1)["left"]
        assert not np.allclose(ours.measures, theirs.measures)
        assert not np.allclose(ours.curves, theirs.curves)
        assert ours.polygons.shape != theirs.polygons.shape or (ours.polygons != theirs.polygons).any()


@pytest.mark.parametrize("view", VIEWS)
def test_arrays_have_the_shapes_that_are_promised(view: str) -> None:
    outlines = views_of(0)[view]
    count = round(1.6 * RATE)
    kept = outlines.polygons.shape[1]
    assert outlines.polygons.shape == (count, kept, CORNERS, 2)
    assert outlines.order.shape == outlines.hidden.shape == (count, kept)
    assert (np.sort(outlines.order, axis=1) == np.arange(kept)).all()
    assert outlines.curves.shape == (count, 28)
    assert outlines.estimated.shape == (count, 23, 3)
    assert set(outlines.piece.tolist()) <= {*range(len(PIECES)), 255}
    assert {PIECES[piece] for piece in outlines.piece.tolist() if piece != 255} == set(PIECES)
    assert same(Outlines.of_arrays(outlines.arrays()), outlines)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_shows_the_items_of_its_plane(view: str) -> None:
    outlines = views_of(1)[view]
    assert outlines.visible.tolist() == [view in VIEWS_OF_PLANE[BY_CODE[target.code].plane] for target in TARGETS]


def test_measures_are_those_of_the_typical_stride() -> None:
    child = draw_stream_child(SEED, 2)
    measured = measure(child)
    expected = [measured[target.limb][target.code].value for target in TARGETS]
    for outlines in views_of(2).values():
        assert outlines.measures == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("view", "near", "far"), [("left", "left", "right"), ("right", "right", "left")])
def test_the_nearer_leg_is_painted_after_the_other(view: str, near: str, far: str) -> None:
    for index in range(4):
        outlines = views_of(index)[view]
        place = np.argsort(outlines.order, axis=1)  # of every polygon in the order of painting
        mean = {side: place[:, outlines.piece == PIECES.index(f"{side}_foot")].mean() for side in (near, far)}
        assert mean[near] > mean[far]


def test_the_child_is_seen_from_its_own_side_and_from_front_and_back() -> None:
    views = views_of(0)
    ahead = {
        view: views[view].exact[-1, INDEX["left_hip"], 0] - views[view].exact[0, INDEX["left_hip"], 0] for view in views
    }
    assert ahead["left"] < 0 < ahead["right"]
    across = {
        view: (one.exact[:, INDEX["left_hip"], 0] - one.exact[:, INDEX["right_hip"], 0]).mean()
        for view, one in views.items()
    }
    assert across["forward"] > 0 > across["backward"]
    height = {view: np.ptp(one.exact[..., 1], axis=1) for view, one in views.items()}
    assert height["forward"][-1] > height["forward"][0]
    assert height["backward"][-1] < height["backward"][0]


def test_the_crop_follows_the_child() -> None:
    for index in range(4):
        for outlines in views_of(index).values():
            corner, side = outlines.squares[:, None, :2], outlines.squares[:, None, 2:]
            share = (outlines.exact + 0.5 - corner) / side
            inside = ((share > 0) & (share < 1)).all(axis=2)
            shown = ((outlines.exact >= 0) & (outlines.exact < (WIDTH, HEIGHT))).all(axis=2)
            assert inside[shown].mean() > 0.99
            assert np.ptp(outlines.squares[:, 2]) < 0.5 * outlines.squares[:, 2].mean()


def test_refined_keypoints_are_near_the_exact_ones_and_imperfect() -> None:
    settings = stream_settings(**COHORT_ERRORS)
    errors, missing = [], []
    for index in range(6):
        for outlines in views_of(index, SEED, settings).values():
            body = np.median(np.ptp(outlines.exact[..., 1], axis=1))
            errors.append(np.linalg.norm(outlines.estimated[..., :2] - outlines.exact, axis=2).ravel() / body)
            missing.append((outlines.estimated[..., 2] == 0).mean())
            assert (np.isnan(outlines.estimated[..., 0]) == (outlines.estimated[..., 2] == 0)).all()
    error = np.concatenate(errors)
    assert 0.001 < np.nanmedian(error) < 0.015
    assert np.nanpercentile(error, 99) < 0.06
    assert 0.002 < np.mean(missing) < 0.06


def test_companions_and_aids_come_with_the_child() -> None:
    settings = stream_settings(bystander=1.0)
    views = [one for index in range(6) for one in views_of(index, SEED, settings).values()]
    assert all(one.heads.shape[1] == 2 for one in views)
    assert np.mean([(one.identity == PERSON).any() for one in views]) > 0.5  # where the crop shows any of them
    aids = {index: draw_stream_child(SEED, index).aid for index in range(100)}
    for aid in ("walker", "parallel bars", "none"):
        index = next(index for index, its in aids.items() if its == aid)
        shown = [(one.identity == THING).any() for one in views_of(index).values()]
        assert all(shown) if aid != "none" else not any(shown)
    assert all((one.identity == CHILD).sum() > 30 for one in views)


def test_every_child_needs_a_crop() -> None:
    seen = []

    def crop(seconds: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        seen.append(boxes)
        return np.tile([0, 0, 360], (len(seconds), 1))

    outlines = outline_child(SEED, 0, stream_settings(), crop)
    assert len(outlines) == len(seen) == 4
    assert all((one.squares == [0, 0, 360]).all() for one in outlines)
