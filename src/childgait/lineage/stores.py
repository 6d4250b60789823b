"""DVC's cache and remotes as stores of objects: which of them hold a child, in this version and in every older one.

An object is judged by the names under which it was ever kept: the cache's folder listings, every dvc.lock and `.dvc`
file of git's history, and the run-cache. A child's own file goes; another child's own file stays; anything pooled goes
unless it is part of what stays in the working tree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from childgait.errors import StepError
from childgait.lineage.graph import subject_of
from childgait.lineage.versions import Version, git, load_yaml, versions_in_dvc_file, versions_in_lock


@dataclass
class Verdict:
    """What has to go from a store, and what nobody can judge."""

    objects: set[str] = field(default_factory=set)
    runs: list[str] = field(default_factory=list)  # entries of the run-cache that would bring a removed object back
    unknown: set[str] = field(default_factory=set)


def versions_ever(root: Path) -> list[Version]:
    """Every output that any commit of this clone names; none where there is no git."""
    if not (root / ".git").exists():
        return []
    found: dict[Version, None] = {}
    commits = git(root, "log", "--all", "--format=%H", "--", "dvc.lock", "*.dvc").split()
    for commit in commits:
        for name in git(root, "ls-tree", "-r", "--name-only", commit).splitlines():
            if name == "dvc.lock":
                found |= dict.fromkeys(versions_in_lock(git(root, "show", f"{commit}:{name}")))
            elif name.endswith(".dvc"):
                found |= dict.fromkeys(versions_in_dvc_file(name, git(root, "show", f"{commit}:{name}")))
    return list(found)


class Store:
    """A DVC object store, near or far, through DVC's own file systems."""

    def __init__(self, name: str, odb: Any, *, ours: bool) -> None:
        self.name = name
        self.odb = odb
        self.ours = ours  # no other project keeps anything in it: what has no name may go
        self.fs = odb.fs

    def judge(self, subject: str, known: Iterable[Version], keep: set[str], own: set[str]) -> Verdict:
        """What holds the child. `keep`: md5s of what stays in the working tree; `own`: of the child's files, which go
        even where no listing names them any more (the erasure of another child has removed it)."""
        oids = {oid for oid in self.odb.all() if not oid.startswith("runs")}
        names: dict[str, set[str]] = {}
        for version in known:
            names.setdefault(version.md5, set()).add(version.path)
        runs = self._run_cache()
        for outs in runs.values():
            for md5, path in outs:
                names.setdefault(md5, set()).add(path)
        verdict = Verdict()
        for oid in sorted(oid for oid in oids if oid.endswith(".dir")):
            for entry in json.loads(self.fs.cat_file(self.odb.oid_to_path(oid))):
                names.setdefault(entry["md5"], set()).update(
                    f"{folder}/{entry['relpath']}" for folder in names.get(oid, {"?"})
                )
        verdict.objects = {
            oid
            for oid in oids - keep
            if not oid.endswith(".dir") and (oid in own or goes(names.get(oid, set()), subject))
        }
        nameless = {oid for oid in oids - keep if not oid.endswith(".dir") and oid not in names} - own
        if self.ours:
            verdict.objects |= nameless
        else:
            verdict.unknown = nameless
        gone = verdict.objects | {oid for oid in names if oid not in oids and goes(names[oid], subject)}
        for oid in sorted(oid for oid in oids if oid.endswith(".dir")):
            if any(entry["md5"] in gone for entry in json.loads(self.fs.cat_file(self.odb.oid_to_path(oid)))):
                verdict.objects.add(oid)
        verdict.runs = [
            path for path, outs in runs.items() if any(md5 in verdict.objects or md5 in gone for md5, _ in outs)
        ]
        return verdict

    def remove(self, verdict: Verdict) -> None:
        for oid in sorted(verdict.objects):
            self.fs.remove(self.odb.oid_to_path(oid))
        for path in verdict.runs:
            self.fs.remove(path)

    def _run_cache(self) -> dict[str, list[tuple[str, str]]]:
        """The entries of DVC's run-cache: which outputs (md5, path) each would bring back."""
        base = self.fs.parent(self.fs.parent(self.odb.path)) if self.odb.path.endswith("md5") else self.odb.path
        folder = self.fs.join(base, "runs")
        if not self.fs.exists(folder):
            return {}
        entries = {}
        for path in self.fs.find(folder):
            body = load_yaml(self.fs.cat_file(path).decode("utf-8")) or {}
            entries[path] = [(out["md5"], out["path"]) for out in body.get("outs", []) if out.get("md5")]
        return entries


def goes(names: set[str], subject: str) -> bool:
    """Whether an object with these names must go: it is the child's, or pooled. No name: not for this to say."""
    owners = {subject_of(name) for name in names}
    return bool(owners) and (subject in owners or None in owners)


def open_stores(root: Path, *, remote: bool) -> list[Store]:
    """The cache and, if asked, every remote of this clone. None where DVC is not used."""
    if not (root / ".dvc").is_dir():
        return []
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        repo = Repo(str(root))
        cache = repo.cache.local
        stores = [Store("DVC's cache", cache, ours=Path(cache.path).resolve().is_relative_to(root.resolve()))]
        for name in repo.config["remote"] if remote else ():
            stores.append(Store(f"DVC's remote {name!r}", repo.cloud.get_remote_odb(name), ours=False))
    except DvcException as error:
        raise StepError(
            f"DVC cannot open its cache or remotes: {error}", hint="mend .dvc/config, or leave --remote out"
        ) from None
    return stores


def scratch_folders(root: Path) -> list[Path]:
    """Where DVC keeps indexes and temporary workspaces that name files, or hold them; it makes them again by itself."""
    if not (root / ".dvc").is_dir():
        return []
    from dvc.repo import Repo

    repo = Repo(str(root))
    try:
        site = Path(repo.site_cache_dir)
    finally:
        repo.close()
    return [folder for folder in (root / ".dvc" / "tmp", site) if folder.is_dir()]
