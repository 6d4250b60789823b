"""Covers of people without a known head: before a moving camera, around the child, and as a reviewer changed them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from childgait.engine.source_files import ROOT
from childgait.errors import StepError
from childgait.files.regions import read_cover_changes, read_regions
from childgait.files.video import Colour
from childgait.params import Deidentify, load_section
from childgait.vision import tracks
from childgait.vision.head_covers.look import Observation
from childgait.vision.head_covers.plan import CoverPlan, plan
from childgait.vision.mosaic import Sample

WIDTH, HEIGHT, FRAMES, PAN = 320, 180, 60, 6
PARAMS = load_section(ROOT / "params.yaml", Deidentify)
NAME = "0001-0001_left_1-60"


def observe(pan: int, head: Callable[[int], tuple[float, float]], frames: range) -> Observation:
    """A room that the camera pans over, and one detected head at `head` in the given frames."""
    noise = np.random.default_rng(0).uniform(0, 255, (HEIGHT // 6, 800 // 6)).astype(np.float32)
    room = cv2.resize(noise, (800, HEIGHT), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    small = tuple(room[:, pan * n : pan * n + WIDTH].copy() for n in range(FRAMES))
    track = tracks.empty_track(FRAMES)
    for frame in frames:
        x, y = head(frame)
        track.box[frame], track.source[frame], track.score[frame] = [x, y, x + 20, y + 24], "detected", 0.9
    samples = (Sample(0, np.full((HEIGHT, WIDTH, 3), 90, np.uint8), 1.0),)
    seconds = tuple(Fraction(n, 30) for n in range(FRAMES))
    return Observation(seconds, WIDTH, HEIGHT, Colour(), 1, (track,), samples, small, 1.0)


def whole_frames(covers: CoverPlan) -> list[int]:
    return sorted(set(covers.table.filter(covers.table["whole"])["frame"].to_list()))


def test_a_cover_ends_where_the_place_has_left_the_picture() -> None:
    """A bystander's face is detected for 20 frames, and the camera pans past: the child's side stays free."""
    covers = plan(observe(PAN, lambda n: (200 - PAN * n, 40), range(20)), PARAMS)
    assert not covers.static_camera
    frames = whole_frames(covers)
    assert min(frames) > 19
    assert max(frames) < 48  # the place, with arms spread, is left of the picture
    assert covers.frames_without_head == len(frames)


def test_a_cover_by_the_embedded_model_is_larger_than_by_a_face() -> None:
    """From the side the model is one or two pixels short of the back of a small head."""
    face = observe(0, lambda n: (200, 40), range(FRAMES))
    (track,) = face.tracks
    embedded = replace(track, source=["blazepose" if n % 4 == 0 else "bridged" for n in range(FRAMES)])
    widths = []
    for one in (track, embedded):
        table = plan(replace(face, tracks=(one,)), PARAMS).table
        middle = table.filter(table["frame"] == FRAMES // 2)
        widths.append((middle["x1"] - middle["x0"]).item())
    assert widths[1] >= widths[0] + 2


def test_a_face_from_the_front_does_not_widen_the_cover_of_the_embedded_model() -> None:
    """Both at once were a head for any profile, on either side, and covered five times the head."""
    face = observe(0, lambda n: (200, 40), range(FRAMES))
    (track,) = face.tracks
    exact = replace(track, box=track.box + [4, 3, -4, -1], source=["blazepose"] * FRAMES)
    keypoints = replace(exact, source=["keypoints"] * FRAMES)

    def sizes(*found: tracks.HeadTrack) -> list[int]:
        table = plan(replace(face, tracks=found), PARAMS).table
        middle = table.filter(table["frame"] == FRAMES // 2)
        return [(middle[f"{axis}1"] - middle[f"{axis}0"]).item() for axis in "xy"]

    assert sizes(track, exact) == sizes(exact)
    assert sizes(track, keypoints) > sizes(keypoints)


def test_a_cover_by_the_embedded_model_follows_a_head_that_sways() -> None:
    steady = observe(0, lambda n: (200, 40), range(FRAMES))
    swaying = observe(0, lambda n: (200 + 12 * np.sin(n), 40), range(FRAMES))
    more = []  # pixels of the cover's width for the sway
    for source in ("detected", "blazepose"):
        widths = []
        for one in (steady, swaying):
            table = plan(replace(one, tracks=(replace(one.tracks[0], source=[source] * FRAMES),)), PARAMS).table
            middle = table.filter(table["frame"] == FRAMES // 2)
            widths.append((middle["x1"] - middle["x0"]).item())
        more.append(widths[1] - widths[0])
    assert 4 <= more[1] < more[0]


def test_a_static_camera_covers_the_place_to_the_end() -> None:
    covers = plan(observe(0, lambda n: (200, 40), range(20)), PARAMS)
    assert covers.static_camera
    assert max(whole_frames(covers)) == FRAMES - 1


def test_a_whole_person_cover_leaves_the_child_s_body_free() -> None:
    observation = observe(0, lambda n: (200, 40), range(20))
    child = tracks.empty_track(FRAMES)
    child.box[:] = [100, 60, 120, 84]
    child.source, child.score = ["keypoints"] * FRAMES, np.ones(FRAMES)
    body = np.tile([95.0, 84, 125, 170], (FRAMES, 1))
    observation = replace(
        observation,
        tracks=(child, *observation.tracks),
        bodies=(np.tile([90.0, 55, 130, 175], (FRAMES, 1)),),
        child_body=body,
    )
    table = plan(observation, PARAMS).table
    late = table.filter((table["frame"] == FRAMES - 1) & table["whole"])
    assert late.height >= 2  # beside the child on both sides, and above it
    for x0, y0, x1, y1 in late.select("x0", "y0", "x1", "y1").iter_rows():
        assert x1 <= 96 or x0 >= 124 or y1 <= 84 or y0 >= 168
    hidden = replace(observation, tracks=observation.tracks[1:])  # the child's head is not known: nothing is spared
    late = plan(hidden, PARAMS).table.filter(whole=True, frame=FRAMES - 1)
    assert late.height == 1


def write_regions(folder: Path, *rows: str) -> Path:
    header = "video,region,frame,x0,y0,x1,y1,action,reviewer,reason"
    (folder / "regions.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder / "regions.csv"


def test_a_reviewer_ends_and_removes_covers(tmp_path: Path) -> None:
    observation = observe(0, lambda n: (200, 40), range(20))
    path = write_regions(
        tmp_path,
        f"{NAME},gone,40,190,30,230,170,end,0007,left by the door",
        f"{NAME},logo,,0,0,30,20,,,",
    )
    changes = read_cover_changes(path, NAME, FRAMES)
    covers = plan(observation, PARAMS, changes)
    assert max(whole_frames(covers)) == 39
    assert covers.changes == ("cover 'gone' ended at frame 40 by 0007: left by the door",)
    assert [region.name for region in read_regions(path, NAME, FRAMES)] == ["logo"]
    path = write_regions(tmp_path, f"{NAME},poster,40,190,30,230,170,remove,0007,a poster")
    assert whole_frames(plan(observation, PARAMS, read_cover_changes(path, NAME, FRAMES))) == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (f"{NAME},gone,40,1,1,9,9,end,,left", "needs a frame, a reviewer and a reason"),
        (f"{NAME},gone,,1,1,9,9,remove,0007,left", "needs a frame, a reviewer and a reason"),
        (f"{NAME},gone,40,1,1,9,9,delete,0007,left", "the action is 'delete'"),
    ],
)
def test_a_change_without_reason_is_refused(tmp_path: Path, row: str, words: str) -> None:
    with pytest.raises(StepError, match=words):
        read_cover_changes(write_regions(tmp_path, row), NAME, FRAMES)


def test_a_change_where_no_cover_lies_is_refused(tmp_path: Path) -> None:
    path = write_regions(tmp_path, f"{NAME},gone,10,1,100,9,120,end,0007,left")
    with pytest.raises(StepError, match="no cover lies"):
        plan(observe(0, lambda n: (200, 40), range(60)), PARAMS, read_cover_changes(path, NAME, FRAMES))


@pytest.mark.parametrize(("source", "is_spared"), [("silhouette", True), ("detected", False)])
def test_a_cover_from_silhouettes_alone_leaves_the_child_s_body_free(
    source: str, is_spared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The box of a silhouette is coarse; a detected head is covered wherever it is."""
    observation = observe(0, lambda n: (200, 40), range(0))
    child, other = tracks.empty_track(FRAMES), tracks.empty_track(FRAMES)
    child.box[:], other.box[:] = [100, 60, 120, 84], [80, 88, 140, 120]
    child.source, other.source = ["keypoints"] * FRAMES, [source] * FRAMES
    body = np.tile([95.0, 84, 125, 170], (FRAMES, 1))
    observation = replace(observation, child_body=body)
    monkeypatch.setattr("childgait.vision.head_covers.plan._source_tracks", lambda *_: ([child, other], True))
    table = plan(observation, PARAMS).table.filter(region=1, frame=FRAMES // 2)
    assert table.height > 0
    boxes = table.select("x0", "y0", "x1", "y1").rows()
    assert all(x1 <= 96 or x0 >= 124 or y1 <= 84 or y0 >= 168 for x0, y0, x1, y1 in boxes) == is_spared
    assert min(x0 for x0, *_ in boxes) <= 80
    assert max(x1 for *_, x1, _ in boxes) >= 140


@pytest.mark.parametrize(("x", "in_doubt"), [(60, False), (215, True)])
def test_who_stands_still_stays_covered_and_is_in_doubt_if_lost_beside_another_head(x: int, in_doubt: bool) -> None:
    observation = observe(0, lambda n: (200, 40), range(20))
    other = tracks.empty_track(FRAMES)
    other.box[:] = [x, 40, x + 20, 64]
    other.source, other.score = ["blazepose"] * FRAMES, np.ones(FRAMES)
    params = PARAMS.model_copy(update={"backends": ["centerface", "blazepose"]})
    covers = plan(replace(observation, tracks=(other, *observation.tracks)), params)
    assert not whole_frames(covers)
    last = covers.table.filter(covers.table["frame"] == FRAMES - 1)
    assert any(x0 <= 200 and x1 >= 220 for x0, x1 in last.select("x0", "x1").iter_rows())
    assert any("stands still was lost beside" in doubt for doubt in covers.doubts) is in_doubt
