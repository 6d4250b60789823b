"""Joints are moved, marked as unseen and exchanged; the rows are those that refine_pose reads."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from childgait.domain.poses import Status
from childgait.domain.skeleton import INDEX
from childgait.files.corrections import read_corrections, read_side_corrections
from childgait.review.decisions import Decisions
from childgait.review.queue import make_queue
from childgait.review.study import Study
from review.test_clear import data_of
from support.review_study import COUNT, COVERED

VIDEO = COVERED[0]
KNEE = INDEX["left_knee"]
EDITS: list[dict[str, object]] = [
    {"frame": 3, "joint": "left_knee", "x": 40.123, "y": 50},
    {"frame": 5, "last": 7, "joint": "left_heel", "action": "unseen"},
    {"frame": 8, "last": 12, "joint": "legs", "action": "exchange"},
]


def walk_of(one: Any, video: str, edits: list[dict[str, object]] | None = None) -> dict[str, Any]:
    """Return what the page requests once it is painted: the refined walk with unsaved edits."""
    return one.post("/api/correct/preview", video=video, edits=edits or []).json()["walk"]


def test_saved_rows_are_read_by_the_step_and_shown_at_once(study: Study, browser: Callable[..., Any]) -> None:
    one = browser()
    data = data_of(one.get(f"/correct/{VIDEO}"))
    before = walk_of(one, VIDEO)
    assert len(before["points"]) == len(data["times"]) == COUNT
    assert "knee" in before["curves"]["left"]
    draft = walk_of(one, VIDEO, EDITS)
    assert (study.annotations / "corrections.csv").read_text().count("\n") == 1  # a preview writes nothing
    body = {"video": VIDEO, "edits": EDITS, "reason": "by sight", "version": data["versions"]["corrections"]}
    assert one.post("/api/correct", **body).status_code == 200
    table = study.annotations / "corrections.csv"
    rows = read_corrections(table, VIDEO, COUNT)
    assert (rows[0].frame, rows[0].point, rows[0].seen) == (3, KNEE, True)
    assert [row.frame for row in rows if not row.seen] == [5, 6, 7]
    (sides,) = read_side_corrections(table, VIDEO, COUNT)
    assert (sides.limbs, sides.first, sides.last, sides.exchanged) == ("legs", 8, 12, True)
    walk = walk_of(one, VIDEO)
    assert walk == draft
    assert walk["points"][3][2 * KNEE : 2 * KNEE + 2] == [40.12, 50.0]
    assert walk["status"][6][INDEX["left_heel"]] == Status.MISSING
    assert [n for n, swapped in enumerate(walk["exchanged"]["legs"]) if swapped] == [8, 9, 10, 11, 12]
    assert one.post("/api/correct", **body).status_code == 409  # a second window
    assert table.read_text().count("\n") == 4


def test_a_decided_recording_waits_for_a_run(study: Study, browser: Callable[..., Any]) -> None:
    name = COVERED[1]  # its legs are doubtful
    one = browser()
    assert f'href="/correct/{name}"' in one.get("/").text
    version = data_of(one.get(f"/correct/{name}"))["versions"]["corrections"]
    one.post("/api/correct", video=name, edits=EDITS, reason="by sight", version=version)
    states = {
        entry.kind: entry.state for entry in make_queue(study, Decisions(study.annotations)) if entry.name == name
    }
    assert states == {"legs": "run"}


def test_what_is_proposed_is_no_longer_once_it_is_corrected(browser: Callable[..., Any]) -> None:
    one = browser()
    first = walk_of(one, VIDEO)["proposals"]
    assert 0 < len(first) <= 20
    frame = first[0]["frame"]
    assert frame == COUNT // 2  # where the scores are low
    points = walk_of(one, VIDEO)["points"][frame]
    moved = [  # by as much as an error would be, which refinement did not see
        {"frame": frame, "joint": name, "x": points[2 * n] + 5, "y": points[2 * n + 1]} for name, n in INDEX.items()
    ]
    after = walk_of(one, VIDEO, moved)["proposals"]
    assert frame not in [proposal["frame"] for proposal in after]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ({"frame": COUNT}, f"frame {COUNT} is not in the video"),
        ({"joint": "tail"}, "there is no joint"),
        ({"x": None}, "not numbers"),
        ({"action": "hide"}, "there is no action"),
    ],
)
def test_a_wrong_correction_is_a_sentence_and_writes_nothing(
    study: Study, browser: Callable[..., Any], edit: dict[str, Any], sentence: str
) -> None:
    one = browser()
    version = data_of(one.get(f"/correct/{VIDEO}"))["versions"]["corrections"]
    wrong = [EDITS[0] | edit]
    for path, more in (("/api/correct/preview", {}), ("/api/correct", {"reason": "by sight", "version": version})):
        answer = one.post(path, video=VIDEO, edits=wrong, **more)
        assert answer.status_code == 400
        assert sentence in answer.json()["error"]
    assert (study.annotations / "corrections.csv").read_text().count("\n") == 1


def test_a_full_disk_is_a_sentence_and_the_page_can_save_again(
    study: Study, browser: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = browser()
    version = data_of(one.get(f"/correct/{VIDEO}"))["versions"]["corrections"]
    body = {"video": VIDEO, "edits": EDITS, "reason": "by sight", "version": version}

    def fail(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    answer = one.post("/api/correct", **body)
    monkeypatch.undo()
    assert answer.status_code == 400
    assert "is full; nothing was written" in answer.json()["error"]
    assert one.post("/api/correct", **body).status_code == 200


def test_a_recording_without_keypoints_or_video_is_a_sentence(study: Study, browser: Callable[..., Any]) -> None:
    one = browser()
    study.file("estimate_pose", VIDEO, ".poses.parquet").unlink()
    page = one.get(f"/correct/{VIDEO}")
    assert page.status_code == 410
    assert "has no estimated keypoints" in page.text
    study.file("deidentify", VIDEO, ".mp4").unlink()
    page = one.get(f"/correct/{VIDEO}")
    assert page.status_code == 410
    assert "is gone" in page.text
