"""Heads without faces: from keypoints with outliers, and from moving silhouettes."""

from __future__ import annotations

import numpy as np
import pytest

from childgait.domain.skeleton import HEAD, INDEX
from childgait.vision import heads

TIMES = np.arange(60) / 60.0
STATURE = 160.0


def child(x: float, profile: bool = False) -> np.ndarray:
    """Return points of an upright child with the centre of its head at (x, 60); the head is 29 pixels high."""
    wide = 0.0 if profile else 1.0
    at = {
        "nose": (8 if profile else 0, 63),
        "left_eye": (5 * wide + 2, 58),
        "right_eye": (-5 * wide + 2, 58),
        "left_ear": (9 * wide, 60),
        "right_ear": (-9 * wide, 60),
        "left_shoulder": (18 * wide, 86),
        "right_shoulder": (-18 * wide, 86),
        "left_hip": (10 * wide, 136),
        "right_hip": (-10 * wide, 136),
        "left_knee": (10 * wide, 170),
        "right_knee": (-10 * wide, 170),
        "left_ankle": (10 * wide, 204),
        "right_ankle": (-10 * wide, 204),
    }
    points = np.full((23, 3), np.nan, np.float32)
    for name, (dx, y) in at.items():
        points[INDEX[name]] = x + dx, y, 0.9
    return points


def holds(box: np.ndarray, x: float) -> bool:
    """Whether a box contains the whole head: 29 pixels high, up to 26 wide."""
    return bool(box[0] <= x - 13 and box[1] <= 60 - 15 and box[2] >= x + 13 and box[3] >= 60 + 14)


def test_head_of_keypoints_from_the_front_and_from_the_side() -> None:
    for profile in (False, True):
        people = [child(100.0 + f, profile)[None] for f in range(60)]
        (person,) = heads.boxes_of_keypoints(people, TIMES, 0.3)
        assert all(holds(person.head[f], 100.0 + f) for f in range(60)), profile
        assert (person.head[:, 2] - person.head[:, 0]).max() < 2.0 * 29


def profile_of_a_model(x: float, faces_right: bool) -> np.ndarray:
    """Return a child in profile whose ears are an eighth of the head before its middle, as the embedded model's are."""
    points = child(0.0, profile=True)
    for name, dx in (("nose", 12), ("left_eye", 8), ("right_eye", 8), ("left_ear", 4), ("right_ear", 4)):
        points[INDEX[name], 0] = dx
    points[:, 0] = x + points[:, 0] * (1 if faces_right else -1)
    return points


def test_a_profile_whose_ears_are_before_the_middle_of_the_head_has_a_back() -> None:
    unknown = np.full((60, 4), np.nan)
    for faces_right in (True, False):
        person = np.array([profile_of_a_model(100.0 + f, faces_right) for f in range(60)])
        boxes = heads.boxes_of_person(person, TIMES, 0.3, unknown).head
        assert all(holds(boxes[f], 100.0 + f) for f in range(60)), faces_right
        beside = np.array([100 - boxes[0, 0], boxes[0, 2] - 100])  # of the middle of the head
        assert abs(beside[0] - beside[1]) < 0.2 * 29, faces_right
        delivered = heads.boxes_of_person(person, TIMES, 0.3).head[0, [0, 2]].mean() - 100
        assert delivered == pytest.approx(4 if faces_right else -4)  # around the ears, as ever
    front = np.array([child(100.0)] * 60)
    np.testing.assert_allclose(
        heads.boxes_of_person(front, TIMES, 0.3, unknown).head, heads.boxes_of_person(front, TIMES, 0.3).head
    )


def mask_of(x: int, half: int = 13) -> np.ndarray:
    """Return the pixels of a child at x whose head is 29 pixels high and whose shoulders begin below the ears."""
    mask = np.zeros((240, 300), bool)
    mask[46:75, x - half : x + half] = True
    mask[75:210, x - 20 : x + 20] = True
    return mask


def test_the_outline_of_a_head_is_what_the_mask_shows_above_the_ears() -> None:
    points = child(100.0)
    box = heads.head_outline(points, mask_of(100))
    np.testing.assert_allclose(box, [87, 46, 113, 74], atol=2.5)
    wide = mask_of(100)
    wide[40:70, 60:140] = True  # somebody beside the head
    low = mask_of(100)
    low[:56] = False  # the mask ends at the eyes
    for other in (wide, low, np.zeros_like(wide)):
        assert np.isnan(heads.head_outline(points, other)).all()
    points[:, 0] -= 90  # the picture's side may cut it off
    assert np.isnan(heads.head_outline(points, mask_of(30))).all()


def test_a_head_with_an_outline_is_where_the_mask_shows_it_and_smaller_than_without() -> None:
    sway = 4 * np.sign(np.sin(np.arange(60)))  # faster than the smoothing of keypoints follows
    person = np.array([child(100.0 + dx) for dx in sway])
    outlines = np.array([heads.head_outline(child(100.0 + dx), mask_of(round(100 + dx))) for dx in sway])
    exact = heads.boxes_of_person(person, TIMES, 0.3, outlines).head
    smooth = heads.boxes_of_person(person, TIMES, 0.3).head
    assert all(holds(box, 100 + dx) for box, dx in zip(exact, sway, strict=True))
    assert not all(holds(box, 100 + dx) for box, dx in zip(smooth, sway, strict=True))
    assert (exact[:, 2:] - exact[:, :2]).prod(axis=1).max() < (smooth[:, 2:] - smooth[:, :2]).prod(axis=1).min()
    wide = outlines + [-6, -6, 6, 6]  # hair that the points do not show
    larger = heads.boxes_of_person(person, TIMES, 0.3, wide).head
    assert (larger[:, :2] <= wide[:, :2]).all()
    assert (larger[:, 2:] >= wide[:, 2:]).all()
    outlines[30] += 60  # the head of somebody else
    elsewhere = heads.boxes_of_person(person, TIMES, 0.3, outlines).head
    assert elsewhere[30, 2] < 130


def test_a_face_lies_in_the_middle_of_the_head_that_it_implies() -> None:
    faces = np.array([[100.0, 50, 115, 70], [100, 50, 130, 70]])
    back = heads.face_of_head(heads.head_of_face(faces))
    assert (back[:, :2] <= faces[:, :2] + 1e-9).all()
    assert (back[:, 2:] >= faces[:, 2:] - 1e-9).all()
    np.testing.assert_allclose(back[:, [1, 3]], faces[:, [1, 3]])
    np.testing.assert_allclose(back[1], faces[1])


def test_points_that_jump_neither_move_nor_blow_up_the_head() -> None:
    people = [child(100.0 + f)[None] for f in range(60)]
    calm = heads.boxes_of_keypoints([p.copy() for p in people], TIMES, 0.3)[0].head
    for frame in range(5, 55, 5):
        people[frame][0, INDEX["nose"], :2] = 639, 359  # with a high score
        people[frame + 1][0, INDEX["left_ear"], :2] = 100 + frame + 31, 60
    (person,) = heads.boxes_of_keypoints(people, TIMES, 0.3)
    assert all(holds(person.head[f], 100.0 + f) for f in range(60))
    grown = (person.head[:, 2:] - person.head[:, :2]) - (calm[:, 2:] - calm[:, :2])
    assert grown.max() < 8


def test_without_a_head_point_the_trunk_tells() -> None:
    people = [child(100.0)[None] for _ in range(60)]
    for frame in range(60):
        people[frame][0, list(HEAD)] = np.nan
    (person,) = heads.boxes_of_keypoints(people, TIMES, 0.3)
    assert holds(person.head[30], 100.0)


def test_low_scores_say_nothing() -> None:
    people = [child(100.0)[None] for _ in range(60)]
    for frame in range(60):
        people[frame][..., 2] = 0.1
    assert heads.boxes_of_keypoints(people, TIMES, 0.3) == []


def test_everybody_with_keypoints_is_followed_whatever_the_order() -> None:
    people = [np.stack([child(100.0 + f), child(400.0 - f)])[:: 1 if f % 2 else -1] for f in range(60)]
    result = heads.boxes_of_keypoints(people, TIMES, 0.3)
    assert len(result) == 2
    middles = sorted(float(person.head[50, [0, 2]].mean()) for person in result)
    np.testing.assert_allclose(middles, [150, 350], atol=3)


def figure(x: int, top: int, frame: np.ndarray, tone: int = 200) -> None:
    frame[top : top + 14, x - 6 : x + 6] = tone  # head
    frame[top + 14 : top + 80, x - 14 : x + 14] = tone - 30


def static_background(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(80, 120, (180, 320)).astype(np.uint8)


def test_who_walks_across_has_a_head_at_the_top_of_the_silhouette() -> None:
    frames = []
    for f in range(90):
        frame = static_background()
        figure(40 + 2 * f, 60, frame)
        frames.append(frame)
    result = heads.find_silhouettes(frames, np.arange(90) / 60, 2.0, 12, 0.15, [])
    assert result.static_camera
    for f in range(15, 75):
        boxes = heads.head_of_figure(result.figures[f][:, :4], result.tops[f])
        x, y = 2 * (40 + 2 * f), 2 * 60
        assert any(b[0] <= x - 12 and b[1] <= y and b[2] >= x + 12 and b[3] >= y + 28 for b in boxes), f


def test_who_is_known_is_looked_past_and_a_moving_camera_is_told() -> None:
    frames = []
    for f in range(60):
        frame = static_background()
        figure(40 + 2 * f, 60, frame)
        frames.append(frame)
    body = np.array([[2 * (20 + 2 * f), 100.0, 2 * (60 + 2 * f), 300.0] for f in range(60)])
    result = heads.find_silhouettes(frames, np.arange(60) / 60, 2.0, 12, 0.15, [body])
    middles = (result.figures[30][:, 0] + result.figures[30][:, 2]) / 2
    assert ((middles < body[30, 0]) | (middles > body[30, 2])).all()  # only the margin of movement beside it is left
    wall = np.kron(np.random.default_rng(1).integers(60, 200, (18, 64)), np.ones((10, 10))).astype(np.uint8)
    panned = [heads.shrink(wall[:, 2 * f : 2 * f + 320]) for f in range(60)]
    assert not heads.find_silhouettes(panned, np.arange(60) / 60, 2.0, 12, 0.15, []).static_camera


def test_a_median_at_the_ends_does_not_lag() -> None:
    line = np.arange(30.0)
    np.testing.assert_allclose(heads.running_nanmedian(line, 5), line)


def test_a_look_off_the_path_covers_the_place_on_it_too() -> None:
    """Beside an adult the first look had the child's head on the adult: without the path the child's chin was bare."""
    seconds = np.array([0.0, 0.12, 0.24, 0.36, 0.5])
    steady = np.array([[100.0, 50, 130, 90]]) + 200 * seconds[:, None] * [1, 0, 1, 0]
    assert np.array_equal(heads._cover_path(steady, seconds), steady)
    for wrong in range(5):
        head = steady.copy()
        head[wrong] += [5, -26, 5, -26]
        covered = heads._cover_path(head, seconds)
        assert (covered[:, :2] <= np.minimum(head, steady)[:, :2] + 1e-9).all()
        assert (covered[:, 2:] >= np.maximum(head, steady)[:, 2:] - 1e-9).all()
        assert covered[wrong] == pytest.approx(np.array([*head[wrong, :2], *steady[wrong, 2:]]), abs=5.01)
        far = [n for n in range(5) if abs(n - wrong) > 2]
        assert np.array_equal(covered[far], head[far])
    unknown = steady.copy()
    unknown[2] = np.nan
    assert np.array_equal(heads._cover_path(unknown, seconds), unknown, equal_nan=True)
    assert np.array_equal(heads._cover_path(steady[:2], seconds[:2]), steady[:2])


def test_the_first_look_of_a_person_covers_the_place_on_the_path() -> None:
    """With outlines boxes are not smoothed over the looks: one that is wrong would move the cover away."""
    person = np.array([child(100.0)] * 60)
    outlines = np.array([heads.head_outline(points, mask_of(100)) for points in person])
    person[0, list(HEAD), :2] += (10, -19)  # somebody else's place; less than the points' own check finds
    outlines[0] += (10, -19, 10, -19)
    box = heads.boxes_of_person(person, TIMES, 0.3, outlines).head[0]
    assert holds(box, 100)
