"""Starts DVC's command line so that it does no work twice, and prints at the end what share of the processor time the
workflow itself took. Called by workflow/run.

DVC parses params.yaml again for every stage, with a parser in pure Python: half of a run with nothing to do. It also
looks at all files of a folder again for every stage that reads it: data/prepare_clips six times. Here it looks once,
and a stage's run discards what was seen before it.
"""

from __future__ import annotations

import copy
import importlib.metadata
import resource
import sys
from pathlib import Path
from typing import Any

from dvc.cli import main
from dvc.output import Output
from dvc.stage import Stage
from dvc.utils import serialize, strictyaml
from dvc.utils.serialize import _yaml

WRITTEN_FOR = "3.67.1"  # the version of DVC; another one is started as it is
OF_SNAKEMAKE = Path(".snakemake/seconds_of_snakemake.txt")  # a line per stage, by run_snakemake.py

parsed: dict[str, Any] = {}  # by the text of a YAML file
parse_again = _yaml.parse_yaml
hashed: dict[tuple[str, str], Any] = {}  # by path and kind of hash, since the last run of a stage
hash_again = Output.get_hash
run_stage = Stage.run
running: list[Stage] = []


def parse_yaml(text: str, path: str, typ: str = "safe") -> Any:
    """Parse the text of a YAML file; an equal text is copied from its first parse."""
    if typ != "safe":  # with comments and positions, for a file that is rewritten
        return parse_again(text, path, typ)
    if text not in parsed:
        parsed[text] = parse_again(text, path)
    return copy.deepcopy(parsed[text])


def get_hash(self: Output) -> Any:
    """Return the hash of a file or folder as it is in the workspace, from the first look since a stage last ran."""
    if running:  # what it writes is hashed when it has ended
        return hash_again(self)
    key = (self.fs_path, self.hash_name)
    if key not in hashed:
        hashed[key] = hash_again(self)
    return hashed[key]


def run(self: Stage, *arguments: Any, **options: Any) -> None:
    """Run a stage, after which every file is hashed anew."""
    running.append(self)
    try:
        run_stage(self, *arguments, **options)
    finally:
        running.pop()
        hashed.clear()


def install() -> None:
    """Put these functions in the place of DVC's, if this is the version of DVC that they are written for."""
    if importlib.metadata.version("dvc") == WRITTEN_FOR:
        for module in (_yaml, serialize, strictyaml):
            module.parse_yaml = parse_yaml
        Output.get_hash = get_hash
        Stage.run = run


def seconds_of(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def describe_usage(of_snakemake: Path) -> str:
    """Return the processor time of this run, and how much of it the workflow took: this process and each Snakemake."""
    own = seconds_of(resource.RUSAGE_SELF)
    total = own + seconds_of(resource.RUSAGE_CHILDREN)
    own += sum(float(line) for line in of_snakemake.read_text().split()) if of_snakemake.exists() else 0
    return f"Processor time: {total:.1f} s, of which {own:.1f} s ({own / total:.0%}) in DVC and Snakemake."


if __name__ == "__main__":
    OF_SNAKEMAKE.unlink(missing_ok=True)
    install()
    status = main()
    print(describe_usage(OF_SNAKEMAKE), flush=True)
    sys.exit(status)
