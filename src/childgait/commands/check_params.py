"""Checks params.yaml: every section and key, all problems at once, and the files that it names."""

from __future__ import annotations

from pathlib import Path

from childgait.params import Cohort, Deidentify, load_params, load_section
from childgait.preflight.params import check_ahead, check_remotes, check_unseen, unmatched_rows


def check_params(params: Path = Path("params.yaml")) -> None:
    cohort = load_section(params, Cohort)  # with it every other section is checked
    check_remotes(Path(cohort.root))
    check_unseen(Path(cohort.root), load_section(params, Deidentify))
    check_ahead(load_params(params))
    for line in unmatched_rows(Path(cohort.root), Path(cohort.annotations)):
        print(line)
