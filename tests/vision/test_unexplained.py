"""Parts of a second person beside a known one: they are in doubt, and shadows, tubes and noise are not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from childgait.engine.source_files import ROOT
from childgait.files.video import Colour
from childgait.params import Deidentify, load_section
from childgait.vision import tracks
from childgait.vision.camera_path import CameraPath
from childgait.vision.head_covers.evidence import review_reasons
from childgait.vision.head_covers.look import Observation
from childgait.vision.head_covers.plan import plan
from childgait.vision.head_covers.unexplained import Body, Scene, list_shared_heads, list_unexplained
from childgait.vision.mosaic import Sample
from childgait.vision.tracks import HeadTrack

LOOKS, STEP = 24, 4
TIMES = np.arange(LOOKS * STEP) / 30
WIDTH, HEIGHT, TALL = 320, 180, 120
COVER = np.array([0, 30, 24, 54])  # over the head, from the body's left edge


def room(width: int) -> np.ndarray:
    """Return a wall with a door and a floor, in Y, U, V."""
    picture = np.full((HEIGHT, width, 3), (160, 126, 130), np.uint8)
    picture[140:] = 150, 156, 96  # a coloured floor, on which a shadow is paler, too
    picture[40:140, 150:190] = 90, 120, 140
    return picture


def scenes_of(*, part: str = "", first: int = 0, last: int = LOOKS, covered: bool = True, pan: int = 0) -> dict:
    """Return the arguments of `list_unexplained`: a person walks across, and a `part` of something else with it."""
    rng = np.random.default_rng(1)
    empty, scenes, covers = room(WIDTH + pan * LOOKS), [], {}
    for n in range(LOOKS):
        frame, x = n * STEP, 40 + (8 + pan) * n
        picture = empty.copy()
        if part == "leg" and first <= n < last:
            cv2.rectangle(picture, (x + 34, 100), (x + 43, 150), (70, 150, 110), -1)
        if part == "tube" and first <= n < last:
            cv2.rectangle(picture, (x + 38, 80), (x + 40, 150), (70, 150, 110), -1)
        if part == "shadow":
            under = picture[146:158, x - 20 : x + 60]
            under[:] = (under - np.array([0.0, 128, 128])) * 0.65 + [0, 128, 128]
        mask = np.zeros(picture.shape[:2], bool)
        mask[30:150, x : x + 24] = True
        picture[mask] = 60, 110, 170
        picture = np.clip(picture + rng.normal(0, 1.5, picture.shape), 0, 255).astype(np.uint8)
        left = pan * n
        view = slice(left, left + WIDTH)
        corner = np.array([x - left, 0, x - left, 0])
        body = Body(mask[:, view], corner + [0, 30, 24, 150], corner[:2] + [12, 42.0], TALL)
        scenes.append(Scene(frame, np.ascontiguousarray(picture[:, view]), (body,), 1.0))
        covers[frame] = [corner + COVER] if covered else []
    to_room = np.tile(np.eye(2, 3), (len(TIMES), 1, 1))
    to_room[:, 0, 2] = pan * (np.arange(len(TIMES)) // STEP)
    return {
        "scenes": scenes,
        "times": TIMES,
        "tracks": [],
        "covers": covers,
        "path": CameraPath(to_room, WIDTH, HEIGHT) if pan else None,
    }


@pytest.mark.parametrize("pan", [0, 8])
def test_a_leg_beside_a_known_person_is_in_doubt(pan: int) -> None:
    (doubt,) = list_unexplained(**scenes_of(part="leg", pan=pan))
    assert doubt == "frames 0-92: a part of somebody without a known head moves beside a known person"
    (doubt,) = list_unexplained(**scenes_of(part="leg", first=6, last=12, pan=pan))
    assert doubt.startswith("frames 24-44: ")


@pytest.mark.parametrize("pan", [0, 8])
@pytest.mark.parametrize("part", ["", "tube", "shadow"])
def test_a_person_alone_is_not(part: str, pan: int) -> None:
    assert list_unexplained(**scenes_of(part=part, pan=pan)) == []


def test_a_part_of_two_looks_is_not() -> None:
    """A mask that misses a foot for a moment."""
    assert list_unexplained(**scenes_of(part="leg", first=6, last=8)) == []


def test_only_whose_head_is_covered_explains_what_moves() -> None:
    (doubt,) = list_unexplained(**(scenes_of() | {"covers": scenes_of(covered=False)["covers"]}))
    assert doubt.startswith("frames ")


def head_track(way: list[float]) -> HeadTrack:
    boxes = np.array([[x, 40, x + 30, 75] for x in np.interp(TIMES, np.linspace(0, TIMES[-1], len(way)), way)])
    return HeadTrack(boxes, ["detected"] * len(boxes), np.ones(len(boxes)))


def test_two_tracks_that_end_on_one_head_are_in_doubt() -> None:
    """The cover of a child who goes behind an adult stays on the adult's head."""
    child, adult = head_track([100, 170, 202, 250]), head_track([180, 200, 220, 252])
    (doubt,) = list_shared_heads([adult, child], TIMES, 0.3)
    assert doubt.endswith("-95: two people have one head, so one of them is lost")
    crossing = head_track([260, 190, 160, 100])
    assert list_shared_heads([crossing, adult], TIMES, 0.3) == []
    assert list_shared_heads([adult, head_track([182, 203, 222, 250])], TIMES, 0.3) == []  # twice the same head


@pytest.mark.parametrize(("part", "in_doubt"), [("leg", True), ("", False)])
def test_a_video_with_a_part_of_somebody_unknown_is_held(part: str, in_doubt: bool) -> None:
    made = scenes_of(part=part)
    track = tracks.empty_track(len(TIMES))
    for frame, (cover,) in made["covers"].items():
        for later in range(frame, frame + STEP):
            track.box[later], track.source[later], track.score[later] = cover, "blazepose", 0.9
    samples = (Sample(0, made["scenes"][0].picture, 1.0),)
    small = tuple(scene.picture[..., 0] for scene in made["scenes"] for _ in range(STEP))
    seconds = tuple(Fraction(n, 30) for n in range(len(TIMES)))
    observation = Observation(seconds, WIDTH, HEIGHT, Colour(), 1, (track,), samples, small, 1.0)
    params = load_section(ROOT / "params.yaml", Deidentify).model_copy(update={"backends": ["centerface", "blazepose"]})
    body = np.full((len(TIMES), 4), np.nan)
    covers = plan(replace(observation, bodies=(body,), scenes=tuple(made["scenes"])), params)
    reasons = review_reasons(covers, False, params)
    assert any("a part of somebody without a known head" in reason for reason in reasons) is in_doubt
