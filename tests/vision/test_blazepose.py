"""The embedded pose model: its files, the mapping of its points, crops by pixel centres, detection, determinism."""

import json

import numpy as np
import pytest

from childgait.domain.skeleton import INDEX, LAYOUTS, POINTS, mirrored_name, to_points
from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.vision import blazepose
from childgait.vision.blazepose import FOLDER, SHA256, BlazePose, Square, average_overlapping, cut, square_of, tiles_of


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    from skimage import data

    return np.asarray(data.astronaut())


@pytest.fixture(scope="module")
def model() -> BlazePose:
    return BlazePose()


def test_the_files_are_those_of_the_provenance() -> None:
    files = json.loads((FOLDER / "provenance.json").read_text())["files"]
    assert {f"{name}.onnx": digest for name, digest in SHA256.items()} == {n: f["sha256"] for n, f in files.items()}
    for name, facts in files.items():
        assert (sha256(FOLDER / name), (FOLDER / name).stat().st_size) == (facts["sha256"], facts["bytes"])
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 40e6
    assert {"LICENSE", "NOTICE"} <= {path.name for path in FOLDER.iterdir()}


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch, portrait: np.ndarray) -> None:
    monkeypatch.setitem(blazepose.SHA256, "full", "0" * 64)
    with pytest.raises(StepError, match="these are other weights"):
        BlazePose().look_at_boxes(portrait, np.array([[0, 0, 400, 500]]))


def test_the_layout_names_each_point_once_and_mirrors() -> None:
    layout = LAYOUTS["blazepose33"]
    known = [index for index in layout.source if index is not None]
    assert len(set(known)) == len(known) == 21
    assert [POINTS[n] for n, index in enumerate(layout.source) if index is None] == [
        "left_small_toe",
        "right_small_toe",
    ]
    for name in POINTS:  # left before right everywhere; eyes are three points per side apart
        ours, theirs = layout.source[INDEX[name]], layout.source[INDEX[mirrored_name(name)]]
        if name.startswith("left_") and ours is not None and theirs is not None:
            assert theirs - ours == (3 if "eye" in name else 1)
    points = to_points(np.zeros((33, 2), np.float32), np.ones(33, np.float32), layout)
    assert np.isnan(points[INDEX["left_small_toe"], 0])
    assert points[INDEX["right_small_toe"], 2] == 0


def test_a_crop_keeps_pixel_centres() -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))
    picture = np.dstack([ramp, ramp.T, ramp])
    assert np.array_equal(cut(picture, Square(8, 16, 32), 32), picture[16:48, 8:40])
    small = cut(picture, Square(8, 16, 32), 16).astype(float)  # twice as large: means of two by two
    assert np.allclose(small[..., 0], picture[16:48, 8:40, 0].reshape(16, 2, 16, 2).mean(axis=(1, 3)), atol=1)


def test_landmarks_move_with_the_picture(model: BlazePose, portrait: np.ndarray) -> None:
    box = np.array([60.0, 0, 420, 512])
    (look,) = model.look_at_boxes(portrait, box)
    assert look is not None
    shifted = np.pad(portrait, ((24, 0), (40, 0), (0, 0)), mode="edge")
    (again,) = model.look_at_boxes(shifted, box + [40, 24, 40, 24])
    assert again is not None
    assert look.presence > 0.5
    sure = look.points[:, 2] > 0.9
    assert sure.sum() >= 5
    assert np.abs(again.points[sure, :2] - look.points[sure, :2] - [40, 24]).max() < 3
    nose = look.points[INDEX["nose"]]
    assert np.abs(nose[:2] - [224, 120]).max() < 40  # the face of this portrait
    assert np.isnan(look.depth[INDEX["left_small_toe"]])
    mask = look.mask((512, 512))
    assert mask[150, 224]
    assert not mask[100, 20]


def test_boxes_outside_or_unknown_have_no_result(model: BlazePose, portrait: np.ndarray) -> None:
    boxes = np.array([[600, 10, 700, 200], [np.nan] * 4, [-300, 0, -10, 200], [-40, -30, 300, 520]])
    looks = model.look_at_boxes(portrait, boxes)
    assert [look is None for look in looks] == [True, True, True, False]
    assert looks[3] is not None
    assert looks[3].mask((512, 512)).shape == (512, 512)
    assert model.look_at_boxes(portrait, np.zeros((0, 4))) == []


def test_two_models_give_the_same_bytes(model: BlazePose, portrait: np.ndarray) -> None:
    box = np.array([[60.0, 0, 420, 512]])
    (a,), (b,) = model.look_at_boxes(portrait, box), BlazePose().look_at_boxes(portrait, box)
    assert a is not None
    assert b is not None
    assert a.points.tobytes() == b.points.tobytes()
    assert a.crop_mask.tobytes() == b.crop_mask.tobytes()


def test_a_person_is_detected_and_nobody_in_a_plain_wall(model: BlazePose, portrait: np.ndarray) -> None:
    result = model.detect_people(portrait, tiles_of((512, 512)))
    assert len(result) == 1
    assert result[0, 4] > 0.5
    x0, y0, x1, y1 = result[0, :4]
    assert x0 < 224 < x1
    assert y0 < 250 < y1
    assert model.detect_people(np.full((200, 300, 3), 128, np.uint8), tiles_of((200, 300))).shape == (0, 5)


def test_overlapping_detections_become_their_weighted_mean() -> None:
    rows = np.array([[0, 0, 10, 10, 0.6], [1, 0, 11, 10, 0.3], [50, 50, 60, 60, 0.9]])
    kept = average_overlapping(rows, 0.3)
    assert kept[:, 4].tolist() == [0.9, 0.6]
    assert kept[1, 0] == pytest.approx(1 / 3)
    assert average_overlapping(np.zeros((0, 5)), 0.3).shape == (0, 5)


def test_tiles_cover_the_picture() -> None:
    assert len(tiles_of((300, 310))) == 1
    for size in ((360, 640), (480, 320)):
        covered = np.zeros(size, bool)
        for tile in tiles_of(size)[1:]:
            covered[round(tile.y) : round(tile.y + tile.side), round(tile.x) : round(tile.x + tile.side)] = True
        assert covered.all()


def test_a_square_has_the_margin() -> None:
    square = square_of([10, 20, 30, 100])
    assert (square.side, square.x + square.side / 2, square.y + square.side / 2) == (100, 20, 60)
