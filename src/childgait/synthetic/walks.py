"""One walk along the walkway: the child, another person beside it, a walking aid, and which keypoints a camera sees."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import LIMBS
from childgait.domain.skeleton import INDEX, POINTS
from childgait.synthetic.camera import Camera
from childgait.synthetic.child import Child, Random, draw_adult
from childgait.synthetic.figure import Figure, bar_tubes, build_bars, walker_tubes
from childgait.synthetic.motion import SIGN, Motion, walk
from childgait.synthetic.truth import TurnTimes
from childgait.synthetic.turning import turn_body

Array = NDArray[np.float64]
CHILD, PERSON, THING, STEP = 1, 101, 250, 100  # identities in the picture of who is where


@dataclass(frozen=True)
class Walk:
    """One way along the walkway: the child's motion and that of another person, as both cameras see them."""

    way: str
    motion: Motion
    offset: Array  # added to the child's own coordinates, to have the walk's middle in the room's
    other: tuple[Motion, Child, Array] | None  # another person's motion, body and offset
    turn: TurnTimes | None = None  # the child turns round


def draw_other(motion: Motion, way: str, offset: Array, rng: Random, pace: float) -> tuple[Motion, Child, Array]:
    """Draw a therapist or parent who walks beside the child or stands at the side: motion, body, offset."""
    adult = draw_adult(rng)
    near = 1.0 if way == "out" else -1.0  # the side of the camera beside the walkway
    side = near if rng.random() < 0.2 else -near
    if rng.random() < 0.6:
        probe = walk(adult, np.arange(0, 2, 0.02))
        own = probe.parts["pelvis"][-1, 0] / 1.98
        adult = replace(adult, stride=float(adult.stride * own / max(pace, 0.3)))
        moving = walk(adult, motion.seconds, start=float(rng.random()))
        return moving, adult, offset + np.array([rng.uniform(-0.7, 0.6), side * rng.uniform(0.65, 0.85), 0.0])
    still = walk(adult, np.linspace(0, 0.02, 3), start=0.06)
    count = len(motion.seconds)
    points = np.repeat(still.points[1:2], count, axis=0)
    parts = {name: np.repeat(values[1:2], count, axis=0) for name, values in still.parts.items()}
    return replace(still, points=points, parts=parts), adult, np.array([rng.uniform(-1.5, 1.5), side * 0.95, 0.0])


def walk_beside(motion: Motion, way: str, offset: Array, rng: Random, pace: float) -> tuple[Motion, Child, Array]:
    """Draw a therapist who walks close beside the child all the way, on either side: motion, body, offset."""
    adult = draw_adult(rng)
    probe = walk(adult, np.arange(0, 2, 0.02))
    own = probe.parts["pelvis"][-1, 0] / 1.98
    adult = replace(adult, stride=float(adult.stride * own / max(pace, 0.3)))  # the child's pace
    side = 1.0 if (way == "out") == (rng.random() < 0.5) else -1.0
    moving = walk(adult, motion.seconds, start=float(rng.random()))
    return moving, adult, offset + np.array([rng.uniform(-0.3, 0.2), side * rng.uniform(0.5, 0.65), 0.0])


def stand_still(motion: Motion, view: str, number: int, rng: Random) -> tuple[Motion, Child, Array, str]:
    """Draw an adult who stands still with the back to the camera of this view: motion, body, offset, way."""
    adult = draw_adult(rng)
    still = walk(adult, np.linspace(0, 0.02, 3), start=0.06)
    count = len(motion.seconds)
    points = np.repeat(still.points[1:2], count, axis=0)
    parts = {name: np.repeat(values[1:2], count, axis=0) for name, values in still.parts.items()}
    side = 1.0 if number % 2 else -1.0
    if view in ("left", "right"):  # a body faces along the walkway: beside it the camera sees its side at best
        return (
            replace(still, points=points, parts=parts),
            adult,
            np.array([side * rng.uniform(0.6, 2.4), -1.0, 0]),
            "out",
        )
    away = np.array([-side * rng.uniform(0.0, 1.5), side * rng.uniform(0.8, 1.3), 0.0])
    return replace(still, points=points, parts=parts), adult, away, "back"


def sit_still(motion: Motion, view: str, number: int, rng: Random) -> tuple[Motion, Child, Array, float]:
    """Draw an adult who sits at the side: motion, body, offset, and the height of the seat.

    The first one watches the walk, the second one has the back to this view's camera.
    """
    adult = draw_adult(rng)
    still = walk(adult, np.linspace(0, 0.02, 3), start=0.06)
    count = len(motion.seconds)
    points, parts = still.points[1:2].copy(), {name: values[1:2].copy() for name, values in still.parts.items()}
    seat = _sit_down(adult, points, parts, rng)
    seated = replace(
        still,
        points=np.repeat(points, count, axis=0),
        parts={name: np.repeat(values, count, axis=0) for name, values in parts.items()},
    )
    side = 1.0 if number % 2 else -1.0
    sagittal = view in ("left", "right")  # the camera is on the side of positive y, or at the end of positive x
    if sagittal:
        place = np.array([side * rng.uniform(0.7, 2.0), -rng.uniform(1.0, 1.4), 0.0])
    else:
        place = np.array([-rng.uniform(0.0, 1.5), side * rng.uniform(1.0, 1.3), 0.0])
    away = 180.0 if not sagittal else -90.0
    towards = 90.0 if sagittal or side < 0 else -90.0
    degrees = (away if number % 2 else towards) + rng.uniform(-12, 12)
    return turn_body(seated, degrees), adult, place, seat


def _sit_down(adult: Child, points: Array, parts: dict[str, Array], rng: Random) -> float:
    """Bend hips and knees of a standing body, in place; return the height of the seat."""
    body = adult.body
    root = np.array([0.0, 0.0, body["shank"] + body["ankle_height"] + 0.01])
    lift = root - parts["pelvis"][0]
    for values in (points[0], *(value for value in parts.values() if value.ndim == 2)):
        values += lift
    along, down = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, -1.0])
    for limb in LIMBS:
        sign = SIGN[limb]
        hip = root + np.array([0.0, sign * body["hip_width"] / 2, 0.0])
        knee = hip + body["thigh"] * (along + sign * rng.uniform(0.05, 0.2) * np.array([0.0, 1.0, 0.0]))
        lean = rng.uniform(-0.1, 0.25)
        ankle = knee + body["shank"] * (np.sqrt(1 - lean**2) * down + lean * along)
        ankle[2] = body["ankle_height"]
        for name, place in (("hip", hip), ("knee", knee), ("ankle", ankle)):
            points[0, INDEX[f"{limb}_{name}"]] = place
        _flatten_foot(adult, limb, points, parts)
        parts[f"{limb}_femur"] = np.array([[[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]])  # the front of the knee points up
        shoulder = points[0, INDEX[f"{limb}_shoulder"]]
        elbow = shoulder + body["upper_arm"] * np.array([0.17, sign * 0.1, -0.98])
        wrist = elbow + body["forearm"] * np.array([0.96, -sign * 0.2, -0.2])
        points[0, INDEX[f"{limb}_elbow"]], points[0, INDEX[f"{limb}_wrist"]] = elbow, wrist
        parts[f"{limb}_hand"][0] = wrist + 0.55 * body["hand"] * np.array([0.95, -sign * 0.2, -0.25])
    return float(root[2]) - 0.06 * adult.height


def _flatten_foot(adult: Child, limb: str, points: Array, parts: dict[str, Array]) -> None:
    """Put a foot flat on the floor under its ankle."""
    ankle = points[0, INDEX[f"{limb}_ankle"]]
    length, sole, sign = adult.body["foot"], adult.body["ankle_height"], SIGN[limb]
    places = {"heel": (-0.25, 0.0, 0.8), "big_toe": (0.74, -0.10, 0.9), "small_toe": (0.63, 0.20, 0.9)}
    for name, (ahead, aside, down) in places.items():
        points[0, INDEX[f"{limb}_{name}"]] = ankle + np.array([ahead * length, sign * aside * length, -down * sole])
    for name in ("foot", "hindfoot", "toes"):
        parts[f"{limb}_{name}"] = np.eye(3)[None]
    parts[f"{limb}_ball"][0] = ankle + np.array([0.45 * length, 0.0, -0.9 * sole])
    parts[f"{limb}_sole"][0] = ankle + np.array([-0.18 * length, 0.0, -sole])


def build_chair(motion: Motion, adult: Child, offset: Array, seat: float, camera: Camera) -> Figure:
    """Build the chair of somebody who sits: four legs, a seat's edges and a back, as tubes."""
    count, frame = len(motion.points), motion.parts["pelvis_frame"][0]
    ground = motion.parts["pelvis"][0] * np.array([1.0, 1.0, 0.0]) + offset
    ahead, left = frame[:, 0] * np.array([1.0, 1, 0]), frame[:, 1] * np.array([1.0, 1, 0])
    deep, wide, top = 0.22 * adult.height, 0.13 * adult.height, seat + 0.24 * adult.height

    def at(along: float, aside: float, up: float) -> Array:
        return np.asarray(ground + along * ahead + aside * left + np.array([0.0, 0.0, up]))

    back = -0.06 * adult.height
    tubes = []
    for side in (-wide, wide):
        tubes += [(at(back, side, 0.0), at(back, side, top)), (at(deep, side, 0.0), at(deep, side, seat))]
        tubes += [(at(back, side, seat), at(deep, side, seat))]
    tubes += [(at(back, -wide, height), at(back, wide, height)) for height in (seat, 0.5 * (seat + top), top)]
    return build_bars(tubes, camera, 0.016, np.array([95.0, 80, 65]), count, THING)


def build_aid(child: Child, walked: Walk, camera: Camera, count: int) -> list[Figure]:
    """Build the child's walker or the parallel bars; an empty list without a walking aid."""
    if child.aid == "walker":
        tubes = walker_tubes(walked.motion, child, walked.way, walked.offset)
        return [build_bars(tubes, camera, 0.014, np.array([110.0, 115, 125]), count, THING)]
    if child.aid == "parallel bars":
        return [build_bars(bar_tubes(child), camera, 0.02, np.array([150.0, 130, 95]), count, THING)]
    return []


_GROUP = {"shoulder": "arm", "elbow": "arm", "wrist": "arm"}


def seen_points(
    exact: Array,
    depth: Array,
    who_is_where: NDArray[np.uint8] | NDArray[np.uint16],
    figure: Figure,
    identity_depth: dict[int, Array],
    index: int,
    child: Child,
) -> NDArray[np.bool_]:
    """Return which keypoints (23,) are inside the picture and not occluded; a limb does not hide its own joints."""
    height, width = who_is_where.shape
    pixels = np.rint(exact).astype(int)
    inside = np.all((pixels >= 0) & (pixels < (width, height)), axis=1)
    result = np.zeros(len(POINTS), dtype=bool)
    assert figure.head is not None
    for place, name in enumerate(POINTS):
        if not inside[place]:
            continue
        identity = int(who_is_where[pixels[place, 1], pixels[place, 0]])
        if place <= INDEX["right_ear"]:
            own = identity == figure.head.identity
            result[place] = identity == 0 or (own and depth[place] < figure.head.depth[index] + 0.06)
            continue
        limb, joint = name.split("_", 1)
        group = figure.groups.get(identity, "")
        slack = 0.07 if group == "trunk" else 0.03
        in_front = identity != 0 and identity_depth[identity][index] < depth[place] - slack * child.height
        result[place] = not in_front or group == f"{limb}_{_GROUP.get(joint, 'leg')}"
    return result
