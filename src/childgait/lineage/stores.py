"""DVC's cache and remotes as object stores: which objects hold a child, in this version and in every older one.

An object is classified by all names it ever had: the cache's folder listings, every dvc.lock and `.dvc`
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
from childgait.lineage.subjects import subject_of
from childgait.lineage.versions import Version, git, load_yaml, versions_in_dvc_file, versions_in_lock

NO_ADDRESS = "/dev/null/"  # of a remote in .dvc/config to which a clone has not given an address


@dataclass
class Removals:
    """What must be removed from a store, and what cannot be classified."""

    objects: set[str] = field(default_factory=set)
    runs: list[str] = field(default_factory=list)  # entries of the run-cache that would restore a removed object
    unknown: set[str] = field(default_factory=set)


def versions_in_history(root: Path) -> list[Version]:
    """List every output that any commit of this clone names; empty where there is no git."""
    if not (root / ".git").exists():
        return []
    versions: dict[Version, None] = {}
    commits = git(root, "log", "--all", "--format=%H", "--", "dvc.lock", "*.dvc").split()
    for commit in commits:
        for name in git(root, "ls-tree", "-r", "--name-only", commit).splitlines():
            if name == "dvc.lock":
                versions |= dict.fromkeys(versions_in_lock(git(root, "show", f"{commit}:{name}")))
            elif name.endswith(".dvc"):
                versions |= dict.fromkeys(versions_in_dvc_file(name, git(root, "show", f"{commit}:{name}")))
    return list(versions)


class Store:
    """A DVC object store, local or remote, through DVC's own file systems."""

    def __init__(self, name: str, odb: Any, *, ours: bool) -> None:
        self.name = name
        self.odb = odb
        self.ours = ours  # no other project uses it: an object without a name may be removed
        self.fs = odb.fs

    def select(self, subject: str, versions: Iterable[Version], keep: set[str], own: set[str]) -> Removals:
        """Choose the objects that hold the child.

        `keep` are md5s of files that stay in the working tree. `own` are md5s of files that leave it, which go even
        where no listing names them any more, because the erasure of another child has removed it.
        """
        oids = {oid for oid in self.odb.all() if not oid.startswith("runs")}
        listings = {oid: self._listing(oid) for oid in sorted(oids) if oid.endswith(".dir")}
        runs = self._run_cache()
        names = _names_of_objects(versions, runs, listings)
        files = {oid for oid in oids - keep if not oid.endswith(".dir")}
        nameless = files - names.keys() - own
        removals = Removals({oid for oid in files if oid in own or must_go(names.get(oid, set()), subject)})
        if self.ours:
            removals.objects |= nameless
        else:
            removals.unknown = nameless
        gone = removals.objects | {oid for oid in names if oid not in oids and must_go(names[oid], subject)}
        removals.objects |= {oid for oid, entries in listings.items() if any(md5 in gone for md5, _ in entries)}
        gone |= removals.objects
        removals.runs = [path for path, outs in runs.items() if any(md5 in gone for md5, _ in outs)]
        return removals

    def _listing(self, oid: str) -> list[tuple[str, str]]:
        """Read a folder's listing: md5 and relative path of each file."""
        entries = json.loads(self.fs.cat_file(self.odb.oid_to_path(oid)))
        return [(entry["md5"], entry["relpath"]) for entry in entries]

    def remove(self, removals: Removals) -> None:
        """Remove files, then the listings and entries that name them: a killed call is completed by the next one."""
        for oid in sorted(removals.objects, key=lambda oid: (oid.endswith(".dir"), oid)):
            self.fs.remove(self.odb.oid_to_path(oid))
        for path in removals.runs:
            self.fs.remove(path)

    def _run_cache(self) -> dict[str, list[tuple[str, str]]]:
        """List the entries of DVC's run-cache with the outputs (md5, path) that each would restore."""
        base = self.fs.parent(self.fs.parent(self.odb.path)) if self.odb.path.endswith("md5") else self.odb.path
        folder = self.fs.join(base, "runs")
        if not self.fs.exists(folder):
            return {}
        entries = {}
        for path in self.fs.find(folder):
            body = load_yaml(self.fs.cat_file(path).decode("utf-8")) or {}
            entries[path] = [(out["md5"], out["path"]) for out in body.get("outs", []) if out.get("md5")]
        return entries


def _names_of_objects(
    versions: Iterable[Version], runs: dict[str, list[tuple[str, str]]], listings: dict[str, list[tuple[str, str]]]
) -> dict[str, set[str]]:
    """Collect all paths that an object ever had, by md5."""
    names: dict[str, set[str]] = {}
    for version in versions:
        names.setdefault(version.md5, set()).add(version.path)
    for outs in runs.values():
        for md5, path in outs:
            names.setdefault(md5, set()).add(path)
    for oid, entries in listings.items():
        for md5, relative in entries:
            names.setdefault(md5, set()).update(f"{folder}/{relative}" for folder in names.get(oid, {"?"}))
    return names


def must_go(names: set[str], subject: str) -> bool:
    """Whether an object with these names must be removed: it is the child's, or pooled. False without any name."""
    owners = {subject_of(name) for name in names}
    return bool(owners) and (subject in owners or None in owners)


def open_stores(root: Path, *, remote: bool) -> list[Store]:
    """Open the cache and, with `remote`, every remote of this clone; none where DVC is not used."""
    if not (root / ".dvc").is_dir():
        return []
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        repo = Repo(str(root))
        cache = repo.cache.local
        stores = [Store("DVC's cache", cache, ours=Path(cache.path).resolve().is_relative_to(root.resolve()))]
        addresses = {name: str(settings["url"]) for name, settings in repo.config["remote"].items()}
        for name in [name for name, url in addresses.items() if remote and not url.startswith(NO_ADDRESS)]:
            stores.append(Store(f"DVC's remote {name!r}", repo.cloud.get_remote_odb(name), ours=False))
    except DvcException as error:
        raise StepError(
            f"DVC cannot open its cache or remotes: {error}", hint="correct .dvc/config, or leave --remote out"
        ) from None
    return stores


def scratch_folders(root: Path) -> list[Path]:
    """List the folders of DVC's indexes and temporary workspaces, which name or hold files; DVC recreates them."""
    if not (root / ".dvc").is_dir():
        return []
    from dvc.repo import Repo

    repo = Repo(str(root))
    try:
        site = Path(repo.site_cache_dir)
    finally:
        repo.close()
    return [folder for folder in (root / ".dvc" / "tmp", site) if folder.is_dir()]
