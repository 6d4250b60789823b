"""Starts DVC's command line so that it reads each unchanged file and folder once. Called by workflow/run.

`dvc repro` parses params.yaml again for every stage, with a parser in pure Python, and walks a folder once for each
stage that it is an output or a dependency of: both took most of a run with nothing to do. What was read is kept until
a stage runs, because only that changes files. `dvc` itself works as ever, only slower.
"""

from __future__ import annotations

import copy
import importlib.metadata
import resource
import sys
from pathlib import Path
from typing import Any

from dvc import output, stage
from dvc.utils import serialize, strictyaml
from dvc.utils.serialize import _yaml

WRITTEN_FOR = "3.67.1"  # the version of DVC; another one is started as it is
parsed: dict[str, Any] = {}  # by the text of a YAML file
hashes: dict[tuple[str, str], Any] = {}  # of files and folders, by path and name of the hash

parse_again = _yaml.parse_yaml
hash_again = output.Output._get_hash_meta
run_stage = stage.Stage.run


def parse_yaml(text: str, path: str, typ: str = "safe") -> Any:
    """Parse the text of a YAML file; an equal text is copied from its first parse."""
    if typ != "safe":  # with comments and positions, for a file that is rewritten
        return parse_again(text, path, typ)
    if text not in parsed:
        parsed[text] = parse_again(text, path)
    return copy.deepcopy(parsed[text])


def hash_once(out: output.Output) -> Any:
    """Return the size and hash of an output or a dependency, computed once between two stages that run."""
    key = (out.fs_path, out.hash_name)
    if out.fs.protocol != "local":
        return hash_again(out)
    if key not in hashes:
        hashes[key] = hash_again(out)
    return hashes[key]


def run_and_forget(self: stage.Stage, *arguments: Any, **settings: Any) -> Any:
    """Run a stage; what was hashed before is forgotten, also if the stage fails."""
    hashes.clear()
    try:
        return run_stage(self, *arguments, **settings)
    finally:
        hashes.clear()


def seconds_of(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def print_usage(of_snakemake: Path) -> None:
    """Print the processor time of this run, and how much of it the workflow took: this process and each Snakemake."""
    own = seconds_of(resource.RUSAGE_SELF)
    total = own + seconds_of(resource.RUSAGE_CHILDREN)
    own += sum(float(line) for line in of_snakemake.read_text().split()) if of_snakemake.exists() else 0
    print(f"Processor time: {total:.1f} s, of which {own:.1f} s ({own / total:.0%}) in DVC and Snakemake.", flush=True)


def install() -> None:
    """Let this process read files once, if this is the version of DVC that the replacements are written for."""
    if importlib.metadata.version("dvc") == WRITTEN_FOR:
        for module in (_yaml, serialize, strictyaml):
            module.parse_yaml = parse_yaml
        output.Output._get_hash_meta = hash_once
        stage.Stage.run = run_and_forget


if __name__ == "__main__":
    from dvc.cli import main

    usage = Path(".snakemake/seconds_of_snakemake.txt")  # a line per stage, by run_snakemake.py
    usage.unlink(missing_ok=True)
    install()
    status = main()
    print_usage(usage)
    sys.exit(status)
