"""People as triangle meshes in the picture: the same interface as figure.py's, with a depth for every pixel.

A frame is rendered at twice its size into a depth buffer (cv2.triangleRasterize) and averaged, so edges are soft. Each
corner of a triangle carries three numbers: which piece of the body it is and how much light falls on it, and a place on
that piece. Colours are looked up per pixel, so the hem of a sleeve is a line however large the triangles are.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import LIMBS
from childgait.domain.skeleton import INDEX, POINTS
from childgait.errors import StepError
from childgait.synthetic.body import FACE, Rest, Skeleton, load_body, pose, rest_body, vertex_normals
from childgait.synthetic.camera import Camera, into_world, turn_frames
from childgait.synthetic.child import Child
from childgait.synthetic.figure import Figure, Look, Part
from childgait.synthetic.head import hairline
from childgait.synthetic.motion import Motion

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # x0, y0, x1, y1 of the doubled picture
OVERSAMPLING = 2
_FAR, _NEAR = 100.0, 0.1  # metres
_HEAD_IDENTITY = 90  # above a person's first one, as in figure.py
_SHIFT = 4
_ROW = 256  # pixels per row where a list of pixels is arranged as a picture
_LIGHT = np.array([-0.40, 0.62, -0.68])  # towards the light: picture's right, up, into the picture
_AMBIENT, _DIFFUSE = 0.60, 0.47
# Body heights that a keypoint may lie below a surface: a point of the face; another limb; the middle of the trunk.
_FACE_SLACK, _LIMB_SLACK, _TRUNK_SLACK = 0.02, 0.03, 0.07
_STEPS = 64  # of a piece's length, for the hems
_SCALE = 64.0  # keeps what the rasteriser interpolates between 0 and 1

TRUNK, HEAD, NECK = range(3)
SEGMENTS = ("upper_arm", "forearm", "hand", "thigh", "shank", "foot")
PIECES = ("trunk", "head", "neck", *(f"{limb}_{segment}" for limb in LIMBS for segment in SEGMENTS))
# Of the trunk's length from the hips to the shoulders: the part that one step of _STEPS counts, and where it begins.
_TRUNK_START, _TRUNK_LENGTH = -0.35, 1.75
_SLOPE = 0.25  # of the shoulders
_WAIST, _COLLAR, _STRIPES = 0.10, 1.16, ((0.30, 0.40), (0.52, 0.62), (0.74, 0.84))
_SHORTS, _SLEEVE, _CUFF, _SHOE_TOP = 0.62, 0.55, 0.93, 0.97  # shares of thigh, upper arm, forearm and shank
_CLOTH, _FLARE, _SHOE, _HAIR = 0.007, 0.012, 0.004, 0.045  # thickness, in body heights; of hair in heads


@dataclass(frozen=True)
class MeshHead:
    """A head in one view, with its hair."""

    outline: NDArray[np.float32]  # (T, N, 2) pixels of its vertices
    facing: Array  # degrees, 0 into the camera
    identity: int

    def boxes(self, width: int, height: int) -> Array:
        """Return (T, 4) x0, y0, x1, y1 with the ends exclusive, cut at the picture; NaN where out of view."""
        limit = np.array([width, height])
        low, high = self.outline.min(axis=1), self.outline.max(axis=1) + 1
        boxes = np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)], axis=-1).astype(np.float64)
        boxes[((boxes[:, 2:] - boxes[:, :2]) < 2).any(axis=1)] = np.nan
        return boxes

    def area(self, index: int) -> float:
        """Return how many pixels the head has with nothing before it."""
        return float(cv2.contourArea(cv2.convexHull(self.outline[index])))


@dataclass(frozen=True)
class MeshFigure:
    """A person in one view."""

    pixels: NDArray[np.float32]  # (T, V, 2)
    depth: NDArray[np.float32]  # (T, V) metres
    light: NDArray[np.float32]  # (T, V)
    triangles: NDArray[np.int64]  # (K, 3)
    piece: NDArray[np.int64]  # (K,), index in PIECES
    place: NDArray[np.float32]  # (K, 3, 2), of each corner on its piece
    colours: Image  # (pieces, _STEPS, 3)
    texture: Image  # of the head, by direction and height
    identity: NDArray[np.uint16]  # (pieces,), pixel value in the identity image
    head: MeshHead
    groups: dict[int, str]  # identity: the limb it belongs to
    trunk_depth: Array  # (T,) metres, of its middle
    face: Array  # (T, 5, 3) nose, eyes and ears in the world


# --- from a motion to a figure ---------------------------------------------------------------------------------------


def build_mesh(
    motion: Motion, child: Child, look: Look, camera: Camera, way: str, offset: Array, base: int
) -> MeshFigure:
    """Build a person in one view; the arguments are those of FigureBuilder."""
    rest = rest_body(child.age_years, child.sex, look.build)
    body = _dress(rest, look)
    skeleton = Skeleton(rest, child, motion)
    places, normals = pose(body.vertices, body.normals, skeleton.matrices())
    places, normals = into_world(places + offset, way), into_world(normals, way)
    pixels, depth = camera.project(places)
    light = _AMBIENT + _DIFFUSE * np.clip(normals @ (camera.axes.T @ _LIGHT), 0, 1)
    ahead = turn_frames(motion.parts["head_frame"], way)[:, :, 0]
    middle = into_world(motion.parts["head"] + offset, way)
    head = MeshHead(
        np.ascontiguousarray(pixels[:, body.on_head], np.float32), _facing(ahead, middle, camera), base + _HEAD_IDENTITY
    )
    identity = np.array([base + _part_number(name) for name in PIECES], np.uint16)
    groups = {base + number: name for number, name in enumerate(("trunk", *_LIMB_GROUPS))}
    return MeshFigure(
        pixels.astype(np.float32),
        depth.astype(np.float32),
        light.astype(np.float32),
        load_body().triangles,
        body.piece,
        body.place,
        _paint_pieces(look),
        look.head.unrolled(),
        identity,
        head,
        groups,
        depth[:, np.unique(load_body().triangles[body.piece == TRUNK])].mean(axis=1),
        into_world(skeleton.face() + offset, way),
    )


_LIMB_GROUPS = tuple(f"{limb}_{kind}" for limb in LIMBS for kind in ("arm", "leg"))


def _part_number(piece: str) -> int:
    """Return the number of a piece's group within a person's identities."""
    if piece == "head":
        return _HEAD_IDENTITY
    if piece in ("trunk", "neck"):
        return 0
    limb, segment = piece.split("_", 1)
    return 1 + _LIMB_GROUPS.index(f"{limb}_{'arm' if SEGMENTS.index(segment) < 3 else 'leg'}")


def _facing(ahead: Array, middle: Array, camera: Camera) -> Array:
    """Return the head's direction (T,) in degrees: 0 into the camera, then turning to the picture's right."""
    sight = middle - camera.place
    sight = sight / np.linalg.norm(sight, axis=-1, keepdims=True)
    return np.asarray(np.degrees(np.arctan2(ahead @ camera.axes[0], -(ahead * sight).sum(-1))))


@dataclass(frozen=True)
class _Dressed:
    """A rest mesh with clothes and hair."""

    vertices: Array
    normals: Array
    piece: NDArray[np.int64]
    place: NDArray[np.float32]
    on_head: NDArray[np.intp]  # vertices


def _dress(rest: Rest, look: Look) -> _Dressed:
    """Say which piece every triangle belongs to, and push clothes and hair outwards."""
    data, joints = load_body(), rest.joints
    triangles = data.triangles
    owner = np.array([_piece_of_bone(bone) for bone in data.bones])
    shares = np.zeros((len(rest.vertices), len(PIECES)))
    for bone, piece in enumerate(owner):
        shares[:, piece] += data.weights[:, bone]
    piece = shares[triangles].sum(axis=1).argmax(axis=1)
    middle = rest.vertices[triangles].mean(axis=1)
    piece[(piece == HEAD) & (middle[:, 2] < joints["chin"][2])] = NECK
    along = np.stack([_along(rest, name) for name in PIECES], axis=1)  # (V, pieces, 2)
    place = along[triangles, piece[:, None]]
    seam = (np.isin(piece, (HEAD, NECK)))[:, None] & (np.ptp(place[..., 0], axis=1) > 0.5)[:, None]
    place[..., 0] += np.where(seam & (place[..., 0] < 0.5), 1.0, 0.0)  # across the back of the head
    normals = vertex_normals(rest.vertices, triangles)
    own = shares.argmax(axis=1)
    thick = _thickness(rest, look, own, along[np.arange(len(own)), own])
    vertices = rest.vertices + thick[:, None] * normals
    head = np.unique(triangles[piece == HEAD])
    return _Dressed(vertices, vertex_normals(vertices, triangles), piece, place.astype(np.float32), head)


def _piece_of_bone(bone: str) -> int:
    name = bone.replace("hindfoot", "foot").replace("toes", "foot")
    return PIECES.index(name) if name in PIECES else TRUNK


def _along(rest: Rest, piece: str) -> Array:
    """Return the places (V, 2) of all vertices on a piece: shares of its length; direction and height on a head."""
    joints, vertices = rest.joints, rest.vertices
    if piece in ("head", "neck"):
        size = joints["crown"][2] - joints["chin"][2]
        x = vertices[:, 0] - (joints["nose"][0] + joints["occiput"][0]) / 2
        turn = np.arctan2(vertices[:, 1], x) / (2 * np.pi) + 0.5
        return np.stack([turn, np.clip((vertices[:, 2] - joints["chin"][2]) / size, 0, 1)], axis=1)
    if piece == "trunk":
        hip, shoulder = joints["left_hip"][2], joints["left_shoulder"][2]
        share = (vertices[:, 2] - hip) / (shoulder - hip)
        aside = np.abs(vertices[:, 1]) / joints["left_shoulder"][1]
        share = share - _SLOPE * np.clip(aside - 0.4, 0, 1)  # shoulders slope: a collar is round the neck
        along = (share - _TRUNK_START) / _TRUNK_LENGTH
    else:
        limb, segment = piece.split("_", 1)
        ends = {"upper_arm": "shoulder elbow", "forearm": "elbow wrist", "hand": "wrist fingertip"}
        ends |= {"thigh": "hip knee", "shank": "knee ankle", "foot": "heel big_toe"}
        a, b = (joints[f"{limb}_{end}"] for end in ends[segment].split())
        along = (vertices - a) @ (b - a) / ((b - a) @ (b - a))
    return np.stack([np.clip(along, 0, 1), np.zeros(len(vertices))], axis=1)


def _thickness(rest: Rest, look: Look, own: NDArray[np.intp], along: Array) -> Array:
    """Return by how many metres clothes and hair stand off each vertex (V,)."""
    names, share = np.array(PIECES)[own], along[:, 0]
    segment = np.array([name.split("_", 1)[-1] for name in names])
    cloth, flare = _CLOTH * rest.height, _FLARE * rest.height
    thick = np.where(segment == "trunk", cloth, 0.0)
    leg_end = 1.0 if look.long_trousers else _SHORTS
    wider = flare * share * (0.3 if look.long_trousers else 1.0)  # shorts stand off at the hem
    thick = np.where((segment == "thigh") & (share < leg_end), cloth + wider, thick)
    if look.long_trousers:
        thick = np.where((segment == "shank") & (share < _SHOE_TOP), cloth + 0.3 * flare, thick)
    arm_end = 1.0 if look.long_sleeves else _SLEEVE
    thick = np.where((segment == "upper_arm") & (share < arm_end), cloth, thick)
    if look.long_sleeves:
        thick = np.where((segment == "forearm") & (share < _CUFF), 0.8 * cloth, thick)
    if not look.barefoot:
        thick = np.where(segment == "foot", _SHOE * rest.height, thick)
    size = rest.joints["crown"][2] - rest.joints["chin"][2]
    above = along[:, 1] - 0.5 - hairline(2 * np.pi * (share - 0.5), look.head.fringe)
    hair = np.clip(above * 12, 0, 1) * (segment == "head")
    return np.asarray(thick + _HAIR * size * hair)


def _paint_pieces(look: Look) -> Image:
    """Return the colour of every step along every piece."""
    share = (np.arange(_STEPS) + 0.5) / _STEPS
    rows = []
    for piece in PIECES:
        segment = piece.split("_", 1)[-1]
        colour = np.broadcast_to(look.skin, (_STEPS, 3)).copy()
        if segment == "trunk":
            trunk = _TRUNK_START + _TRUNK_LENGTH * share
            colour[trunk < _COLLAR] = look.shirt
            for low, high in _STRIPES if look.stripes else ():
                colour[(trunk > low) & (trunk < high)] = 0.8 * look.stripe
            colour[trunk < _WAIST] = look.trousers
        elif segment == "thigh":
            colour[share < (1.1 if look.long_trousers else _SHORTS)] = look.trousers
        elif segment == "shank":
            colour[share < (_SHOE_TOP if look.long_trousers else -1.0)] = look.trousers
            colour[share >= _SHOE_TOP] = look.shoe
        elif segment == "upper_arm":
            colour[share < (1.1 if look.long_sleeves else _SLEEVE)] = look.shirt
        elif segment == "forearm" and look.long_sleeves:
            colour[share < _CUFF] = look.shirt
        elif segment == "foot":
            colour[:] = look.shoe
        rows.append(colour)
    return np.clip(np.stack(rows), 0, 255).astype(np.uint8)


# --- from figures to pictures -----------------------------------------------------------------------------------------


@dataclass
class _Layer:
    """A doubled part of the picture: what is nearest at every pixel."""

    box: Box
    colour: Image  # (h, w, 3)
    depth: NDArray[np.float32]  # (h, w) metres, _FAR where nothing is
    identity: NDArray[np.uint16]  # (h, w)


@dataclass
class _Sprite:
    """One person alone in the doubled picture: the pixels that it covers."""

    corner: tuple[int, int]  # of its box
    wide: int
    places: NDArray[np.int64]  # (N,) in the box, row by row
    depth: NDArray[np.float32]
    colour: Image
    identity: NDArray[np.uint16]


class MeshPainter:
    """Paints meshes, and things of outlines among them, by depth: the image, and the identity of each pixel.

    A shutter that is open for a share of the frame's time blends the figures at its start and its end.
    """

    def __init__(self, people: list[MeshFigure], things: list[Figure], shutter: float, size: tuple[int, int]) -> None:
        if not hasattr(cv2, "triangleRasterize"):
            raise StepError(
                f"synthesize.body: mesh needs cv2.triangleRasterize, which OpenCV {cv2.__version__} lacks",
                hint="install opencv-python-headless 5 or later, or set synthesize.body: capsules",
            )
        self._people, self._size = people, size
        self._sprites: dict[int, tuple[Array, _Sprite | None]] = {}  # of each person: the last one
        self._things = [part for thing in things for part in thing.parts]
        self._shutter = shutter
        self._settings = cv2.TriangleRasterizeSettings()
        self._settings.setCullingMode(cv2.RASTERIZE_CULLING_CW)
        self._settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
        self.surface = np.full((0, 0), _FAR, np.float32)  # depth of the nearest surface, of the last frame identified
        self._rendered: tuple[int, _Layer | None] = (-1, None)  # the last frame as the shutter opens

    def paint(self, canvas: Image, index: int, moment: int) -> None:
        """Frame `index` as the shutter opens (moment 0) or closes (1)."""
        layer = self._render(index, moment)
        if layer is None:
            return
        x0, y0, x1, y1 = (side // OVERSAMPLING for side in layer.box)
        region = canvas[y0:y1, x0:x1]
        doubled = region.repeat(OVERSAMPLING, axis=0).repeat(OVERSAMPLING, axis=1)
        np.copyto(doubled, layer.colour, where=(layer.identity > 0)[..., None])
        region[:] = cv2.resize(doubled, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)

    def identify(self, canvas: NDArray[np.uint16], index: int) -> None:
        """Fill in the identity of what covers half of each pixel, and `surface`."""
        self.surface = np.full(canvas.shape, _FAR, np.float32)
        layer = self._render(index, 0)
        if layer is not None:
            x0, y0, x1, y1 = (side // OVERSAMPLING for side in layer.box)
            a, b, c, d = (layer.identity[row::2, column::2] for row in (0, 1) for column in (0, 1))
            # the third of the four in ascending order: 0 unless two at least are covered
            middle = np.minimum(np.maximum(a, b), np.maximum(c, d))
            canvas[y0:y1, x0:x1] = np.maximum(middle, np.maximum(np.minimum(a, b), np.minimum(c, d)))
            quarters = [layer.depth[row::2, column::2] for row in (0, 1) for column in (0, 1)]
            self.surface[y0:y1, x0:x1] = np.min(quarters, axis=0)

    def _render(self, index: int, moment: int) -> _Layer | None:
        if moment == 0 and self._rendered[0] == index:
            return self._rendered[1]
        people = [self._place_vertices(person, index, moment) for person in self._people]
        outlines = [self._place_outline(part, part.outline, index, moment) for part in self._things]
        box = self._box([pixels for pixels, _ in people] + [outline / (1 << _SHIFT) for outline in outlines])
        layer = None if box is None else self._empty(box)
        if layer is not None:
            for number, (pixels, depth) in enumerate(people):
                self._add_person(layer, number, pixels, depth, index)
            for part in self._things:
                self._add_thing(layer, part, index, moment)
        if moment == 0:
            self._rendered = (index, layer)
        return layer

    def _at(self, values: NDArray[np.float32] | Array, index: int, moment: int) -> Array:
        now = values[index]
        if moment == 0 or index + 1 == len(values):
            return np.asarray(now, np.float64)
        return np.asarray(now + self._shutter * (values[index + 1] - now), np.float64)

    def _place_vertices(self, person: MeshFigure, index: int, moment: int) -> tuple[Array, Array]:
        """Return the vertices (V, 2) in the doubled picture, where (0, 0) is its corner, and their depth (V,)."""
        pixels = (self._at(person.pixels, index, moment) + 0.5) * OVERSAMPLING
        return pixels, self._at(person.depth, index, moment)

    def _place_outline(self, part: Part, outline: Array, index: int, moment: int) -> Array:
        """Return an outline (N, 2) in the doubled picture in sixteenths, where (0, 0) is the first pixel's centre."""
        doubled = (self._at(outline, index, moment) + 0.5) * OVERSAMPLING - 0.5
        return np.rint(doubled * (1 << _SHIFT))

    def _box(self, points: list[Array]) -> Box | None:
        """Return the even box round everything, cut at the picture; None if nothing is in view."""
        low = np.min([one.min(axis=0) for one in points], axis=0) - 2
        high = np.max([one.max(axis=0) for one in points], axis=0) + 2
        limit = np.array(self._size) * OVERSAMPLING
        low, high = (np.clip(np.round(side / 2) * 2, 0, limit).astype(int) for side in (low, high))
        x0, y0, x1, y1 = int(low[0]), int(low[1]), int(high[0]), int(high[1])
        return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def _empty(self, box: Box) -> _Layer:
        x0, y0, x1, y1 = box
        shape = (y1 - y0, x1 - x0)
        depth = np.full(shape, _FAR, np.float32)
        return _Layer(box, np.zeros((*shape, 3), np.uint8), depth, np.zeros(shape, np.uint16))

    def _add_person(self, layer: _Layer, number: int, pixels: Array, depth: Array, index: int) -> None:
        """Paint a person where nothing is nearer. Who has not moved is not rendered again."""
        last = self._sprites.get(number)
        if last is None or not np.array_equal(last[0], pixels):
            last = (pixels, self._draw_sprite(self._people[number], pixels, depth, index))
            self._sprites[number] = last
        sprite = last[1]
        if sprite is None:
            return
        x0, y0, wide = layer.box[0], layer.box[1], layer.box[2] - layer.box[0]
        places = sprite.places + (sprite.corner[1] - y0) * wide + (sprite.corner[0] - x0)
        places += (sprite.places // sprite.wide) * (wide - sprite.wide)
        surface = layer.depth.reshape(-1)
        nearer = np.flatnonzero(sprite.depth < surface[places])
        drawn = places[nearer]
        surface[drawn] = sprite.depth[nearer]
        layer.colour.reshape(-1, 3)[drawn] = sprite.colour[nearer]
        layer.identity.reshape(-1)[drawn] = sprite.identity[nearer]

    def _draw_sprite(self, person: MeshFigure, pixels: Array, depth: Array, index: int) -> _Sprite | None:
        """Render one person alone; None where out of view."""
        own = self._box([pixels])
        if own is None:
            return None
        x0, y0, x1, y1 = own
        wide, high = x1 - x0, y1 - y0
        # A field of view of 90 degrees: the rasteriser divides by depth and multiplies by half the height again.
        spread = (depth / (high / 2))[:, None]
        corner = (pixels - np.array([x0 + wide / 2, y0 + high / 2])) * spread * np.array([1.0, -1.0])
        vertices = np.column_stack([corner, -depth]).astype(np.float32)[person.triangles].reshape(-1, 3)
        values = np.empty((len(person.triangles), 3, 3), np.float32)
        values[..., 0] = (2.0 * person.piece[:, None] + person.light[index][person.triangles]) / _SCALE
        values[..., 1:] = person.place / 2
        numbers = np.arange(len(vertices), dtype=np.int32).reshape(-1, 3)
        nearest, buffer = np.full((high, wide), _FAR, np.float32), np.zeros((high, wide, 3), np.float32)
        cv2.triangleRasterize(
            vertices,
            numbers,
            values.reshape(-1, 3),
            buffer,
            nearest,
            np.eye(4),
            np.pi / 2,
            _NEAR,
            _FAR,
            self._settings,
        )
        places = np.flatnonzero(nearest < _FAR)
        colour, identity = _shade(person, buffer.reshape(-1, 3)[places])
        return _Sprite((x0, y0), wide, places, nearest.reshape(-1)[places], colour, identity)

    def _add_thing(self, layer: _Layer, part: Part, index: int, moment: int) -> None:
        """Paint one outline where nothing is nearer; its layers are the same shape, smaller and lighter."""
        depth = float(self._at(part.depth, index, moment))
        corner = np.array(layer.box[:2]) * (1 << _SHIFT)
        covered = np.zeros(layer.depth.shape, np.uint8)
        for number, (outline, colour) in enumerate(part.layers):
            points = (self._place_outline(part, outline, index, moment) - corner).astype(np.int32)
            low, high = points.min(axis=0) // (1 << _SHIFT) - 1, points.max(axis=0) // (1 << _SHIFT) + 2
            (x0, y0), (x1, y1) = np.maximum(low, 0).tolist(), np.maximum(high, 0).tolist()
            window = (slice(y0, y1), slice(x0, x1))
            covered[window] = 0
            cv2.fillConvexPoly(covered, points, 1, cv2.LINE_8, _SHIFT)
            mask = (covered[window] > 0) & (layer.depth[window] >= depth)
            layer.colour[window][mask] = colour
            if number == 0:
                layer.identity[window][mask] = part.identity
                layer.depth[window][mask] = depth


def see_points(
    exact: Array,
    depth: Array,
    identities: NDArray[np.uint16],
    surface: NDArray[np.float32],
    figure: MeshFigure,
    index: int,
    height: float,
) -> NDArray[np.bool_]:
    """Return which keypoints (23,) are inside the picture and not occluded; a limb does not hide its own joints.

    `surface` is the depth of the nearest surface at every pixel of `identities`. A trunk hides what lies behind its
    middle: hips and shoulders are inside it.
    """
    pixels = np.rint(exact).astype(int)
    inside = np.all((pixels >= 0) & (pixels < identities.shape[::-1]), axis=1)
    result = np.zeros(len(POINTS), dtype=bool)
    for place in np.flatnonzero(inside).tolist():
        x, y = pixels[place]
        before = depth[place] - float(surface[y, x])  # metres by which something is nearer
        name = POINTS[place]
        if name in FACE:
            result[place] = before < _FACE_SLACK * height
            continue
        limb, joint = name.split("_", 1)
        group = figure.groups.get(int(identities[y, x]), "")
        own = f"{limb}_{'arm' if joint in ('shoulder', 'elbow', 'wrist') else 'leg'}"
        if group == "trunk":
            result[place] = depth[place] - figure.trunk_depth[index] < _TRUNK_SLACK * height
        else:
            result[place] = group == own or before < _LIMB_SLACK * height
    return result


def _shade(person: MeshFigure, values: NDArray[np.float32]) -> tuple[Image, NDArray[np.uint16]]:
    """Return colours (N, 3) and identities (N,) from what was interpolated at N pixels."""
    code = values[:, 0] * _SCALE
    piece = np.minimum((code / 2).astype(np.int32), len(PIECES) - 1)
    light = code - 2 * piece
    along = values[:, 1:] * 2
    step = np.minimum((along[:, 0] * _STEPS).astype(np.int32), _STEPS - 1)
    colour = person.colours.reshape(-1, 3)[piece * _STEPS + step].astype(np.float32)
    on_head = np.flatnonzero((piece == HEAD) | (piece == NECK))
    if len(on_head):
        colour[on_head] = _sample(person.texture, along[on_head])
    colour *= light[:, None]
    return np.minimum(colour, 255, out=colour).astype(np.uint8), person.identity[piece]


def _sample(texture: Image, along: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the colours (N, 3) of a head's texture in directions and at heights (N, 2)."""
    high, wide = texture.shape[:2]
    rows = -(-len(along) // _ROW)  # OpenCV's pictures have less than 32,768 rows
    places = np.zeros((rows * _ROW, 2), np.float32)
    places[: len(along)] = along
    x, y = ((places[:, 0] % 1) * wide - 0.5).reshape(rows, _ROW), ((1 - places[:, 1]) * high - 0.5).reshape(rows, _ROW)
    sample = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sample, np.float32).reshape(-1, 3)[: len(along)]


def replace_face(points: Array, figure: MeshFigure) -> Array:
    """Return keypoints (T, 23, 3) in the world with nose, eyes and ears where they are on the mesh."""
    points = points.copy()
    points[:, [INDEX[name] for name in FACE]] = figure.face
    return points
