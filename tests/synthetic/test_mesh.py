"""The body mesh: joints are the walker's own, the mask is what is drawn, heights are the growth table's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from childgait.domain.evgs import LIMBS
from childgait.domain.skeleton import INDEX, POINTS
from childgait.engine.source_files import ROOT
from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.gait.normative import height_of, proportions
from childgait.params import Synthesize, read_params
from childgait.synthetic import body
from childgait.synthetic.body import FILE, SHA256, Rest, Skeleton, load_body, pose, rest_body, vertex_normals
from childgait.synthetic.camera import Camera, place_camera
from childgait.synthetic.child import Child, draw_child
from childgait.synthetic.cohort import write_cohort
from childgait.synthetic.figure import build_bars, draw_look
from childgait.synthetic.head import UNROLLED, draw_head
from childgait.synthetic.mesh import MeshFigure, MeshPainter, build_mesh, see_points
from childgait.synthetic.motion import Motion, walk
from childgait.synthetic.truth import load_truth
from childgait.synthetic.walks import THING, sit_still
from childgait.vision.faces import CenterFace

SIZE = (320, 180)


def child_of(age: float, seed: int = 5) -> Child:
    drawn = draw_child("0001", np.random.default_rng(seed))
    height = height_of(age, drawn.sex)
    body = {name: share * height for name, share in proportions(age).items()}
    return replace(drawn, age_years=age, height=height, aid="none", body=body)


@pytest.fixture(scope="module")
def motion() -> Motion:
    return walk(child_of(7.0), np.arange(0, 0.6, 1 / 20), seed=3)


def figure_of(motion: Motion, view: str, size: tuple[int, int] = SIZE) -> tuple[MeshFigure, Camera]:
    child = child_of(7.0)
    camera = place_camera(view, child.height, *size, np.random.default_rng(1))
    look = draw_look(np.random.default_rng(2))
    way = "out" if view in ("left", "forward") else "back"
    return build_mesh(motion, child, look, camera, way, np.zeros(3), 1), camera


def draw(figure: MeshFigure, background: int, index: int = 4) -> np.ndarray:
    canvas = np.full((SIZE[1], SIZE[0], 3), background, np.uint8)
    MeshPainter([figure], [], 0.3, SIZE).paint(canvas, index, 0)
    return canvas


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_is_that_of_its_provenance() -> None:
    facts = json.loads((FILE.parent / "provenance.json").read_text())
    stated = facts["files"]["body.npz"]
    assert (sha256(FILE), FILE.stat().st_size) == (stated["sha256"], stated["bytes"])
    assert stated["sha256"] == SHA256
    assert facts["licence"] == "CC0-1.0"
    assert "CC0 1.0" in (FILE.parent / "LICENSE").read_text()
    assert FILE.stat().st_size < 2e6


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "SHA256", "0" * 64)
    with pytest.raises(StepError, match="other weights"):
        load_body.__wrapped__()


def volume_of(rest: Rest) -> float:
    a, b, c = (rest.vertices[load_body().triangles[:, corner]] for corner in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_the_surface_is_closed_and_faces_outwards() -> None:
    rest, triangles = rest_body(8.0, "female", 1.0), load_body().triangles
    volume = volume_of(rest)
    assert 0.015 < volume < 0.045  # cubic metres, about the weight in tonnes: negative if inside out
    normals = vertex_normals(rest.vertices, triangles)
    nose = np.linalg.norm(rest.vertices - rest.joints["nose"], axis=1).argmin()
    assert normals[nose, 0] > 0.5


# --- the body ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sex", ["male", "female"])
@pytest.mark.parametrize("age", [3.0, 8.0, 17.0])
def test_heights_are_those_of_the_growth_table(age: float, sex: str) -> None:
    rest = rest_body(age, sex, 1.0)
    assert rest.height == pytest.approx(min(height_of(age, sex), rest_body(40.0, sex, 1.0).height), abs=0.015)
    assert rest.height == pytest.approx(float(np.ptp(rest.vertices[:, 2])), abs=0.015)


def test_a_walking_body_is_as_tall_as_its_child() -> None:
    for age in (3.0, 17.0):
        child = replace(child_of(age), trunk_lean=0.0)
        still = walk(child, np.linspace(0, child.stride, 40))
        rest = rest_body(age, child.sex, 1.0)
        normals = vertex_normals(rest.vertices, load_body().triangles)
        places, _ = pose(rest.vertices, normals, Skeleton(rest, child, still).matrices())
        tallest = np.ptp(places[..., 2], axis=1).max()
        assert tallest == pytest.approx(child.height, rel=0.04)
        assert places[..., 2].min() > -0.02 * child.height


def test_a_heavier_build_has_more_volume_and_as_tall() -> None:
    thin, heavy = rest_body(9.0, "male", 0.88), rest_body(9.0, "male", 1.12)
    assert volume_of(heavy) > 1.05 * volume_of(thin)
    assert heavy.height == pytest.approx(thin.height, rel=0.03)


def test_joint_centres_are_the_walkers(motion: Motion) -> None:
    rest = rest_body(7.0, "male", 1.0)
    skeleton = Skeleton(rest, child_of(7.0), motion)
    joints = rest.joints
    for limb in LIMBS:
        for chain, bones in (
            (("shoulder", "elbow", "wrist"), ("clavicle", "upper_arm", "forearm", "hand")),
            (("hip", "knee", "ankle"), (None, "thigh", "shank", "foot")),
        ):
            for place, name in enumerate(chain):  # both bones that meet in a joint put it there
                truth = motion.points[:, INDEX[f"{limb}_{name}"]]
                for bone in bones[place : place + 2]:
                    if bone is not None:
                        moved = skeleton.carry(f"{limb}_{bone}", joints[f"{limb}_{name}"][None])[:, 0]
                        np.testing.assert_allclose(moved, truth, atol=1e-9)
        heel = skeleton.carry(f"{limb}_hindfoot", joints[f"{limb}_heel"][None])[:, 0]
        assert np.linalg.norm(heel - motion.points[:, INDEX[f"{limb}_heel"]], axis=1).max() < 0.02
        for toe in ("big_toe", "small_toe"):
            moved = skeleton.carry(f"{limb}_toes", joints[f"{limb}_{toe}"][None])[:, 0]
            assert np.linalg.norm(moved - motion.points[:, INDEX[f"{limb}_{toe}"]], axis=1).max() < 0.025


def test_bones_turn_the_mesh_and_do_not_mirror_it(motion: Motion) -> None:
    matrices = Skeleton(rest_body(7.0, "male", 1.0), child_of(7.0), motion).matrices()
    assert (np.linalg.det(matrices[..., :3]) > 0.2).all()


def test_a_joint_is_in_the_middle_of_its_limb(motion: Motion) -> None:
    """The mesh's own cross-section at the knee surrounds the truth's knee."""
    figure, camera = figure_of(motion, "left")
    truth, depth = camera.project(motion.points[:, INDEX["left_knee"]])
    near = np.linalg.norm(figure.pixels - truth[:, None], axis=2) < 8
    for index in range(len(truth)):
        around = figure.depth[index][near[index]]
        assert around.min() < depth[index] < around.max()


def test_somebody_who_sits_is_posed(motion: Motion) -> None:
    seated, adult, _, seat = sit_still(motion, "left", 0, np.random.default_rng(4))
    rest = rest_body(adult.age_years, adult.sex, 1.0)
    normals = vertex_normals(rest.vertices, load_body().triangles)
    places, _ = pose(rest.vertices, normals, Skeleton(rest, adult, seated).matrices())
    assert 0.7 * adult.height < places[0, :, 2].max() < 0.88 * adult.height
    assert seat < float(seated.parts["pelvis"][0, 2])


# --- the picture ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["left", "forward"])
def test_the_mask_is_what_is_drawn(motion: Motion, view: str) -> None:
    figure, _ = figure_of(motion, view)
    black, white = (draw(figure, grey).astype(int) for grey in (0, 255))
    coverage = 1 - (white - black)[..., 0] / 255  # what the background does not shine through
    identities = np.zeros(SIZE[::-1], np.uint16)
    MeshPainter([figure], [], 0.3, SIZE).identify(identities, 4)
    np.testing.assert_array_equal(identities > 0, coverage > 0.49)
    assert 500 < (identities > 0).sum() < 20000


def test_the_head_box_is_that_of_the_heads_pixels(motion: Motion) -> None:
    figure, _ = figure_of(motion, "forward")
    identities = np.zeros(SIZE[::-1], np.uint16)
    MeshPainter([figure], [], 0.3, SIZE).identify(identities, 4)
    y, x = np.nonzero(identities == figure.head.identity)
    box = figure.head.boxes(*SIZE)[4]
    drawn = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
    np.testing.assert_allclose(box, drawn, atol=1.6)
    assert figure.head.area(4) == pytest.approx(len(x), rel=0.25)


def test_a_tube_hides_what_is_behind_it_alone(motion: Motion) -> None:
    figure, camera = figure_of(motion, "left")
    count, knee = len(motion.seconds), motion.points[4, INDEX["left_knee"]]
    pixel = np.rint(camera.project(knee)[0]).astype(int)
    for nearer, expected in ((0.5, {THING}), (-0.8, set(figure.identity.tolist()))):
        across = knee + nearer * (camera.place - knee) / np.linalg.norm(camera.place - knee)
        tube = build_bars([(across - [0.3, 0, 0], across + [0.3, 0, 0])], camera, 0.03, np.full(3, 90.0), count, THING)
        painter, identities = MeshPainter([figure], [tube], 0.3, SIZE), np.zeros(SIZE[::-1], np.uint16)
        painter.identify(identities, 4)
        assert int(identities[pixel[1], pixel[0]]) in expected
        assert (identities == THING).any()
        truth, depth = camera.project(motion.points[4])
        seen = see_points(truth, depth, identities, painter.surface, figure, 4, child_of(7.0).height)
        assert seen[INDEX["left_knee"]] == (nearer < 0)


def test_far_limbs_and_faces_from_behind_are_hidden(motion: Motion) -> None:
    for view, hidden, shown in (("left", "right_shoulder", "left_wrist"), ("backward", "nose", "left_hip")):
        figure, camera = figure_of(motion, view)
        painter, identities = MeshPainter([figure], [], 0.3, SIZE), np.zeros(SIZE[::-1], np.uint16)
        counts = dict.fromkeys(POINTS, 0)
        for index in range(len(motion.seconds)):
            identities[:] = 0
            painter.identify(identities, index)
            points = motion.points[index] * (1 if view == "left" else np.array([-1.0, -1.0, 1.0]))
            points[: len(figure.face[index])] = figure.face[index]
            truth, depth = camera.project(points)
            seen = see_points(truth, depth, identities, painter.surface, figure, index, child_of(7.0).height)
            for name in np.array(POINTS)[seen]:
                counts[name] += 1
        assert counts[hidden] < 0.5 * len(motion.seconds)
        assert counts[shown] > 0.9 * len(motion.seconds)


def test_a_detector_finds_the_face_from_the_front_only(motion: Motion) -> None:
    scores = []
    for view in ("forward", "backward"):
        figure, _ = figure_of(motion, view, (640, 360))
        canvas = np.full((360, 640, 3), 150, np.uint8)
        MeshPainter([figure], [], 0.3, (640, 360)).paint(canvas, 4, 0)
        faces = CenterFace(640).detect(canvas, 0.05)
        scores.append(float(faces[:, 4].max()) if len(faces) else 0.0)
    assert scores[0] > 0.5
    assert scores[1] < 0.3


def test_the_unrolled_head_has_eyes_before_and_hair_behind() -> None:
    rng = np.random.default_rng(3)
    skin, hair = np.array([205.0, 155.0, 120.0]), np.array([40.0, 30.0, 26.0])
    colours = draw_head(rng, skin, hair).unrolled().astype(float)

    def at(degrees: float, above: float) -> float:
        row, column = (0.5 - above) * UNROLLED[0], (degrees / 360 + 0.5) * UNROLLED[1]
        return float(colours[int(row) - 1 : int(row) + 2, int(column) - 1 : int(column) + 2].mean())

    for side in (-1.0, 1.0):
        eye, cheek = min(at(side * turn, -0.03) for turn in (18, 21, 24)), at(side * 24, -0.14)
        assert eye < 0.8 * cheek
        assert cheek == pytest.approx(skin.mean(), rel=0.15)
    assert at(180, 0.2) < 0.4 * skin.mean()
    assert at(90, -0.1) > 0.7 * skin.mean()  # an ear


# --- the cohort -------------------------------------------------------------------------------------------------------


def small(**changes: object) -> Synthesize:
    section = read_params(ROOT / "params.yaml")["synthesize"]
    usual = {"subjects": 2, "width": 192, "height": 108, "seconds": (0.5, 0.5), "rates": ["25"], "missing_views": 0.5}
    return Synthesize.model_validate(section | usual | changes)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    params = small(body="mesh", bystander=1.0, seated_people=1)
    for name in ("one", "two"):
        write_cohort(tmp_path / name, params, 1)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) > 6
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path


def test_the_walk_and_its_truth_are_those_of_the_capsules(tmp_path: Path) -> None:
    for kind in ("mesh", "capsules"):
        write_cohort(tmp_path / kind, small(body=kind), 1)
    names = sorted(path.name for path in (tmp_path / "mesh" / "truth").glob("*.npz"))
    assert names
    for name in names:
        mesh, capsules = (load_truth(tmp_path / kind / "truth" / name) for kind in ("mesh", "capsules"))
        np.testing.assert_array_equal(mesh.points[:, 5:], capsules.points[:, 5:])  # from the shoulders down
        assert mesh.scores == capsules.scores
        off = np.linalg.norm(mesh.points[:, :5] - capsules.points[:, :5], axis=2)
        assert off.max() < 0.06 * np.ptp(mesh.points[..., 1], axis=1).max()  # the mesh's own nose, eyes and ears
        exact, other = (np.stack([one.mask(n) for n in range(len(one.seconds))]) for one in (mesh, capsules))
        assert (exact & other).sum() > 0.7 * (exact | other).sum()
        assert (exact != other).any()


def test_params_default_to_capsules_and_refuse_other_bodies() -> None:
    assert small().body == "capsules"
    with pytest.raises(ValidationError, match="body"):
        small(body="sticks")


def test_an_opencv_without_a_rasteriser_is_named(motion: Motion, monkeypatch: pytest.MonkeyPatch) -> None:
    figure, _ = figure_of(motion, "left")
    monkeypatch.delattr(cv2, "triangleRasterize")
    with pytest.raises(StepError, match="OpenCV"):
        MeshPainter([figure], [], 0.3, SIZE)
