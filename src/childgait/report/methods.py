"""The methods paragraph: each step's own sentence (`METHODS` in its module), with the params that really ran in it.

Read from the source without importing a step. A step says in braces which keys of its section it needs; what it does to a
cohort without a video stands in METHODS_OF_KEYPOINTS, empty where it then does nothing.
"""

from __future__ import annotations

import ast
import string
from pathlib import Path
from typing import Any

from childgait.engine.source_files import PACKAGE
from childgait.errors import StepError


def sentence_of(path: Path, name: str = "METHODS") -> str | None:
    """The text of METHODS in a module, or None."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            value = ast.literal_eval(node.value)
            assert isinstance(value, str), f"{name} of {path} is no text"
            return value
    return None


class _Words(string.Formatter):
    """Lists as words, numbers short."""

    def format_field(self, value: Any, spec: str) -> str:
        if isinstance(value, (list, tuple)):
            return ", ".join(map(str, value))
        return str(super().format_field(value, spec))


def methods(settings: dict[str, Any], steps: list[str], *, video: bool = True) -> list[tuple[str, str]]:
    """(step, sentence) for each of the steps that has one, in the order given."""
    found = []
    for step in steps:
        path = PACKAGE / "steps" / f"{step}.py"
        template = None if video else sentence_of(path, "METHODS_OF_KEYPOINTS")
        template = sentence_of(path) if template is None else template
        if not template:
            continue
        try:
            found.append((step, _Words().format(template, **settings.get(step, {}))))
        except (KeyError, ValueError, IndexError) as error:
            raise StepError(
                f"the methods sentence of {step} cannot be filled in ({type(error).__name__}: {error})",
                hint=f"its braces must name keys of the section {step} in params.yaml",
            ) from None
    return found
