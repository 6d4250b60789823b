"""Scores of several people go into labels.json as build_labels reads it; each sees only the own ones."""

from __future__ import annotations

import errno
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from childgait.domain.evgs import BY_NUMBER, ITEMS, LIMBS
from childgait.files.labels import read_sheets
from childgait.review.band_texts import BAND_TEXTS
from childgait.review.decisions import Changed
from childgait.review.ratings import NOT_SEEN, Ratings
from childgait.review.study import Study
from review.test_clear import data_of

CHILD = "0002"


@pytest.fixture
def ratings(study: Study) -> Ratings:
    return Ratings(study.labels, study.annotations, 2)


def rate_all(ratings: Ratings, rater: str, score: int) -> None:
    for limb in LIMBS:
        for number in BY_NUMBER:
            ratings.rate(CHILD, rater, "0001", limb, number, score, "")


def test_an_entry_has_rater_session_and_a_total_once_it_is_complete(study: Study, ratings: Ratings) -> None:
    ratings.rate(CHILD, "AB", "0001", "left", 1, 2, "")
    (entry,) = json.loads(study.labels.read_text())
    assert (entry["rater"], entry["session"], entry["left"], entry["right"]) == ("AB", "0001", {"1": 2}, {})
    for number in range(2, 18):
        ratings.rate(CHILD, "AB", "0001", "left", number, 1, "")
    assert json.loads(study.labels.read_text())[0]["left"]["Total"] == 18
    ratings.rate(CHILD, "AB", "0001", "left", 5, NOT_SEEN, 1)
    assert "Total" not in json.loads(study.labels.read_text())[0]["left"]
    (sheet,) = read_sheets(study.labels, highest=2)
    assert (sheet.rater, sheet.scores["left"]["IC"], sheet.scores["left"]["FRT"]) == ("AB", 2, None)
    assert ratings.scores(CHILD, "AB")["left"]["5"] == NOT_SEEN
    assert ratings.answered("AB") == {CHILD: 17}
    ratings.rate(CHILD, "AB", "0001", "left", 5, "", NOT_SEEN)  # taken back
    assert ratings.answered("AB") == {CHILD: 16}


def test_what_others_wrote_stays(study: Study, ratings: Ratings) -> None:
    other = {"patient_id": 2, "rater": "XY", "left": {"01": 1}, "note": "by hand"}
    study.labels.write_text(json.dumps([other]))
    ratings.rate(CHILD, "AB", "0001", "right", 3, 0, "")
    entries = json.loads(study.labels.read_text())
    assert entries[0] == other
    assert ratings.scores(CHILD, "XY")["left"]["1"] == 1


def test_a_second_window_does_not_overwrite(study: Study, ratings: Ratings) -> None:
    ratings.rate(CHILD, "AB", "0001", "left", 1, 2, "")
    before = study.labels.read_bytes()
    with pytest.raises(Changed, match="item 1 of the left limb was changed"):
        ratings.rate(CHILD, "AB", "0001", "left", 1, 0, "")
    assert study.labels.read_bytes() == before


def rate_many(labels: Path, folder: Path, rater: str) -> None:
    own = Ratings(labels, folder, 2)
    for number in range(1, 13):
        own.rate(CHILD, rater, "0001", "left", number, 1, "")


def test_two_studies_that_share_one_labels_file_lose_no_answer(study: Study, tmp_path: Path) -> None:
    """Each study has annotations of its own, so that only the labels file itself is common to them."""
    context, folders = multiprocessing.get_context("fork"), {}
    for rater in ("AB", "CD"):
        folders[rater] = tmp_path / f"annotations {rater}"
        folders[rater].mkdir()
    writers = [context.Process(target=rate_many, args=(study.labels, folders[name], name)) for name in folders]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    sheets = {sheet.rater: sheet for sheet in read_sheets(study.labels, highest=2)}
    for rater in folders:
        assert sum(score == 1 for score in sheets[rater].scores["left"].values()) == 12


def test_a_full_disk_leaves_the_labels_as_they_were(
    study: Study, ratings: Ratings, browser: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"child": CHILD, "session": "0001", "limb": "left", "number": 4, "score": 1, "before": ""}
    one = browser()

    def fail(path: Path, text: str, **_: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    for before in (None, b'[{"patient_id": "0002", "rater": "XY", "left": {"1": 1}, "right": {}}]'):
        if before:
            study.labels.write_bytes(before)
        monkeypatch.setattr(Path, "write_text", fail)
        answer = one.post("/api/rate", **body)
        monkeypatch.undo()
        assert answer.status_code == 400
        assert "is full; nothing was written" in answer.json()["error"]
        assert (study.labels.read_bytes() if study.labels.exists() else None) == before
    assert one.post("/api/rate", **body).status_code == 200  # the page is still there, and the lock is free


def test_a_rater_sees_the_own_answers_only(study: Study, ratings: Ratings, browser: Callable[..., Any]) -> None:
    rate_all(ratings, "XY", 2)
    one = browser("AB")
    page = one.get(f"/rate/{CHILD}")
    data = data_of(page)
    assert set(data["answers"].values()) == {""}
    assert data["other_scores"] == {}
    assert "XY" not in page.text
    assert [item["key"] for item in data["items"]][:4] == ["left 1", "left 2", "left 3", "left 6"]
    assert len(data["items"]) == 34
    assert sorted(video["view"] for video in data["videos"]) == ["forward", "left"]
    body = {"child": CHILD, "session": "0001", "limb": "left", "number": 4, "score": 1, "before": ""}
    assert one.post("/api/rate", **body).json() == {"answered": 1}
    assert data_of(one.get(f"/rate/{CHILD}"))["answers"]["left 4"] == 1  # resumed
    for path in (f"/arbitrate/{CHILD}", "/agreement"):
        assert one.get(path).status_code == 403
    assert one.post("/api/rate", **body | {"score": 0, "before": 1, "arbiter": True}).status_code == 403


@pytest.mark.parametrize(
    "wrong", [{"score": 3}, {"score": "yes"}, {"number": 18}, {"session": "0009"}, {"child": "0009"}]
)
def test_a_wrong_answer_is_refused(study: Study, browser: Callable[..., Any], wrong: dict[str, object]) -> None:
    body = {"child": CHILD, "session": "0001", "limb": "left", "number": 4, "score": 1, "before": ""}
    assert browser().post("/api/rate", **body | wrong).status_code == 400
    assert not study.labels.exists()


def test_held_videos_are_not_rated(browser: Callable[..., Any]) -> None:
    page = browser().get("/rate/0001")
    assert page.status_code == 400
    assert "no video that is covered or cleared" in page.text


def test_an_arbiter_decides_where_raters_differ(study: Study, ratings: Ratings, browser: Callable[..., Any]) -> None:
    for rater, score in (("AB", 1), ("CD", 1)):
        rate_all(ratings, rater, score)
    ratings.rate(CHILD, "CD", "0001", "left", 1, 0, 1)
    one = browser("EF", "arbiter")
    assert "raters differ in 1 items" in one.get("/").text
    data = data_of(one.get(f"/arbitrate/{CHILD}"))
    assert data["other_scores"] == {"left 1": [0, 1]}
    body = {"child": CHILD, "session": "0001", "limb": "left", "number": 1, "score": 1, "before": "", "arbiter": True}
    assert one.post("/api/rate", **body).json() == {"answered": 34}  # the others are those that both agree on
    sheets = {sheet.rater: sheet for sheet in read_sheets(study.labels, highest=2)}
    assert sheets["EF"].scores["left"] == dict.fromkeys((item.code for item in ITEMS), 1)
    assert ratings.disputes("EF") == {}


def test_a_second_reading_does_not_count_as_another_rater(study: Study, ratings: Ratings) -> None:
    rate_all(ratings, "AB", 1)
    entries = json.loads(study.labels.read_text())
    study.labels.write_text(json.dumps([*entries, entries[0] | {"rater": "AB (2)"}]))
    assert ratings.adopt_agreement(CHILD, "EF", "0001") == 0
    rate_all(ratings, "CD", 1)
    assert ratings.adopt_agreement(CHILD, "EF", "0001") == 34


def test_nobody_rates_without_a_name(study: Study, ratings: Ratings, browser: Callable[..., Any]) -> None:
    """Scores without a rater's name are those of the cohort, which no rater may see."""
    rate_all(ratings, "AB", 2)
    study.labels.write_text(study.labels.read_text().replace('"rater": "AB"', '"rater": ""'))
    page = browser("").get(f"/rate/{CHILD}")
    assert page.status_code == 400
    assert "cannot be a reviewer" in page.text


def test_agreement_is_for_the_coordinator(ratings: Ratings, browser: Callable[..., Any]) -> None:
    one = browser("EF", "coordinator")
    assert "No two people have scored the same child" in one.get("/agreement").text
    for rater, shift in (("AB", 0), ("CD", 1)):
        for limb in LIMBS:
            for number in BY_NUMBER:
                ratings.rate(CHILD, rater, "0001", limb, number, (number + shift * (number == 3)) % 3, "")
    text = one.get("/agreement").text
    assert "AB, CD" in text
    assert "1 children" in text
    assert "fewer than three cases scored by both" in text


def test_scores_that_synthesize_made_are_not_changed(study: Study, browser: Callable[..., Any]) -> None:
    (study.cohort / "cohort.json").write_text("{}")
    page = browser().get(f"/rate/{CHILD}")
    assert "is made by synthesize" in page.text


def test_every_item_has_three_texts_that_fit_its_bands() -> None:
    assert set(BAND_TEXTS) == set(BY_NUMBER)
    for item in ITEMS:
        if item.bands:  # the typical band's limits stand in its text; printed bands are whole degrees
            for edge in (item.bands.zero_low + 0.5, item.bands.zero_high - 0.5):
                assert str(abs(round(edge))) in BAND_TEXTS[item.number][0], item.code
