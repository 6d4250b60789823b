"""Starts DVC's command line so that it parses each text of a YAML file once, and prints at the end what share of the
processor time the workflow itself took. Called by workflow/run.

DVC parses params.yaml again for every stage, with a parser in pure Python: half of a run with nothing to do.
"""

from __future__ import annotations

import copy
import importlib.metadata
import resource
import sys
from pathlib import Path
from typing import Any

from dvc.cli import main
from dvc.utils import serialize, strictyaml
from dvc.utils.serialize import _yaml

WRITTEN_FOR = "3.67.1"  # the version of DVC; another one is started as it is
OF_SNAKEMAKE = Path(".snakemake/seconds_of_snakemake.txt")  # a line per stage, by run_snakemake.py

parsed: dict[str, Any] = {}  # by the text of a YAML file
parse_again = _yaml.parse_yaml


def parse_yaml(text: str, path: str, typ: str = "safe") -> Any:
    """Parse the text of a YAML file; an equal text is copied from its first parse."""
    if typ != "safe":  # with comments and positions, for a file that is rewritten
        return parse_again(text, path, typ)
    if text not in parsed:
        parsed[text] = parse_again(text, path)
    return copy.deepcopy(parsed[text])


def install() -> None:
    """Let every module of DVC parse so, if this is the version of DVC that this is written for."""
    if importlib.metadata.version("dvc") == WRITTEN_FOR:
        for module in (_yaml, serialize, strictyaml):
            module.parse_yaml = parse_yaml


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
