"""A second reading is offered where models and rater differ most, among others, and neither is visible on its page."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from childgait.domain.evgs import CODES, TARGET_NAMES
from childgait.files.labels import read_sheets
from childgait.review.ratings import Ratings, entry_of
from childgait.review.second_reading import DAYS, open_items, second_items
from childgait.review.study import Study
from review.test_clear import data_of
from review.test_rate import CHILD, rate_all

DISPUTED = ["L.KEX", "L.KFX", "R.HEX"]


def write_predictions(study: Study, part: str = "test", model: str = "") -> None:
    """Write a run whose child-level probabilities differ from scores of 2 in three items."""
    folder = study.data / "evaluate" / (model or study.networks()[0]) / "0-0"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "part": part,
            "level": "child",
            "subject": CHILD,
            "target": name,
            "probability": low if name in DISPUTED else 0.9,
        }
        for name in TARGET_NAMES
        for low in [0.05 + 0.01 * TARGET_NAMES.index(name)]
    ]
    pl.DataFrame(rows).write_parquet(folder / "predictions.parquet")


@pytest.fixture
def ratings(study: Study) -> Ratings:
    """Scores of 2 by AB in every item, given longer ago than a second reading needs."""
    own = Ratings(study.labels, study.annotations, 2)
    rate_all(own, "AB", 2)
    entries = json.loads(study.labels.read_text())
    entries[0]["changed"] = (datetime.now(UTC) - timedelta(days=DAYS + 1)).isoformat()
    study.labels.write_text(json.dumps(entries))
    write_predictions(study)
    return own


@pytest.mark.usefixtures("ratings")
def test_disputed_items_and_as_many_others_are_offered(study: Study) -> None:
    offered = second_items(study, "AB")[CHILD]
    assert set(DISPUTED) < set(offered)
    assert len(offered) == 2 * len(DISPUTED)
    assert offered == sorted(offered, key=TARGET_NAMES.index)  # their order reveals nothing
    assert second_items(study, "CD") == {}
    early = datetime.now(UTC) - timedelta(days=2)
    assert second_items(study, "AB", early) == {}  # the first reading is remembered


@pytest.mark.usefixtures("ratings")
def test_only_children_that_a_network_was_not_trained_on_are_compared(study: Study) -> None:
    write_predictions(study, part="validation")
    assert second_items(study, "AB") == {}
    write_predictions(study, model="majority")
    assert second_items(study, "AB") == {}


def test_the_second_reading_shows_neither_the_first_one_nor_the_model(
    study: Study, ratings: Ratings, browser: Callable[..., Any]
) -> None:
    one = browser("AB")
    assert "6 items for a second reading" in one.get("/").text
    page = one.get(f"/reread/{CHILD}")
    data = data_of(page)
    assert len(data["items"]) == len(data["answers"]) == 6
    assert set(data["answers"].values()) == {""}
    assert "probab" not in page.text
    assert data_of(one.get(f"/rate/{CHILD}"))["answers"]["left 9"] == 2  # not begun: the own scores can be opened
    number = CODES.index("KEX") + 1
    body = {
        "child": CHILD,
        "session": "0001",
        "limb": "left",
        "number": number,
        "score": 0,
        "before": "",
        "second": True,
    }
    assert one.post("/api/rate", **body).json() == {"answered": 1}
    hidden = one.get(f"/rate/{CHILD}")
    assert hidden.status_code == 403
    assert "are hidden until your second reading is complete" in hidden.text
    assert one.post("/api/rate", **body | {"second": False, "before": 2}).status_code == 403
    sheets = {sheet.rater: sheet for sheet in read_sheets(study.labels, highest=2)}
    assert (sheets["AB"].scores["left"]["KEX"], sheets["AB (2)"].scores["left"]["KEX"]) == (2, 0)
    assert sum(map(len, open_items(study, "AB").values())) == 5
    for item in data["items"]:
        if item["key"] != f"left {number}":
            more = {"limb": item["limb"], "number": item["number"]}
            assert one.post("/api/rate", **body | more).status_code == 200
    assert open_items(study, "AB") == {}
    assert one.get(f"/rate/{CHILD}").status_code == 200
    assert ratings.disputes("EF") == {}  # a second reading is no other rater


@pytest.mark.usefixtures("ratings")
def test_other_items_and_other_people_have_no_second_reading(study: Study, browser: Callable[..., Any]) -> None:
    body = {"child": CHILD, "session": "0001", "limb": "left", "score": 0, "before": "", "second": True}
    offered = second_items(study, "AB")[CHILD]
    other = next(n for n in range(1, 18) if f"L.{CODES[n - 1]}" not in offered)
    assert browser("AB").post("/api/rate", **body, number=other).status_code == 400
    assert browser("CD").get(f"/reread/{CHILD}").status_code == 400
    assert entry_of(json.loads(study.labels.read_text()), CHILD, "AB (2)") is None
