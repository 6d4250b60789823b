"""Which source files a step can reach: an import walk over this package, without importing anything.

Code is an input. The rules declare these files, the records hash them, so an edit in a shared module reruns exactly the
steps that use it. The plumbing below is left out: it hands values and files to a step and computes no number, and the
values themselves are inputs; with it in, a new key in one section of params.yaml would rerun every video.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
ROOT = PACKAGE.parent.parent
PLUMBING = {PACKAGE / f"{name}.py" for name in ("step", "record", "params", "errors", "code", "tracking", "__init__")}


# The imports of this package in a source file, wherever they stand. Parsing only these, and not the whole file, makes
# the walk five times faster, and every job walks once for its record. An import quoted in a docstring counts, too: one
# rerun too many, never one too few.
_STATEMENT = re.compile(
    r"^[ \t]*(from[ \t]+childgait[\w.]*[ \t]+import[ \t]*(?:\([^)]*\)|[^\n]*)|import[ \t][^\n]*\bchildgait\b[^\n]*)", re.MULTILINE
)


@cache
def _imports(path: Path) -> frozenset[Path]:
    statements = "\n".join(match[1] for match in _STATEMENT.finditer(path.read_text()))
    return _imported_by(ast.parse(statements))


def _imported_by(tree: ast.Module) -> frozenset[Path]:
    found: set[Path] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            candidates = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            candidates = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in candidates:
            if name == "childgait" or name.startswith("childgait."):
                found.update(_files_of(name))
    return frozenset(found)


def _files_of(module: str) -> list[Path]:
    """The module's file and the __init__ files on the way, where they exist."""
    files, folder = [], PACKAGE.parent
    for part in module.split("."):
        if (init := folder / part / "__init__.py").is_file():
            files.append(init)
        if (plain := folder / f"{part}.py").is_file():
            files.append(plain)
        folder = folder / part
    return files


@cache
def reached(path: Path) -> tuple[Path, ...]:
    """The file itself and everything of this package that it imports, directly or not, sorted."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in seen and current not in PLUMBING:
            seen.add(current)
            waiting.extend(_imports(current))
    return tuple(sorted(seen))


def code_of(step: str) -> list[Path]:
    """The source files of a step, relative to the repository."""
    return [path.relative_to(ROOT) for path in reached(PACKAGE / "steps" / f"{step}.py")]
