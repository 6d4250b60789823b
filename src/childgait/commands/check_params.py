"""Check params.yaml: all sections and keys at once, and the files that they name."""

from __future__ import annotations

from pathlib import Path

from childgait.params import Cohort, Deidentify, load_params, load_section
from childgait.preflight.params import check_later_stages, check_remotes, check_unseen_policy, unmatched_rows


def check_params(params: Path = Path("params.yaml")) -> None:
    """Check params.yaml and the files that it names; prints manual rows without effect."""
    cohort = load_section(params, Cohort)  # checks every other section as well
    check_remotes(Path(cohort.root))
    check_unseen_policy(Path(cohort.root), load_section(params, Deidentify))
    check_later_stages(load_params(params))
    for line in unmatched_rows(Path(cohort.root), Path(cohort.annotations)):
        print(line)
