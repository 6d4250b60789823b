"""ONNX files of a user: checked before onnxruntime builds the network, which is C++ and trusts what a file states.

Refused are data outside the file (a path of the author's choice would be read), loops and functions (they need not
end), and sizes beyond what a file can hold. A network without loops can still create huge tensors, which `limit_memory`
bounds.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from childgait.errors import StepError
from childgait.user_files import read_bytes, shorten, shorten_error

LARGEST_ONNX = 1 << 30  # bytes of a file; protobuf ends at 2 GB
_LOOPS = ("Loop", "Scan")
_MOST_WEIGHTS = LARGEST_ONNX  # numbers of one tensor: as many as a file of one byte per number could hold
_HINT = "export the network to ONNX again, into one file and for one fixed size of picture"


def read_onnx(path: Path) -> bytes:
    """Return the content of an ONNX file after checking everything that it contains but its numbers."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    content = read_bytes(path, LARGEST_ONNX)
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, RecursionError, ValueError) as error:
        raise StepError(f"{path} is no ONNX file ({shorten_error(error)})", hint=_HINT) from None
    if not model.graph.node:
        raise StepError(f"{path} is an ONNX file without operations", hint=_HINT)
    if problem := _problem_of(model):
        raise StepError(f"{path} {problem}", hint=_HINT)
    return content


@contextlib.contextmanager
def limit_memory(megabytes: int) -> Iterator[None]:
    """Let an allocation fail that takes the process more than so much above its present size. Linux only."""
    if sys.platform != "linux":
        yield
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * os.sysconf("SC_PAGE_SIZE") + (megabytes << 20)
    bounds = [limit, *(one for one in (soft, hard) if one != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _problem_of(model: Any) -> str:
    """State what must not be in a network; empty if nothing is."""
    import onnx

    if model.functions:
        return "contains functions, whose calls multiply without end"
    for message in _messages(model):
        if isinstance(message, onnx.NodeProto) and message.op_type in _LOOPS:
            return f"contains the operation {message.op_type}, which need not end"
        if isinstance(message, onnx.TensorProto):
            name = shorten(message.name)
            if message.external_data or message.data_location == onnx.TensorProto.EXTERNAL:
                return f"keeps the weights {name} in another file"
            if any(size < 0 for size in message.dims) or math.prod(message.dims) > _MOST_WEIGHTS:
                return f"states {'x'.join(map(str, message.dims))[:80]} numbers for {name}"
    return ""


def _messages(top: Any) -> Iterator[Any]:
    """Yield every message of a network: nodes and tensors, those within attributes, subgraphs and functions, too."""
    waiting = [top]
    while waiting:
        message = waiting.pop()
        yield message
        for field, value in message.ListFields():
            if field.type == field.TYPE_MESSAGE:
                waiting.extend(value if field.is_repeated else [value])
