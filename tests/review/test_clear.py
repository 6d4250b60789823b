"""A held video is cleared, put aside, or its covers are changed; the files are those that deidentify reads."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from childgait.commands import clear as command
from childgait.errors import StepError
from childgait.files.regions import cleared_by, read_cover_changes, read_regions
from childgait.files.video import read_frames
from childgait.review import film
from childgait.review.decisions import Decisions
from childgait.review.queue import make_queue
from childgait.review.study import Study
from support.review_study import COUNT, HELD, write_pictures

FIRST, SECOND = sorted(HELD)


def data_of(page: Any) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.text, re.DOTALL)
    assert match
    found: dict[str, Any] = json.loads(match[1])
    return found


def answers(browser: Any, video: str = FIRST, **more: object) -> dict[str, object]:
    page = data_of(browser.get(f"/clear/{video}"))
    version, sha256 = page["versions"]["cleared"], page["sha256"]
    return {"video": video, "heads_covered": True, "child_visible": True, "version": version, "sha256": sha256} | more


def test_the_queue_lists_what_blocks_first(study: Study) -> None:
    entries = make_queue(study, Decisions(study.annotations), "AB")
    assert [(one.kind, one.name) for one in entries] == [
        ("clear", FIRST),
        ("clear", SECOND),
        ("gate", "0002-0001_left_1-24"),
        ("legs", "0002-0001_forward_1-24"),
        ("rate", "0001"),
        ("rate", "0002"),
    ]
    assert entries[2].why == "12 of 24 frames have a doubtful mask"
    assert entries[3].why == "left and right leg were exchanged in 4 of 24 frames"
    assert entries[4].why == "34 of 34 items without your score"


def test_accepting_writes_the_hash_of_what_was_shown_and_goes_on(study: Study, browser: Callable[..., Any]) -> None:
    one = browser()
    assert one.post("/api/accept", **answers(one)).json() == {"next": SECOND}
    table = study.annotations / "cleared.csv"
    assert cleared_by(table, FIRST, study.evidence(FIRST)["decoded_sha256"]) == (
        "cleared by AB: every head is covered and the child can be seen"
    )
    assert one.post("/api/accept", **answers(one, SECOND)).json() == {"next": None}
    page = one.get("/").text
    assert page.count("waits for <code>make run</code>") == 2


def test_a_no_or_a_covered_video_is_not_accepted(study: Study, browser: Callable[..., Any]) -> None:
    one = browser()
    for wrong in ({"heads_covered": False}, {"child_visible": False}):
        answer = one.post("/api/accept", **answers(one, **wrong))
        assert answer.status_code == 400
    answer = one.post("/api/accept", **answers(one, "0002-0001_left_1-24"))
    assert "is covered, not held" in answer.json()["error"]
    assert (study.annotations / "cleared.csv").read_text().count("\n") == 1


def test_a_second_window_gets_an_error_and_nothing_is_lost(study: Study, browser: Callable[..., Any]) -> None:
    first, second = browser("AB"), browser("CD")
    old = answers(second)
    first.post("/api/accept", **answers(first))
    answer = second.post("/api/accept", **old)
    assert answer.status_code == 409
    assert "the last decision there is by AB" in answer.json()["error"]
    assert len(Decisions(study.annotations).rows("cleared")) == 1


def test_a_video_that_is_put_aside_stays_held(study: Study, browser: Callable[..., Any]) -> None:
    one = browser()
    version = answers(one)["version"]
    assert one.post("/api/hold", video=FIRST, reason="", version=version).status_code == 400
    assert one.post("/api/hold", video=FIRST, reason="whose head is it?", version=version).json()["next"] == SECOND
    assert cleared_by(study.annotations / "cleared.csv", FIRST, study.evidence(FIRST)["decoded_sha256"]) is None
    entry = make_queue(study, Decisions(study.annotations))[1]
    assert (entry.name, entry.state, entry.by, entry.why) == (FIRST, "held", "AB", "whose head is it?")
    assert one.post("/api/accept", **answers(one)).status_code == 200  # later, by anybody


def test_covers_are_drawn_ended_and_removed(study: Study, browser: Callable[..., Any]) -> None:
    one = browser()
    version = data_of(one.get(f"/clear/{FIRST}"))["versions"]["regions"]
    rows = [
        {"region": "person 1", "frame": 0, "box": [10.4, 10, 30, 30], "action": "cover"},
        {"region": "person 1", "frame": 12, "box": [20, 10, 40, 30], "action": "cover"},
        {"region": "track 0", "frame": 5, "box": [30, 19, 46, 35], "action": "end"},
    ]
    answer = one.post("/api/covers", video=FIRST, rows=rows, reason="a man at the wall", version=version)
    assert answer.status_code == 200
    table = study.annotations / "regions.csv"
    assert [(region.name, region.frame, region.box) for region in read_regions(table, FIRST, COUNT)] == [
        ("person 1", 0, (10, 10, 30, 30)),
        ("person 1", 12, (20, 10, 40, 30)),
    ]
    (change,) = read_cover_changes(table, FIRST, COUNT)
    assert (change.action, change.frame, change.reviewer) == ("end", 5, "AB")
    entries = {entry.name: entry for entry in make_queue(study, Decisions(study.annotations))}
    assert entries[FIRST].state == "run"
    (decision,) = Decisions(study.annotations).decisions(FIRST)
    version = data_of(one.get(f"/clear/{FIRST}"))["versions"]["regions"]
    undone = one.post("/api/undo", table="regions", video=FIRST, reviewer="AB", time=decision.time, version=version)
    assert undone.json()["removed"] == 3
    assert read_regions(table, FIRST, COUNT) == []


def test_a_cover_that_deidentify_would_refuse_is_refused_here(study: Study, browser: Callable[..., Any]) -> None:
    one = browser()
    version = data_of(one.get(f"/clear/{FIRST}"))["versions"]["regions"]
    for row in ({"frame": 99, "box": [1, 1, 9, 9]}, {"frame": 0, "box": [9, 9, 9, 9]}):
        body = {"region": "person 1", "action": "cover"} | row
        answer = one.post("/api/covers", video=FIRST, rows=[body], reason="x", version=version)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("nothing was written: ")
    assert (study.annotations / "regions.csv").read_text().count("\n") == 1


def test_the_film_is_the_video_frame_by_frame(study: Study, browser: Callable[..., Any]) -> None:
    import cv2
    import numpy as np

    one = browser()
    content, frames = one.get(f"/film/{FIRST}").content, []
    while content:
        size = int.from_bytes(content[:4], "big")
        frames.append(content[4 : 4 + size])
        content = content[4 + size :]
    assert len(frames) == COUNT
    for frame in read_frames(study.file("deidentify", FIRST, ".mp4")):
        shown = cv2.imdecode(np.frombuffer(frames[frame.index], np.uint8), cv2.IMREAD_COLOR)
        assert shown is not None
        assert np.abs(shown[..., ::-1].astype(int) - frame.pixels).mean() < 3
    assert one.get(f"/frame/{FIRST}/3.jpg").content == frames[3]
    assert one.get(f"/api/film/{FIRST}").json() == {"frames": COUNT, "complete": True, "error": None}


def test_other_pixels_than_the_evidence_states_are_not_cleared(study: Study, browser: Callable[..., Any]) -> None:
    one = browser()
    body = answers(one)
    path = study.file("deidentify", FIRST, ".evidence.json")
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"decoded_sha256": "0" * 64}))
    answer = one.post("/api/accept", **body)
    assert "has other pixels than its evidence states; nothing was written" in answer.json()["error"]


def test_a_video_made_again_after_it_was_watched_is_not_cleared(study: Study, browser: Callable[..., Any]) -> None:
    one = browser()
    answer = one.post("/api/accept", **answers(one, sha256="0" * 64))
    assert answer.status_code == 409
    assert f"{FIRST} was made again after it was opened" in answer.json()["error"]
    assert (study.annotations / "cleared.csv").read_text().count("\n") == 1


def test_any_error_of_the_decoder_ends_the_waiting(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(frame: object) -> bytes:
        raise ValueError("cannot reshape")

    monkeypatch.setattr(film, "encode", fail)
    with pytest.raises(StepError, match=r"cannot be read \(cannot reshape\)"):
        film.Film(study.covered_video(FIRST)).wait()


def test_a_video_that_is_gone_is_a_sentence(study: Study, browser: Callable[..., Any]) -> None:
    one = browser()
    body = answers(one)
    study.file("deidentify", FIRST, ".mp4").unlink()
    page = one.get(f"/clear/{FIRST}")
    assert page.status_code == 410
    assert "is gone" in page.text
    assert one.post("/api/accept", **body).status_code == 410
    study.file("deidentify", FIRST, ".evidence.json").unlink()
    assert one.get(f"/clear/{FIRST}").status_code == 410


def test_the_terminal_clears_the_same_way(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("childgait.review.study.open_study", lambda *_: study)
    with pytest.raises(StepError, match="nobody clears the video"):
        command.clear(FIRST)
    replies = iter(["y", "no", "y", "yes"])
    monkeypatch.setattr("builtins.input", lambda _: next(replies))
    assert command.clear(FIRST, "AB") == 1
    assert len(Decisions(study.annotations).rows("cleared")) == 0
    assert command.clear(FIRST, "AB", "watched twice") == 0
    assert "is cleared by AB" in capsys.readouterr().out
    assert cleared_by(study.annotations / "cleared.csv", FIRST, study.evidence(FIRST)["decoded_sha256"]) == (
        "cleared by AB: watched twice"
    )


def test_a_new_run_asks_again(study: Study, browser: Callable[..., Any]) -> None:
    """The chain makes other pixels after a cover was drawn: the old clearance does not count for them."""
    one = browser()
    one.post("/api/accept", **answers(one))
    path, video = study.file("deidentify", FIRST, ".evidence.json"), study.file("deidentify", FIRST, ".mp4")
    write_pictures(video, 128, 96, COUNT, bright=90)
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"decoded_sha256": "1" * 64}))
    os.utime(path, (4e9, 4e9))
    assert make_queue(study, Decisions(study.annotations))[0].state == "waits"
    assert Path(study.logs).read_text().count("\n") == 1
