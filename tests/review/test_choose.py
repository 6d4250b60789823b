"""Somebody points at the child; the row is one that segment and deidentify read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from childgait.files.selections import read_selections
from childgait.review.decisions import Decisions
from childgait.review.queue import make_queue
from childgait.review.study import Study
from review.test_clear import data_of
from support.review_study import COUNT, COVERED, HEIGHT, WIDTH

VIDEO = COVERED[0]


@pytest.mark.parametrize("box", [[30.04, 40], [20, 10.5, 40, 90]])
def test_a_point_or_a_box_becomes_a_row(study: Study, browser: Callable[..., Any], box: list[float]) -> None:
    one = browser()
    data = data_of(one.get(f"/choose/{VIDEO}"))
    assert len(data["boxes"]) == len(data["points"]) == COUNT
    body = {"video": VIDEO, "frame": 3, "box": box, "reason": "the child", "version": data["versions"]["selections"]}
    assert one.post("/api/choose", **body).status_code == 200
    (row,) = read_selections(study.annotations / "selections.csv", VIDEO, COUNT, (HEIGHT, WIDTH))
    assert row.is_point == (len(box) == 2)
    assert (row.frame, *row.box[:2]) == (3, round(box[0], 1), round(box[1], 1))
    states = {
        entry.kind: entry.state for entry in make_queue(study, Decisions(study.annotations)) if entry.name == VIDEO
    }
    assert states == {"gate": "run"}
    assert one.post("/api/choose", **body).status_code == 409


@pytest.mark.parametrize("wrong", [{"frame": COUNT}, {"box": [WIDTH + 9, 3]}, {"box": [9, 9, 3, 3]}, {"reason": " "}])
def test_a_place_outside_the_video_is_refused(study: Study, browser: Callable[..., Any], wrong: dict[str, Any]) -> None:
    one = browser()
    version = data_of(one.get(f"/choose/{VIDEO}"))["versions"]["selections"]
    body = {"video": VIDEO, "frame": 3, "box": [20, 20], "reason": "the child", "version": version}
    assert one.post("/api/choose", **body | wrong).status_code == 400
    assert (study.annotations / "selections.csv").read_text().count("\n") == 1


def test_before_segment_ran_the_page_shows_the_video_alone(study: Study, browser: Callable[..., Any]) -> None:
    for step, ending in (
        ("segment", ".frames.parquet"),
        ("segment", ".summary.json"),
        ("refine_pose", ".poses.parquet"),
    ):
        study.file(step, VIDEO, ending).unlink()
    data = data_of(browser().get(f"/choose/{VIDEO}"))
    assert (data["boxes"], data["points"]) == ([], [])
    kinds = [entry.kind for entry in make_queue(study, Decisions(study.annotations)) if entry.name == VIDEO]
    assert kinds == ["choose"]
