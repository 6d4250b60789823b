"""Find the source files that a step can reach, by following imports within this package without executing them.

Code is an input. The rules declare these files by one stamp per step and the records hash them, so that an edit in a
shared module reruns exactly the steps that use it. The modules in PLUMBING are left out: they pass values and files to
a step and compute no number, and the values are inputs themselves. Otherwise a new key in one section of params.yaml
would rerun every video.
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


# Imports of this package anywhere in a source file. Parsing only these lines, not the whole file, is five times faster;
# every job does it once for its record. An import quoted in a docstring also counts: one rerun too many, never too few.
_STATEMENT = re.compile(
    r"^[ \t]*(from[ \t]+childgait[\w.]*[ \t]+import[ \t]*(?:\([^)]*\)|[^\n]*)|import[ \t][^\n]*\bchildgait\b[^\n]*)",
    re.MULTILINE,
)


# An import string, "package.module:name", as the registry of models names its classes; it counts as an import, too.
_IMPORT_STRING = re.compile(r'"(childgait(?:\.\w+)+):\w+"')


@cache
def _imports(path: Path) -> frozenset[Path]:
    text = path.read_text()
    statements = "\n".join(match[1] for match in _STATEMENT.finditer(text))
    named = {file for match in _IMPORT_STRING.finditer(text) for file in _files_of(match[1])}
    return _imported_by(ast.parse(statements)) | named


def _imported_by(tree: ast.Module) -> frozenset[Path]:
    files: set[Path] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            candidates = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            candidates = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in candidates:
            if name == "childgait" or name.startswith("childgait."):
                files.update(_files_of(name))
    return frozenset(files)


@cache
def _files_of(module: str) -> tuple[Path, ...]:
    """List the file of a module and the __init__ files of its packages, where they exist."""
    package, _, name = module.rpartition(".")
    folder = PACKAGE.parent.joinpath(*package.split(".")) if package else PACKAGE.parent
    files = _files_of(package) if package else ()
    if "__init__.py" in _names_in(str(folder / name)):
        files += (folder / name / "__init__.py",)
    if f"{name}.py" in _names_in(str(folder)):
        files += (folder / f"{name}.py",)
    return files


@cache
def _names_in(folder: str) -> frozenset[str]:
    """Return the names in a folder; none where it is no folder, as for the names that a module exports."""
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208  # names; a Path for each would take as long as all else
    except OSError:
        return frozenset()


@cache
def reachable_files(path: Path) -> tuple[Path, ...]:
    """List the file, all modules of this package that it imports, directly or not, and their templates, sorted."""
    visited: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in visited and current not in PLUMBING:
            visited.add(current)
            waiting.extend(_imports(current))
    return tuple(sorted(visited.union(*map(_files_read_by, visited))))


@cache
def _files_read_by(module: Path) -> set[Path]:
    """List the templates and shipped checkpoints that a module reads."""
    return _templates(module) | _checkpoints(module)


# Modules that read files of the shipped checkpoints, with their endings.
_SHIPPED = {"files/pretrained.py": (".safetensors", ".json"), "report/pretraining.py": (".csv", ".png")}


def _checkpoints(module: Path) -> set[Path]:
    """List the files of shipped checkpoints that this module reads; they determine outputs as code does."""
    endings = _SHIPPED.get(str(module.relative_to(PACKAGE)) if module.is_relative_to(PACKAGE) else "", ())
    folder = PACKAGE / "weights" / "pretrained"
    return {path for path in folder.glob("*") if path.is_file() and path.suffix in endings}


def _templates(module: Path) -> set[Path]:
    """List the files in the folder `templates` of a module that uses it; they determine outputs as code does."""
    folder = module.parent / "templates"
    return set(folder.iterdir()) if folder.is_dir() and '"templates"' in module.read_text() else set()


def code_of(step: str) -> list[Path]:
    """List the source files of a step, relative to the repository."""
    return [path.relative_to(ROOT) for path in reachable_files(PACKAGE / "steps" / f"{step}.py")]


def stamp_of(step: str, folder: Path) -> Path:
    """Write the names and hashes of a step's source files into one file, if one of them differs; returns its path.

    A job has this one input in place of 20 to 60: with a thousand videos Snakemake would check a quarter of a million
    files. The first stamp gets the date of the newest source, so that no output of a fresh clone looks outdated.
    """
    from childgait.files.atomic import write_text

    files = code_of(step)
    text = "".join(f"{_sha256(ROOT / path)}  {path}\n" for path in files)
    stamp = folder / f"{step}.sha256"
    is_first = not stamp.exists()
    if is_first or stamp.read_text() != text:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        write_text(stamp, text)
        if is_first:
            newest = max((ROOT / path).stat().st_mtime_ns for path in files)
            os.utime(stamp, ns=(newest, newest))
    return stamp


@cache
def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
