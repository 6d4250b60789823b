"""What is painted must be where mask and keypoints are."""

from functools import cache

import cv2
import numpy as np
import pytest

from childgait.domain.evgs import VIEWS
from childgait.domain.skeleton import INDEX
from childgait.synthetic import painting
from childgait.synthetic.outlines import MATERIALS, Outlines, draw_stream_child
from childgait.synthetic.painting import MaskErrors, Rooms, draw_mask_errors, paint_window, place_points
from childgait.training.walk_windows import OutlineCache
from support.walk_stream import stream_settings

SEED = 990001
FRAMES = np.arange(0, 32, 2)
ROOMS = Rooms(SEED)


@cache
def outlines_of(index: int, view: str, bystander: float = 0.0) -> Outlines:
    return OutlineCache(SEED, stream_settings(bystander=bystander)).view(index, VIEWS.index(view))


def paint(outlines: Outlines, seed: int = 0, pixels: int = 64) -> tuple[np.ndarray, np.ndarray]:
    return paint_window(outlines, FRAMES, pixels, ROOMS, 0.0, np.random.default_rng(seed))


def bare_children() -> list[int]:
    """Children without a walking aid: nothing stands before them."""
    return [n for n in range(12) if draw_stream_child(SEED, n).aid == "none"][:4]


@pytest.fixture
def red_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child red, everything else black, no mosaic, no lens."""
    palette = np.zeros((2 * MATERIALS + 2, 3))
    palette[:MATERIALS, 0] = 10_000
    monkeypatch.setattr(painting, "_palette", lambda rng: palette)
    monkeypatch.setattr(painting._Cover, "paint", lambda *_: None)
    monkeypatch.setattr(painting, "_develop", lambda frames, outlines, rng: frames)
    monkeypatch.setattr(Rooms, "picture", lambda *_: np.zeros((90, 160, 4), np.uint8))


@pytest.mark.usefixtures("red_child")
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("bystander", [0.0, 1.0])
def test_masks_are_the_painted_child(view: str, bystander: float) -> None:
    for index in range(4):
        frames, masks = paint(outlines_of(index, view, bystander))
        assert (frames[..., 1:] == 0).all()
        assert ((frames[..., 0] >= 128) == masks).all()
        assert masks.any(axis=(1, 2)).all()


@pytest.mark.parametrize("view", VIEWS)
def test_colours_change_with_the_visit_and_masks_do_not(view: str) -> None:
    outlines = outlines_of(1, view, 1.0)
    frames, masks = paint(outlines, 1)
    again, same_masks = paint(outlines, 1)
    other, other_masks = paint(outlines, 2)
    assert (frames == again).all()
    assert (masks == same_masks).all()
    assert (masks == other_masks).all()
    assert np.abs(frames.astype(int) - other).mean() > 10


@pytest.mark.parametrize("pixels", [64, 112])
@pytest.mark.parametrize("view", VIEWS)
def test_keypoints_lie_on_the_painted_limbs(view: str, pixels: int) -> None:
    joints = [INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("shoulder", "hip", "knee", "ankle")]
    grown = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    hits = []
    for index in bare_children():
        outlines = outlines_of(index, view)
        _, masks = paint(outlines, pixels=pixels)
        places = np.rint(place_points(outlines.exact, outlines, FRAMES, pixels)[:, joints]).astype(int)
        for mask, points in zip(masks, places, strict=True):
            near = cv2.dilate(mask.astype(np.uint8), grown)
            inside = ((points >= 0) & (points < pixels)).all(axis=1)
            hits += near[points[inside, 1], points[inside, 0]].tolist()
    assert len(hits) > 400
    assert np.mean(hits) > 0.995


@pytest.mark.parametrize("view", VIEWS)
def test_sizes_show_the_same_picture(view: str) -> None:
    small, large = (paint(outlines_of(2, view), 3, pixels)[1] for pixels in (48, 96))
    halved = np.stack([cv2.resize(mask.astype(np.float32), (48, 48), interpolation=cv2.INTER_AREA) for mask in large])
    assert (small & (halved >= 0.5)).sum() / (small | (halved >= 0.5)).sum() > 0.9


def test_beyond_the_picture_all_is_black() -> None:
    outlines = outlines_of(0, "left")
    squares = outlines.squares.copy()
    squares[:, 0] -= squares[:, 2] + np.maximum(squares[:, 0], 0)  # wholly left of the picture
    moved = Outlines(**{**vars(outlines), "squares": squares})
    frames, masks = paint(moved)
    assert not masks.any()
    assert frames.mean() < 5  # the lens adds its noise


@pytest.mark.parametrize("pixels", [64, 112])
def test_mask_errors_change_the_mask_alone(pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    outlines = outlines_of(0, "left", 1.0)
    assert (outlines.identity == painting.PERSON).any()

    def with_errors(errors: MaskErrors) -> tuple[np.ndarray, np.ndarray]:
        monkeypatch.setattr(painting, "draw_mask_errors", lambda *_: errors)
        return paint(outlines, 5, pixels)

    frames, exact = with_errors(MaskErrors())
    for errors, grows in (
        (MaskErrors(pixels=1), True),
        (MaskErrors(pixels=-1), False),
        (MaskErrors(lost=0), False),
        (MaskErrors(lost=3), False),
        (MaskErrors(bystander=True), True),
    ):
        other, masks = with_errors(errors)
        assert (other == frames).all()
        assert (masks != exact).any()
        smaller, larger = (exact, masks) if grows else (masks, exact)
        assert not (smaller & ~larger).any()


@pytest.mark.parametrize("pixels", [64, 112])
def test_ragged_masks_are_as_good_as_those_of_the_classical_segmenter(
    pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlap, area = [], []
    for index in range(4):
        for view in VIEWS:
            monkeypatch.setattr(painting, "draw_mask_errors", lambda *_: MaskErrors())
            frames, exact = paint(outlines_of(index, view), index, pixels)
            monkeypatch.setattr(painting, "draw_mask_errors", lambda *_: MaskErrors(ragged=True))
            same, ragged = paint(outlines_of(index, view), index, pixels)
            assert (frames == same).all()
            overlap.append((exact & ragged).sum() / (exact | ragged).sum())
            area.append(ragged.sum() / exact.sum())
    assert np.mean(overlap) == pytest.approx(0.83, abs=0.04)
    assert np.mean(area) == pytest.approx(1.12, abs=0.05)


def test_mask_errors_are_as_frequent_as_asked() -> None:
    assert draw_mask_errors(0.0, 64, np.random.default_rng(0)) == MaskErrors()
    drawn = [draw_mask_errors(0.25, 128, np.random.default_rng(n)) for n in range(2000)]
    assert np.mean([errors.lost is not None for errors in drawn]) == pytest.approx(0.25, abs=0.03)
    assert np.mean([errors.bystander for errors in drawn]) == pytest.approx(0.25, abs=0.03)
    assert {errors.pixels for errors in drawn} == {-2, 0, 2}


def test_rooms_differ_by_number_and_camera() -> None:
    first, second, beside = (ROOMS.picture(*key) for key in ((False, 0, 4), (False, 1, 4), (True, 0, 4)))
    assert (first != second).any()
    assert (first != beside).any()
    assert (first == Rooms(SEED).picture(False, 0, 4)).all()
    assert not first[..., 3].any()
