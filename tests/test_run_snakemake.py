"""Snakemake as workflow/stage starts it: one planned selection at a time, however many jobs have finished."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from snakemake.scheduling.job_scheduler import JobScheduler

from childgait.engine.source_files import ROOT

sys.path.insert(0, str(ROOT / "workflow"))
from run_snakemake import reevaluate_once


class Scheduler:
    """Counts its selections as Snakemake's scheduler does, by a semaphore."""

    def __init__(self) -> None:
        self._open_jobs = threading.Semaphore(0)


def test_many_requests_plan_one_selection_and_the_next_one_another() -> None:
    scheduler = Scheduler()
    for _ in range(20):
        reevaluate_once(scheduler, 0.05)
    assert scheduler._open_jobs.acquire(timeout=5)
    assert not scheduler._open_jobs.acquire(timeout=0.2)
    reevaluate_once(scheduler, 0.05)
    assert scheduler._open_jobs.acquire(timeout=5)


def test_the_locked_snakemake_plans_selections_where_the_replacement_stands() -> None:
    source = Path(sys.modules[JobScheduler.__module__].__file__ or "").read_text(encoding="utf-8")
    assert "def _schedule_reevalutation(self, delay" in source
    assert source.count("self._schedule_reevalutation(") == 2
    assert "self._open_jobs.release()" in source
