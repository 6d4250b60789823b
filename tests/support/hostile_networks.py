"""ONNX files of a user: a small one that works, and ones that read other files, never end or fill the memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from childgait.files.hashes import sha256
from childgait.preflight.weights import check_file
from childgait.vision.faces import RetinaFace
from support.hostile_files import Try, special, written

SIDE = 32  # pixels of the picture; 42 priors
PRIORS = 42
SIDECAR = {"width": SIDE, "height": SIDE, "colour": "BGR", "mean": [0, 0, 0], "scale": 1, "layout": "NCHW"}


def detect(path: Path) -> object:
    """Load a file as `deidentify` does, with a right sidecar and sha256, and detect the faces of one picture."""
    path.with_name(path.name + ".json").write_text(json.dumps(SIDECAR | {"licence": "none"}))
    digest = sha256(path) if path.is_file() else ""
    state, result = check_file(path, digest)
    detector = RetinaFace(path, digest)
    assert state == "ok", f"the preflight refuses what the step accepts: {result}"
    return detector.detect(np.full((48, 64, 3), 90, np.uint8), 0.5)


def model(*more: Any, shape: tuple[int, ...] = (1, PRIORS, 1), weight: Any = None) -> Any:
    """Return a network of the family `priors`: a convolution, its mean, and one row of it per prior."""
    nodes, outputs, weights = list(more), [], [numpy_helper.from_array(np.array(shape, np.int64), "shape")]
    for channels in (2, 4, 10):
        name = f"w{channels}"
        weights.append(numpy_helper.from_array(np.full((channels, 3, 1, 1), 0.01, np.float32), name))
        nodes += [
            helper.make_node("Conv", ["input", name], [f"c{channels}"]),
            helper.make_node("GlobalAveragePool", [f"c{channels}"], [f"m{channels}"]),
            helper.make_node("Flatten", [f"m{channels}"], [f"f{channels}"]),
            helper.make_node("Expand", [f"f{channels}", "shape"], [f"out{channels}"]),
        ]
        outputs.append(helper.make_tensor_value_info(f"out{channels}", TensorProto.FLOAT, None))
    if weight is not None:
        weights[1].CopyFrom(weight)
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "small", [picture], outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@cache
def onnx_bytes() -> bytes:
    return bytes(model().SerializeToString())


def first_weight(**changes: object) -> Any:
    """Return the weights of the first convolution with changed fields."""
    tensor = numpy_helper.from_array(np.full((2, 3, 1, 1), 0.01, np.float32), "w2")
    for name, value in changes.items():
        field = getattr(tensor, name)
        if isinstance(value, list):
            del field[:]
            field.extend(value)
        else:
            setattr(tensor, name, value)
    return tensor


def outside(location: str) -> bytes:
    """Return a network whose first weights are the first bytes of another file."""
    tensor = first_weight(data_location=TensorProto.EXTERNAL)
    tensor.ClearField("raw_data")
    tensor.external_data.extend(
        onnx.StringStringEntryProto(key=key, value=value)
        for key, value in (("location", location), ("offset", "0"), ("length", "24"))
    )
    return bytes(model(weight=tensor).SerializeToString())


def endless() -> bytes:
    """Return a network with a loop of 2^62 rounds."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    rounds = helper.make_node("Constant", [], ["rounds"], value=numpy_helper.from_array(np.array(2**62, np.int64)))
    true = helper.make_node("Constant", [], ["true"], value=numpy_helper.from_array(np.array(True)))
    loop = helper.make_node("Loop", ["rounds", "true", "input"], ["looped"], body=body)
    made = model(rounds, true, loop)
    made.graph.output.append(helper.make_tensor_value_info("looped", TensorProto.FLOAT, None))
    return bytes(made.SerializeToString())


def huge(numbers: int) -> bytes:
    """Return a network that creates a tensor of so many numbers."""
    size = numpy_helper.from_array(np.array([numbers], np.int64))
    made = model(
        helper.make_node("Constant", [], ["size"], value=size),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceMean", ["zeros"], ["zero"], keepdims=0),
    )
    made.graph.output.append(helper.make_tensor_value_info("zero", TensorProto.FLOAT, None))
    return bytes(made.SerializeToString())


def networks() -> Iterator[Try]:
    """Yield the planned ones; their sidecar and their sha256 are right."""
    good = onnx_bytes()
    nan = numpy_helper.from_array(np.full((2, 3, 1, 1), np.nan, np.float32), "w2")
    for title, content, message in (
        ("text", b"no network\n" * 9, "is no ONNX file"),
        ("empty", b"", "without operations"),
        ("cut in half", good[: len(good) // 2], "is no ONNX file"),
        ("data in /etc/passwd", outside("/etc/passwd"), "keeps the weights 'w2' in another file"),
        ("data above the folder", outside("../../etc/passwd"), "keeps the weights 'w2' in another file"),
        ("data in a file beside it", outside("face.onnx.json"), "keeps the weights 'w2' in another file"),
        ("a loop of 2^62 rounds", endless(), "contains the operation Loop"),
        ("a function that calls itself", calling(True), "contains functions"),
        ("2^30 calls of functions", calling(False), "contains functions"),
        ("a tensor of 10^12 numbers", huge(10**12), "cannot be run"),
        ("a tensor of 2 * 10^9 numbers", huge(2 * 10**9), "cannot be run"),
        ("outputs of 10^9 rows", model(shape=(1, 10**9, 1)).SerializeToString(), "cannot be run"),
        (
            "weights of 10^12 numbers",
            model(weight=first_weight(dims=[10**6] * 2)).SerializeToString(),
            "states 1000000x",
        ),
        ("weights of -1 numbers", model(weight=first_weight(dims=[-1, 3, 1, 1])).SerializeToString(), "states -1x3"),
        ("more numbers than data", model(weight=first_weight(dims=[9, 3, 1, 1])).SerializeToString(), "cannot be run"),
        ("weights that are NaN", model(weight=nan).SerializeToString(), "returns NaN, infinity"),
        (
            "an unknown operation",
            model(helper.make_node("Shell", ["input"], ["x"])).SerializeToString(),
            "cannot be run",
        ),
        ("other outputs", model(shape=(1, 40, 1)).SerializeToString(), "is of no known RetinaFace family"),
        ("graphs within graphs, 1,000 deep", nested(1000), "is no ONNX file"),
    ):
        yield Try("networks", title, written("face.onnx", bytes(content), detect), message)
    yield Try("networks", "a FIFO", special("fifo", "face.onnx", detect), "there are no weights")
    yield Try("networks", "a device", special("/dev/zero", "face.onnx", detect), "there are no weights")


def calling(recursive: bool) -> bytes:
    """Return a network whose function calls itself, or of 30 functions that call the next one twice."""
    made = model(helper.make_node("f0", ["input"], ["x"], domain="own"))
    made.opset_import.append(helper.make_opsetid("own", 1))
    for number in range(1 if recursive else 30):
        name = "f0" if recursive else f"f{number + 1}"
        calls = [helper.make_node(name, ["a"], ["b"], domain="own"), helper.make_node(name, ["b"], ["c"], domain="own")]
        if number == 29:
            calls = [helper.make_node("Relu", ["a"], ["c"])]
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]
        made.functions.append(helper.make_function("own", f"f{number}", ["a"], ["c"], calls, opsets))
    made.graph.output.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, None))
    return bytes(made.SerializeToString())


def nested(levels: int) -> bytes:
    """Return a network of graphs within graphs, in the bytes of protobuf, whose own library does not write them."""
    content = b""
    for _ in range(levels):
        for field in (6, 5, 1):  # AttributeProto.g, NodeProto.attribute, GraphProto.node
            content = _field(field, content)
    return _field(7, content)  # ModelProto.graph


def _field(number: int, content: bytes) -> bytes:
    size, length = [], len(content)
    while length > 127:
        size.append(128 | (length & 127))
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + content
