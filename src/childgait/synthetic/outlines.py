"""Synthetic walks as outlines: what one camera sees of a walk, as depth-sorted polygons instead of a video.

A video of a walk takes seconds to make; its outlines take some 30 milliseconds and 0.2 MB, and painting.py paints
them at any size with other colours, rooms and errors at every visit. Bodies, motion, cameras, bystanders, walking aids
and keypoint errors are the cohort's own. The keypoints pass the study's refinement, so what is left of an estimator's
errors is what a network meets in the study.

Children are numbered from 0 within a seed and depend on (seed, number) alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import LIMBS, TARGETS, VIEWS, View, default_views
from childgait.domain.poses import make_poses
from childgait.gait.refine import refine
from childgait.params import RefinePose
from childgait.synthetic.camera import PASS_OF_VIEW, Camera, into_world, place_camera
from childgait.synthetic.child import Child, Random, draw_child
from childgait.synthetic.figure import Colour, Figure, FigureBuilder, HeadPart, Look, Painter, draw_look
from childgait.synthetic.keypoints import spoil
from childgait.synthetic.motion import CURVES, Motion, measure, walk
from childgait.synthetic.rating import stream
from childgait.synthetic.scene import shadow_lines
from childgait.synthetic.walks import CHILD, PERSON, THING, Walk, build_aid, draw_other, seen_points

Array = NDArray[np.float64]
CropPath = Callable[[Array, Array], NDArray[np.int64]]  # seconds (T,), boxes (T, 4): left, top, side (T, 3)

WIDTH, HEIGHT = 640, 360  # of the camera's picture, pixels
RATE = 30  # of the outlines, frames per second
VIDEO_RATE = 60  # at which keypoints are estimated and refined, as in the study
SHIFT = 4  # sub-pixel bits of the polygons
CORNERS = 14  # of a polygon
_REACH = 2.0  # metres of the walkway to either side of its middle

SKIN, SHIRT, TROUSERS, SHOE, STRIPE, HAIR = range(6)
MATERIALS = 6  # of one person; a bystander's follow the child's
WALKER, BARS = 2 * MATERIALS, 2 * MATERIALS + 1
PIECES = ("left_foot", "right_foot", "left_forearm", "right_forearm")  # what a segmenter misses
_OTHER_PIECE = 255


@dataclass(frozen=True)
class StreamSettings:
    """Numbers of the stream, as params.yaml gives them; the error rates mean what they mean in `synthesize`."""

    pixels: int  # per side of a painted frame
    frame_step: int  # frames of 30 per second from one frame of a window to the next
    seconds: float  # of a walk
    bystander: float  # share of children with another person in view
    jitter: float
    dropout: float
    swap: float
    outlier: float
    mask_error: float  # share of windows with each kind of mask error
    margin: float  # of the crop, as in `prepare_clips`
    smoothing_seconds: float
    refinement: RefinePose | None  # None: keypoints are exact, without an estimator's errors


@dataclass(frozen=True)
class Outlines:
    """One camera view of one walk at 30 frames per second: T frames, K polygons. Positions in the camera's pixels."""

    view: View
    polygons: NDArray[np.int16]  # (T, K, CORNERS, 2), sixteenths of a pixel
    order: NDArray[np.uint8]  # (T, K), polygons from far to near
    hidden: NDArray[np.bool_]  # (T, K), polygons that face away from the camera
    identity: NDArray[np.uint8]  # (K,), CHILD, PERSON or THING
    material: NDArray[np.uint8]  # (K,), row of the palette
    light: NDArray[np.float32]  # (K,), factor of the colour
    piece: NDArray[np.uint8]  # (K,), index in PIECES, else 255
    heads: NDArray[np.float32]  # (T, people, 4), x0, y0, x1, y1
    shadows: NDArray[np.int16]  # (T, people, bones, 2, 2), ends of the bones' shadows on the floor
    shadow_width: NDArray[np.float32]  # (T, people)
    squares: NDArray[np.int64]  # (T, 3), left, top and side of the crop
    exact: NDArray[np.float32]  # (T, 23, 2)
    estimated: NDArray[np.float32]  # (T, 23, 3), refined; NaN and score 0 where missing
    curves: NDArray[np.float32]  # (T, 28), joint curves, left limb then right
    phases: NDArray[np.float32]  # (T, 2), cycles of the left and the right limb
    measures: NDArray[np.float32]  # (34,), values of the items before any band
    visible: NDArray[np.bool_]  # (34,), items that this view shows

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return every field as an array, for a file."""
        arrays = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self) if f.name != "view"}
        return arrays | {"view": np.array([VIEWS.index(self.view)], np.uint8)}

    @staticmethod
    def of_arrays(arrays: dict[str, NDArray[np.generic]]) -> Outlines:
        values = {f.name: arrays[f.name] for f in fields(Outlines) if f.name != "view"}
        return Outlines(view=VIEWS[int(arrays["view"][0])], **values)  # type: ignore[arg-type]


def measures_of(child: Child) -> NDArray[np.float32]:
    """Return the values (34,) of the child's typical stride in the order of TARGETS: degrees and shares."""
    measured = measure(child)
    return np.array([measured[target.limb][target.code].value for target in TARGETS], np.float32)


def curves_of(motion: Motion) -> NDArray[np.float32]:
    """Return the joint curves (T, 28): CURVES of the left limb, then of the right."""
    return np.stack([motion.curves[limb][name] for limb in LIMBS for name in CURVES], axis=-1).astype(np.float32)


def draw_stream_child(seed: int, index: int) -> Child:
    """Draw child number `index` of a seed."""
    return draw_child(f"{index + 1:04d}", stream(seed, index, 0))


def outline_child(seed: int, index: int, settings: StreamSettings, crop: CropPath) -> list[Outlines]:
    """Outline the four views of a child's walk out and back. `crop` gives the squares that follow the child's boxes."""
    child = draw_stream_child(seed, index)
    measures = measures_of(child)
    rng = stream(seed, index, 1)
    look = _materials(draw_look(rng))
    other_look = _materials(draw_look(rng, adult=True)) if rng.random() < settings.bystander else None
    views = []
    for way in ("out", "back"):
        walked, phases = draw_walk(child, way, other_look is not None, settings.seconds, rng)
        for view in VIEWS:
            if PASS_OF_VIEW[view] == way:
                scene = _Scene(view, child, walked, look, other_look, rng)
                views.append(scene.outlines(settings, crop, phases, measures))
    return views


def draw_walk(
    child: Child, way: str, accompanied: bool, length: float, rng: Random
) -> tuple[Walk, NDArray[np.float32]]:
    """Draw one way along the walkway at 60 frames per second; returns it and both limbs' phases (T, 2) at 30."""
    start, seed = float(rng.random()), int(rng.integers(1, 2**31))
    seconds = np.arange(round(length * VIDEO_RATE)) / VIDEO_RATE
    motion = walk(child, seconds, start=start, seed=seed)
    first, last = motion.parts["pelvis"][[0, -1], 0]
    free = max(0.0, _REACH - (last - first) / 2)
    middle = rng.uniform(-free, free) + rng.normal(0, 0.08)
    offset = np.array([middle - (first + last) / 2, rng.normal(0, 0.05), 0.0])
    other = None
    if accompanied:
        other = draw_other(motion, way, offset, rng, float((last - first) / seconds[-1]))
    left = start + seconds[:: VIDEO_RATE // RATE] / child.stride
    phases = np.stack([left, left - child.phase_lag], axis=-1).astype(np.float32)
    return Walk(way, motion, offset, other), phases


# --- clothes without colours ---------------------------------------------------------------------------------------

_BASIS = np.eye(MATERIALS)


class _MaterialLook(Look):
    """Clothes whose colours are rows of the identity matrix: shading keeps which material a part is made of."""

    @property
    def stripe(self) -> Array:
        return _BASIS[STRIPE]


def _materials(look: Look) -> Look:
    """Keep the cut of the clothes; colours are drawn when a window is painted."""
    colours = {"skin": SKIN, "shirt": SHIRT, "trousers": TROUSERS, "shoe": SKIN if look.barefoot else SHOE}
    cut = {f.name: getattr(look, f.name) for f in fields(look) if f.name not in colours}
    return _MaterialLook(**{name: _BASIS[row] for name, row in colours.items()}, **cut)


class _OutlineBuilder(FigureBuilder):
    """Builds the outer shape of every part; the colour of a part is (material, per cent of light, piece)."""

    LIMB_LAYERS: ClassVar[tuple[tuple[float, float, float], ...]] = ()
    TORSO_LAYERS: ClassVar[tuple[tuple[float, float], ...]] = ()
    _FOOT_PARTS = 5  # of a leg, which come first
    _FOREARM = (1, 2)  # of an arm's parts: forearm and hand

    def shade(self, colour: Array, factor: float) -> Colour:
        material = int(colour.argmax())
        light = factor if factor > 0.78 else 0.88  # the mean of the layers that are left out
        return material, round(100 * light * float(colour[material])), self._piece()

    def _piece(self) -> int:
        names = list(self.figure.groups.values())
        number = names.count(self._group)  # of this part within its limb
        limb = self._group.split("_")[0]
        if self._group.endswith("_leg") and number < self._FOOT_PARTS:
            return PIECES.index(f"{limb}_foot")
        if self._group.endswith("_arm") and number in self._FOREARM:
            return PIECES.index(f"{limb}_forearm")
        return _OTHER_PIECE


# --- one view -------------------------------------------------------------------------------------------------------


@dataclass
class _Polygons:
    """Polygons of all people and things of a view, as they are collected."""

    outlines: list[Array] = field(default_factory=list)  # (T, CORNERS, 2)
    depths: list[Array] = field(default_factory=list)
    hidden: list[NDArray[np.bool_]] = field(default_factory=list)
    codes: list[tuple[int, int, float, int]] = field(default_factory=list)  # identity, material, light, piece

    def add(
        self, outline: Array, depth: Array, hidden: NDArray[np.bool_] | None, code: tuple[int, int, float, int]
    ) -> None:
        lacking = CORNERS - outline.shape[1]
        if lacking:
            outline = np.concatenate([outline, np.repeat(outline[:, -1:], lacking, axis=1)], axis=1)
        self.outlines.append(outline)
        self.depths.append(depth)
        self.hidden.append(np.zeros(len(depth), bool) if hidden is None else hidden)
        self.codes.append(code)

    def add_person(self, figure: Figure, identity: int) -> None:
        first = 0 if identity == CHILD else MATERIALS
        for part in figure.parts:
            material, percent, piece = part.layers[0][1]
            hidden = None if part.shown is None else ~part.shown
            self.add(part.outline, part.depth, hidden, (identity, first + material, percent / 100, piece))
        assert figure.head is not None
        self._add_head(figure.head, identity, first)

    def _add_head(self, head: HeadPart, identity: int, first: int) -> None:
        """Add an ellipse of hair and, unless seen from behind, a smaller one of skin."""
        wide, high = head.half_width(), head.half
        turn = np.radians(head.facing)
        away = np.abs((head.facing + 180) % 360 - 180) >= 120
        face = head.middle + np.stack([0.35 * wide * np.sin(turn), 0.25 * high], axis=-1)
        face_wide = 0.75 * wide * np.maximum(np.cos(turn), 0.45)
        self.add(_ellipse(head.middle, wide, high), head.depth, None, (identity, first + HAIR, 1.0, _OTHER_PIECE))
        code = (identity, first + SKIN, 0.95, _OTHER_PIECE)
        self.add(_ellipse(face, face_wide, 0.7 * high), head.depth - 0.001, away, code)

    def add_thing(self, figure: Figure, material: int) -> None:
        for part in figure.parts:
            self.add(part.outline, part.depth, None, (THING, material, 0.9, _OTHER_PIECE))

    def arrays(self, squares: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
        """Return the fields of Outlines that describe polygons, without those that no crop shows."""
        outlines = np.stack(self.outlines, axis=1)
        inside = (outlines.max(axis=2) >= squares[:, None, :2] - 1) & (
            outlines.min(axis=2) <= squares[:, None, :2] + squares[:, None, 2:]
        )
        visible = np.flatnonzero(inside.all(axis=2).any(axis=0))
        depth = np.stack(self.depths, axis=1)[:, visible]
        identity, material, light, piece = zip(*(self.codes[row] for row in visible), strict=True)
        fixed = np.rint(outlines[:, visible] * (1 << SHIFT))
        return {
            "polygons": np.clip(fixed, -(2**15) + 1, 2**15 - 1).astype(np.int16),
            "order": np.argsort(-depth, axis=1, kind="stable").astype(np.uint8),
            "hidden": np.stack(self.hidden, axis=1)[:, visible],
            "identity": np.array(identity, np.uint8),
            "material": np.array(material, np.uint8),
            "light": np.array(light, np.float32),
            "piece": np.array(piece, np.uint8),
        }


_ANGLES = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=-1)


def _ellipse(middle: Array, wide: Array, high: Array) -> Array:
    return np.asarray(middle[:, None] + _CIRCLE * np.stack([wide, high], axis=-1)[:, None])


def _at_outline_rate(motion: Motion) -> Motion:
    """Keep every second frame: the outlines' 30 of the video's 60 per second."""
    step = VIDEO_RATE // RATE
    return replace(
        motion,
        seconds=motion.seconds[::step],
        points=motion.points[::step],
        parts={name: values[::step] for name, values in motion.parts.items()},
        curves={limb: {name: v[::step] for name, v in curves.items()} for limb, curves in motion.curves.items()},
    )


class _Scene:
    """One walk before one camera."""

    def __init__(
        self, view: View, child: Child, walked: Walk, look: Look, other_look: Look | None, rng: Random
    ) -> None:
        self.view, self.child, self.walked, self.rng = view, child, walked, rng
        self.camera: Camera = place_camera(view, child.height, WIDTH, HEIGHT, rng)
        self.motion = _at_outline_rate(walked.motion)
        self.figure = self._build(self.motion, child, look, walked.offset, CHILD)
        self.people = [self.figure]
        if walked.other is not None:
            assert other_look is not None
            motion, adult, offset = walked.other
            self.people.append(self._build(_at_outline_rate(motion), adult, other_look, offset, PERSON))
        slow = replace(walked, motion=self.motion)
        self.things = build_aid(child, slow, self.camera, len(self.motion.seconds))

    def _build(self, motion: Motion, child: Child, look: Look, offset: Array, base: int) -> Figure:
        return _OutlineBuilder(motion, child, look, self.camera, self.walked.way, offset, base).build()

    def outlines(
        self, settings: StreamSettings, crop: CropPath, phases: NDArray[np.float32], measures: NDArray[np.float32]
    ) -> Outlines:
        polygons = _Polygons()
        for figure, identity in zip(self.people, (CHILD, PERSON), strict=False):
            polygons.add_person(figure, identity)
        for figure in self.things:
            polygons.add_thing(figure, WALKER if self.child.aid == "walker" else BARS)
        boxes = self._boxes(polygons)
        squares = crop(self.motion.seconds, boxes)
        shadows, thick = zip(*(shadow_lines(points, self.camera) for points in self._floor_points()), strict=True)
        heads = [figure.head.boxes(WIDTH, HEIGHT) for figure in self.people if figure.head is not None]
        exact, estimated = self._keypoints(boxes, settings)
        views = default_views()
        return Outlines(
            view=self.view,
            heads=np.stack(heads, axis=1).astype(np.float32),
            shadows=np.stack(shadows, axis=1).astype(np.int16),
            shadow_width=np.stack(thick, axis=1).mean(axis=2).astype(np.float32),
            squares=squares,
            exact=exact.astype(np.float32),
            estimated=estimated.astype(np.float32),
            curves=curves_of(self.motion),
            phases=phases,
            measures=measures,
            visible=np.array([self.view in views[target.code] for target in TARGETS]),
            **polygons.arrays(squares),  # type: ignore[arg-type]
        )

    def _floor_points(self) -> list[Array]:
        """Return the keypoints (T, 23, 3) in the room of everybody who casts a shadow."""
        places = [self.motion.points + self.walked.offset]
        if self.walked.other is not None:
            motion, _, offset = self.walked.other
            places.append(_at_outline_rate(motion).points + offset)
        return [into_world(points, self.walked.way) for points in places]

    def _boxes(self, polygons: _Polygons) -> Array:
        """Return the child's box in every frame (T, 4), cut at the picture, as masks give it."""
        mine = [row for row, code in enumerate(polygons.codes) if code[0] == CHILD]
        corners = np.stack([polygons.outlines[row] for row in mine], axis=1).reshape(len(self.motion.seconds), -1, 2)
        limit = np.array([WIDTH, HEIGHT])
        low, high = np.clip(corners.min(axis=1), 0, limit), np.clip(corners.max(axis=1) + 1, 0, limit)
        boxes = np.concatenate([low, high], axis=1)
        boxes[(high - low < 2).any(axis=1)] = np.nan
        return boxes

    def _keypoints(self, boxes: Array, settings: StreamSettings) -> tuple[Array, Array]:
        """Return the exact keypoints (T, 23, 2) and those of an estimator after refinement (T, 23, 3)."""
        step, motion = VIDEO_RATE // RATE, self.walked.motion
        exact, depth = self.camera.project(into_world(motion.points + self.walked.offset, self.walked.way))
        if settings.refinement is None:
            return exact[::step], np.concatenate([exact, np.ones((*exact.shape[:2], 1))], axis=2)[::step]
        visible = np.repeat(self._visible(exact[::step], depth[::step]), step, axis=0)[: len(exact)]
        delivered = spoil(exact, visible, (WIDTH, HEIGHT), float(VIDEO_RATE), settings, self.rng)
        poses = make_poses(motion.seconds, delivered.points.astype(np.float32), delivered.scores.astype(np.float32))
        around = np.repeat(boxes, step, axis=0)[: len(exact)]
        refined, _ = refine(poses, settings.refinement, self.view, around, [])
        known = refined.seen
        score = np.where(known, refined.score, 0.0)
        xy = np.where(known[..., None], refined.xy, np.nan)
        return exact[::step], np.concatenate([xy, score[..., None]], axis=2)[::step]

    def _visible(self, exact: Array, depth: Array) -> NDArray[np.bool_]:
        """Return which keypoints (T, 23) nothing occludes."""
        painter = Painter([*self.people, *self.things], shutter=0.0)
        canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
        visible = np.zeros(exact.shape[:2], bool)
        for index in range(len(exact)):
            canvas[:] = 0
            painter.identify(canvas, index)
            visible[index] = seen_points(
                exact[index], depth[index], canvas, self.figure, painter.identity_depth, index, self.child
            )
        return visible
