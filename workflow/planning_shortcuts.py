"""Replace parts of Snakemake that take most of a plan's time by equivalents with the same results.

A plan of 7,246 jobs calls some of these functions a million times. Each replacement does what the original does for
files of this machine's file system, by fewer calls; the originals are those of the locked Snakemake
(tests/test_run_snakemake.py compares both, and fails if the locked version no longer has them).
"""

# ruff: noqa: PTH100, PTH118, PTH206  # paths as text: an object per path is what takes the time

from __future__ import annotations

import functools
import gc
import importlib.metadata
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import snakemake.cli  # noqa: F401  # before the modules below, which import each other in a circle
from snakemake import common, dag, io, jobs, rules
from snakemake.exceptions import ChildIOException
from snakemake.persistence.file import FilePersistence
from snakemake.sourcecache import infer_source_file
from snakemake.workflow import Workflow

WRITTEN_FOR = "9.27.1"  # the version of Snakemake; another one plans without the replacements


def is_flagged(value: Any, flag: str) -> bool:
    """Return whether a file has a flag such as `temp`; the original checks its type against an abstract class first."""
    flags = getattr(value, "flags", None)
    return isinstance(flags, dict) and bool(flags.get(flag))


def is_storage(file: io._IOFile) -> bool:
    """Return whether a file is in a remote store."""
    return is_flagged(file._file, "storage_object")


def is_existence_known(known: io.ExistsDict, path: str) -> bool:
    """Return whether a path or its folder was listed; the cheap one of the two questions first."""
    if dict.__contains__(known, path):
        return True
    return isinstance(path, io._IOFile) and path.get_inventory_parent() in known.has_inventory


async def collect_mtimes(cache: io.IOCache, planned: Iterable[jobs.Job], n_workers: int = 8) -> None:
    """Read the dates of all existing inputs and outputs, without the original's queue between eight workers."""
    for job in planned:
        for file in (*job.input, *job.output, *([job.benchmark] if job.benchmark else [])):
            if file not in cache.mtime and not file.is_storage and await file.exists():
                cache.mtime[file] = await cache.collect_mtime(file)


def read_record(persistence: FilePersistence, folder: str, key: str) -> dict[str, Any]:
    """Read a metadata file; empty where there is none, or where it is cut off by a killed process."""
    try:
        return json.loads(Path(persistence._record_path(folder, key)).read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:  # the original warns, too
        return read_record_slowly(persistence, folder, key)


read_record_slowly = FilePersistence._io_read


def conda_env_spec(job: jobs.Job) -> Any:
    """Return the conda environment of a job; a rule without one needs no params evaluated for that."""
    if job.rule.conda_env is None:
        return None
    return conda_env_spec_slowly(job)


conda_env_spec_slowly = jobs.Job.conda_env_spec.fget


def non_derived_params(job: jobs.Job) -> list[Any]:
    """Return the params that Snakemake compares with those of the last run.

    A command line built from inputs and outputs is not compared, so it is built only for a job that runs.
    """
    if job._non_derived_params is None:
        rule = job.rule
        functions = [value for value in rule.params if rules.is_callable(value)]
        if job._params is None and all(rule._is_deriving_function(function) for function in functions):
            arguments = (job.wildcards_dict, job.input, job.output, job)
            job._non_derived_params = rule.expand_params(*arguments, omit_callable=True)[1]
        else:
            job._expand_params()
    return job._non_derived_params


def check_directory_outputs(graph: dag.DAG) -> None:
    """Fail if an output lies in a folder that another job writes; compares text in place of path objects."""
    outputs = sorted(
        ((os.path.abspath(file).split(os.sep), job) for job in graph.jobs for file in job.output),
        key=lambda pair: pair[0],
    )
    for (folder, job), (file, other) in itertools.pairwise(outputs):
        if len(file) > len(folder) and file[: len(folder)] == folder and job != other:
            raise ChildIOException(parent=(os.sep.join(folder), job), child=(os.sep.join(file), other))


def include_once(workflow: Workflow, snakefile: Any, **settings: Any) -> None:
    """Include a rules file unless it was; the original compares in a way that never finds it, and compiles it again.

    No rules file here does anything at a second include (common.smk, gate.smk).
    """
    folder = workflow.current_basedir if workflow.included_stack else None
    path = infer_source_file(snakefile, folder).get_path_or_uri(secret_free=True)
    if path not in workflow._included:
        include_always(workflow, snakefile, **settings)


include_always = Workflow.include


def build_without_collection(workflow: Workflow) -> None:
    """Build the graph of jobs without garbage collection; its millions of objects last, later ones skip them."""
    gc.disable()
    try:
        build_with_collection(workflow)
    finally:
        gc.freeze()
        gc.enable()


build_with_collection = Workflow._build_dag


def replace(module: str, original: Callable[..., Any], substitute: Callable[..., Any]) -> None:
    """Bind every name of a function in the modules of Snakemake to its substitute."""
    for name, other in list(sys.modules.items()):
        if name.startswith(module):
            for key, value in list(vars(other).items()):
                if value is original:
                    setattr(other, key, substitute)


def install() -> None:
    """Let this process plan with the replacements, if they are of this version of Snakemake."""
    if importlib.metadata.version("snakemake") != WRITTEN_FOR:
        return
    replace("snakemake.", io.is_flagged, is_flagged)
    replace("snakemake.", common.get_function_params, functools.lru_cache(4096)(common.get_function_params))
    io._IOFile.is_storage = property(is_storage)
    io.ExistsDict.__contains__ = is_existence_known
    io.IOCache.mtime_inventory = collect_mtimes
    FilePersistence._io_read = read_record
    jobs.Job.conda_env_spec = property(conda_env_spec)
    jobs.Job.non_derived_params = property(non_derived_params)
    Workflow.include = include_once
    Workflow._build_dag = build_without_collection
    dag.DAG.check_directory_outputs = check_directory_outputs
