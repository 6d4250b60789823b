"""People over time: linking, walking, and who the child is. Bodies are given, so no network runs."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from childgait.domain.skeleton import INDEX, POINTS
from childgait.errors import StepError
from childgait.vision.background import Samples
from childgait.vision.blazepose import BlazePose, Look, Square
from childgait.vision.drawn_heads import people_of_heads
from childgait.vision.person_tracks import (
    Person,
    PersonTrack,
    camera_path,
    check_height,
    choose_child,
    describe_absence,
    find_people,
    link_people,
    overlap,
    without_parts,
    without_people,
)

SECONDS = np.arange(160) / 60


def person(x: float, height: float, swing: float = 0.0, bottom: float = 340) -> Person:
    points = np.full((len(POINTS), 3), 0.9, np.float32)
    points[:, :2] = x, bottom - height / 2
    points[INDEX["left_ankle"], :2] = x + swing * height, bottom
    points[INDEX["right_ankle"], :2] = x - swing * height, bottom
    look = Look(points, points[:, 0], 1.0, Square(0, 0, 256), np.zeros((256, 256), np.float32))
    return Person(np.array([x - 0.2 * height, bottom - height, x + 0.2 * height, bottom]), look)


def samples(count: int = 20, step: int = 8) -> Samples:
    made = Samples(64)
    made.step = step
    made.frames = [n * step for n in range(count)]
    made.pictures = [np.zeros((360, 640, 3), np.uint8)] * count
    return made


def tracks_of(people: list[list[Person]]) -> list[PersonTrack]:
    given = samples(len(people))
    return link_people(given, SECONDS, people, np.zeros((len(people), 2)))


def step_of(n: int) -> float:
    return 0.15 * float(np.sin(n))


def test_a_walking_child_is_chosen_before_a_standing_adult_and_a_larger_walker() -> None:
    people = [
        [person(100 + 20 * n, 150, step_of(n)), person(560, 260), person(180 + 20 * n, 240, step_of(n + 1))]
        for n in range(20)
    ]
    tracks = tracks_of(people)
    assert sorted(len(track.frames) for track in tracks) == [20, 20, 20]
    child, why = choose_child(tracks, [], "v", 1.0)
    assert (round(child.height), why) == (150, "the smallest of those who walk")


def test_a_track_goes_on_after_a_gap_and_is_interpolated() -> None:
    people = [[person(100 + 20 * n, 150, step_of(n))] if n not in (8, 9, 10) else [] for n in range(20)]
    (track,) = tracks_of(people)
    assert len(track.frames) == 17
    box = track.box_at(72, 0)
    assert box is not None
    assert (box[0] + box[2]) / 2 == pytest.approx(100 + 20 * 9, abs=1)
    assert track.box_at(152 + 40, 16) is None
    ahead = track.box_at(152 + 8, 16)
    assert ahead is not None
    assert (ahead[0] + ahead[2]) / 2 == pytest.approx(100 + 20 * 20, abs=1)


def test_a_selection_overrules() -> None:
    people = [[person(100 + 20 * n, 150, step_of(n)), person(560, 260)] for n in range(20)]
    child, why = choose_child(tracks_of(people), [(40, (540.0, 200.0, 580.0, 240.0))], "v", 1.0)
    assert (round(child.height), why) == (260, "the person a selection points at")
    with pytest.raises(StepError, match="no person is at the selected place"):
        choose_child(tracks_of(people), [(40, (10.0, 10.0, 12.0, 12.0))], "v", 1.0)


def test_nobody_walks() -> None:
    with pytest.raises(StepError, match="v: no walker found: 1 people, none walks"):
        choose_child(tracks_of([[person(300, 200)] for _ in range(20)]), [], "v", 1.0)
    with pytest.raises(StepError, match="no walker found"):
        choose_child([], [], "v", 1.0)


def test_two_children_of_equal_claim_need_a_selection() -> None:
    people = [[person(80 + 20 * n, 150, step_of(n)), person(200 + 20 * n, 152, step_of(n))] for n in range(20)]
    with pytest.raises(StepError, match="two people of the same height walk") as raised:
        choose_child(tracks_of(people), [], "v", 0.5)
    assert "v,0," in raised.value.hint
    assert "selections.csv" in raised.value.hint


def test_a_child_that_is_too_small_is_refused() -> None:
    (track,) = tracks_of([[person(100 + 20 * n, 50, step_of(n))] for n in range(20)])
    with pytest.raises(StepError, match="v: the child is 50 pixels tall, and the embedded model needs 60"):
        check_height(track, "v", 1.0)
    check_height(track, "v", 0.5)


def test_a_child_that_leaves_the_picture_is_described() -> None:
    people = [[person(100 + 20 * n, 150, step_of(n))] if 4 <= n <= 10 else [] for n in range(20)]
    (track,) = tracks_of(people)
    assert describe_absence(track, SECONDS, 8) == "the child is in the picture from 0.4 to 1.5 s of 2.6 s"
    (track,) = tracks_of([[person(100 + 20 * n, 150, step_of(n))] for n in range(20)])
    assert describe_absence(track, SECONDS, 8) == ""


RED, BLUE = np.array([50.0, 60, 40]), np.array([40.0, 10, -50])


def test_shirts_keep_people_apart() -> None:
    """A part of the adult appears where the child was a moment ago, and the child where the part was."""
    small, tall = ([replace(person(200 + way, size), colour=colour) for way in (0, 45)] for size, colour in PEOPLE)
    people = [[small[n % 2], tall[(n + 1) % 2]] for n in range(20)]
    tracks = [track for track in tracks_of(people) if len(track.frames) > 5]
    assert sorted(round(track.height) for track in tracks) == [160, 190]
    assert all(len({tuple(one.colour) for one in track.persons}) == 1 for track in tracks)


PEOPLE = ((160, RED), (190, BLUE))


def test_a_second_fit_of_one_body_is_left_out() -> None:
    adult, part = replace(person(200, 240), colour=BLUE), replace(person(202, 160, bottom=300), colour=BLUE)
    for side in ("left", "right"):
        for one in (adult, part):
            one.look.points[INDEX[f"{side}_shoulder"], :2] = 200, 150
    child = replace(part, colour=RED)
    assert without_parts([part, adult]) == [adult]
    assert len(without_parts([child, adult])) == 2  # a child in another shirt in front of an adult


def test_a_panning_camera_is_removed() -> None:
    rng = np.random.default_rng(0)
    wall = np.repeat(np.repeat(rng.integers(0, 255, (30, 100), dtype=np.uint8), 12, axis=0), 12, axis=1)
    given = samples(10)
    given.pictures = [np.dstack([wall[:, 9 * n : 9 * n + 640]] * 3) for n in range(10)]
    path = camera_path(given, [[] for _ in range(10)])
    assert path[:, 0] == pytest.approx(9.0 * np.arange(10), abs=1)
    assert np.abs(path[:, 1]).max() < 1


def test_people_are_replaced_by_the_room() -> None:
    mask = np.zeros((256, 256), np.float32)
    mask[100:150, 100:150] = 1
    look = Look(np.zeros((23, 3), np.float32), np.zeros(23, np.float32), 1.0, Square(0, 0, 256), mask)
    picture = np.full((256, 256, 3), 90, np.uint8)
    picture[100:150, 100:150] = 255
    assert without_people(picture, [look], np.full_like(picture, 91))[120, 120, 0] == 91
    assert without_people(picture, [look], None)[120, 120, 0] == pytest.approx(90, abs=2)
    assert without_people(picture, [], None).tolist() == picture.tolist()


def test_overlap() -> None:
    assert overlap(np.array([0.0, 0, 2, 2]), np.array([1.0, 0, 3, 2])) == pytest.approx(1 / 3)
    assert overlap(np.array([0.0, 0, 2, 2]), np.array([5.0, 0, 6, 2])) == 0


class BlindDetector:
    """A model whose detector misses everybody; its network draws a body in each square."""

    def detect_people(self, frame: np.ndarray, tiles: object, least: float) -> np.ndarray:
        return np.zeros((0, 5))

    def look_at_boxes(self, frame: np.ndarray, boxes: np.ndarray) -> list[Look | None]:
        return [self.body(box) for box in np.atleast_2d(boxes)]

    def body(self, box: np.ndarray) -> Look:
        points = np.full((len(POINTS), 3), 0.9, np.float32)
        points[:, 0], points[:, 1] = np.linspace(box[0], box[2], len(POINTS)), np.linspace(box[1], box[3], len(POINTS))
        return Look(points, points[:, 0], 1.0, Square(0, 0, 256), np.zeros((256, 256), np.float32))


def test_whoever_has_a_covered_head_is_found_without_the_detector() -> None:
    cover = np.array([[300.0, 60, 340, 110]])
    nobody, one = find_people(samples(2), cast(BlazePose, BlindDetector()), False, {8: 2 * cover}, scale=0.5)
    assert nobody == []
    (box,) = people_of_heads(cover)
    assert [overlap(found.box, box) for found in one] == [pytest.approx(0.9, abs=0.1)]
