"""Show the progress of a stage: one live line on a terminal, one line per minute in a log, and each failure.

Snakemake loads this module for `--logger childgait` (workflow/stage, which puts its folder on PYTHONPATH). Warnings and
errors are passed on; job descriptions, shell commands and "Moving ... to cache" are left out. The logs of jobs that
failed and did not pass at a retry are listed in .snakemake/failed.txt. The seconds per job of finished stages are kept
in logs/stages.jsonl, for the estimate of the next run.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

FAILED = Path(".snakemake/failed.txt")
TIMES = Path("logs/stages.jsonl")
LINE_SECONDS = 60.0  # between two lines of a log
LIVE_SECONDS = 0.2  # between two states of the live line
SURE_SHARE = 0.1  # of the jobs done, from which on the time left follows from this run alone


def duration(seconds: float) -> str:
    """Format a duration: `40 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def earlier_seconds_per_job(stage: str) -> float | None:
    """Return the seconds per job of the last finished run of the stage; None without one."""
    lines = TIMES.read_text(encoding="utf-8").splitlines() if TIMES.exists() else []
    runs = [run for run in map(json.loads, lines) if run["stage"] == stage and run["jobs"]]
    return runs[-1]["seconds"] / runs[-1]["jobs"] if runs else None


class LogHandler(LogHandlerBase):
    """Prints progress and failures of one stage to stderr."""

    def __post_init__(self) -> None:
        self.stage = os.environ.get("CHILDGAIT_STAGE", "jobs")
        self.title = f"[{os.environ.get('CHILDGAIT_STAGE_NUMBER', '')} {self.stage}]".replace("[ ", "[")
        self.live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.done, self.total = 0, 0
        self.began: float | None = None
        self.printed = time.monotonic()  # when the last line was printed
        self.names: dict[int, str] = {}
        self.running: dict[int, str] = {}
        self.failures: dict[int, tuple[str, list[str]]] = {}
        self.earlier = earlier_seconds_per_job(self.stage)
        self.width = 0  # of the live line on the screen
        self.closed_once = False
        FAILED.parent.mkdir(exist_ok=True)
        FAILED.write_text("", encoding="utf-8")

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of an event of a job; pass on warnings and errors."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self._start(record)
        elif event == LogEvent.JOB_FINISHED:
            self._finish(record.__dict__["job_id"])
        elif event == LogEvent.JOB_ERROR:
            self._fail(record.__dict__)
        elif event == LogEvent.GROUP_ERROR:
            for job in record.__dict__["job_error_info"]:
                self._fail(job)
        elif event == LogEvent.PROGRESS:
            self.done, self.total = record.__dict__["done"], record.__dict__["total"]
            self._show()
        elif record.levelno >= logging.WARNING:
            self._print(record.getMessage())

    def _start(self, record: logging.LogRecord) -> None:
        values = record.__dict__
        job = values["jobid"]
        self.began = self.began or time.monotonic()
        self.names[job] = " ".join([values["rule_name"], *map(str, values["wildcards"].values())])
        self.running[job] = self.names[job]
        self._show()

    def _finish(self, job: int) -> None:
        self.running.pop(job, None)
        if self.failures.pop(job, None):  # a retry passed
            self._write_failures()

    def _fail(self, values: dict[str, Any]) -> None:
        job = values["jobid"]
        self.running.pop(job, None)
        name, logs = self.names.get(job, values["rule_name"]), [str(path).split(" (")[0] for path in values["log"]]
        self.failures[job] = (name, logs)
        self._write_failures()
        self._print(f"{self.title} failed: {name}" + (f", see {' and '.join(logs)}" if logs else ""))

    def _write_failures(self) -> None:
        lines = [f"{(logs or [''])[0]}\t{name}\n" for name, logs in self.failures.values()]
        FAILED.write_text("".join(lines), encoding="utf-8")

    def seconds_left(self) -> float | None:
        """Estimate the seconds that the stage still takes, from this run or, at its start, from an earlier one."""
        if self.began is None or not self.total:
            return None
        if self.done >= max(1.0, SURE_SHARE * self.total):
            return (time.monotonic() - self.began) / self.done * (self.total - self.done)
        return None if self.earlier is None else self.earlier * (self.total - self.done)

    def status(self) -> str:
        """Describe the progress in one line."""
        parts = [f"{self.done} of {self.total} jobs done" if self.total else "first jobs started"]
        if self.running:
            parts.append(f"running {list(self.running.values())[-1]}")
        if (left := self.seconds_left()) is not None and self.done < self.total:
            parts.append(f"about {duration(left)} left")
        if self.failures:
            parts.append(f"{len(self.failures)} failed")
        return f"{self.title} " + ", ".join(parts)

    def _show(self) -> None:
        now = time.monotonic()
        if now - self.printed < (LIVE_SECONDS if self.live else LINE_SECONDS):
            return
        self.printed = now
        if not self.live:
            print(self.status(), file=sys.stderr, flush=True)
            return
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
        line = self.status()[: columns - 1]
        print("\r" + line.ljust(self.width), end="", file=sys.stderr, flush=True)
        self.width = len(line)

    def _print(self, text: str) -> None:
        """Print a line of its own, above the live line."""
        if self.live and self.width:
            print("\r" + " " * self.width + "\r", end="", file=sys.stderr)
            self.width = 0
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Print the last line of the stage and keep its times."""
        if not self.closed_once and self.began is not None:
            self.closed_once = True
            seconds = time.monotonic() - self.began
            self._print(f"{self.title} {self.done} of {self.total} jobs done in {duration(seconds)}")
            if self.done == self.total:
                TIMES.parent.mkdir(exist_ok=True)
                run = {"stage": self.stage, "jobs": self.done, "seconds": round(seconds, 1)}
                with TIMES.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(run) + "\n")
        super().close()
