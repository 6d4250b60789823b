"""Every number of the walk names the joints it is measured on; a right limb's are the left one's, mirrored."""

from __future__ import annotations

from childgait.domain.evgs import CODES
from childgait.domain.skeleton import INDEX, mirrored_name
from childgait.gait.feature_names import NAMES, joints_of_feature, joints_of_item


def test_every_number_and_item_has_joints_that_exist() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for name in NAMES:
        left, right = joints_of_feature(name, "left"), joints_of_feature(name, "right")
        assert left
        assert set(left) <= set(INDEX)
        assert sorted(right) == sorted(mirrored_name(joint) for joint in left)
    assert joints_of_feature("knee most in swing", "right") == ("right_hip", "right_knee", "right_ankle")
    assert joints_of_feature("EVGS KFX", "left") == joints_of_item("KFX", "left") == ("left_knee",)
    assert all(joints_of_item(code, "left") for code in CODES)
