"""A workflow of a few seconds inside the real scripts (workflow/run, workflow/stage), profile, DVC and step runner.

`make_clone(folder)` writes it: six jobs that double a number slowly (cached by Snakemake), one that adds the numbers
up, times `factor` of params.yaml, into reports/metrics.json.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from childgait.engine.source_files import ROOT

ITEMS = range(6)
STEPS = """
import json, sys, time
from pathlib import Path
from childgait.engine.run_step import run_step
from childgait.engine.flags import Input, Output

def double(source: Input, target: Output) -> None:
    with target.open("w") as stream:
        for digit in str(2 * int(source.read_text())) + "\\n" * 40:
            stream.write(digit)
            stream.flush()
            time.sleep(0.005)

def add(parts: list[Input], factor: int, total: Output) -> None:
    value = factor * sum(int(part.read_text()) for part in parts)
    head = dict(model="toy", part="test", children=6, videos=6, accuracy=value, accuracy_low=None, accuracy_high=None,
                balanced_accuracy=None, balanced_accuracy_low=None, balanced_accuracy_high=None, f1=None, f1_low=None,
                f1_high=None, auroc=None, auroc_low=None, auroc_high=None, seeds=1, majority_accuracy=0.5)
    rest = dict.fromkeys(["accuracy", "balanced_accuracy", "f1", "auroc", "models", "cohort"], {})
    total.write_text(json.dumps({"headline": head, "caveats": [], **rest}))

if sys.argv[1] == "double":
    run_step(double, {"source": Path(sys.argv[2]), "target": Path(sys.argv[3])}, None, Path(sys.argv[4]))
else:
    values = {"parts": [Path(p) for p in sys.argv[5:]], "factor": int(sys.argv[4]), "total": Path(sys.argv[2])}
    run_step(add, values, None, Path(sys.argv[3]))
"""
RULES = """
configfile: "params.yaml"
rule report_all:
    input: "reports/metrics.json", "reports/add.record.json"
rule double:
    input: source="in/{n}.txt", code="steps.py"
    output: multiext("data/double/{n}", target=".txt", record=".record.json")
    cache: True
    shell: "python steps.py double {input.source} {output.target} {output.record}"
rule add:
    input: parts=expand("data/double/{n}.txt", n=range(COUNT)), code="steps.py"
    output: total="reports/metrics.json", record="reports/add.record.json"
    params: cfg=config["evaluate"]["windows_per_video"]
    shell: "python steps.py add {output.total} {output.record} {params.cfg} {input.parts}"
""".replace("COUNT", str(len(ITEMS)))
DVC = """
stages:
  report:
    cmd: workflow/stage report
    deps: [in, steps.py]
    params: [evaluate.windows_per_video]
    outs: [data/double, reports]
"""


def environment() -> dict[str, str]:
    """The environment of a new shell with this Python first, independent of the surrounding run."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE", "MLFLOW", "CHILDGAIT", "DVC", "PYTEST"))
    }
    who = {f"GIT_{role}_{what}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return kept | who | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def make_clone(folder: Path, *, link: str | None = None) -> Path:
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("rules", "presets"))
    shutil.copytree(ROOT / "profiles" / "default", folder / "profiles" / "default")
    shutil.copytree(ROOT / "annotations", folder / "annotations")
    for name, text in {
        "workflow/rules/report.smk": RULES,
        "dvc.yaml": DVC,
        "steps.py": STEPS,
        ".gitignore": "/data/\n/logs/\n/.snakemake/\n/.cache/\n/reports/\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for number in ITEMS:
        (folder / "in").mkdir(exist_ok=True)
        (folder / "in" / f"{number}.txt").write_text(str(number + 1))
    set_factor(folder, 1)
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "init", "-q")
    if link:
        run(folder, "dvc", "config", "cache.type", link)
    return folder


def set_factor(folder: Path, factor: int) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["evaluate"]["windows_per_video"] = factor
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def outputs(folder: Path) -> dict[str, bytes]:
    """List every file under its final name."""
    found = [p for top in ("data", "reports") for p in (folder / top).rglob("*") if p.is_file()]
    return {str(p.relative_to(folder)): p.read_bytes() for p in found if not p.name.startswith(".")}
