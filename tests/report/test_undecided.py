"""Why an item is not answered: too few calibration children, both classes plausible, or neither."""

from __future__ import annotations

import pytest

from childgait.metrics.abstention import ClassLimit, ItemLimits
from childgait.report.child.assess import undecided


def limits(typical: int, atypical: int) -> ItemLimits:
    return ItemLimits(
        typical=ClassLimit(cells=typical, least_probability=0.4 if typical >= 9 else None),
        atypical=ClassLimit(cells=atypical, least_probability=0.4 if atypical >= 9 else None),
    )


@pytest.mark.parametrize(
    ("classes", "cells", "words"),
    [
        (2, (7, 1), "too few children to calibrate an error rate of 10%: 7 typical and 1 atypical scores"),
        (2, (30, 8), "9 of each needed"),
        (2, (30, 9), "typical and atypical are both plausible at an error rate of 10%"),
        (0, (30, 9), "neither class is plausible"),
    ],
)
def test_the_reason_says_what_lacks(classes: int, cells: tuple[int, int], words: str) -> None:
    assert words in undecided(classes, 0.1, limits(*cells))
