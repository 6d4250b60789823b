"""Does it walk? Feet on the floor, left and right, and the asked-for curves found again in the pictures of both
cameras."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from childgait.domain.evgs import CODES, LIMBS
from childgait.domain.skeleton import INDEX, MIRRORED
from childgait.synthetic.camera import PASS_OF_VIEW, into_world, place_camera
from childgait.synthetic.child import Child, LimbPlan, draw_child
from childgait.synthetic.motion import limb_cycle, measure, strides_of, walk
from childgait.synthetic.preview import planar_angles


def children(count: int) -> list[Child]:
    return [draw_child(f"{i:04d}", np.random.default_rng([5, i])) for i in range(count)]


def plain(child: Child, pattern: str = "normal", strength: float = 1.0) -> Child:
    """The child's body with one pattern on both limbs and nothing else: hips straight, feet straight."""
    plan = LimbPlan(pattern, strength, foot_rotation=0.0, hindfoot=0.0)
    return replace(
        child,
        left=plan,
        right=plan,
        tilt=0.0,
        obliquity=0.0,
        rotation=0.0,
        trunk_lean=2.0,
        speed=0.43,
        phase_lag=0.5,
        aid="none",
        bent_arm="",
    )


def seconds_of(child: Child, strides: float = 3.0) -> np.ndarray:
    return np.arange(0, strides * child.stride, 1 / 60)


@pytest.mark.parametrize("index", range(12))
def test_feet_stand_on_the_floor_and_do_not_slide(index: int) -> None:
    child = children(12)[index]
    motion = walk(child, np.arange(0, 3 * child.stride, 0.005), seed=3)
    for limb in LIMBS:
        clearance = motion.curves[limb]["clearance"] * motion.leg_length
        assert clearance.min() > -0.002
        for stride in strides_of(motion, limb):
            stance = (motion.seconds > stride.contact) & (motion.seconds < stride.foot_off)
            assert np.abs(clearance[stance]).max() < 0.003
            single = (motion.seconds > stride.opposite_off) & (motion.seconds < stride.opposite_contact)
            ball = motion.parts[f"{limb}_ball"][single, 0]
            path = motion.parts["pelvis"][single, 0]
            assert np.ptp(ball) < 0.25 * np.ptp(path)  # it stays while the pelvis travels over it


def test_children_walk_at_a_child_s_pace() -> None:
    for child in children(40):
        motion = walk(child, seconds_of(child))
        speed = motion.parts["pelvis"][-1, 0] / motion.seconds[-1]
        assert 0.35 < speed < 1.7
        assert np.ptp(motion.parts["pelvis"][:, 2]) < 0.12 * child.height  # it limps, it does not hop


@pytest.mark.parametrize("view", ["left", "right"])
@pytest.mark.parametrize("pattern", ["normal", "true_equinus", "jump", "crouch_moderate", "stiff_knee", "recurvatum"])
def test_asked_for_curves_are_found_in_the_side_view(view: str, pattern: str) -> None:
    child = plain(children(1)[0], pattern)
    motion = walk(child, seconds_of(child, 1.6), start=0.2)
    offset = np.array([-motion.parts["pelvis"][:, 0].mean(), 0, 0])
    camera = place_camera(view, child.height, 1920, 1080, np.random.default_rng(1))
    pixels, _ = camera.project(into_world(motion.points + offset, PASS_OF_VIEW[view]))
    result = planar_angles(pixels, view, -1.0 if view == "left" else 1.0)  # the near limb has the view's name
    for name, limit in (("knee", 5.0), ("ankle", 6.0)):
        error = result[name] - motion.curves[view][name]
        standing = motion.curves[view]["clearance"] < 0.001 if name == "ankle" else np.ones(len(error), dtype=bool)
        flat = np.abs(motion.curves[view]["foot_pitch"]) < 8  # beyond, the toes bend and heel to toe is no sole
        keep = standing & (flat if name == "ankle" else True)
        if keep.sum() < 10:
            assert pattern in ("true_equinus", "jump")  # hardly ever flat
            continue
        assert np.abs(np.median(error[keep])) < 2.5
        assert np.percentile(np.abs(error[keep]), 90) < limit
    cycle, _ = limb_cycle(child, child.limb(view))
    assert motion.curves[view]["knee"].max() == pytest.approx(cycle["knee"].max(), abs=0.5)


@pytest.mark.parametrize("view", ["left", "forward"])
def test_a_raised_camera_looks_down_on_the_same_place(view: str) -> None:
    usual, raised = (place_camera(view, 1.2, 640, 360, np.random.default_rng(2), metres) for metres in (0.0, 0.8))
    assert raised.place - usual.place == pytest.approx([0, 0, 0.8])
    middle = np.array([0.0, 0.0, usual.place[2]])  # of the walkway, at the height of the usual camera
    at_middle = [camera.project(middle)[0] for camera in (usual, raised)]
    assert at_middle[1] == pytest.approx(at_middle[0], abs=4)
    toe, heel = [0.0, 0.0, 0.0], [0.2, 0.2, 0.0]  # level on the floor, one behind the other for the camera
    apart = [np.ptp(camera.project(np.array([toe, heel]))[0][:, 1]) for camera in (usual, raised)]
    assert apart[1] > 1.8 * apart[0]


def test_near_and_far_left_and_right_are_right_in_every_view() -> None:
    child = children(3)[1]
    motion = walk(child, seconds_of(child))
    offset = np.array([-motion.parts["pelvis"][:, 0].mean(), 0, 0])
    left, right = INDEX["left_shoulder"], INDEX["right_shoulder"]
    for view in ("left", "right", "forward", "backward"):
        camera = place_camera(view, child.height, 640, 360, np.random.default_rng(0))
        pixels, depth = camera.project(into_world(motion.points + offset, PASS_OF_VIEW[view]))
        moved = pixels[-1, INDEX["left_hip"], 0] - pixels[0, INDEX["left_hip"], 0]
        size = np.ptp(pixels[..., 1], axis=1)
        if view == "left":
            assert (depth[:, left] < depth[:, right]).all()
            assert moved < -100
        elif view == "right":
            assert (depth[:, right] < depth[:, left]).all()
            assert moved > 100
        elif view == "forward":
            assert (pixels[:, left, 0] > pixels[:, right, 0]).all()  # facing us, the child's left is on our right
            assert size[-1] > 1.2 * size[0]
        else:
            assert (pixels[:, left, 0] < pixels[:, right, 0]).all()
            assert size[-1] < 0.85 * size[0]


def mirrored(child: Child) -> Child:
    other = {"left": "right", "right": "left", "": ""}[child.bent_arm]
    return replace(
        child,
        left=child.right,
        right=child.left,
        obliquity=-child.obliquity,
        rotation=-child.rotation,
        phase_lag=1 - child.phase_lag,
        bent_arm=other,
    )


@pytest.mark.parametrize("index", range(8))
def test_a_mirrored_child_has_mirrored_scores_and_a_mirrored_body(index: int) -> None:
    child = children(8)[index]
    own, other = measure(child), measure(mirrored(child))
    for limb, opposite in (("left", "right"), ("right", "left")):
        for code in CODES:
            assert own[limb][code].value == pytest.approx(other[opposite][code].value, abs=0.35), (limb, code)
    seconds = seconds_of(child)
    a = walk(child, seconds)
    b = walk(mirrored(child), seconds, start=-child.phase_lag)
    flipped = b.points[:, list(MIRRORED)] * np.array([1, -1, 1])
    assert np.abs(a.points - flipped).max() < 0.01


def test_events_alternate_and_lie_where_the_feet_are() -> None:
    for child in children(10):
        motion = walk(child, np.arange(0, 3 * child.stride, 0.002))
        contacts = [event["limb"] for event in motion.events if event["kind"] == "contact"]
        assert all(a != b for a, b in pairwise(contacts))
        for event in motion.events:
            lift = np.interp(event["seconds"], motion.seconds, motion.curves[str(event["limb"])]["clearance"])
            assert abs(lift) < 0.005
        for limb in LIMBS:
            for stride in strides_of(motion, limb):
                assert (
                    stride.contact
                    < stride.opposite_off
                    < stride.opposite_contact
                    < stride.foot_off
                    < stride.next_contact
                )
                assert stride.opposite_off <= stride.passing <= stride.opposite_contact


def test_a_neutral_joint_moves_as_in_a_normal_child() -> None:
    child = next(child for child in children(60) if child.left.pattern == "jump")
    usual = measure(plain(child))["left"]["KEX"].value
    assert measure(child)["left"]["KEX"].value > usual + 4
    assert measure(child, neutral=("knee",))["left"]["KEX"].value == pytest.approx(usual, abs=0.5)
    turned = replace(child, left=replace(child.left, hip_rotation=40.0, foot_rotation=50.0))
    assert measure(turned)["left"]["FRT"].score == 2
    assert measure(turned, neutral=("foot_rotation",))["left"]["FRT"].score == 0


def test_strides_differ_a_little_and_the_typical_stride_does_not() -> None:
    child = children(1)[0]
    seconds = np.array([0.1, 0.1 + child.stride, 0.1 + 2 * child.stride])
    calm, lively = walk(child, seconds), walk(child, seconds, seed=4)
    assert np.ptp(calm.curves["left"]["knee"]) < 1e-6
    assert 0.05 < np.ptp(lively.curves["left"]["knee"]) < 6
