"""People and things as outlines in the picture, ready to be painted from far to near.

Everything is worked out for all frames at once: tapered limbs, the trunk, the head's direction and size. Painting a
frame is then a sorted list of polygons. Reads a Motion, a look and a camera; opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import LIMBS
from childgait.domain.skeleton import INDEX
from childgait.synthetic.camera import Camera, into_world, turn_frames
from childgait.synthetic.child import Child, Random
from childgait.synthetic.head import DEPTH, WIDTH, HeadPictures, draw_head, paste_head
from childgait.synthetic.motion import Motion

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Colour = tuple[int, int, int]
_SHIFT = 4  # sub-pixel bits of the polygons
_LIGHT = np.array([-0.25, -0.35])  # where the lit side of a limb is, in radii

SKINS = ((241, 205, 180), (224, 180, 150), (205, 155, 120), (170, 120, 88), (125, 85, 60))
HAIRS = ((40, 30, 26), (70, 50, 38), (110, 80, 50), (160, 125, 80), (90, 60, 50))


@dataclass(frozen=True)
class Look:
    """Colours of skin, hair and clothes, drawn independently of the gait so that they carry no cue."""

    skin: Array
    shirt: Array
    trousers: Array
    shoe: Array
    long_trousers: bool
    long_sleeves: bool
    stripes: bool
    build: float  # thickness of the limbs
    head: HeadPictures

    @property
    def barefoot(self) -> bool:
        """Whether the feet have the colour of skin."""
        return bool(np.allclose(self.shoe, 0.97 * self.skin))

    @property
    def stripe(self) -> Array:
        """The colour of the shirt's stripes."""
        return 255 - self.shirt


def draw_look(rng: Random, *, adult: bool = False) -> Look:
    skin = np.array(SKINS[int(rng.integers(len(SKINS)))], dtype=float) * rng.uniform(0.93, 1.04)
    hair = np.array(HAIRS[int(rng.integers(len(HAIRS)))], dtype=float)
    shirt, trousers, shoe = rng.uniform(35, 225, 3), rng.uniform(25, 150, 3), rng.uniform(30, 200, 3)
    barefoot = not adult and rng.random() < 0.7
    return Look(
        skin=skin,
        shirt=shirt,
        trousers=trousers,
        shoe=skin * 0.97 if barefoot else shoe,
        long_trousers=adult or rng.random() < 0.2,
        long_sleeves=bool(rng.random() < 0.25),
        stripes=bool(rng.random() < 0.4),
        build=float(rng.normal(1.0, 0.08)),
        head=draw_head(rng, skin, hair),
    )


@dataclass
class Part:
    """One outline: polygon and depth in every frame. `layers` are the same shape, smaller and lighter."""

    outline: Array  # (T, N, 2) pixels
    depth: Array  # (T,) metres
    layers: list[tuple[Array, Colour]]
    identity: int  # pixel value in the identity image
    shown: NDArray[np.bool_] | None = None  # frames in which the part faces the camera


@dataclass
class HeadPart:
    """A head: a picture by direction, pasted at its place."""

    middle: Array  # (T, 2)
    half: Array  # (T,) half its height, pixels
    facing: Array  # degrees, 0 into the camera
    roll: Array
    depth: Array
    pictures: HeadPictures
    identity: int

    def half_width(self) -> Array:
        angle = np.radians(self.facing)
        return self.half * np.hypot(WIDTH * np.cos(angle), DEPTH * np.sin(angle))

    def area(self, index: int) -> float:
        """Return how many pixels the head has with nothing before it."""
        return np.pi * float(self.half_width()[index] * self.half[index])

    def boxes(self, width: int, height: int) -> Array:
        """Return (T, 4) x0, y0, x1, y1 with the ends exclusive, cut at the picture; NaN where out of view."""
        half = np.stack([self.half_width(), self.half], axis=-1)
        low, high = self.middle - half, self.middle + half + 1
        limit = np.array([width, height])
        boxes = np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)], axis=-1)
        out = ((boxes[:, 2:] - boxes[:, :2]) < 2).any(axis=1)
        boxes[out] = np.nan
        return boxes


@dataclass
class Figure:
    """A person (or a thing) in one view: all its parts."""

    parts: list[Part] = field(default_factory=list)
    head: HeadPart | None = None
    groups: dict[int, str] = field(default_factory=dict)  # identity: the limb it belongs to


def _capsule(start: Array, end: Array, r0: Array, r1: Array) -> Array:
    """Return the outline round two circles, (T, 14, 2)."""
    along = end - start
    length = np.linalg.norm(along, axis=-1, keepdims=True)
    along = np.where(length > 1e-6, along / np.maximum(length, 1e-6), np.array([0.0, 1.0]))
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    angles = np.linspace(0, np.pi, 7)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    far = end[:, None] + r1[:, None, None] * (across[:, None] * cos + along[:, None] * sin)
    near = start[:, None] - r0[:, None, None] * (across[:, None] * cos + along[:, None] * sin)
    return np.concatenate([far, near], axis=1)


def _shade(colour: Array, factor: float) -> Colour:
    r, g, b = np.clip(colour * factor, 0, 255)
    return int(r), int(g), int(b)


class FigureBuilder:
    """Collects the parts of one person in one view."""

    LIMB_LAYERS: ClassVar[tuple[tuple[float, float, float], ...]] = ((0.78, 0.5, 0.92), (0.48, 1.0, 1.06))
    TORSO_LAYERS: ClassVar[tuple[tuple[float, float], ...]] = ((0.80, 0.90), (0.45, 1.02))

    def __init__(
        self, motion: Motion, child: Child, look: Look, camera: Camera, way: str, offset: Array, base: int
    ) -> None:
        self.camera, self.way, self.offset, self.base = camera, way, offset, base
        self.motion, self.child, self.look = motion, child, look
        self.figure, self._group = Figure(), ""

    def place(self, points: Array) -> Array:
        return into_world(points + self.offset, self.way)

    def point(self, name: str) -> Array:
        return self.place(self.motion.points[:, INDEX[name]])

    def part(self, name: str) -> Array:
        return self.place(self.motion.parts[name])

    def shade(self, colour: Array, factor: float) -> Colour:
        """Return a colour under more or less light."""
        return _shade(colour, factor)

    def _add(self, part: Part) -> None:
        part.identity = self.base + len(self.figure.parts)
        self.figure.groups[part.identity] = self._group
        self.figure.parts.append(part)

    def limb(
        self,
        start: Array,
        end: Array,
        r0: float,
        r1: float,
        colour: Array,
        nearer: float = 0.0,
        over: Array | None = None,
    ) -> Array:
        """Add a rounded, lit limb between two places and return its depth.

        Radii are shares of body height; `over` is the depth of what the limb covers.
        """
        (p0, d0), (p1, d1) = self.camera.project(start), self.camera.project(end)
        thick = self.child.height * self.look.build * self.camera.focal
        a, b = r0 * thick / d0, r1 * thick / d1
        layers = []
        for size, push, light in self.LIMB_LAYERS:
            if size * max(float(a.max()), float(b.max())) < 1.2:
                continue  # too thin to show
            shift = _LIGHT * push
            layers.append(
                (
                    _capsule(p0 + a[:, None] * shift, p1 + b[:, None] * shift, size * a, size * b),
                    self.shade(colour, light),
                )
            )
        layers.insert(0, (_capsule(p0, p1, a, b), self.shade(colour, 0.72)))
        depth = ((d0 + d1) / 2 if over is None else over) - nearer
        self._add(Part(layers[0][0], depth, layers, 0))
        return depth

    def leg(self, limb: str) -> None:
        look = self.look
        hip, knee, ankle = (self.point(f"{limb}_{name}") for name in ("hip", "knee", "ankle"))
        heel, ball, toe = self.point(f"{limb}_heel"), self.part(f"{limb}_ball"), self.point(f"{limb}_big_toe")
        small, sole = self.point(f"{limb}_small_toe"), self.part(f"{limb}_sole")
        bare = look.trousers if look.long_trousers else look.skin
        self.limb(ankle, ball, 0.019, 0.013, look.shoe)
        self.limb(ankle, heel, 0.019, 0.014, look.shoe, nearer=0.005)
        self.limb(sole, ball, 0.012, 0.012, look.shoe, nearer=0.002)
        self.limb(ball, toe, 0.012, 0.009, look.shoe, nearer=0.004)
        self.limb(ball, small, 0.010, 0.008, look.shoe, nearer=0.003)
        shank = self.limb(knee, ankle, 0.034, 0.021, bare, nearer=0.006)
        thigh = self.limb(hip, knee, 0.052, 0.036, bare, nearer=0.008)
        self._kneecap(limb, knee, np.minimum(shank, thigh) - 0.002)
        self.limb(hip, hip + 0.55 * (knee - hip), 0.060, 0.055, look.trousers, nearer=0.001, over=thigh)

    def _kneecap(self, limb: str, knee: Array, over: Array) -> None:
        """Add the kneecap, a pale patch visible from the front only."""
        frames = turn_frames(self.motion.parts[f"{limb}_femur"], self.way)
        ahead = frames[:, :, 0]
        place = knee + 0.030 * self.child.height * ahead
        facing = -np.einsum("ti,ti->t", ahead, knee - self.camera.place)
        facing /= np.linalg.norm(knee - self.camera.place, axis=-1)
        pixel, depth = self.camera.project(place)
        radius = 0.019 * self.child.height * self.camera.focal / depth
        base = self.look.trousers if self.look.long_trousers else self.look.skin
        outline = _capsule(pixel, pixel + np.array([0.0, 0.01]), radius * np.clip(facing, 0.3, 1), radius)
        self._add(Part(outline, over, [(outline, self.shade(base, 1.22))], 0, shown=facing > 0.25))

    def arm(self, limb: str) -> None:
        shoulder, elbow, wrist = (self.point(f"{limb}_{name}") for name in ("shoulder", "elbow", "wrist"))
        sleeve = shoulder + (1.0 if self.look.long_sleeves else 0.55) * (elbow - shoulder)
        upper = self.limb(shoulder, elbow, 0.026, 0.020, self.look.skin)
        covered = self.look.shirt if self.look.long_sleeves else self.look.skin
        self.limb(elbow, wrist, 0.020, 0.014, covered, nearer=0.004)
        self.limb(wrist, self.part(f"{limb}_hand"), 0.014, 0.017, self.look.skin, nearer=0.006)
        self.limb(shoulder, sleeve, 0.033, 0.029, self.look.shirt, nearer=0.001, over=upper)

    def trunk(self) -> None:
        """Cross-sections from hip to shoulder, as wide as they look from this camera."""
        root, neck = self.part("pelvis"), self.part("neck")
        frames = turn_frames(self.motion.parts["trunk_frame"], self.way)
        pelvis = turn_frames(self.motion.parts["pelvis_frame"], self.way)
        height, build = self.child.height, self.look.build
        levels = (  # share of the trunk's height, half its width, half its depth
            (-0.05, 0.088, 0.066),
            (0.15, 0.090, 0.066),
            (0.5, 0.084, 0.060),
            (0.85, 0.108, 0.066),
            (1.02, 0.080, 0.052),
        )
        right_edge, left_edge, depths = [], [], []
        spine, _ = self.camera.project(np.stack([root, neck], axis=1))
        axis = spine[:, 1] - spine[:, 0]
        axis = axis / np.linalg.norm(axis, axis=-1, keepdims=True)
        normal = np.stack([-axis[:, 1], axis[:, 0]], axis=-1)
        for share, wide, deep in levels:
            blend = np.clip(share * 2, 0, 1)
            frame = (1 - blend) * pelvis + blend * frames
            pixel, depth = self.camera.project(root + share * (neck - root))
            side, front = frame[:, :, 1] @ self.camera.axes[0], frame[:, :, 0] @ self.camera.axes[0]
            half = np.hypot(wide * side, deep * front) * height * build * self.camera.focal / depth
            right_edge.append(pixel + normal * half[:, None])
            left_edge.append(pixel - normal * half[:, None])
            depths.append(depth)
        depth = np.mean(depths, axis=0)
        upper = slice(1, None)
        self._torso(left_edge[:2], right_edge[:2], depth + 0.004, self.look.trousers)
        self._torso(left_edge[upper], right_edge[upper], depth, self.look.shirt)
        for limb in LIMBS:  # the shoulders' slope
            self.limb(neck, self.point(f"{limb}_shoulder"), 0.028, 0.029, self.look.shirt, nearer=0.001, over=depth)
        if self.look.stripes:
            self._stripes(left_edge, right_edge, depth)
        throat, jaw = neck - np.array([0, 0, 0.02]), self.part("head") * 0.6 + neck * 0.4
        self.limb(throat, jaw, 0.034, 0.030, self.look.skin * 0.92, nearer=-0.01)

    def _torso(self, left: list[Array], right: list[Array], depth: Array, colour: Array) -> None:
        layers = []
        for size, light in ((1.0, 0.74), *self.TORSO_LAYERS):
            edges = []
            for a, b in zip(left, right, strict=True):
                middle, half = (a + b) / 2, (b - a) / 2
                middle = middle + np.linalg.norm(half, axis=-1, keepdims=True) * _LIGHT * (1 - size)
                edges.append((middle - size * half, middle + size * half))
            outline = np.stack([e[0] for e in edges] + [e[1] for e in reversed(edges)], axis=1)
            layers.append((outline, self.shade(colour, light)))
        self._add(Part(layers[0][0], depth, layers, 0))

    def _stripes(self, left: list[Array], right: list[Array], depth: Array) -> None:
        for share in (0.35, 0.6, 0.85):
            place = share * (len(left) - 2) + 1
            low = min(int(place), len(left) - 2)
            edges = []
            for extra in (0.0, 0.22):
                part = min(place + extra - low, 1.0)
                a = (1 - part) * left[low] + part * left[low + 1]
                b = (1 - part) * right[low] + part * right[low + 1]
                edges.append((a * 0.94 + b * 0.06, a * 0.06 + b * 0.94))
            outline = np.stack([edges[0][0], edges[1][0], edges[1][1], edges[0][1]], axis=1)
            self._add(Part(outline, depth - 0.001, [(outline, self.shade(self.look.stripe, 0.8))], 0))

    def build_head(self) -> None:
        place = self.part("head")
        frames = turn_frames(self.motion.parts["head_frame"], self.way)
        middle, depth = self.camera.project(place)
        sight = place - self.camera.place
        sight = sight / np.linalg.norm(sight, axis=-1, keepdims=True)
        right = np.broadcast_to(self.camera.axes[0], sight.shape)
        ahead, up = frames[:, :, 0], frames[:, :, 2]
        facing = np.degrees(np.arctan2((ahead * right).sum(-1), -(ahead * sight).sum(-1)))
        roll = -np.degrees(np.arctan2(up @ self.camera.axes[0], up @ self.camera.axes[1]))
        identity = self.base + 90
        head, skin = self.child.body["head"], self.look.skin
        size, half = head / self.child.height, 0.5 * head * self.camera.focal / depth
        for y in (-0.36, 0.36):  # ears; and a nose, which shows from the side
            ear = place + head * (frames @ np.array([0.0, y, -0.04]))
            self.limb(ear, ear - np.array([0, 0, 0.06 * head]), 0.07 * size, 0.05 * size, skin, nearer=-0.02)
        bridge, tip = (place + head * (frames @ np.array([x, 0.0, z])) for x, z in ((0.43, 0.0), (0.45, -0.11)))
        self.limb(bridge, tip, 0.035 * size, 0.055 * size, skin, nearer=-0.02)
        self.figure.head = HeadPart(middle, half, facing, roll, depth - 0.02, self.look.head, identity)

    def build(self) -> Figure:
        for limb in LIMBS:
            self._group = f"{limb}_leg"
            self.leg(limb)
            self._group = f"{limb}_arm"
            self.arm(limb)
        self._group = "trunk"
        self.trunk()
        self.build_head()
        return self.figure


def build_bars(
    ends: list[tuple[Array, Array]], camera: Camera, radius: float, colour: Array, count: int, base: int
) -> Figure:
    """Tubes between points in world coordinates, (T, 3) or (3,): a walker's frame, parallel bars."""
    figure = Figure()
    for start, end in ends:
        places = [np.broadcast_to(place, (count, 3)) for place in (start, end)]
        (p0, d0), (p1, d1) = camera.project(places[0]), camera.project(places[1])
        r0, r1 = (np.maximum(radius * camera.focal / depth, 0.6) for depth in (d0, d1))
        outline, light = _capsule(p0, p1, r0, r1), _capsule(p0, p1, 0.4 * r0, 0.4 * r1)
        layers = [(outline, _shade(colour, 0.8)), (light, _shade(colour, 1.3))]
        figure.parts.append(Part(outline, (d0 + d1) / 2, layers, base))
    return figure


def walker_tubes(motion: Motion, child: Child, way: str, offset: Array) -> list[tuple[Array, Array]]:
    """Build a posterior walker: a frame behind and beside the child, at hand height."""
    root = motion.parts["pelvis"] * np.array([1.0, 0, 0]) + offset
    top, deep, wide = 0.46 * child.height, 0.42, 0.30

    def at(x: float, y: float, z: float) -> Array:
        return into_world(root + np.array([x, y, z]), way)

    tubes = []
    for side in (-wide, wide):
        tubes += [(at(0.15, side, top), at(-deep, side, top)), (at(0.15, side, top), at(0.10, side, 0.02))]
        tubes += [(at(-deep, side, top), at(-deep, side, 0.02)), (at(0.10, side, 0.15), at(-deep, side, 0.15))]
    return [*tubes, (at(-deep, -wide, top), at(-deep, wide, top))]


def bar_tubes(child: Child) -> list[tuple[Array, Array]]:
    """Parallel bars along the walkway, in pieces so that each is near or far on its own."""
    top, wide, half = 0.46 * child.height, 0.36, 2.4
    marks = np.linspace(-half, half, 13)
    tubes = []
    for side in (-wide, wide):
        for a, b in pairwise(marks):
            tubes.append((np.array([a, side, top]), np.array([b, side, top])))
        for mark in marks[::4]:
            tubes.append((np.array([mark, side, 0.0]), np.array([mark, side, top])))
    return tubes


def _fixed(outline: Array) -> NDArray[np.int32]:
    return np.rint(outline * (1 << _SHIFT)).astype(np.int32)


def _later(values: Array, share: float) -> Array:
    """Return every frame's values, moved on by a share of the way to the next frame's."""
    following = np.concatenate([values[1:], values[-1:]])
    return values + share * (following - values)


class Painter:
    """Paints figures from far to near: the image and the identity of each pixel.

    A shutter that is open for a share of the frame's time blends the figures at its start and its end.
    """

    def __init__(self, figures: list[Figure], shutter: float) -> None:
        self._parts: list[Part | HeadPart] = [part for figure in figures for part in figure.parts]
        self._parts += [figure.head for figure in figures if figure.head is not None]
        self._order = np.argsort(-np.stack([part.depth for part in self._parts]), axis=0, kind="stable")
        self.identity_depth = {part.identity: part.depth for part in self._parts}
        self._outlines: list[NDArray[np.int32] | None] = []
        self._layers: list[list[tuple[NDArray[np.int32], NDArray[np.int32], Colour]]] = []
        for part in self._parts:
            layers = part.layers if isinstance(part, Part) else []
            self._layers.append([(_fixed(o), _fixed(_later(o, shutter)), colour) for o, colour in layers])
            self._outlines.append(_fixed(part.outline) if isinstance(part, Part) else None)
        self._heads = {
            place: (part.middle, _later(part.middle, shutter))
            for place, part in enumerate(self._parts)
            if isinstance(part, HeadPart)
        }

    def paint(self, canvas: Image, index: int, moment: int) -> None:
        """Frame `index` as the shutter opens (moment 0) or closes (1)."""
        for place in self._order[:, index].tolist():
            part = self._parts[place]
            if isinstance(part, HeadPart):
                picture = part.pictures.seen_from(float(part.facing[index]))
                middle = self._heads[place][moment][index]
                paste_head(canvas, picture, middle, float(part.half[index]), float(part.roll[index]))
            elif part.shown is None or part.shown[index]:
                for layer in self._layers[place]:
                    cv2.fillConvexPoly(canvas, layer[moment][index], layer[2], cv2.LINE_AA, _SHIFT)

    def identify(self, canvas: Image | NDArray[np.uint16], index: int) -> None:
        """Return the identity image: each pixel holds the identity of the nearest figure."""
        for place in self._order[:, index].tolist():
            part = self._parts[place]
            if isinstance(part, HeadPart):
                axes = (part.half_width()[index], part.half[index])
                x, y = part.middle[index]
                box = ((float(x), float(y)), (2 * float(axes[0]) + 1, 2 * float(axes[1]) + 1), -float(part.roll[index]))
                cv2.ellipse(canvas, box, part.identity, -1)
            else:
                outline = self._outlines[place]
                assert outline is not None
                cv2.fillConvexPoly(canvas, outline[index], part.identity, cv2.LINE_8, _SHIFT)
