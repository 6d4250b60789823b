"""A person's body as a triangle mesh that moves with the walker's own joints.

The mesh (weights/body/, CC0, baked by envs/bake_body.py) has shapes of an infant, a child and a young adult of both
sexes, thin to heavy. A body of some age is the blend whose height is the growth table's; it is then scaled to the
child's height. Every bone carries the rest mesh onto the walker's segment: its ends onto the joint centres, its length
onto the segment's. So joint centres of mesh and truth are the same points, whatever the body looks like. Between bones,
vertices follow linear blend skinning.

Axes as everywhere in the walk: x ahead, y to the left, z up; metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import LIMBS
from childgait.domain.skeleton import INDEX
from childgait.files.weights import check_sha256
from childgait.gait.normative import height_of
from childgait.synthetic.child import Child
from childgait.synthetic.motion import SIGN, Motion

Array = NDArray[np.float64]
FILE = Path(__file__).resolve().parents[1] / "weights" / "body" / "body.npz"
SHA256 = "de858c40dc81f90a96cce6460059a262731fc63bb73ed746e120296444d678a2"
UNIT = 20_000  # steps per metre in the file
_AGES = ("baby", "child", "young")
_HEAVIEST, _BUILD_RANGE = 0.7, 0.16  # share of MakeHuman's extreme weights, at this deviation of Look.build from 1
_EYEBALL = 0.065  # radius of an eyeball, in heights of the head
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")


@dataclass(frozen=True)
class BodyData:
    """The baked file: V vertices, K triangles, B bones, J joints, and shapes by sex, age and weight."""

    triangles: NDArray[np.int64]  # (K, 3), corners anticlockwise seen from outside
    shapes: dict[str, Array]  # (V, 3)
    joints: dict[str, dict[str, Array]]  # shape: joint: (3,)
    weights: Array  # (V, B)
    bones: tuple[str, ...]


@cache
def load_body() -> BodyData:
    check_sha256(FILE, SHA256, key="SHA256 (synthetic/body.py)")
    with np.load(FILE, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    names = [str(name) for name in arrays["shape_names"]]
    joint_names = [str(name) for name in arrays["joint_names"]]
    bones = tuple(str(name) for name in arrays["bone_names"])
    weights = np.zeros((len(arrays["bones"]), len(bones)))
    for column in range(arrays["bones"].shape[1]):
        np.add.at(weights, (np.arange(len(weights)), arrays["bones"][:, column]), arrays["weights"][:, column] / 255)
    places = arrays["joints"] / UNIT
    return BodyData(
        arrays["triangles"].astype(np.int64),
        dict(zip(names, arrays["shapes"] / UNIT, strict=True)),
        {name: dict(zip(joint_names, rows, strict=True)) for name, rows in zip(names, places, strict=True)},
        weights,
        bones,
    )


@dataclass(frozen=True)
class Rest:
    """One body in the mesh's own pose, before any bone moves it."""

    vertices: Array  # (V, 3)
    joints: dict[str, Array]

    @property
    def height(self) -> float:
        """Sole to crown, without hair and shoes."""
        return float(self.joints["crown"][2] - min(self.joints[f"{limb}_sole"][2] for limb in LIMBS))


def _blend(data: BodyData, shares: dict[str, float]) -> Rest:
    vertices = np.sum([share * data.shapes[name] for name, share in shares.items()], axis=0)
    first = next(iter(data.joints.values()))
    joints = {
        joint: np.sum([share * data.joints[name][joint] for name, share in shares.items()], axis=0) for joint in first
    }
    return Rest(vertices, joints)


def rest_body(age_years: float, sex: str, build: float) -> Rest:
    """Return the body whose height is the growth table's at this age; `build` (about 1) makes it thin or heavy."""
    data = load_body()
    heights = [_blend(data, {f"{sex}-{age}-averageweight": 1.0}).height for age in _AGES]
    older = float(np.interp(height_of(age_years, sex), heights, range(len(_AGES))))
    by_age = {age: max(0.0, 1 - abs(older - place)) for place, age in enumerate(_AGES)}
    heavy = _HEAVIEST * float(np.clip((build - 1) / _BUILD_RANGE, -1, 1))
    by_weight = {"averageweight": 1 - abs(heavy), "maxweight" if heavy > 0 else "minweight": abs(heavy)}
    shares = {f"{sex}-{age}-{w}": a * b for age, a in by_age.items() for w, b in by_weight.items() if a * b > 0}
    return _blend(data, shares)


# --- bones ------------------------------------------------------------------------------------------------------------


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


def _frame(up: Array, side: Array) -> Array:
    """Return orthonormal frames (..., 3, 3) whose columns are x, y, z: z along `up`, y as near `side` as it can be."""
    z = _unit(up)
    y = _unit(side - (side * z).sum(axis=-1, keepdims=True) * z)
    return np.stack([np.cross(y, z), y, z], axis=-1)


@dataclass
class _Bone:
    """Carries rest places into the walk: `place` + `frame` @ (`scale` * (`axes`.T @ (rest - `origin`)))."""

    origin: Array  # (3,) in the rest mesh
    axes: Array  # (3, 3) columns, in the rest mesh
    scale: Array  # (3,) or (T, 3)
    frame: Array  # (T, 3, 3)
    place: Array  # (T, 3)
    shear: Array | None = None  # (3, 3), applied in the bone's own axes before the scale

    def matrices(self) -> Array:
        """Return (T, 3, 4)."""
        local = self.axes.T if self.shear is None else self.shear @ self.axes.T
        scale = np.broadcast_to(self.scale, (len(self.place), 3))
        turn = np.einsum("tij,tj,jk->tik", self.frame, scale, local)
        return np.concatenate([turn, (self.place - turn @ self.origin)[..., None]], axis=-1)


class Skeleton:
    """The bones of one body in every frame of a walk, in the walk's own coordinates."""

    def __init__(self, rest: Rest, child: Child, motion: Motion) -> None:
        self.rest, self.child, self.motion = rest, child, motion
        self.girth = child.height / rest.height
        self.bones: dict[str, _Bone] = {}
        self._trunk_and_head()
        for limb in LIMBS:
            self._arm(limb)
            self._leg(limb)
            self._foot(limb)

    def _point(self, name: str) -> Array:
        return self.motion.points[:, INDEX[name]]

    def _trunk_and_head(self) -> None:
        joints, body, parts = self.rest.joints, self.child.body, self.motion.parts
        hip, shoulder = ((joints[f"left_{name}"] + joints[f"right_{name}"]) / 2 for name in ("hip", "shoulder"))
        up = (body["trunk"] - 0.01 * self.child.height) / (shoulder[2] - hip[2])
        shear = np.eye(3)
        shear[0, 2] = -(shoulder[0] - hip[0]) / (shoulder[2] - hip[2])  # the walker's are right above the hips
        scale = np.array([self.girth, self.girth, up])
        frames = {"pelvis": parts["pelvis_frame"], "trunk": parts["trunk_frame"]}
        for name, frame in frames.items():
            self.bones[name] = _Bone(hip, np.eye(3), scale, frame, parts["pelvis"], shear)
        for limb in LIMBS:
            wide = body["shoulder_width"] / 2 / abs(joints[f"{limb}_shoulder"][1])
            own = np.array([self.girth, wide, up])
            self.bones[f"{limb}_clavicle"] = _Bone(hip, np.eye(3), own, parts["trunk_frame"], parts["pelvis"], shear)
        size = body["head"] / (joints["crown"][2] - joints["chin"][2])
        self.bones["head"] = _Bone(self.head_middle(), np.eye(3), np.full(3, size), parts["head_frame"], parts["head"])

    def head_middle(self) -> Array:
        """Return the middle of the rest mesh's head (3,): between nose and back of the head, and chin and crown."""
        joints = self.rest.joints
        x = (joints["nose"][0] + joints["occiput"][0]) / 2
        return np.array([x, 0.0, (joints["crown"][2] + joints["chin"][2]) / 2])

    def _segment(
        self, name: str, ends: tuple[str, str], hinge: tuple[Array, Array], places: tuple[Array, Array]
    ) -> None:
        """Add a bone between two joints; `hinge` is the axis the joint bends about, at rest and in every frame."""
        a, b = self.rest.joints[ends[0]], self.rest.joints[ends[1]]
        start, end = places
        along = np.linalg.norm(end - start, axis=-1) / np.linalg.norm(b - a)
        scale = np.stack([np.full(len(along), self.girth)] * 2 + [along], axis=-1)
        self.bones[name] = _Bone(a, _frame(a - b, hinge[0]), scale, _frame(start - end, hinge[1]), start)

    def _arm(self, limb: str) -> None:
        joints, trunk = self.rest.joints, self.motion.parts["trunk_frame"]
        places = [self._point(f"{limb}_{name}") for name in ("shoulder", "elbow", "wrist")]
        rest = [joints[f"{limb}_{name}"] for name in ("shoulder", "elbow", "wrist")]
        # The axis of the elbow; a little of the trunk's keeps it steady where the arm is straight.
        hinge = np.cross(_unit(places[1] - places[0]), _unit(places[2] - places[1])) - 0.08 * trunk[:, :, 1]
        own = np.cross(_unit(rest[1] - rest[0]), _unit(rest[2] - rest[1])) - np.array([0.0, 0.08, 0.0])
        for name, first in (("upper_arm", 0), ("forearm", 1)):
            ends = (f"{limb}_{('shoulder', 'elbow')[first]}", f"{limb}_{('elbow', 'wrist')[first]}")
            self._segment(f"{limb}_{name}", ends, (own, hinge), (places[first], places[first + 1]))
        knuckle, tip = joints[f"{limb}_knuckle"], joints[f"{limb}_fingertip"]
        length = np.linalg.norm(knuckle - rest[2]) + np.linalg.norm(tip - knuckle)
        size = np.full(3, self.child.body["hand"] / length)
        frame = _frame(places[2] - self.motion.parts[f"{limb}_hand"], hinge)
        self.bones[f"{limb}_hand"] = _Bone(rest[2], _frame(rest[2] - knuckle, own), size, frame, places[2])

    def _leg(self, limb: str) -> None:
        side = np.array([0.0, 1.0, 0.0])
        axis = self.motion.parts[f"{limb}_femur"][:, :, 1]
        for name, a, b in (("thigh", "hip", "knee"), ("shank", "knee", "ankle")):
            places = (self._point(f"{limb}_{a}"), self._point(f"{limb}_{b}"))
            self._segment(f"{limb}_{name}", (f"{limb}_{a}", f"{limb}_{b}"), (side, axis), places)

    def _foot(self, limb: str) -> None:
        """Heel, ball and tip of the toes onto the walker's, which are at -0.25, 0.45 and 0.75 of the foot's length."""
        joints, body, parts = self.rest.joints, self.child.body, self.motion.parts
        length, sole = body["foot"], body["ankle_height"]
        ankle, heel = joints[f"{limb}_ankle"], joints[f"{limb}_heel"]
        ball = (joints[f"{limb}_first_ball"] + joints[f"{limb}_fifth_ball"]) / 2
        ahead = _unit((ball - heel) * np.array([1.0, 1.0, 0.0]))
        axes = _frame(np.array([0.0, 0.0, 1.0]), np.cross(np.array([0.0, 0.0, 1.0]), ahead))
        up = sole / (ankle[2] - joints[f"{limb}_sole"][2])
        back, middle = (heel - ankle) @ axes[:, 0], (ball - ankle) @ axes[:, 0]
        toe = (joints[f"{limb}_big_toe"] - ankle) @ axes[:, 0]
        big, small = ((joints[f"{limb}_{name}"] - ankle) @ axes[:, 1] for name in ("big_toe", "small_toe"))
        wide = 0.30 * length / abs(big - small)
        place = self._point(f"{limb}_ankle")
        # sideways the big toe onto -0.10 and the small toe onto 0.20 of the foot's length, away from the middle
        aside = SIGN[limb] * -0.10 * length - wide * big
        for name, ahead_scale in (("hindfoot", -0.25 * length / back), ("foot", 0.45 * length / middle)):
            scale = np.array([ahead_scale, wide, up])
            frame = parts[f"{limb}_{name}"]
            shear = np.eye(3)
            if name == "foot":
                shear[1, 0] = aside / wide / toe
            self.bones[f"{limb}_{name}"] = _Bone(ankle, axes, scale, frame, place, shear)
        scale = np.array([0.30 * length / (toe - middle), wide, up])
        shear = np.eye(3)
        shear[1, 0] = aside / wide / toe
        frame = parts[f"{limb}_toes"]
        origin = ankle + axes[:, 0] * middle
        offset = np.array([0.0, aside * middle / toe, 0.9 * sole])
        self.bones[f"{limb}_toes"] = _Bone(origin, axes, scale, frame, parts[f"{limb}_ball"] + frame @ offset, shear)

    def matrices(self) -> Array:
        """Return the transformation of every bone in every frame, (T, B, 3, 4)."""
        return np.stack([self.bones[name].matrices() for name in load_body().bones], axis=1)

    def carry(self, bone: str, places: Array) -> Array:
        """Return places (N, 3) of the rest mesh as the bone carries them, (T, N, 3)."""
        matrices = self.bones[bone].matrices()
        return np.asarray(np.einsum("tij,nj->tni", matrices[..., :3], places) + matrices[:, None, :, 3])

    def face(self) -> Array:
        """Return the mesh's own nose, eyes and ears (T, 5, 3), in the order of FACE: where they are on the surface."""
        joints = self.rest.joints
        ahead = np.array([_EYEBALL * (joints["crown"][2] - joints["chin"][2]), 0.0, 0.0])
        places = [joints[name] + (ahead if name.endswith("eye") else 0.0) for name in FACE]
        return self.carry("head", np.stack(places))


def pose(rest_vertices: Array, rest_normals: Array, matrices: Array) -> tuple[Array, Array]:
    """Return vertices and unit normals (T, V, 3) by linear blend skinning with bones (T, B, 3, 4)."""
    weights = load_body().weights
    count = len(matrices)
    blended = (weights @ matrices.reshape(count, weights.shape[1], 12)).reshape(count, -1, 3, 4)
    turn = blended[..., :3]
    places = np.einsum("tvij,vj->tvi", turn, rest_vertices) + blended[..., 3]
    return places, _unit(np.einsum("tvij,vj->tvi", turn, rest_normals))


def vertex_normals(vertices: Array, triangles: NDArray[np.int64]) -> Array:
    """Return unit normals (V, 3), the means of the adjoining triangles' by area."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, triangles[:, corner], across)
    return _unit(total)
