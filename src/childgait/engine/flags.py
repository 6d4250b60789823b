"""Derives a step's command line from its signature, so that an interface is stated once.

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
from typing import Annotated, Any

from childgait.engine.source_files import PACKAGE

Input = Annotated[Path, "input"]
Raw = Annotated[Path, "input", "raw"]  # an Input nobody here made: its record also says DVC's md5, for the manifest
Output = Annotated[Path, "output"]


@dataclass(frozen=True)
class Flag:
    """One argument of a step: what kind it is, and how the command line gives it."""

    name: str
    kind: str  # input, output, params or value
    type: Any
    many: bool
    required: bool
    default: Any
    raw: bool = False


def flags_of(function: Callable[..., Any]) -> list[Flag]:
    hints = typing.get_type_hints(function, include_extras=True)
    flags = []
    for name, parameter in inspect.signature(function).parameters.items():
        required = parameter.default is inspect.Parameter.empty
        default = None if required else parameter.default
        hint, many, raw = hints[name], False, False
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            hint = next(part for part in typing.get_args(hint) if part is not type(None))
            required = False  # what may be None may be left out
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
    parser = argparse.ArgumentParser(
        prog=f"childgait {name.replace('_', '-')}",
        description=inspect.getdoc(function) or inspect.getdoc(sys.modules[function.__module__]) or "",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        fromfile_prefix_chars="@",  # a list too long for a command line comes in a file, a path a line
    )
    for flag in flags_of(function):
        option = "--" + flag.name.replace("_", "-")
        if flag.kind == "params":
            parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="params.yaml (its section)")
        elif flag.type is bool:
            parser.add_argument(
                option, action=argparse.BooleanOptionalAction, default=flag.default, required=flag.required
            )
        elif flag.kind == "value" and not recorded and flag.required:  # a person's command takes its subject plainly
            parser.add_argument(flag.name, type=flag.type, nargs="*" if flag.many else None)
        else:
            parser.add_argument(
                option, type=flag.type, nargs="*" if flag.many else None, required=flag.required, default=flag.default
            )
    if recorded:
        parser.add_argument("--record", type=Path, help="write the sidecar of inputs, outputs, params and code here")
    return parser


def find(name: str) -> tuple[Callable[..., Any], bool] | None:
    """The step or command of that name, and whether it is a step."""
    name = name.replace("-", "_")
    for package, recorded in (("steps", True), ("commands", False)):
        if (PACKAGE / package / f"{name}.py").is_file():
            return getattr(importlib.import_module(f"childgait.{package}.{name}"), name), recorded
    return None


def names(package: str) -> dict[str, str]:
    """Every step or command with the first line of its module, read without importing it."""
    import ast

    found = {}
    for path in sorted((PACKAGE / package).glob("*.py")):
        if path.stem != "__init__":
            found[path.stem] = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n", 1)[0]
    return found
