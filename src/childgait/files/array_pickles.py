"""Reads pickles that contain nothing but plain values and numpy arrays, without running any code of the file.

Gait data sets are delivered as pickles, and a pickle is a program. Here no callable of another module can be reached:
the names that numpy writes lead to the functions below, which build arrays of numbers from the bytes in the file, so
that a file can neither run code nor claim more memory than its own size.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from childgait.errors import StepError
from childgait.user_files import read_bytes

LARGEST_PICKLE = 1 << 30  # bytes
_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")


class _NotAllowed(Exception):
    """Something in the pickle is no array of numbers."""


class _Array:
    """Placeholder of numpy.ndarray: it cannot be called into existence, and becomes an array by its state alone."""

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        self.value = _array_of(raw, dtype, shape, "F" if fortran else "C")


class _Dtype:
    """Placeholder of numpy.dtype: a kind of number and its byte order."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        if len(state) > 4 and any(part is not None for part in state[2:5]):
            raise _NotAllowed("an array of records")
        if state[1] not in ("<", ">", "|", "="):
            raise _NotAllowed("an unknown byte order")
        self.code = state[1] + self.code.lstrip("<>|=")


def _make_dtype(code: Any, *_: Any) -> _Dtype:
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise _NotAllowed(f"an array of the type {str(code)[:20]!r}")
    return _Dtype(code)


def _reconstruct(kind: Any, shape: Any, _: Any) -> _Array:
    if kind is not _Array or tuple(shape) != (0,):
        raise _NotAllowed("an array that is made in another way")
    return _Array()


def _frombuffer(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    return _array_of(raw, dtype, shape, order)


def _scalar(dtype: Any, raw: Any) -> float | int | bool:
    value: float | int | bool = _array_of(raw, dtype, (1,), "C")[0].item()
    return value


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":  # how numpy writes bytes into old pickles
        raise _NotAllowed("text in another encoding")
    return text.encode("latin1")


def _array_of(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """Build an array from bytes whose number matches type and shape."""
    if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes | bytearray) or order not in ("C", "F"):
        raise _NotAllowed("an array of something other than numbers")
    kind = np.dtype(dtype.code)
    whole = (
        isinstance(shape, tuple)
        and len(shape) <= 8
        and all(type(size) is int and 0 <= size < 1 << 40 for size in shape)
    )
    if not whole or math.prod(shape) * kind.itemsize != len(raw):
        raise _NotAllowed("an array whose size is not that of its bytes")
    return np.frombuffer(bytes(raw), kind).reshape(shape, order=order)


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _make_dtype,
    ("_codecs", "encode"): _encode,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _NotAllowed(f"{module}.{name}"[:60])
        return _ALLOWED[module, name]


def load_arrays(path: Path) -> Any:
    """Return the plain values and numpy arrays of a pickle; fail if it contains anything else."""
    content = read_bytes(path, LARGEST_PICKLE)
    try:
        return _plain(_ArrayUnpickler(io.BytesIO(content)).load(), 0, {})
    except _NotAllowed as error:
        raise StepError(
            f"{path} contains {error}, not only arrays and plain values",
            hint="it is not opened, since a pickle can run code; export arrays of numbers, or PNG files",
        ) from None
    except Exception as error:  # damaged bytes raise any of a dozen kinds
        raise StepError(f"{path} is no readable pickle ({type(error).__name__})", hint="copy the file again") from None


def _plain(value: Any, depth: int, copies: dict[int, Any]) -> Any:
    """Replace placeholders by arrays in lists, tuples and dicts; fail for any other object.

    `copies` are those of the containers so far: one that a pickle names a thousand times is copied once.
    """
    if depth > 20:
        raise _NotAllowed("values nested more than 20 deep")
    if isinstance(value, _Array):
        if value.value is None:
            raise _NotAllowed("an array without content")
        return value.value
    if isinstance(value, dict | list | tuple):
        if id(value) not in copies:
            copies[id(value)] = (
                {key: _plain(inside, depth + 1, copies) for key, inside in value.items()}
                if isinstance(value, dict)
                else [_plain(inside, depth + 1, copies) for inside in value]
            )
        return copies[id(value)]
    if value is None or isinstance(value, bool | int | float | str | np.ndarray):
        return value
    raise _NotAllowed(f"a value of the type {type(value).__name__}")
