"""Somebody points at the child; the row is one that segment and deidentify read."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from childgait.files.poses import write_poses
from childgait.files.selections import read_selections
from childgait.review.decisions import Decisions
from childgait.review.preview import Previews, rerun_steps
from childgait.review.queue import make_queue
from childgait.review.study import Study
from review.test_clear import data_of
from support.review_study import COUNT, COVERED, HEIGHT, WIDTH, walking_poses

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


@pytest.mark.slow
def test_mask_and_skeleton_follow_the_choice(study: Study, browser: Callable[..., Any]) -> None:
    """The steps run for this video in a folder of their own; the study's outputs stay."""
    poses = walking_poses(WIDTH, HEIGHT, COUNT)
    write_poses(study.file("deidentify", VIDEO, ".poses.parquet"), poses)
    own = {path: path.read_bytes() for path in study.data.rglob("*") if path.is_file()}
    one = browser()
    data = data_of(one.get(f"/choose/{VIDEO}"))
    assert data["preview"]["state"] == "none"
    body = {"video": VIDEO, "frame": 3, "box": [40, 50], "reason": "x", "version": data["versions"]["selections"]}
    assert one.post("/api/choose", **body).status_code == 200
    assert data_of(one.get(f"/choose/{VIDEO}"))["preview"]["state"] == "running"
    state = one.client.app.state.review
    state.previews._processes[VIDEO].join(60)
    answer = one.get(f"/api/preview/{VIDEO}").json()
    assert answer["state"] == "done", answer
    assert len(answer["boxes"]) == len(answer["points"]) == COUNT
    assert data_of(one.get(f"/choose/{VIDEO}"))["boxes"] == answer["boxes"] != data["boxes"]
    assert {path: path.read_bytes() for path in study.data.rglob("*") if path.is_file()} == own
    state.previews.close()
    assert not (study.logs.parent / "review-preview").exists()


def test_a_preview_that_cannot_begin_leaves_the_choice(
    study: Study, browser: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = browser()
    version = data_of(one.get(f"/choose/{VIDEO}"))["versions"]["selections"]

    def fail(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Previews, "_lay_out", fail)
    body = {"video": VIDEO, "frame": 3, "box": [40, 50], "reason": "x", "version": version}
    assert one.post("/api/choose", **body).status_code == 200
    assert one.get(f"/api/preview/{VIDEO}").json()["message"].endswith("(No space left on device)")


def test_a_preview_that_fails_states_why(study: Study) -> None:
    """Without a video `segment` stops with a sentence, which the page shows."""
    study.file("deidentify", VIDEO, ".mp4").unlink()
    previews = Previews(study)
    folder = study.logs.parent / "review-preview" / VIDEO
    (folder / "data" / "deidentify").mkdir(parents=True)
    (folder / "selections.txt").write_text("v")
    rerun_steps(VIDEO, str(folder), str(study.params_file), str(study.annotations))
    preview = previews.find(VIDEO, "v")
    assert preview.state == "failed"
    assert preview.message.startswith("segment: ")
    assert previews.find(VIDEO, "other rows").state == "none"


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
