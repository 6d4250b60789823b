"""One walk along the walkway: the child, another person beside it, a walking aid, and which keypoints a camera sees."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import INDEX, POINTS
from childgait.synthetic.camera import Camera
from childgait.synthetic.child import Child, Random, draw_adult
from childgait.synthetic.figure import Figure, bar_tubes, build_bars, walker_tubes
from childgait.synthetic.motion import Motion, walk

Array = NDArray[np.float64]
CHILD, PERSON, THING, STEP = 1, 101, 250, 25  # identities in the picture of who is where


@dataclass(frozen=True)
class Walk:
    """One way along the walkway: the child's motion and that of another person, as both cameras see them."""

    way: str
    motion: Motion
    offset: Array  # added to the child's own coordinates, to have the walk's middle in the room's
    other: tuple[Motion, Child, Array] | None  # another person's motion, body and offset


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
    who_is_where: NDArray[np.uint8],
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
