"""Takes a child out of a study: what holds it, everywhere this clone can reach, and its removal.

Own files and pooled results are deleted (a rerun makes the pooled ones again, without the child), its rows leave the
delivered tables, DVC's objects, run-cache, Snakemake's cache and notes, MLflow's runs and our logs go. Git's history
and other people's copies cannot be reached; `disclose` says what they still hold.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.engine.record import ENDING, RUNS
from childgait.engine.source_files import PACKAGE
from childgait.files.atomic import PARTIAL, remove, write_text
from childgait.files.hashes import md5, sha256
from childgait.lineage import mlflow_runs
from childgait.lineage.check import UNTRACKED
from childgait.lineage.graph import (
    ID_COLUMNS,
    Entry,
    Graph,
    is_subject,
    names_subject,
    read_graph,
    record_files,
    rows_of,
    subject_of,
)
from childgait.lineage.search import files_under, find_traces, mentions, names_of
from childgait.lineage.stores import Store, Verdict, open_stores, scratch_folders, versions_ever
from childgait.lineage.versions import cache_folder, dvc_files, git, listing, versions_here, versions_in_dvc_file

if TYPE_CHECKING:
    from childgait.lineage.pixels import Known

NOTES = ("logs", ".snakemake")  # what tools wrote down on the way
TABLES = (".json", ".csv", ".tsv")
CHECKPOINTS = Path(".cache/finetune")  # of trainings that were killed: weights that learnt from the child
SOURCES = ("bench", "docs", "envs", "profiles", "src", "tests", "workflow")  # their children are examples, no data


@dataclass
class Plan:
    """Everything that holds a child, by what has to be done with it. Paths from the working folder."""

    subject: str
    own: list[Path] = field(default_factory=list)
    pooled: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)  # delivered tables and people's notes: the child's rows go
    notes: list[Path] = field(default_factory=list)
    cached: list[Path] = field(default_factory=list)  # Snakemake's output cache
    scratch: list[Path] = field(default_factory=list)
    stores: list[tuple[Store, Verdict]] = field(default_factory=list)
    runs: mlflow_runs.Runs = field(default_factory=mlflow_runs.Runs)
    stages: list[str] = field(default_factory=list)
    added: list[Path] = field(default_factory=list)  # .dvc files to write anew
    # To search for afterwards:
    hashes: set[str] = field(default_factory=set)  # sha256 and md5 of its own files
    pictures: list[Known] = field(default_factory=list)
    others: set[str] = field(default_factory=set)  # sha256 of files that the records know as another child's own

    def holds_anything(self) -> bool:
        return bool(self.own or self.tables or self.notes or self.cached or any(v.objects for _, v in self.stores))

    def counts(self) -> dict[str, int]:
        """For the tombstone and the terminal."""
        return {
            "own files": len(self.own),
            "pooled files": len(self.pooled),
            "tables": len(self.tables),
            "logs and notes": len(self.notes),
            "Snakemake cache": len(self.cached),
            "MLflow runs": len(self.runs.ids),
            **{store.name: len(verdict.objects) for store, verdict in self.stores},
        }


def cohort_folders(root: Path) -> list[Path]:
    """The cohort and the people's tables about it, as params.yaml says."""
    from childgait.params import read_params

    section = read_params(root / "params.yaml")["cohort"]
    return [root / section[key] for key in ("root", "annotations") if key in section]


def output_cache(root: Path) -> Path:
    return Path(os.environ.get("SNAKEMAKE_OUTPUT_CACHE") or root / ".cache" / "snakemake")


def make_plan(subject: str, root: Path, *, remote: bool) -> Plan:
    plan = Plan(subject)
    cohort = cohort_folders(root)
    study = [p for folder in {root / "data", root / "reports", *cohort} for p in files_under(folder)]
    plan.own = sorted({p for p in study if subject_of(os.path.relpath(p, root)) == subject})
    plan.tables = sorted(
        {
            p
            for folder in cohort
            for p in files_under(folder)
            if p.suffix in TABLES
            and not p.name.endswith(ENDING)
            and p not in plan.own
            and subject_of(p.name) is None
            and names_subject(p.read_text(encoding="utf-8", errors="replace"), subject, p.suffix)
        }
    )
    left = {*files_under(root / CHECKPOINTS), *(p for p in study if p.name.startswith(PARTIAL))}  # by killed jobs
    made = {*_pooled(root, subject, plan), *_unrecorded(root, subject, study), *left}
    plan.pooled = sorted(made - {*plan.own, *plan.tables})
    plan.notes = sorted(_mentioning(subject, [root / name for name in NOTES]))
    plan.cached = _cached(output_cache(root), subject)
    plan.scratch = scratch_folders(root)
    files = read_graph(root).files if record_files(root) else {}
    plan.hashes = _hashes(plan.own, root, files)
    _judge_stores(plan, root, remote)
    plan.runs = mlflow_runs.find(root)
    plan.others = {entry["sha256"] for path, entry in files.items() if subject_of(path) not in (None, subject)}
    return plan


def _pooled(root: Path, subject: str, plan: Plan) -> list[Path]:
    if not record_files(root):
        return []
    graph: Graph = read_graph(root)
    done = {*plan.own, *plan.tables}
    held = (
        root / path for path, how in graph.holding(subject, root).items() if how != "own" and not graph.is_raw(path)
    )
    made = {path for path in held if path.is_file() and path not in done}
    # What the demo's own step made is delivered data: its record goes, its other children's files stay.
    made |= {root / job.record for job in graph.jobs.values() if job.step == "synthesize"} if plan.own else set()
    return sorted(made)


def _unrecorded(root: Path, subject: str, study: Iterable[Path]) -> Iterable[Path]:
    """What steps made of several children and names this one, whether a record speaks of it or not: the erasure of
    another child removes the records of all that was pooled, and keeps the tables that did not name that child."""
    folders = (*(f"data/{path.stem}/" for path in (PACKAGE / "steps").glob("*.py")), "reports/")
    names = {path: os.path.relpath(path, root) for path in study}
    shared = [p for p, name in names.items() if name.startswith(folders) and subject_of(name) is None]
    return find_traces(subject, set(), (p for p in shared if not names[p].startswith(UNTRACKED)))


def _mentioning(subject: str, folders: Iterable[Path]) -> Iterator[Path]:
    """Logs and notes that name a child, also by its bare number, as gates and errors do; one too many does no harm."""
    bare = re.compile(rb"(?<![\w.-])" + re.escape(subject).encode() + rb"(?!\w|\.\d)")
    pattern = mentions(subject)
    for folder in folders:
        for path in files_under(folder):
            content = path.read_bytes()
            if pattern.search(names_of(path)) or pattern.search(content) or bare.search(content):
                yield path


def _cached(folder: Path, subject: str) -> list[Path]:
    """A cached job's files share the beginning of their name; its record says whose it was. Without one, it goes."""
    groups: dict[str, list[Path]] = {}
    for path in files_under(folder):
        found = re.match(r"[0-9a-f]{64}", path.name)
        groups.setdefault(found[0] if found else path.name, []).append(path)
    pattern = mentions(subject)
    gone: list[Path] = []
    for paths in groups.values():
        records = [path for path in paths if path.name.endswith("record.json")]
        if not records or any(pattern.search(path.read_bytes()) for path in records):
            gone += paths
    return sorted(gone)


def _judge_stores(plan: Plan, root: Path, remote: bool) -> None:
    going = {os.path.relpath(p, root) for p in (*plan.own, *plan.pooled, *plan.tables)}
    here = versions_here(root)
    keep: set[str] = set()
    for version in here:
        files = listing(cache_folder(root), version) or {}
        # Another child's own file is never judged; of the rest, only what lies here in these very bytes stays.
        keep |= {
            digest
            for path, digest in files.items()
            if path not in going and subject_of(path) is None and (root / path).is_file() and md5(root / path) == digest
        }
        if any(path == version.path or path.startswith(version.path + "/") for path in going):
            plan.stages.append(version.stage)
    plan.stages = list(dict.fromkeys(stage for stage in plan.stages if not stage.endswith(".dvc")))
    plan.added = [p for p in dvc_files(root) if _holds(root, p, going)]
    known = [*here, *versions_ever(root)]
    stores = open_stores(root, remote=remote)
    plan.stores = [(store, store.judge(plan.subject, known, keep, plan.hashes)) for store in stores]


def _holds(root: Path, dvc_file: Path, going: set[str]) -> bool:
    versions = versions_in_dvc_file(os.path.relpath(dvc_file, root), dvc_file.read_text(encoding="utf-8"))
    inside = any(path == v.path or path.startswith(v.path + "/") for v in versions for path in going)
    # No listing in the cache: an interrupted erasure has removed it.
    return inside or any((root / v.path).exists() and listing(cache_folder(root), v) is None for v in versions)


def _hashes(own: list[Path], root: Path, files: dict[str, Entry]) -> set[str]:
    """Of the child's files; not of one that is the same, byte for byte, for another child (an empty table, say)."""
    others = {entry["sha256"] for path, entry in files.items() if root / path not in own}
    digests = {path: sha256(path) for path in own}
    return {h for path, digest in digests.items() if digest not in others for h in (digest, md5(path))}


def carry_out(plan: Plan, root: Path) -> None:
    """Remove it all: copies first, the child's own files late, the records after DVC has noted it. They tell what to
    look for, so whatever is interrupted here is found again by the next call."""
    for store, verdict in plan.stores:
        store.remove(verdict)
    mlflow_runs.remove(plan.runs)
    for path in plan.notes:
        if path == root / RUNS:
            _strip_lines(path, plan.subject)
        else:
            remove(path)
    for path in plan.tables:
        strip_table(path, plan.subject)
    files = [*plan.cached, *plan.pooled, *plan.own]
    for path in files:
        if not path.name.endswith(ENDING):
            remove(path)
    _remove_empty_folders(plan.own)
    for folder in plan.scratch:
        remove(folder)
    for dvc_file in plan.added:
        subprocess.run(
            [sys.executable, "-m", "dvc", "commit", "--quiet", "--force", str(dvc_file)], cwd=root, check=True
        )
    for path in files:
        remove(path)
    _remove_empty_folders(plan.own)


def _remove_empty_folders(removed: list[Path]) -> None:
    for folder in sorted(
        {parent for path in removed for parent in list(path.parents)[:2]}, key=lambda p: -len(p.parts)
    ):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def strip_table(path: Path, subject: str) -> None:
    """A table without the rows, entries and keys of one child."""
    text = path.read_bytes().decode("utf-8")
    if path.suffix == ".json":
        write_text(path, json.dumps(without(json.loads(text), subject), indent=2, ensure_ascii=False) + "\n")
        return
    kept = [
        row for row, ids in rows_of(text, path.suffix) if not any(is_subject(value, subject) for value in ids)
    ]  # the others' rows as they are, to the byte
    write_text(path, "".join(kept))


def without(value: Any, subject: str) -> Any:
    """JSON without what is the child's: keys that are its number, list entries that name it."""
    if isinstance(value, dict):
        return {key: without(inside, subject) for key, inside in value.items() if not _is_its(key, subject)}
    if isinstance(value, list):
        return [without(inside, subject) for inside in value if not _is_its(inside, subject)]
    return value


def _is_its(value: Any, subject: str) -> bool:
    if isinstance(value, dict):
        return any(is_subject(value[name], subject) for name in ID_COLUMNS if name in value) or any(
            isinstance(inside, str) and subject_of(inside) == subject for inside in value.values()
        )
    return isinstance(value, str) and (
        value == subject or value.startswith(f"{subject}-") or subject_of(value) == subject
    )


def _strip_lines(path: Path, subject: str) -> None:
    pattern = mentions(subject)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    write_text(path, "".join(line for line in lines if not pattern.search(line.encode())))


def remember_pictures(plan: Plan) -> None:
    """Before its recordings go: what the search for its pixels compares with."""
    from childgait.lineage.pixels import remember

    plan.pictures = remember(plan.own)


def what_is_left(plan: Plan, root: Path, *, all_pictures: bool = False) -> dict[Path, str]:
    """The search afterwards, for the number, the files' hashes and the pictures: in the working tree, DVC's cache,
    remotes that were asked, Snakemake's cache, MLflow's store and what killed jobs left in the temp folder. Another
    child's own files, as the records know them, are looked at only if `all_pictures`."""
    from childgait.lineage.pixels import find_pixels

    folders = [root, cache_folder(root), output_cache(root), *plan.runs.folders(), *_left_in_temp()]
    folders += [Path(store.odb.path) for store, _ in plan.stores if Path(store.odb.path).is_dir()]
    distinct = {folder.resolve() for folder in folders if folder.is_dir()}
    outer = [f for f in sorted(distinct) if not any(f != other and f.is_relative_to(other) for other in distinct)]
    sources = tuple((root / name).resolve() for name in SOURCES)
    paths = [p for folder in outer for p in files_under(folder) if not any(p.is_relative_to(s) for s in sources)]
    found = find_traces(plan.subject, plan.hashes, paths)
    paths = [path for path in paths if path not in found]
    return found | find_pixels(plan.pictures, paths, unless=set() if all_pictures else plan.others)


def _left_in_temp() -> list[Path]:
    """Folders as Python's tempfile names them, of this user: a killed job could not remove its own."""
    return [p for p in Path(tempfile.gettempdir()).glob("tmp*") if p.is_dir() and p.stat().st_uid == os.getuid()]


def versioned(plan: Plan, root: Path) -> list[Path]:
    """The tables that git has, such as people's annotations: it wants them committed without the child."""
    if not (root / ".git").exists() or not plan.tables:
        return []
    names = [os.path.relpath(path, root) for path in plan.tables]
    return [root / name for name in git(root, "ls-files", "--", *names).splitlines()]


def disclose(plan: Plan, root: Path) -> Iterator[str]:
    """What this command cannot reach, said plainly."""
    if (root / ".git").exists():
        commits = git(root, "log", "--all", "--oneline", "--", "dvc.lock", "*.dvc", "reports").splitlines()
        yield (
            f"Git's history is not rewritten: {len(commits)} commit(s) still name, by md5, data that held the child; "
            "the bytes are gone here. Numbers of earlier reports in git were computed with the child, too."
        )
        data = [".", *(f":(exclude){name}" for name in SOURCES)]
        named = git(root, "log", "--all", "--oneline", f"-G{plan.subject}-[0-9]{{4,}}_", "--", *data).splitlines()
        if named:
            yield f"In {len(named)} commit(s), such as {named[0].split()[0]}, a text in git names the child itself."
    for store, verdict in plan.stores:
        if verdict.unknown:
            yield (
                f"{store.name} has {len(verdict.unknown)} object(s) without a name here; they stay. They are of "
                "another "
                "project, or of older versions whose listing an earlier erasure has removed: a person must look."
            )
    yield (
        "Where the child is seen behind another, in that child's recording, no name tells; in the de-identified "
        "copies its "
        "head is covered there, too."
    )
    yield "Other people's clones, caches, other remotes, backups and papers keep what they have: ask their owners."
