"""The audit: hash every file again and compare with the records, DVC's versions, the params and the source files.

Records hold the sha256 of outputs and raw inputs, each record a seal of itself, dvc.lock the md5 of all of them. The
hashing runs in threads and reads each file once, at the speed of the disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.engine.record import seal_holds
from childgait.engine.source_files import ROOT
from childgait.errors import StepError
from childgait.files.annotations import VIDEO_ROWS, rows_by_video
from childgait.files.atomic import PARTIAL
from childgait.files.hashes import sha256, sha256_and_md5, sha256_of_text, sha256_of_tree
from childgait.lineage.graph import ROOTS, Graph, Job, job_of, record_files
from childgait.lineage.versions import Version, cache_folder, listing, versions_here

if TYPE_CHECKING:
    from childgait.params import JsonSection

# Files of tools, not part of the study.
IGNORED = (".gitignore", ".gitkeep", ".dvcignore", ".snakemake_timestamp")
# Benchmarks, versioned by git; and tables that a program of bench/ writes, not a step, from recorded files.
UNTRACKED = ("reports/bench", "reports/tasks", "reports/peers/peers.md")


@dataclass
class Finding:
    """One difference between a file and its record."""

    kind: str  # changed, missing, extra, record, stale
    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind:<8} {self.path}: {self.detail}"


@dataclass
class AuditCounts:
    """How much was audited."""

    files: int
    bytes: int
    records: int
    versions: int
    other_environment: int  # records made in another environment than the lock's: no fault, but not reproducible by it


@dataclass(frozen=True)
class Digest:
    sha256: str
    md5: str | None
    bytes: int


def audit_tree(root: Path) -> tuple[list[Finding], AuditCounts]:
    """List every finding, by path, and count what was audited."""
    findings, graph = _read_records(root)
    versions = versions_here(root)
    locked, unlisted = _files_of_dvc(root, versions)
    folders = [path for path, entry in graph.files.items() if "files" in entry]
    recorded = set(graph.files) | set(locked)
    paths = sorted(recorded - set(folders) | set(_walk(root)) | set(graph.jobs))
    rows = [path for path in paths if path.startswith(f"{VIDEO_ROWS}/")]
    paths = sorted(set(paths) - set(rows))
    digests = _hash_all(root, paths, set(locked) | _within_any(paths, unlisted)) | _hash_video_rows(root, rows)
    findings += _against_records(graph, digests)
    findings += _folders_against_records(root, graph, folders)
    findings += _against_dvc(graph, digests, locked)
    findings += _unlisted_folders(digests, unlisted)
    findings += _extra(graph, digests, locked, folders, unlisted)
    findings += _orphans(root, graph)
    findings += _mismatches(graph)
    findings += _stale(root, graph)
    unique = {(f.kind, f.path, f.detail): f for f in findings}
    size = sum(digest.bytes for digest in digests.values())
    counts = AuditCounts(len(digests), size, len(graph.jobs), len(versions), _other_environment(root, graph))
    return sorted(unique.values(), key=lambda f: (f.path, f.kind, f.detail)), counts


def _other_environment(root: Path, graph: Graph) -> int:
    """Count the records that name another lock of the environment than the one here."""
    lock = root / "envs" / "requirements.lock"
    if not lock.is_file():
        return 0
    here = sha256(lock)
    return sum(job.environment.get("lock_sha256") != here for job in graph.jobs.values())


def _read_records(root: Path) -> tuple[list[Finding], Graph]:
    """Read the graph of the records that can be parsed; the others are findings."""
    findings, jobs = [], []
    for name in record_files(root):
        text = (root / name).read_bytes().decode("utf-8", errors="replace")
        if not seal_holds(text):
            findings.append(
                Finding("record", name, "its bytes are not the ones that were written: its seal does not match")
            )
        try:
            jobs.append(job_of(name, text))
        except StepError as error:
            findings.append(Finding("record", name, error.message))
    return findings, Graph(jobs)


def _walk(root: Path) -> Iterator[str]:
    """Yield every file under data/ and reports/."""
    for name in ROOTS:
        for folder, below, files in os.walk(root / name):
            relative = os.path.relpath(folder, root)
            below[:] = [b for b in below if f"{relative}/{b}" not in UNTRACKED]
            named = (f"{relative}/{file}" for file in files if file not in IGNORED and not file.endswith(".dvc"))
            yield from (path for path in named if path not in UNTRACKED)


def _hash_all(root: Path, paths: list[str], with_md5: set[str]) -> dict[str, Digest]:
    """Hash files that exist, by path. Large files first, so that no thread ends long after the others."""
    sizes = {path: (root / path).stat().st_size for path in paths if (root / path).is_file()}

    def digest(path: str) -> Digest:
        sha, md5 = sha256_and_md5(root / path) if path in with_md5 else (sha256(root / path), None)
        return Digest(sha, md5, sizes[path])

    order = sorted(sizes, key=lambda path: -sizes[path])
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return dict(zip(order, pool.map(digest, order), strict=True))


def _hash_video_rows(root: Path, paths: list[str]) -> dict[str, Digest]:
    """Hash the rows of single videos as the manual tables hold them now; the plan writes their files from these."""
    from childgait.params import read_params

    if not paths:
        return {}
    folder = root / read_params(root / "params.yaml")["cohort"]["annotations"]
    places = {path: (Path(path).parts[-2], Path(path).stem) for path in paths}
    tables = {table: rows_by_video(folder / f"{table}.csv") for table, _ in places.values()}
    texts = {path: tables[table][video] for path, (table, video) in places.items() if video in tables[table]}
    return {path: Digest(sha256_of_text(text), None, len(text.encode())) for path, text in texts.items()}


def _against_records(graph: Graph, digests: dict[str, Digest]) -> Iterator[Finding]:
    for path, entry in graph.files.items():
        if "files" in entry or path in graph.jobs:
            continue
        digest = digests.get(path)
        if digest is None:
            yield Finding("missing", path, _who(graph, path))
        elif digest.sha256 != entry["sha256"]:
            yield Finding(
                "changed",
                path,
                f"sha256 {entry['sha256'][:12]} recorded, {digest.sha256[:12]} found; {_who(graph, path)}",
            )


def _folders_against_records(root: Path, graph: Graph, folders: list[str]) -> Iterator[Finding]:
    for path in folders:
        entry = graph.files[path]
        names = sorted(p for p in (root / path).rglob("*") if p.is_file())
        if not names:
            yield Finding("missing", path, _who(graph, path))
        elif sha256_of_tree((str(p.relative_to(root / path)), sha256(p)) for p in names) != entry["sha256"]:
            yield Finding(
                "changed",
                path,
                f"{entry['files']} files recorded, {len(names)} found, not all the same; {_who(graph, path)}",
            )


def _who(graph: Graph, path: str) -> str:
    """Describe the step that made a file, and what depends on it."""
    makers = graph.makers_of(path)
    trace = graph.forward([path])
    if makers:
        origin = f"made by {makers[0].step} ({makers[0].record})"
    else:
        origin = "a raw file" if path in graph.readers else "no record here names it"
    if not trace.files:
        return f"{origin}; nothing depends on it"
    last = [p for p in trace.files if p.startswith("reports/")] or list(trace.files)
    return f"{origin}; {len(trace.files)} file(s) depend on it, such as {', '.join(sorted(last)[:3])}"


def _files_of_dvc(root: Path, versions: list[Version]) -> tuple[dict[str, tuple[str, str]], list[Version]]:
    """List (md5, stage) by path, and the folders whose listing the cache does not hold."""
    cache = cache_folder(root)
    locked: dict[str, tuple[str, str]] = {}
    unlisted = []
    for version in versions:
        files = listing(cache, version)
        if files is None:
            unlisted.append(version)
        else:
            locked.update({path: (md5, version.stage) for path, md5 in files.items()})
    return locked, unlisted


def _against_dvc(graph: Graph, digests: dict[str, Digest], locked: dict[str, tuple[str, str]]) -> Iterator[Finding]:
    for path, (md5, stage) in locked.items():
        digest = digests.get(path)
        if digest is None:
            yield Finding("missing", path, f"dvc.lock has it ({stage}); {_who(graph, path)}")
        elif digest.md5 != md5:
            yield Finding(
                "changed",
                path,
                f"md5 {md5[:12]} in DVC's version ({stage}), {str(digest.md5)[:12]} found; {_who(graph, path)}",
            )


def _within_any(paths: list[str], versions: list[Version]) -> set[str]:
    prefixes = tuple(version.path + "/" for version in versions)
    return {path for path in paths if prefixes and path.startswith(prefixes)}


def _unlisted_folders(digests: dict[str, Digest], unlisted: list[Version]) -> Iterator[Finding]:
    """Compare folders without a listing as a whole: DVC names a folder by the md5 of its listing."""
    import hashlib
    import json

    for version in unlisted:
        inside = [
            (path[len(version.path) + 1 :], d.md5) for path, d in digests.items() if path.startswith(version.path + "/")
        ]
        entries = [
            {"md5": md5, "relpath": name} for name, md5 in sorted(inside, key=lambda pair: tuple(pair[0].split("/")))
        ]
        name = hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"
        if name != version.md5:
            yield Finding(
                "changed",
                version.path,
                f"not the folder of DVC's version ({version.stage}); its listing is not in the cache",
            )


def _extra(
    graph: Graph,
    digests: dict[str, Digest],
    locked: dict[str, tuple[str, str]],
    folders: list[str],
    unlisted: list[Version],
) -> Iterator[Finding]:
    inside = tuple(folder + "/" for folder in folders) + tuple(version.path + "/" for version in unlisted)
    for path in digests:
        if path in graph.files or path in graph.jobs or path in locked or (inside and path.startswith(inside)):
            continue
        if not path.startswith(tuple(f"{root}/" for root in ROOTS)):
            continue
        if Path(path).name.startswith(PARTIAL):
            yield Finding("extra", path, "left by a killed job; the next run of that step removes it")
        else:
            yield Finding("extra", path, "no record and no version of DVC names it")


def _orphans(root: Path, graph: Graph) -> Iterator[Finding]:
    """Find files of the study that a job read and no record made: only the cohort's own files come from outside."""
    from childgait.params import read_params

    params = root / "params.yaml"
    cohort = read_params(params)["cohort"]["root"] if params.is_file() else "data/raw"
    added = tuple(version.path for version in versions_here(root) if version.stage.endswith(".dvc"))
    for path, readers in graph.readers.items():
        outside = not path.startswith(tuple(f"{name}/" for name in ROOTS)) or path.startswith((f"{cohort}/", *added))
        if not outside and not graph.makers_of(path):
            yield Finding("missing", path, f"the record of the job that made it; {readers[0].record} read it")


def _mismatches(graph: Graph) -> Iterator[Finding]:
    for job, entry, other in graph.mismatches():
        detail = f"{job.step} read other bytes of {entry['path']} than {other.record} records"
        yield Finding("stale", job.record, detail)


def _stale(root: Path, graph: Graph) -> Iterator[Finding]:
    """Find jobs whose params or source files are not the ones here now; one finding per step and cause."""
    jobs_of: dict[tuple[str, str], list[Job]] = {}
    params = _params_here(root)
    sources = root if (root / "src" / "childgait").is_dir() else ROOT
    hashes: dict[str, str | None] = {}
    for job in graph.jobs.values():
        for cause in (*_other_params(job, params), *_other_sources(job, sources, hashes)):
            jobs_of.setdefault((job.step, cause), []).append(job)
    for (step, cause), jobs in jobs_of.items():
        yield Finding("stale", jobs[0].record, f"{cause} ({len(jobs)} job(s) of {step})")


def _other_params(job: Job, params: dict[str, JsonSection] | None) -> Iterator[str]:
    from childgait.params import section_for_record

    if params is None:
        return
    for section, values in job.params.items():
        if section_for_record(section, params.get(section) or {}, job.values) != values:
            yield f"made with other values of {section} than params.yaml has now"


def _other_sources(job: Job, sources: Path, hashes: dict[str, str | None]) -> Iterator[str]:
    """Compare the job's source files with those here; `hashes` keeps what was hashed already."""
    for name in job.code.keys() - hashes.keys():
        hashes[name] = sha256(sources / name) if (sources / name).is_file() else None
    other = sorted(name for name, digest in job.code.items() if hashes[name] != digest)
    if other:
        yield f"made with other source files than are here now: {', '.join(other)}"


def _params_here(root: Path) -> dict[str, JsonSection] | None:
    """Read params.yaml by section; None where there is none."""
    from childgait.params import load_sections

    path = root / "params.yaml"
    if not path.is_file():
        return None
    return {name: section.model_dump(mode="json") for name, section in load_sections(path).items()}
