"""Versions of outputs from DVC's own files, read without DVC: the bytes of each output, here or at a commit.

Reads dvc.lock, `*.dvc` files and the cache's folder listings; they are plain YAML and JSON, so that a query takes
milliseconds and an auditor can repeat it with `cat`.
"""

from __future__ import annotations

import configparser
import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from childgait.errors import StepError

DEEPEST = 50  # levels of nesting of dvc.lock and of .dvc files


@dataclass(frozen=True)
class Version:
    """An output of a stage or of `dvc add`: a file, or a folder, whose md5 ends in `.dir`."""

    stage: str
    path: str
    md5: str

    @property
    def is_folder(self) -> bool:
        return self.md5.endswith(".dir")


def load_yaml(text: str) -> Any:
    """Parse YAML that DVC wrote, in C where libyaml is there; refuse nesting at which libyaml would crash."""
    import yaml

    flow = max(itertools.accumulate(1 if letter in "[{" else -1 for letter in re.findall(r"[\[\]{}]", text)), default=0)
    if flow > DEEPEST or re.search(rf"^[\s?:-]{{{20 * DEEPEST},}}", text, re.MULTILINE):
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def versions_in_lock(text: str) -> list[Version]:
    """List every output in the text of a dvc.lock."""
    import yaml

    try:
        stages = (load_yaml(text) or {}).get("stages", {})
        return [
            Version(name, out["path"], out["md5"])
            for name, stage in stages.items()
            for out in stage.get("outs", [])
            if out.get("md5")
        ]
    except (yaml.YAMLError, ValueError, AttributeError, TypeError, KeyError, RecursionError):
        raise StepError(
            "dvc.lock is not as DVC writes it", hint="restore it from git, or run the study again"
        ) from None


def versions_in_dvc_file(path: str, text: str) -> list[Version]:
    """List the outputs that a `.dvc` file names, with their paths from the repository's root."""
    folder = Path(path).parent
    return [Version(path, str(folder / out["path"]), out["md5"]) for out in outs_of(path, text) if out.get("md5")]


def outs_of(path: str, text: str) -> list[dict[str, Any]]:
    """List the outputs in the text of a `.dvc` file, as DVC wrote them."""
    import yaml

    try:
        content = load_yaml(text) or {}
    except (yaml.YAMLError, ValueError, RecursionError):
        content = None
    outs = content.get("outs", []) if isinstance(content, dict) else None
    if not isinstance(outs, list) or not all(
        isinstance(out, dict) and isinstance(out.get("path"), str) for out in outs
    ):
        raise StepError(f"{path} is no file of DVC", hint="remove it, or rename it if it is not of `dvc add`")
    return outs


def versions_here(root: Path) -> list[Version]:
    """List the outputs of dvc.lock and of every `.dvc` file; empty where DVC was not used."""
    versions: list[Version] = []
    lock = root / "dvc.lock"
    if lock.is_file():
        versions += versions_in_lock(lock.read_text(encoding="utf-8"))
    for path in dvc_files(root):
        versions += versions_in_dvc_file(str(path.relative_to(root)), path.read_text(encoding="utf-8"))
    return versions


def dvc_files(root: Path) -> list[Path]:
    """List the `.dvc` files at the root and under data/."""
    return sorted(p for pattern in ("*.dvc", "data/*.dvc", "data/*/*.dvc") for p in root.glob(pattern) if p.is_file())


def cache_folder(root: Path) -> Path:
    """Find DVC's cache: as .dvc/config.local or .dvc/config sets it, else .dvc/cache."""
    for name in ("config.local", "config"):
        parser = configparser.ConfigParser(strict=False)
        parser.read(root / ".dvc" / name)
        if parser.has_option("cache", "dir"):
            return (root / ".dvc" / parser.get("cache", "dir")).resolve()
    return root / ".dvc" / "cache"


def object_path(cache: Path, md5: str) -> Path:
    """Return the path of an object in the cache."""
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def listing(cache: Path, version: Version) -> dict[str, str] | None:
    """List a version's files with their md5, by path from the root; None if the cache lacks the listing."""
    if not version.is_folder:
        return {version.path: version.md5}
    file = object_path(cache, version.md5)
    if not file.is_file():
        return None
    return {
        f"{version.path}/{entry['relpath']}": entry["md5"] for entry in json.loads(file.read_text(encoding="utf-8"))
    }


def git(root: Path, *arguments: str) -> str:
    """Run git and return its output."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise StepError("git is not installed", hint="install it, or compare two folders instead of commits") from None
    except subprocess.CalledProcessError as error:
        message = error.stderr.strip().splitlines()[0] if error.stderr.strip() else str(error)
        raise StepError(
            f"git {' '.join(arguments[:2])} failed: {message}",
            hint="name a commit, a tag, a branch, or a folder that holds data/ and reports/",
        ) from None
    return done.stdout


def files_at(root: Path, commit: str, ending: str) -> Iterator[tuple[str, bytes]]:
    """Read files of an ending as they were at a commit: from git, then from DVC's cache."""
    cache = cache_folder(root)
    tracked = git(root, "ls-tree", "-r", "--name-only", commit).splitlines()
    versions: list[Version] = []
    if "dvc.lock" in tracked:
        versions += versions_in_lock(git(root, "show", f"{commit}:dvc.lock"))
    for name in tracked:
        if name.endswith(".dvc"):
            versions += versions_in_dvc_file(name, git(root, "show", f"{commit}:{name}"))
        if name.endswith(ending) and name.startswith(("data/", "reports/")):
            yield name, git(root, "show", f"{commit}:{name}").encode()
    for version in versions:
        if not version.is_folder and not version.path.endswith(ending):
            continue
        files = listing(cache, version)
        if files is None:
            raise StepError(
                f"the cache has no listing of {version.path} as of {commit}", hint=f"`dvc fetch` at {commit} first"
            )
        for path, md5 in files.items():
            if path.endswith(ending):
                file = object_path(cache, md5)
                if not file.is_file():
                    raise StepError(f"the cache lacks {path} as of {commit}", hint=f"`dvc fetch` at {commit} first")
                yield path, file.read_bytes()
