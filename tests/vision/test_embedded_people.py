"""People of the embedded model over time: linked by place and shirt, and in doubt where one takes another's place."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from childgait.domain.skeleton import HEAD, INDEX, POINTS
from childgait.engine.source_files import ROOT
from childgait.params import Deidentify, load_section
from childgait.vision import tracks
from childgait.vision.blazepose import BlazePose, Look, Square
from childgait.vision.camera_path import CameraPath, static_path
from childgait.vision.head_covers import embedded
from childgait.vision.head_covers.embedded import (
    MIN_LOOKS,
    LookAtFrame,
    Sighting,
    close_people,
    link_sightings,
    list_lost_at_ends,
    list_takeovers,
    list_unfollowed,
    without_second_fits,
)
from childgait.vision.head_covers.raw_video import RawVideo
from childgait.vision.person_tracks import Person
from childgait.vision.shirts import differs, shirt_colour

STEP, LOOKS = 6, 20
TIMES = np.arange(STEP * LOOKS) / 60
RED, BLUE, GREY = (np.array(colour, np.float64) for colour in ([50, 60, 40], [40, 10, -50], [60, 0, 0]))


def person(x: float) -> Person:
    points = np.full((len(POINTS), 3), 0.9, np.float32)
    points[:, :2] = x, 200
    for side, way in (("left", 15), ("right", -15)):
        points[INDEX[f"{side}_shoulder"], :2] = x + way, 120
        points[INDEX[f"{side}_hip"], :2] = x + way, 190
    look = Look(points, points[:, 0], 1.0, Square(0, 0, 256), np.zeros((256, 256), np.float32))
    return Person(np.array([x - 40, 60.0, x + 40, 320]), look)


def colour_of(picture: np.ndarray, one: Person) -> np.ndarray:
    return shirt_colour(picture, one.look.points, one.height)


def looks_of(*people: tuple[range, float, float, np.ndarray]) -> list[LookAtFrame]:
    """Return looks; a person is the looks with it, its first place, its pixels per look and its shirt."""
    return [
        LookAtFrame(n * STEP, [Sighting(person(x + v * n), shirt) for seen, x, v, shirt in people if n in seen])
        for n in range(LOOKS)
    ]


def test_two_people_side_by_side_are_never_exchanged() -> None:
    looks = looks_of((range(0, LOOKS, 2), 200, 2, RED), (range(1, LOOKS, 2), 230, 2, BLUE))
    chains = link_sightings(looks, TIMES, static_path(len(TIMES), 640, 360))
    assert sorted(len(chain.frames) for chain in chains) == [10, 10]


def test_one_who_stands_behind_a_walker_is_in_doubt() -> None:
    """The network draws the man behind until the walker hides him, and the walker from then on."""
    looks = looks_of((range(8), 200, 0, RED), (range(8, LOOKS), 200, 1, BLUE))
    chains = link_sightings(looks, TIMES, static_path(len(TIMES), 640, 360))
    assert list_takeovers(chains, TIMES) == ["frames 42-48: a person was lost behind another one"]
    alone = link_sightings(looks_of((range(LOOKS), 200, 3, RED)), TIMES, static_path(len(TIMES), 640, 360))
    assert len(alone) == 1
    assert not list_takeovers(alone, TIMES)


def test_a_pan_does_not_part_one_person() -> None:
    pan = 10.0 * np.arange(len(TIMES))
    to_room = np.tile(np.eye(2, 3), (len(TIMES), 1, 1))
    to_room[:, 0, 2] = pan
    looks = looks_of((range(LOOKS), 900, -10.0 * STEP, GREY))
    assert len(link_sightings(looks, TIMES, CameraPath(to_room, 640, 360))) == 1
    assert len(link_sightings(looks, TIMES, static_path(len(TIMES), 640, 360))) > 1


def test_shirts_are_compared_by_colour_and_less_by_light() -> None:
    picture = np.full((360, 640, 3), (200, 30, 30), np.uint8)
    red = colour_of(picture, person(300))
    assert not differs(red, colour_of((picture * 0.8).astype(np.uint8), person(300)))
    assert differs(red, colour_of(picture[..., ::-1], person(300)))
    assert np.isnan(colour_of(picture, person(-200))).all()
    assert not differs(red, np.full(3, np.nan))
    assert not differs(GREY, GREY + [40, 0, 0])
    assert differs(GREY, GREY + [0, 40, 0])


@pytest.mark.parametrize(("way", "still"), [(0.0, True), (40.0, False)])
def test_who_stands_still_in_the_room_is_held_at_the_place(way: float, still: bool) -> None:
    track = tracks.empty_track(len(TIMES))
    for n in range(0, 60, STEP):
        x = 100 + way * TIMES[n]
        track.box[n], track.source[n] = [x, 40, x + 20, 64], "blazepose"
    assert tracks.stands_still(track, TIMES) is still
    short = replace(track, source=["blazepose" if n == 0 else "" for n in range(len(TIMES))])
    assert not tracks.stands_still(short, TIMES)


def test_who_is_lost_inside_the_picture_just_before_the_end_is_in_doubt() -> None:
    """Such an end is no hole of the track: it is shorter than a person's track."""
    frames = [n * STEP for n in range(LOOKS)]

    def doubts(seen: range, x: float, speed: float) -> list[str]:
        looks = looks_of((range(LOOKS), 100, 2, BLUE), (seen, x, speed, RED))
        return list_lost_at_ends(link_sightings(looks, TIMES, static_path(len(TIMES), 640, 360)), frames, 640)

    assert doubts(range(LOOKS), 300, 2) == []
    assert doubts(range(LOOKS - 1), 300, 2) == ["frames 108-114: a person was lost, or appeared, inside the picture"]
    assert doubts(range(2, LOOKS), 300, 2) == ["frames 0-12: a person was lost, or appeared, inside the picture"]
    assert doubts(range(LOOKS - 4), 300, 2) == []  # a hole, which is covered whole
    assert doubts(range(LOOKS - 1), 585, 1) == []  # leaves by the side


def test_a_look_at_a_video_states_who_was_lost_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = looks_of((range(LOOKS), 100, 2, BLUE), (range(LOOKS - 1), 300, 2, RED))
    monkeypatch.setattr(embedded, "_looks", lambda _: iter(looks))
    params, path = load_section(ROOT / "params.yaml", Deidentify), static_path(len(TIMES), 640, 360)
    doubts = embedded.look_embedded(cast(RawVideo, None), TIMES, path, params).doubts
    assert "frames 108-114: a person was lost, or appeared, inside the picture" in doubts


def test_a_frame_has_no_second_fit_of_one_body(monkeypatch: pytest.MonkeyPatch) -> None:
    class OneFrame:
        def frames(self) -> list[SimpleNamespace]:
            picture = np.full((360, 640, 3), (200, 40, 40), np.uint8)  # all of it is one shirt
            return [SimpleNamespace(seconds=0.0, index=0, pixels=picture)]

    monkeypatch.setattr(embedded, "BlazePose", lambda _: None)
    monkeypatch.setattr(embedded, "_people_of_frame", lambda *_: [person(300), person(305)])
    monkeypatch.setattr(embedded, "close_people", lambda *_: [])
    (look,) = embedded._looks(cast(RawVideo, OneFrame()))
    assert len(look.sightings) == 1


def test_a_second_fit_of_one_body_is_left_out() -> None:
    """What a mask leaves over is fitted again; the child was two people and half covered in 16 frames."""
    first, second = (replace(person(x), colour=RED) for x in (300, 310))
    assert without_second_fits([first, second]) == [first]
    behind = replace(second, colour=BLUE)
    assert without_second_fits([first, behind]) == [first, behind]
    unknown = replace(second, colour=np.full(3, np.nan))  # somebody may stand behind
    assert without_second_fits([first, unknown]) == [first, unknown]
    aside = replace(person(360), colour=RED)
    assert without_second_fits([first, aside]) == [first, aside]


class OneClosePerson:
    """A landmark network that draws one person wherever a box is near the right edge, and nobody elsewhere."""

    def __init__(self, feet: float, mask: slice = slice(100, 156)) -> None:
        self.feet = feet  # row of them
        self.mask = mask  # columns of the square, 256 wide

    def look_at_boxes(self, frame: np.ndarray, boxes: np.ndarray) -> list[Look | None]:
        x = float(boxes[0] + boxes[2]) / 2
        if x < 500:
            return [None]
        one = person(600)
        for side in ("left", "right"):
            one.look.points[INDEX[f"{side}_heel"], 1] = self.feet
        mask = np.zeros((256, 256), np.float32)
        mask[:, self.mask] = 1
        return [replace(one.look, presence=0.95, square=Square(420, 0, 360), crop_mask=mask)]


def test_people_whom_the_picture_cuts_off_are_searched_across_it() -> None:
    picture = np.zeros((360, 640, 3), np.uint8)
    model = cast(BlazePose, OneClosePerson(420))
    (one,) = close_people(picture, [], model)
    assert one.look.points[INDEX["nose"], 0] == 600
    assert close_people(picture, [one], model) == []
    assert close_people(picture, [], cast(BlazePose, OneClosePerson(300))) == []  # a shadow: small, and not cut off


def test_a_skeleton_beside_its_own_mask_is_nobody() -> None:
    """Such skeletons are drawn between two people and before doors; they held two videos of three."""
    picture = np.zeros((360, 640, 3), np.uint8)
    assert close_people(picture, [], cast(BlazePose, OneClosePerson(420, slice(0, 90)))) == []
    mask = np.zeros((256, 256), np.float32)
    mask[:, 115:141] = 1  # a known person there, and the mask of the new one around both
    known = replace(person(600).look, square=Square(420, 0, 360), crop_mask=mask)
    (other,) = [Person(np.array([582.0, 60, 618, 130]), known)]
    assert close_people(picture, [other], cast(BlazePose, OneClosePerson(420))) == []


class BarsAroundAChild(OneClosePerson):
    """The same, where a second look at the square of that person has another presence."""

    def __init__(self, again: float) -> None:
        super().__init__(420)
        self.again = again

    def look_at_boxes(self, frame: np.ndarray, boxes: np.ndarray) -> list[Look | None]:
        (one,) = super().look_at_boxes(frame, boxes)
        if one is not None:
            one.points[list(HEAD), 1] = 240  # on the child's body
        return [one]

    def look(self, _: np.ndarray, square: Square) -> Look:
        assert (square.x, square.side) == (420, 360)
        return replace(person(600).look, presence=self.again)


def test_bars_around_a_known_child_are_nobody_close() -> None:
    """Their skeleton has its head on the child's body and vanishes with the child."""
    picture = np.zeros((360, 640, 3), np.uint8)
    for row, again, count in ((240, 0.5, 0), (240, 0.9, 1), (150, 0.5, 1)):  # of the child's body, 30 tall
        mask = np.zeros((256, 256), np.float32)
        mask[row - 15 : row + 15, 100:156] = 1
        child = Person(
            np.array([582.0, 60, 618, 130]), replace(person(600).look, square=Square(472, 0, 256), crop_mask=mask)
        )
        assert len(close_people(picture, [child], cast(BlazePose, BarsAroundAChild(again)))) == count, (row, again)


def test_the_head_of_a_person_contains_what_its_mask_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hair and the back of the head are no points."""
    mask = np.zeros((256, 256), np.float32)
    mask[36:90, 72:112] = 1  # of the square of `person`, at 100: hair on the left
    mask[90:250, 80:120] = 1
    looks = [
        LookAtFrame(n * STEP, [Sighting(replace(one, look=replace(one.look, crop_mask=mask)), RED)])
        for n in range(LOOKS)
        for one in [upright_person(100)]
    ]
    monkeypatch.setattr(embedded, "_looks", lambda _: iter(looks))
    params, path = load_section(ROOT / "params.yaml", Deidentify), static_path(len(TIMES), 640, 360)
    (track,) = embedded.look_embedded(cast(RawVideo, None), TIMES, path, params).tracks
    known = track.box[track.present]
    assert (known[:, :2] <= (72, 36)).all()
    assert (known[:, 2] >= 112).all()


def upright_person(x: float) -> Person:
    """Return somebody whose ears are at row 65 and whose head is about 45 pixels high."""
    one = person(x)
    for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear"):
        one.look.points[INDEX[name], 1] = 65
    for name, y in (("ankle", 290), ("heel", 295), ("big_toe", 300), ("knee", 240)):
        for side in ("left", "right"):
            one.look.points[INDEX[f"{side}_{name}"], 1] = y
    return one


def test_a_shirt_seen_from_the_side_has_one_colour() -> None:
    """The arm in front of the trunk hides most of what lies between shoulders and hips."""
    picture = np.full((360, 640, 3), (90, 60, 200), np.uint8)
    side = person(300)
    for joint, x in (("shoulder", 302), ("hip", 298)):
        for limb, way in (("left", 2), ("right", -2)):
            side.look.points[INDEX[f"{limb}_{joint}"], 0] = x + way
    bare = colour_of(picture, side)
    picture[152:192, 270:315] = 200, 150, 120  # the forearm, before the lower trunk
    assert not differs(bare, colour_of(picture, side))


def test_a_close_person_who_cannot_be_followed_is_in_doubt() -> None:
    looks = looks_of((range(LOOKS), 200, 3, RED))
    looks[4].sightings.append(Sighting(person(600), BLUE, close=True))
    chains = link_sightings(looks, TIMES, static_path(len(TIMES), 640, 360))
    doubt = "frame 24: somebody may stand so close that the picture cuts off the head"
    assert list_unfollowed(chains, [len(chain.frames) for chain in chains]) == [doubt]
    assert not list_unfollowed(chains[:1], [LOOKS])
    longer = link_sightings(
        [LookAtFrame(look.frame, [Sighting(person(600), BLUE, close=True)]) for look in looks],
        TIMES,
        static_path(len(TIMES), 640, 360),
    )
    assert list_unfollowed(longer, [MIN_LOOKS - 1])  # seen often, with a head in too few looks
