"""Plain heads in the covers of a de-identified video, for the embedded model alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from childgait.files.regions import REGIONS
from childgait.files.tables import write_table
from childgait.vision.drawn_heads import (
    HALF_HEIGHT,
    HALF_WIDTH,
    SKIN,
    STATURE,
    draw_heads,
    find_head,
    include_head,
    people_of_heads,
    read_head_covers,
)


def row(frame: int, whole: bool, x0: int, region: int = 0) -> tuple[object, ...]:
    return (frame, frame / 30, region, whole, "blazepose", 0.9, x0, 20, x0 + 40, 70, 2000)


def test_heads_are_drawn_in_the_covers_of_heads(tmp_path: Path) -> None:
    path = tmp_path / "v.regions.parquet"
    rows = [row(0, False, 10), row(0, True, 100), row(2, False, 12), row(4, False, 14), row(4, False, 90, region=1)]
    write_table(path, pl.DataFrame(rows, schema=REGIONS.schema(), orient="row"), REGIONS)
    covers = read_head_covers(path)
    assert {frame: len(boxes) for frame, boxes in covers.items()} == {
        0: 1,
        2: 1,
        4: 1,
    }  # a region of one frame beside one of three is no head
    picture = np.full((120, 200, 3), 7, np.uint8)
    drawn = draw_heads(picture, 0, covers)
    assert tuple(drawn[45, 30]) == SKIN
    head = np.pi * HALF_WIDTH * HALF_HEIGHT * 50**2
    assert (drawn[20:70, 10:50] != 7).any(axis=2).sum() == pytest.approx(head, rel=0.1)
    outside = drawn.copy()
    outside[20:70, 10:50] = 7
    assert (outside == 7).all()  # nothing beyond the cover, and nothing in that of a whole person
    assert (picture == 7).all()
    assert draw_heads(picture, 1, covers) is picture
    assert tuple(draw_heads(picture, 0, covers, scale=0.5)[22, 15]) == SKIN
    assert read_head_covers(None) == {}


@pytest.mark.parametrize("left", [60, 0, 160])
def test_nothing_of_the_mosaic_is_left(left: int) -> None:
    """Beside the head is the wall, below the chin are the shoulders; also where the picture cuts off the cover."""
    picture = np.full((120, 200, 3), 7, np.uint8)
    picture[70:, left + 5 : left + 35] = 90  # the shirt
    expected = draw_heads(picture, 0, {0: np.array([[left - 10.0, 20, left + 50, 70]])})
    picture[20:70, max(left - 10, 0) : left + 50] = np.random.default_rng(0).integers(0, 255, 3)
    drawn = draw_heads(picture, 0, {0: np.array([[left - 10.0, 20, left + 50, 70]])})
    assert np.array_equal(drawn, expected)
    assert (drawn[22, left + 2 : left + 38] == 7).all()
    assert (drawn[65:70, left + 6 : left + 34] == 90).all()
    assert (drawn[65:70, left + 37 : left + 40] == 7).all()


def test_the_head_is_a_disc_in_the_cover_that_hides_its_place() -> None:
    covers = np.array([[10.0, 20, 50, 70], [40, 20, 80, 70]])
    head = find_head(covers, np.array([48.0, 40]), (120, 200))  # in both covers, nearer to the middle of the second
    rows, columns = np.nonzero(head)
    radius = HALF_HEIGHT * 50
    assert (columns.mean(), rows.mean()) == pytest.approx((60, 45))
    assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == pytest.approx((2 * radius, 2 * radius), abs=1.5)
    assert head.sum() == pytest.approx(np.pi * radius**2, rel=0.1)
    assert not find_head(covers, np.array([48.0, 75]), (120, 200)).any()  # a place below the covers
    assert not find_head(covers, np.array([np.nan, np.nan]), (120, 200)).any()


def test_a_box_that_ends_at_the_shoulders_grows_over_the_head_above_it() -> None:
    covers = np.array([[200.0, 20, 240, 70], [85, 20, 125, 70]])  # somebody else's, and the person's
    box = include_head(np.array([80.0, 60, 140, 260]), covers)
    assert box.tolist() == [80, 45 - HALF_HEIGHT * 50, 140, 260]
    whole = np.array([80.0, 25, 140, 260])
    assert include_head(whole, covers).tolist() == whole.tolist()
    low = np.array([80.0, 75, 140, 260])  # the cover ends above it
    assert include_head(low, covers).tolist() == low.tolist()
    above = np.array([80.0, -200, 140, 260])  # an adult whose trunk is behind the cover
    assert include_head(above, covers).tolist() == above.tolist()
    assert include_head(whole, covers[:0]).tolist() == whole.tolist()


def test_a_person_is_looked_for_below_every_covered_head() -> None:
    one, other = people_of_heads(np.array([[85.0, 20, 125, 70], [200, 40, 240, 90]]))
    assert one[1] == pytest.approx(45 - HALF_HEIGHT * 50)
    assert (one[0] + one[2]) / 2 == pytest.approx(105)
    assert one[3] - one[1] == pytest.approx(STATURE * 2 * HALF_HEIGHT * 50)
    assert (other - one).tolist() == pytest.approx([115, 20, 115, 20])
    assert people_of_heads(np.zeros((0, 4))) == []
