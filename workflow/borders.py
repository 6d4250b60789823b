"""Write one stamp per DVC stage: the names and hashes of the source files that its rules and steps reach.

    python workflow/borders.py            # lists the stages of dvc.yaml that lack their stamp; exit 1 if there are any
    python workflow/borders.py --write    # writes workflow/sources/STAGE.sha256 (the DVC stage `sources`)

A stage depends on its stamp, so that DVC reruns it exactly when Snakemake would rerun one of its jobs, and `dvc exp
show` has one column per stage in place of one per source file. DVC itself runs `--write` after every change below
src/childgait and workflow/rules; a stamp with equal content has the same hash, so the stages that depend on it do not
run.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

from ruamel.yaml import YAML

from childgait.engine.source_files import ROOT as SOURCES
from childgait.engine.source_files import code_of
from childgait.files.atomic import write_text

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "workflow" / "rules"
STAMPS = Path("workflow") / "sources"


def included(name: str) -> list[str]:
    """List the rules file and those it includes, by name, itself first."""
    found = [name]
    for other in re.findall(r'^include: "(\w+)\.smk"', (RULES / f"{name}.smk").read_text(), re.MULTILINE):
        found += [inner for inner in included(other) if inner not in found]
    return found


def steps_of(stage: str) -> list[str]:
    """List the steps that the stage's rules call, in the order of the file."""
    text = "\n".join((RULES / f"{name}.smk").read_text() for name in included(stage))
    return list(dict.fromkeys(re.findall(r'code=code\("(\w+)"\)', text)))


def sources(stage: str) -> dict[str, Path]:
    """Map the names of a stage's rules files and source files to their paths."""
    rules = [f"workflow/rules/{name}.smk" for name in included(stage)]
    files = {name: ROOT / name for name in [*rules, "workflow/stage"]}
    for step in steps_of(stage):
        files |= {str(path): SOURCES / path for path in code_of(step)}
    return dict(sorted(files.items()))


def stamp_of(stage: str) -> Path:
    """Return the path of a stage's stamp, relative to the repository."""
    return STAMPS / f"{stage}.sha256"


def write_stamp(stage: str) -> None:
    """Write the stamp: one line per source file, its sha256 and name."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n" for name, path in sources(stage).items()]
    (ROOT / STAMPS).mkdir(exist_ok=True)
    write_text(ROOT / stamp_of(stage), "".join(lines))


def main() -> int:
    stages = {name: stage for name, stage in YAML().load(ROOT / "dvc.yaml")["stages"].items() if name != "sources"}
    if "--write" in sys.argv[1:]:
        for name in stages:
            write_stamp(name)
    outs = YAML().load(ROOT / "dvc.yaml")["stages"]["sources"]["outs"]
    lacking = [name for name, stage in stages.items() if str(stamp_of(name)) not in stage["deps"]]
    lacking += [name for name in stages if str(stamp_of(name)) not in outs]
    if lacking:
        print(f"dvc.yaml: add {STAMPS}/STAGE.sha256 to the deps of {', '.join(lacking)} and to the outs of sources.")
    return int(bool(lacking))


if __name__ == "__main__":
    sys.exit(main())
