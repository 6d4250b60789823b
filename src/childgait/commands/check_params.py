"""Checks params.yaml: every section, every key, all problems at once; and that raw recordings have a remote of their own."""

from __future__ import annotations

from pathlib import Path

from childgait.errors import StepError
from childgait.params import load_params, read_params


def check_params(params_file: Path = Path("params.yaml")) -> None:
    load_params(params_file)
    check_remotes(Path(read_params(params_file)["cohort"]["root"]))


def check_remotes(cohort: Path, root: Path = Path()) -> None:
    """Recordings that `dvc add` put away must name their remote: else `dvc push` sends them where derived data go."""
    from childgait.lineage.versions import dvc_files, load_yaml

    for path in dvc_files(root):
        for out in (load_yaml(path.read_text(encoding="utf-8")) or {}).get("outs", []):
            place = path.parent / out["path"]
            touches = place.is_relative_to(root / cohort) or (root / cohort).is_relative_to(place)
            if touches and not out.get("remote") and out.get("push", True):
                raise StepError(
                    f"{path} names no remote of its own, so `dvc push` would send recordings with faces among derived data",
                    hint="add the line `remote: raw` below its `path:` (.dvc/config says more), or `push: false`",
                )
