"""A stage runs Snakemake with the settings of the chosen profile, and of no other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from childgait.engine.source_files import ROOT

# Snakemake, as far as reading its command line and profiles.
READ = """import json, sys
from snakemake.cli import parse_args
_, read = parse_args(sys.argv[1:])
print(json.dumps({"cores": read.cores, "executor": read.executor, "keep_going": read.keep_going}))
"""


@pytest.mark.parametrize("profile", ["profiles/slurm", "profiles/few", "profiles/default"])
def test_the_chosen_profile_holds(tmp_path: Path, profile: str) -> None:
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "profiles/few").mkdir()
    (tmp_path / "profiles/few/config.yaml").write_text("cores: 3\n")
    (tmp_path / "workflow/run_snakemake.py").write_text(READ)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["workflow/stage", "register"],
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "SNAKEMAKE_PROFILE": profile},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    wanted = yaml.safe_load((tmp_path / profile / "config.yaml").read_text())
    cores = os.cpu_count() if wanted["cores"] == "all" else wanted["cores"]
    assert read == {"cores": cores, "executor": wanted.get("executor"), "keep_going": wanted.get("keep-going", False)}


@pytest.mark.parametrize("profile", sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml")))
def test_one_run_names_every_failing_video(profile: str) -> None:
    settings = yaml.safe_load((ROOT / "profiles" / profile / "config.yaml").read_text())
    assert settings["keep-going"] is True, "a stage must not end at its first failing video"
