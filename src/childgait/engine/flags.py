"""Derive the command line of a step from its signature, so that the interface is declared once.

    def segment(video: Input, poses: Input | None, masks: Output, boxes: Output, params: Segment) -> None: ...

becomes `childgait segment --video … --poses … --masks … --boxes … --params params.yaml --record …`.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from childgait.engine.source_files import PACKAGE

Input = Annotated[Path, "input"]
Raw = Annotated[Path, "input", "raw"]  # an Input from outside the study: its record also holds DVC's md5
Output = Annotated[Path, "output"]


@dataclass(frozen=True)
class Flag:
    """One argument of a step: its kind (input, output, params or value), type and default."""

    name: str
    kind: Literal["input", "output", "params", "value"]
    type: Any
    many: bool
    required: bool
    default: Any
    raw: bool = False


def paths_of(value: object) -> list[Path]:
    """Return the paths of an argument that is a path, a list of them, or None."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    paths = [path for path in values if isinstance(path, Path)]
    assert len(paths) == len(values), f"{value!r} holds more than paths"
    return paths


def flags_of(function: Callable[..., Any]) -> list[Flag]:
    """List the arguments of a step or command by its type hints."""
    hints = typing.get_type_hints(function, include_extras=True)
    flags = []
    for name, parameter in inspect.signature(function).parameters.items():
        required = parameter.default is inspect.Parameter.empty
        default = None if required else parameter.default
        hint, many, raw = hints[name], False, False
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            hint = next(part for part in typing.get_args(hint) if part is not type(None))
            required = False  # an argument that may be None is optional
        if typing.get_origin(hint) is list:
            hint, many = typing.get_args(hint)[0], True
        if typing.get_origin(hint) is Annotated:
            hint, kind, *marks = typing.get_args(hint)
            raw = "raw" in marks
        elif isinstance(hint, type) and hasattr(hint, "model_validate"):
            kind = "params"
        else:
            kind = "value"
        flags.append(Flag(name, kind, hint, many, required, default, raw))
    return flags


def parser_of(name: str, function: Callable[..., Any], *, recorded: bool) -> argparse.ArgumentParser:
    """Build the parser of a step (`recorded`) or of a command; a command takes its required values by position."""
    parser = argparse.ArgumentParser(
        prog=f"childgait {name.replace('_', '-')}",
        description=inspect.getdoc(function) or inspect.getdoc(sys.modules[function.__module__]) or "",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        fromfile_prefix_chars="@",  # @FILE: a list too long for a command line, one path per line
    )
    for flag in flags_of(function):
        option = "--" + flag.name.replace("_", "-")
        if flag.kind == "params":
            parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="params.yaml (its section)")
        elif flag.type is bool:
            parser.add_argument(
                option, action=argparse.BooleanOptionalAction, default=flag.default, required=flag.required
            )
        elif flag.kind == "value" and not recorded and flag.required:
            parser.add_argument(flag.name, type=flag.type, nargs="*" if flag.many else None)
        else:
            parser.add_argument(
                option, type=flag.type, nargs="*" if flag.many else None, required=flag.required, default=flag.default
            )
    if recorded:
        parser.add_argument(
            "--record", type=Path, help="file to write the record of inputs, outputs, params and code to"
        )
    return parser


def find_function(name: str) -> tuple[Callable[..., Any], bool] | None:
    """Import the step or command of that name; returns the function and whether it is a step, or None."""
    name = name.replace("-", "_")
    for package, recorded in (("steps", True), ("commands", False)):
        if (PACKAGE / package / f"{name}.py").is_file():
            return getattr(importlib.import_module(f"childgait.{package}.{name}"), name), recorded
    return None


def summaries(package: str) -> dict[str, str]:
    """Map every step or command to the first line of its docstring, without importing it."""
    import ast

    lines = {}
    for path in sorted((PACKAGE / package).glob("*.py")):
        if path.stem != "__init__":
            lines[path.stem] = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n", 1)[0]
    return lines
