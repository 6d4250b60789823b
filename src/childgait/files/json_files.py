"""Read a JSON file of a fixed form: the one place where such a file is parsed, checked and refused."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from childgait.errors import StepError
from childgait.user_files import read_bytes

T = TypeVar("T")
LARGEST = 256 << 20  # bytes


def read_typed(path: Path, form: type[T], *, hint: str) -> T:
    """Return the file's content as `form` (a model, dataclass or TypedDict); fail with the first key that differs."""
    try:
        return TypeAdapter(form).validate_json(read_bytes(path, LARGEST))
    except ValidationError as error:
        raise StepError(f"{path}: {describe_problem(error)}", hint=hint) from None


def describe_problem(error: ValidationError) -> str:
    """Describe the first problem of a file: its key, what is wrong there, and how many problems there are."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"])) or "the file"
    more = f" ({error.error_count()} such problems)" if error.error_count() > 1 else ""
    return f"{key}: {first['msg']}{more}"
