"""A silhouette has the same height and middle wherever the child stands and however far away."""

import numpy as np
import pytest

from childgait.vision.silhouette_crops import ROWS, crop_silhouettes


def person(size: int, top: int, left: int, scale: int) -> np.ndarray:
    """A head, a trunk and two legs: 16 x 8 cells of `scale` pixels."""
    cells = np.zeros((16, 8), bool)
    cells[:3, 3:5] = cells[3:9, 1:7] = cells[9:, 1:3] = cells[9:, 5:7] = True
    mask = np.zeros((size, size), bool)
    mask[top : top + 16 * scale, left : left + 8 * scale] = cells.repeat(scale, 0).repeat(scale, 1)
    return mask


@pytest.mark.parametrize("columns", [32, 44])
def test_place_and_distance_leave_no_trace(columns: int) -> None:
    masks = np.stack([person(160, 4, 90, 4), person(160, 60, 10, 4), person(160, 10, 20, 8)])
    crops, rectangles = crop_silhouettes(masks, columns)
    assert crops.shape == (3, ROWS, columns)
    assert crops.dtype == np.uint8
    assert np.array_equal(crops[0], crops[1])
    assert np.abs(crops[0].astype(int) - crops[2]).max() <= 1
    inside = crops[0] > 127
    assert inside.any(axis=1).all(), "the child fills the height"
    assert abs(np.flatnonzero(inside.any(axis=0)).mean() - (columns - 1) / 2) <= 1
    assert rectangles[0].tolist() == pytest.approx([90 + 16 - columns / 2, 4, columns, 64], abs=1)
    assert rectangles[2].tolist() == pytest.approx([20 + 32 - columns, 10, 2 * columns, 128], abs=2)


def test_a_child_at_the_edge_is_not_cut_and_an_empty_mask_is_empty() -> None:
    masks = np.stack([person(96, 0, 0, 4), np.zeros((96, 96), bool)])
    crops, rectangles = crop_silhouettes(masks, 44)
    assert (crops[0] > 127).sum() == masks[0].sum()
    assert not crops[1].any()
    assert rectangles[1].tolist() == [15, 0, 66, 96]


def test_a_mirrored_mask_gives_a_mirrored_silhouette() -> None:
    mask = person(96, 5, 7, 4)
    mask[30:34, 7:60] = True  # an arm to one side
    crops, _ = crop_silhouettes(np.stack([mask, mask[:, ::-1]]), 44)
    shifted = [np.roll(crops[1], step, axis=1) for step in (-2, -1, 0, 1, 2)]
    assert min((np.abs(crops[0][:, ::-1].astype(int) - one) > 127).sum() for one in shifted) == 0
