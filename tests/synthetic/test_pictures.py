"""What a picture must show: a face that a detector finds from the front, sides that are themselves, a room that
stays."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from childgait.domain.skeleton import INDEX
from childgait.engine.source_files import ROOT
from childgait.params import Synthesize, read_params
from childgait.synthetic.camera import place_camera
from childgait.synthetic.cohort import write_cohort
from childgait.synthetic.head import TURNS, draw_head
from childgait.synthetic.scene import draw_room, paint_room
from childgait.synthetic.truth import load_truth
from childgait.vision.faces import CenterFace


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    section = read_params(ROOT / "params.yaml")["synthesize"]
    changes = {
        "width": 640,
        "height": 360,
        "seconds": (0.5, 0.5),
        "bystander": 1.0,
        "missing_views": 0.0,
        "subjects": 2,
    }
    root = tmp_path_factory.mktemp("pictures") / "cohort"
    write_cohort(root, Synthesize.model_validate(section | changes), 1)
    return root


def frames_of(cohort: Path, view: str) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Some frames with everybody's head boxes."""
    result = []
    for video in sorted(cohort.glob(f"dataset/*/*_{view}_*.mp4")):
        truth = load_truth(cohort / "truth" / f"{video.stem}.npz")
        with av.open(str(video)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index % 10 == 5:
                    result.append(
                        (frame.to_ndarray(format="rgb24"), {who: box[index] for who, box in truth.heads.items()})
                    )
    assert result
    return result


def face_scores(cohort: Path, view: str) -> dict[str, list[float]]:
    """The detector's best score within each head."""
    detector, scores = CenterFace(1920), {"child": [], "bystander": []}
    for picture, heads in frames_of(cohort, view):
        faces = detector.detect(picture, 0.05)
        middles = (faces[:, :2] + faces[:, 2:4]) / 2
        for who, box in heads.items():
            if np.isfinite(box).all():
                inside = ((middles >= box[:2]) & (middles <= box[2:])).all(axis=1)
                scores[who].append(float(faces[inside, 4].max()) if inside.any() else 0.0)
    return scores


def test_faces_are_found_from_the_front_and_not_from_behind(cohort: Path) -> None:
    front, behind = face_scores(cohort, "forward"), face_scores(cohort, "backward")
    assert np.mean(np.array(front["child"]) > 0.4) > 0.8
    assert np.median(front["child"]) > np.median(behind["child"]) + 0.25
    assert max(front["bystander"]) > 0.4 or max(behind["bystander"]) > 0.4 or not front["bystander"]


def test_the_two_sides_of_the_body_can_be_told_by_depth_not_by_colour(cohort: Path) -> None:
    """From the side the far ankle is hidden when the legs cross, the near one never is by the child itself."""
    near, far = [], []
    for view, own, other in (("left", "left", "right"), ("right", "right", "left")):
        for path in sorted((cohort / "truth").glob(f"*_{view}_*.npz")):
            truth = load_truth(path)
            near.append(truth.visible[:, INDEX[f"{own}_shoulder"]].mean())
            far.append(truth.visible[:, INDEX[f"{other}_shoulder"]].mean())
    assert np.mean(near) > np.mean(far) + 0.5


def test_a_head_turns_from_face_to_hair_and_back() -> None:
    head = draw_head(np.random.default_rng(0), np.array([220.0, 175, 150]), np.array([40.0, 30, 25]))
    front, left, back, right = (head.seen_from(angle) for angle in (0, -90, 180, 90))
    middle = (slice(50, 78), slice(50, 78), slice(0, 3))
    assert front[middle].mean() > back[middle].mean() + 60
    half = left.shape[1] // 2
    assert left[40:90, :half, :3].mean() > left[40:90, half:, :3].mean() + 10  # the face looks to the picture's left
    assert right[40:90, half:, :3].mean() > right[40:90, :half, :3].mean() + 10
    assert (head.seen_from(360 / TURNS * 3) == head.seen_from(360 / TURNS * 3 + 360)).all()


def test_both_cameras_see_the_same_room() -> None:
    room = draw_room(np.random.default_rng(4))
    for view in ("left", "forward"):
        picture = paint_room(room, place_camera(view, 1.3, 160, 90, np.random.default_rng(1)))
        floor, ratio = picture[-1].reshape(-1, 3).mean(axis=0), room.floor / room.floor.sum()
        assert np.abs(floor / floor.sum() - ratio).max() < 0.03
