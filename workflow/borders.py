"""Write the source files that each DVC stage depends on into dvc.yaml, as derived from the rules.

    python workflow/borders.py            # lists the stages that differ; exit 1 if there are any
    python workflow/borders.py --write    # writes dvc.yaml (`make borders`)

A stage depends on the rules files it includes, the script that runs it, and every source file its steps reach, so that
DVC reruns a stage exactly when Snakemake would rerun one of its jobs.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from childgait.engine.source_files import code_of

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "workflow" / "rules"


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


def sources(stage: str) -> list[str]:
    """List the rules files and source files of a stage."""
    files = {f"workflow/rules/{name}.smk" for name in included(stage)} | {"workflow/stage"}
    for step in steps_of(stage):
        files |= {str(path) for path in code_of(step)}
    return sorted(files)


def is_source(dependency: str) -> bool:
    return dependency.startswith(("src/", "workflow/"))


def with_sources(document: dict[str, Any]) -> list[str]:
    """Put each stage's source files after its data dependencies, in place; returns the stages that changed."""
    changed = []
    for name, stage in document["stages"].items():
        data = [dep for dep in stage.get("deps", []) if not is_source(dep)]
        wanted = [*data, *sources(name)]
        if wanted != list(stage.get("deps", [])):
            stage["deps"] = wanted
            changed.append(name)
    return changed


def main() -> int:
    yaml = YAML()
    yaml.width = 120
    path = ROOT / "dvc.yaml"
    document = yaml.load(path)
    changed = with_sources(document)
    if changed and "--write" in sys.argv[1:]:
        yaml.dump(document, path)
        print(f"dvc.yaml: wrote the source files of {', '.join(changed)}")
        return 0
    if changed:
        print(f"dvc.yaml: the source files of {', '.join(changed)} differ from the rules. Hint: run `make borders`.")
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
