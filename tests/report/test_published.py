"""The published rows stand under the right items."""

import pytest

from childgait.domain.evgs import CODES
from childgait.report.published import AVERAGES, ITEM_ACCURACY, item_accuracy


def test_items_are_read_by_code_and_not_by_column() -> None:
    ours = item_accuracy("ChildGait-Video", "left")
    assert set(ours) == set(CODES)
    assert (ours["WAD"], ours["HVV"], ours["FCL"]) == (70, 88, 89)  # column 4 of the page is WAD, item 7
    assert item_accuracy("VideoMAE v2", "right")["TSG"] == 85


@pytest.mark.parametrize(("name", "limb"), list(ITEM_ACCURACY))
def test_cells_average_to_the_published_average(name: str, limb: str) -> None:
    (row,) = [row for row in AVERAGES if row.name == name]
    stated = {"left": row.left, "right": row.right}[limb]
    assert sum(item_accuracy(name, limb).values()) / 17 == pytest.approx(stated, abs=1.0)


def test_all_published_rows_are_there_once() -> None:
    assert len({row.name for row in AVERAGES}) == len(AVERAGES) == 25
