"""Every layout's points land under their own names; left and right are never confused."""

from __future__ import annotations

import numpy as np
import pytest

from childgait.domain.skeleton import BONES, INDEX, LAYOUTS, MIRRORED, POINTS, bone_side, side, to_points

# Joints by name as the layouts' own documents number them.
KNOWN = {
    "coco17": {"nose": 0, "left_shoulder": 5, "right_shoulder": 6, "left_wrist": 9, "left_hip": 11, "right_ankle": 16},
    "halpe26": {
        "left_ear": 3,
        "left_knee": 13,
        "left_big_toe": 20,
        "right_big_toe": 21,
        "left_small_toe": 22,
        "right_small_toe": 23,
        "left_heel": 24,
        "right_heel": 25,
    },
    "body25": {
        "nose": 0,
        "right_shoulder": 2,
        "right_elbow": 3,
        "right_wrist": 4,
        "left_shoulder": 5,
        "left_wrist": 7,
        "right_hip": 9,
        "right_knee": 10,
        "right_ankle": 11,
        "left_hip": 12,
        "left_ankle": 14,
        "right_eye": 15,
        "left_eye": 16,
        "right_ear": 17,
        "left_ear": 18,
        "left_big_toe": 19,
        "left_heel": 21,
        "right_heel": 24,
    },
    "wholebody133": {
        "nose": 0,
        "left_hip": 11,
        "left_big_toe": 17,
        "left_small_toe": 18,
        "left_heel": 19,
        "right_big_toe": 20,
        "right_heel": 22,
    },
    "blazepose33": {
        "nose": 0,
        "left_ear": 7,
        "right_shoulder": 12,
        "left_hip": 23,
        "right_knee": 26,
        "left_heel": 29,
        "right_heel": 30,
        "left_big_toe": 31,
        "right_big_toe": 32,
    },
    "goliath308": {
        "left_shoulder": 5,
        "left_elbow": 7,
        "right_elbow": 8,
        "left_hip": 9,
        "right_hip": 10,
        "left_knee": 11,
        "right_ankle": 14,
        "left_big_toe": 15,
        "left_heel": 17,
        "right_big_toe": 18,
        "right_heel": 20,
        "right_wrist": 41,
        "left_wrist": 62,
    },
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_named_joints_come_from_their_own_place(name: str) -> None:
    layout = LAYOUTS[name]
    numbers = np.arange(layout.size, dtype=np.float32)
    points = to_points(np.stack([numbers, numbers + 1000], axis=1), numbers / layout.size, layout)
    for joint, index in KNOWN[name].items():
        assert points[INDEX[joint], 0] == index, joint
        assert points[INDEX[joint], 1] == index + 1000, joint
        assert points[INDEX[joint], 2] == pytest.approx(index / layout.size), joint


def test_what_a_layout_lacks_is_missing_with_score_nothing() -> None:
    points = to_points(np.ones((4, 17, 2), np.float32), np.ones((4, 17), np.float32), LAYOUTS["coco17"])
    heels = points[:, [INDEX["left_heel"], INDEX["right_big_toe"]]]
    assert np.isnan(heels[..., :2]).all()
    assert (heels[..., 2] == 0).all()
    assert np.isfinite(points[:, INDEX["left_ankle"]]).all()


def test_no_layout_uses_a_place_twice_or_one_it_does_not_have() -> None:
    for layout in LAYOUTS.values():
        used = [index for index in layout.source if index is not None]
        assert len(layout.source) == len(POINTS)
        assert len(set(used)) == len(used)
        assert max(used) < layout.size


def test_no_face_or_hand_point_is_kept_of_the_large_layouts() -> None:
    assert max(index or 0 for index in LAYOUTS["wholebody133"].source) < 23
    assert not set(LAYOUTS["goliath308"].source) & (set(range(70, 308)) | (set(range(21, 62)) - {41}))


def test_mirroring_twice_is_nothing_and_changes_every_side() -> None:
    for index, mirrored in enumerate(MIRRORED):
        assert MIRRORED[mirrored] == index
        assert {side(POINTS[index]), side(POINTS[mirrored])} in ({"middle"}, {"left", "right"})


def test_bones_join_points_that_exist_and_know_their_side() -> None:
    assert all(a in INDEX and b in INDEX for a, b in BONES)
    assert bone_side(("left_hip", "left_knee")) == "left"
    assert bone_side(("left_hip", "right_hip")) == "middle"
