"""Names of gait features of a limb, the joints that each is measured on, and the joints of each item."""

from __future__ import annotations

from childgait.domain.evgs import BY_CODE, CODES, Limb
from childgait.domain.skeleton import mirrored_name
from childgait.gait.kinematics import END_CURVES, SIDE_CURVES

# Joints of the left limb, or of both sides, that show a region of the score's items.
_REGIONS: dict[str, tuple[str, ...]] = {
    "foot": ("left_heel", "left_big_toe", "left_small_toe", "left_ankle"),
    "ankle": ("left_ankle", "left_heel", "left_big_toe", "left_small_toe"),
    "knee": ("left_knee",),
    "hip": ("left_hip",),
    "pelvis": ("left_hip", "right_hip"),
    "trunk": ("left_shoulder", "right_shoulder", "left_hip", "right_hip"),
}
# By the first words of a number's name, the joints of a left limb that it is measured on.
_MEASURED_ON: dict[str, tuple[str, ...]] = {
    "hip ": ("left_hip", "left_knee"),
    "knee ": ("left_hip", "left_knee", "left_ankle"),
    "ankle ": ("left_knee", "left_ankle", "left_heel", "left_big_toe"),
    "foot_pitch ": ("left_heel", "left_big_toe"),
    "trunk_lean ": _REGIONS["trunk"],
    "clearance ": ("left_heel", "left_big_toe", "left_small_toe"),
    "obliquity ": _REGIONS["pelvis"],
    "trunk_shift ": _REGIONS["trunk"],
    "foot outwards ": ("left_heel", "left_big_toe"),
    "knee outwards ": ("left_hip", "left_knee", "left_ankle"),
    "heel outwards ": ("left_heel", "left_ankle"),
    "hips' width ": _REGIONS["pelvis"],
    "stance width ": ("left_ankle", "right_ankle"),
    "stride seconds": ("left_ankle", "left_heel", "left_big_toe"),
    "stance share": ("left_ankle", "left_heel", "left_big_toe"),
    "double support share": ("left_ankle", "left_heel", "left_big_toe"),
    "step share": ("left_ankle", "left_heel", "left_big_toe"),
    "step length": ("left_ankle", "right_ankle"),
    "speed": _REGIONS["pelvis"],
}


def _names() -> tuple[str, ...]:
    moments = (
        "at contact",
        "at foot-off",
        "least in stance",
        "most in stance",
        "least in swing",
        "most in swing",
        "mean",
    )
    curves = [f"{curve} {moment}" for curve in (*SIDE_CURVES, *END_CURVES) for moment in moments]
    end_view = [
        f"{what} {when}"
        for what in ("foot outwards", "knee outwards", "heel outwards", "hips' width", "stance width")
        for when in ("in stance", "range")
    ]
    times = ["stride seconds", "stance share", "double support share", "step share", "step length", "speed"]
    smooth = ["knee jerk", "foot_pitch jerk"]
    return (*curves, *end_view, *times, *smooth, *(f"EVGS {code}" for code in CODES))


NAMES: tuple[str, ...] = _names()  # of one limb, in the order of its features


def joints_of_item(code: str, limb: Limb) -> tuple[str, ...]:
    """Return the joints that show an item of a limb."""
    return _of_limb(_REGIONS[BY_CODE[code].region], limb)


def joints_of_feature(name: str, limb: Limb) -> tuple[str, ...]:
    """Return the joints that a feature of a limb is measured on."""
    if name.startswith("EVGS "):
        return joints_of_item(name.removeprefix("EVGS "), limb)
    return _of_limb(next(joints for start, joints in _MEASURED_ON.items() if name.startswith(start)), limb)


def _of_limb(joints: tuple[str, ...], limb: Limb) -> tuple[str, ...]:
    return joints if limb == "left" else tuple(mirrored_name(name) for name in joints)
