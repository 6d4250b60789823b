"""Checks params.yaml: every section, every key, all problems at once; and what is around it that a run trusts.

Raw recordings have a remote of their own; nobody real goes uncovered by a setting that is for people who do not exist;
and what a person decided names recordings that are there.
"""

from __future__ import annotations

import csv
from pathlib import Path

from childgait.errors import StepError
from childgait.gait.cohort import list_recordings
from childgait.params import Cohort, Deidentify, load_section


def check_params(params_file: Path = Path("params.yaml")) -> None:
    cohort = load_section(params_file, Cohort)  # with it every other section is checked
    check_remotes(Path(cohort.root))
    check_unseen(Path(cohort.root), load_section(params_file, Deidentify))
    for line in names_nothing(Path(cohort.root), Path(cohort.annotations)):
        print(line)


def check_unseen(cohort: Path, params: Deidentify) -> None:
    """Whom nothing can see is let pass only where nobody is real: in a cohort that `synthesize` made and stamped."""
    real = (cohort / "dataset").is_dir() and not (cohort / "cohort.json").is_file()
    if real and params.unseen == "accept" and "sam3" not in params.backends:
        raise StepError(
            f"deidentify.unseen is accept, but {cohort} is no cohort that `synthesize` made: without SAM 3 somebody who "
            "stands still with the back to the camera would pass uncovered",
            hint="set deidentify.unseen to hold (a person then clears each video), or name sam3 in deidentify.backends",
        )


def names_nothing(cohort: Path, annotations: Path) -> list[str]:
    """A line for each row of a person's tables that names a child of the cohort, but no recording: it would do nothing."""
    if not (cohort / "dataset").is_dir():
        return []
    recordings = {recording.name for recording in list_recordings(cohort)}
    children = {name.split("-", 1)[0] for name in recordings}
    found = []
    for path in sorted(annotations.glob("*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            for row in rows:
                name = row.get("video") or ""
                if name not in recordings and name.split("-", 1)[0] in children:
                    found.append(f"{path}, line {rows.line_num}: {name} is no recording of {cohort}; the line does nothing.")
    return found


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
