"""Which source files a step can reach: an import walk over this package, without importing anything.

Code is an input. The rules declare these files by one stamp a step, the records hash them, so an edit in a shared module
reruns exactly the steps that use it. The plumbing below is left out: it hands values and files to a step and computes no
number, and the values themselves are inputs; with it in, a new key in one section of params.yaml would rerun every video.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent
ROOT = PACKAGE.parent.parent
PLUMBING = {PACKAGE / f"{name}.py" for name in ("params", "errors", "threads", "__init__")} | set(
    (PACKAGE / "engine").glob("*.py")
)


# The imports of this package in a source file, wherever they stand. Parsing only these, and not the whole file, makes
# the walk five times faster, and every job walks once for its record. An import quoted in a docstring counts, too: one
# rerun too many, never one too few.
_STATEMENT = re.compile(
    r"^[ \t]*(from[ \t]+childgait[\w.]*[ \t]+import[ \t]*(?:\([^)]*\)|[^\n]*)|import[ \t][^\n]*\bchildgait\b[^\n]*)",
    re.MULTILINE,
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
    """The file itself, everything of this package that it imports, directly or not, and the texts they fill in, sorted."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in seen and current not in PLUMBING:
            seen.add(current)
            waiting.extend(_imports(current))
    return tuple(sorted(seen.union(*(_templates(path) | _checkpoints(path) for path in seen))))


def _checkpoints(module: Path) -> set[Path]:
    """The shipped checkpoints, for whatever reaches the module that reads them: they make outputs as code does."""
    folder = PACKAGE / "weights" / "pretrained"
    is_reader = module == PACKAGE / "files" / "pretrained.py"
    return {path for path in folder.glob("*") if path.is_file()} if is_reader else set()


def _templates(module: Path) -> set[Path]:
    """The texts in the folder `templates` beside a module that fills them in: they make outputs as code does."""
    folder = module.parent / "templates"
    return set(folder.iterdir()) if folder.is_dir() and '"templates"' in module.read_text() else set()


def code_of(step: str) -> list[Path]:
    """The source files of a step, relative to the repository."""
    return [path.relative_to(ROOT) for path in reached(PACKAGE / "steps" / f"{step}.py")]


def stamp_of(step: str, folder: Path) -> Path:
    """A file that stands for the source files of a step: their names and hashes, written only if one of them differs.

    A job has this one input in place of 20 to 60: at a thousand videos Snakemake would look at a quarter of a million. The
    first stamp is as old as the newest source, so that in a fresh clone nothing looks older than its code.
    """
    from childgait.files.atomic import write_text

    files = code_of(step)
    said = "".join(f"{_sha256(ROOT / path)}  {path}\n" for path in files)
    stamp = folder / f"{step}.sha256"
    is_first = not stamp.exists()
    if is_first or stamp.read_text() != said:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        write_text(stamp, said)
        if is_first:
            newest = max((ROOT / path).stat().st_mtime_ns for path in files)
            os.utime(stamp, ns=(newest, newest))
    return stamp


@cache
def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
