"""Scores one child: from its videos to child.html, child.json and child.csv, with the models of a bundle.

    childgait score data/raw/dataset/0007 --bundle data/bundle --age 9 --sex F --out scores/0007
    childgait score side.mp4 front.mp4 --view left forward --child 0042

A PATH is a video, a child's folder, or a cohort's folder in the release's layout; keypoints beside a video are used.
Several sessions of a child get a page each, and a page that compares them. A view that neither the name nor --view
states is found by the child's path, size and toes. The steps and records are those of the study. A second call with
the same input computes nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from childgait.errors import StepError

SEXES = {"f": "female", "female": "female", "m": "male", "male": "male", "unknown": "unknown"}


def score(
    paths: list[Path],
    bundle: Path = Path("data/bundle"),
    out: Path | None = None,
    view: list[str] | None = None,
    session: list[str] | None = None,
    child: str | None = None,
    age: float | None = None,
    sex: str | None = None,
    annotations: Path | None = None,
    table: Path | None = None,
    processes: int = min(2, os.cpu_count() or 1),
) -> None:
    """Score one child's recordings, or every row of `table`, and write the pages.

    Columns of the table: path, and child, session, age, sex, view where known.
    """
    from childgait.report.child.find_recordings import Request
    from childgait.report.child.score import score_requests
    from childgait.report.child.visits_table import read_requests
    from childgait.training.bundle import open_bundle

    opened = open_bundle(bundle)
    print(f"bundle {bundle}: {len(opened.description.runs)} runs, hash {opened.hash}")
    if table is not None:
        requests = read_requests(table)
    else:
        if sex is not None and sex.lower() not in SEXES:
            raise StepError(f"--sex is {sex!r}", hint="give F, M or unknown")
        known_sex = None if sex is None else SEXES[sex.lower()]
        requests = [Request(paths, view or [], child, age, known_sex, sessions=session or [])]
    score_requests(requests, opened, out or Path("scores"), annotations, processes)
