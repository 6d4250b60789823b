"""Remove a child from a study: list what holds it, everywhere this clone can reach, and delete that.

Own files and pooled results are deleted (a rerun makes the pooled ones again, without the child), its rows are removed
from the delivered tables; DVC's objects, its run-cache, Snakemake's cache and notes, MLflow's runs and the logs are
deleted. Git's history and other people's copies cannot be reached; `list_unreachable` describes what they still hold.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.engine.record import ENDING, RUNS
from childgait.engine.source_files import PACKAGE
from childgait.files.atomic import PARTIAL, remove, write_bytes, write_text
from childgait.files.hashes import md5, sha256
from childgait.files.records import FileEntry
from childgait.lineage import mlflow_runs
from childgait.lineage.check import UNTRACKED
from childgait.lineage.graph import Graph, read_graph, record_files
from childgait.lineage.search import content_of, files_under, find_traces, mentions, names_of, with_progress
from childgait.lineage.stores import Removals, Store, open_stores, scratch_folders, versions_in_history
from childgait.lineage.subjects import check_table, names_subject, strip_table, subject_of
from childgait.lineage.versions import cache_folder, dvc_files, git, listing, versions_here, versions_in_dvc_file

if TYPE_CHECKING:
    from childgait.lineage.pixels import ReferencePicture

SCORES = "scores"  # the default output of `childgait score`
NOTES = ("logs", ".snakemake")  # of tools, written during a run
TABLES = (".json", ".csv", ".tsv")
CHECKPOINTS = Path(".cache/finetune")  # of killed trainings: weights trained on the child
SOURCES = ("bench", "docs", "envs", "profiles", "src", "tests", "workflow")  # their children are examples, not data


@dataclass
class ErasurePlan:
    """Everything that holds a child, by what is done with it. Paths from the working folder."""

    subject: str
    own: list[Path] = field(default_factory=list)
    pooled: list[Path] = field(default_factory=list)
    tables: list[Path] = field(
        default_factory=list
    )  # delivered tables and manual annotations: the child's rows are removed
    notes: list[Path] = field(default_factory=list)
    cached: list[Path] = field(default_factory=list)  # Snakemake's output cache
    scratch: list[Path] = field(default_factory=list)
    stores: list[tuple[Store, Removals]] = field(default_factory=list)
    runs: mlflow_runs.MlflowRuns = field(default_factory=mlflow_runs.MlflowRuns)
    stages: list[str] = field(default_factory=list)
    added: list[Path] = field(default_factory=list)  # .dvc files to write again
    elsewhere: list[Path] = field(default_factory=list)  # what links of the study lead to, outside it and DVC's cache
    # To search for afterwards:
    hashes: set[str] = field(default_factory=set)  # sha256 and md5 of its own files
    pictures: list[ReferencePicture] = field(default_factory=list)
    others: set[str] = field(default_factory=set)  # sha256 of files that the records list as another child's own

    def holds_anything(self) -> bool:
        return bool(
            self.own or self.tables or self.notes or self.cached or any(removals.objects for _, removals in self.stores)
        )

    def removed_files(self) -> int:
        """Count the files that are removed from the tree, caches and stores."""
        lists = (self.own, self.pooled, self.notes, self.cached)
        return sum(map(len, lists)) + sum(len(removals.objects) for _, removals in self.stores)

    def counts(self) -> dict[str, int]:
        """Count files by kind, for the tombstone and the terminal."""
        return {
            "own files": len(self.own),
            "pooled files": len(self.pooled),
            "tables": len(self.tables),
            "logs and notes": len(self.notes),
            "Snakemake cache": len(self.cached),
            "MLflow runs": len(self.runs.ids),
            **{store.name: len(removals.objects) for store, removals in self.stores},
        }


def cohort_folders(root: Path) -> list[Path]:
    """List the folders of the cohort and of its manual annotations, as params.yaml sets them."""
    from childgait.params import read_params

    section = read_params(root / "params.yaml")["cohort"]
    return [root / section[key] for key in ("root", "annotations") if key in section]


def output_cache(root: Path) -> Path:
    """Find Snakemake's output cache."""
    return Path(os.environ.get("SNAKEMAKE_OUTPUT_CACHE") or root / ".cache" / "snakemake")


def plan_erasure(subject: str, root: Path, *, remote: bool) -> ErasurePlan:
    """List everything that holds a child, in the study, the caches, MLflow and (`remote`) DVC's remotes."""
    plan = ErasurePlan(subject)
    cohort = cohort_folders(root)
    study = [p for folder in {root / "data", root / "reports", root / SCORES, *cohort} for p in files_under(folder)]
    plan.own = sorted({p for p in study if subject_of(os.path.relpath(p, root)) == subject})
    delivered = {p for folder in cohort for p in files_under(folder)}
    plan.tables = sorted(p for p in delivered - set(plan.own) if _is_table_with(p, subject))
    for path in plan.tables:
        check_table(path, subject)
    left = {*files_under(root / CHECKPOINTS), *(p for p in study if p.name.startswith(PARTIAL))}  # by killed jobs
    derived = {*_pooled(root, subject, plan), *_unrecorded(root, subject, study), *left}
    plan.pooled = sorted(derived - {*plan.own, *plan.tables})
    plan.notes = sorted(_mentioning(subject, [root / name for name in NOTES]))
    plan.cached = _cached(output_cache(root), subject)
    plan.scratch = scratch_folders(root)
    plan.elsewhere = _targets_elsewhere([*plan.own, *plan.tables], root)
    files = read_graph(root).files if record_files(root) else {}
    plan.hashes = _hashes(plan.own, root, files)
    _add_stores(plan, root, remote)
    plan.runs = mlflow_runs.find_runs(root)
    plan.others = {entry["sha256"] for path, entry in files.items() if subject_of(path) not in (None, subject)}
    return plan


def _targets_elsewhere(paths: Iterable[Path], root: Path) -> list[Path]:
    """List the files and folders outside the clone and DVC's cache to which links lead."""
    inside = [root.resolve(), cache_folder(root).resolve()]
    targets = {path.resolve() for path in paths if path.is_symlink()}
    return sorted(p for p in targets if p.exists() and not any(p.is_relative_to(folder) for folder in inside))


def _is_table_with(path: Path, subject: str) -> bool:
    """Whether a file is a table of several children that names the child."""
    if (
        path.suffix not in TABLES
        or not path.is_file()
        or path.name.endswith(ENDING)
        or subject_of(path.name) is not None
    ):
        return False
    return names_subject(path.read_text(encoding="utf-8", errors="replace"), subject, path.suffix)


def _pooled(root: Path, subject: str, plan: ErasurePlan) -> list[Path]:
    if not record_files(root):
        return []
    graph: Graph = read_graph(root)
    done = {*plan.own, *plan.tables}
    held = (
        root / path
        for path, how in graph.files_of_child(subject, root).items()
        if how != "own" and not graph.is_raw(path)
    )
    derived = {path for path in held if path.is_file() and path not in done}
    # What the demo's own step made is delivered data: its record goes, its other children's files stay.
    derived |= {root / job.record for job in graph.jobs.values() if job.step == "synthesize"} if plan.own else set()
    return sorted(derived)


def _unrecorded(root: Path, subject: str, study: Iterable[Path]) -> Iterable[Path]:
    """List outputs of several children that name this one, with or without a record.

    The erasure of another child removes the records of all pooled files, and keeps the tables that did not name it.
    """
    folders = (*(f"data/{path.stem}/" for path in (PACKAGE / "steps").glob("*.py")), "reports/", f"{SCORES}/")
    names = {path: os.path.relpath(path, root) for path in study}
    shared = [p for p, name in names.items() if name.startswith(folders) and subject_of(name) is None]
    return find_traces(subject, set(), (p for p in shared if not names[p].startswith(UNTRACKED)))


def _mentioning(subject: str, folders: Iterable[Path]) -> Iterator[Path]:
    """Yield logs and notes that name a child, also by its bare number, as gates and errors do.

    A false match does no harm.
    """
    bare = re.compile(rb"(?<![\w.-])" + re.escape(subject).encode() + rb"(?!\w|\.\d)")
    pattern = mentions(subject)
    for folder in folders:
        for path in files_under(folder):
            content = content_of(path)
            if pattern.search(names_of(path)) or pattern.search(content) or bare.search(content):
                yield path


def _cached(folder: Path, subject: str) -> list[Path]:
    """List cached jobs of the child: a job's files share the beginning of their name, its record names the child.

    A job without a record is removed, too.
    """
    groups: dict[str, list[Path]] = {}
    for path in files_under(folder):
        match = re.match(r"[0-9a-f]{64}", path.name)
        groups.setdefault(match[0] if match else path.name, []).append(path)
    pattern = mentions(subject)
    gone: list[Path] = []
    for paths in groups.values():
        records = [path for path in paths if path.name.endswith("record.json")]
        if not records or any(pattern.search(content_of(path)) for path in records):
            gone += paths
    return sorted(gone)


def _add_stores(plan: ErasurePlan, root: Path, remote: bool) -> None:
    going = {os.path.relpath(p, root) for p in (*plan.own, *plan.pooled, *plan.tables)}
    here = versions_here(root)
    keep: set[str] = set()
    for version in here:
        files = listing(cache_folder(root), version) or {}
        # Another child's own file always stays; of the rest, only what is here with the same bytes.
        keep |= {
            digest
            for path, digest in files.items()
            if path not in going and subject_of(path) is None and (root / path).is_file() and md5(root / path) == digest
        }
        if any(path == version.path or path.startswith(version.path + "/") for path in going):
            plan.stages.append(version.stage)
    plan.stages = list(dict.fromkeys(stage for stage in plan.stages if not stage.endswith(".dvc")))
    plan.added = [p for p in dvc_files(root) if _holds(root, p, going)]
    versions = [*here, *versions_in_history(root)]
    stores = open_stores(root, remote=remote)
    # A remote's listing may be gone by the erasure of another child: what goes here goes there, too.
    known = plan.hashes | {md5(path) for path in (*plan.pooled, *plan.tables) if path.is_file()}
    plan.stores = [(store, store.select(plan.subject, versions, keep, known)) for store in stores]


def _holds(root: Path, dvc_file: Path, going: set[str]) -> bool:
    versions = versions_in_dvc_file(os.path.relpath(dvc_file, root), dvc_file.read_text(encoding="utf-8"))
    inside = any(path == v.path or path.startswith(v.path + "/") for v in versions for path in going)
    # No listing in the cache: an interrupted erasure has removed it.
    return inside or any((root / v.path).exists() and listing(cache_folder(root), v) is None for v in versions)


def _hashes(own: list[Path], root: Path, files: dict[str, FileEntry]) -> set[str]:
    """Hash the child's files, without those that are the same bytes for another child (an empty table, say)."""
    others = {entry["sha256"] for path, entry in files.items() if root / path not in own}
    digests = {path: sha256(path) for path in own if path.is_file()}
    return {h for path, digest in digests.items() if digest not in others for h in (digest, md5(path))}


def carry_out(plan: ErasurePlan, root: Path) -> None:
    """Remove everything: copies first, the child's own files late, the records after DVC has committed the change.

    The records are what the plan is made from, so an interrupted erasure is completed by the next call.
    """
    for path in plan.tables:
        if path.is_symlink():  # perhaps to an object of DVC's cache, which goes
            write_bytes(path, path.read_bytes())
    for store, removals in reversed(plan.stores):  # remotes first: the plan is made from the listings in DVC's cache
        store.remove(removals)
    mlflow_runs.remove_runs(plan.runs)
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


def _strip_lines(path: Path, subject: str) -> None:
    pattern = mentions(subject)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    write_text(path, "".join(line for line in lines if not pattern.search(line.encode())))


def remember_pictures(plan: ErasurePlan) -> None:
    """Collect the child's pictures before its recordings are removed, for the search afterwards."""
    from childgait.lineage.pixels import reference_pictures

    plan.pictures = reference_pictures(plan.own)


def find_remains(plan: ErasurePlan, root: Path, *, all_pictures: bool = False) -> dict[Path, str]:
    """Search for the child's number, its files' hashes and its pictures, after the removal.

    Covers the working tree, DVC's cache, opened remotes, Snakemake's cache, MLflow's store and temporary folders of
    killed jobs. Pictures in another child's own files, by the records, are searched only with `all_pictures`.
    """
    from childgait.lineage.pixels import find_pictures

    folders = [root, cache_folder(root), output_cache(root), *plan.runs.folders(), *_left_in_temp()]
    folders += [Path(store.odb.path) for store, _ in plan.stores if Path(store.odb.path).is_dir()]
    distinct = {folder.resolve() for folder in folders if folder.is_dir()}
    outer = [f for f in sorted(distinct) if not any(f != other and f.is_relative_to(other) for other in distinct)]
    sources = tuple((root / name).resolve() for name in SOURCES)
    paths = [p for folder in outer for p in files_under(folder) if not any(p.is_relative_to(s) for s in sources)]
    traces = find_traces(plan.subject, plan.hashes, with_progress(paths, "searching for the number and the hashes"))
    paths = [path for path in paths if path not in traces]
    pictures = with_progress(paths, "searching for the pictures")
    return traces | find_pictures(plan.pictures, pictures, skip=set() if all_pictures else plan.others)


def _left_in_temp() -> list[Path]:
    """List temporary folders of this user as Python's tempfile names them: a killed job leaves its own."""
    return [p for p in Path(tempfile.gettempdir()).glob("tmp*") if p.is_dir() and p.stat().st_uid == os.getuid()]


def tables_in_git(plan: ErasurePlan, root: Path) -> list[Path]:
    """List changed tables that git tracks, such as annotations: they must be committed without the child."""
    if not (root / ".git").exists() or not plan.tables:
        return []
    names = [os.path.relpath(path, root) for path in plan.tables]
    return [root / name for name in git(root, "ls-files", "--", *names).splitlines()]


def list_unreachable(plan: ErasurePlan, root: Path) -> Iterator[str]:
    """Describe what this command cannot reach."""
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
    if plan.elsewhere:
        paths = ", ".join(map(str, plan.elsewhere))
        yield f"Links led out of this clone; what they led to is still there: {paths}"
    for store, removals in plan.stores:
        if removals.unknown:
            yield (
                f"{store.name} has {len(removals.unknown)} object(s) without a name here; they stay. They are of "
                "another project, or of older versions whose listing an earlier erasure removed: check them by hand."
            )
    yield (
        "Recordings of another child with this child in the background are not found by name; in the de-identified "
        "copies its head is covered there, too."
    )
    yield "Other people's clones, caches, other remotes, backups and papers keep what they have: ask their owners."
