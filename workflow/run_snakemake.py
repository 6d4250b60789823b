"""Starts Snakemake's command line, with one pending re-evaluation of its scheduler at a time. Called by workflow/stage.

Snakemake 9 selects jobs again one second after each selection, so that jobs held back by its rate limit are started.
As long as jobs are ready, each of these selections starts a timer of its own: after some hundred finished jobs there
are some hundred selections per second, and the coordinator takes half of a processor. One timer at a time suffices.
"""

from __future__ import annotations

import atexit
import os
import resource
import threading
from pathlib import Path

from snakemake.cli import main
from snakemake.scheduling.job_scheduler import JobScheduler


def reevaluate_once(scheduler: JobScheduler, delay: float) -> None:
    """Let the scheduler select again after `delay` seconds, unless that is planned already."""
    if getattr(scheduler, "reevaluation_is_planned", False):
        return
    scheduler.reevaluation_is_planned = True

    def select_again() -> None:
        scheduler.reevaluation_is_planned = False
        scheduler._open_jobs.release()

    timer = threading.Timer(delay, select_again)
    timer.daemon = True
    timer.start()


def write_usage() -> None:
    """Append the processor time of this process, without its jobs; run_dvc.py sums it over the stages."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    with Path(".snakemake/seconds_of_snakemake.txt").open("a") as file:
        file.write(f"{usage.ru_utime + usage.ru_stime:.2f}\n")


if __name__ == "__main__":
    if not hasattr(JobScheduler, "_schedule_reevalutation"):
        raise SystemExit("error: this Snakemake plans selections in another way. Hint: see workflow/run_snakemake.py")
    JobScheduler._schedule_reevalutation = reevaluate_once
    if "CHILDGAIT_STAGE" in os.environ:
        atexit.register(write_usage)
    main()
