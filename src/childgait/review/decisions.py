"""Writes decisions of people as rows of the manual tables in `cohort.annotations`, and takes them back.

The tables stay files that an editor can change, too. A writer holds the folder's lock, reads the table as it is, adds
its rows, has the result read by the reader of the steps and of `preflight`, and replaces the file atomically: a row is
never lost, and a row that a step would refuse is never written. Comments, blank lines and foreign columns stay.

A page states the version of the rows that it shows. If these rows have changed since, nothing is written.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from childgait.errors import StepError
from childgait.files.annotations import rows_of
from childgait.files.atomic import atomic_outputs
from childgait.files.hashes import sha256_of_text
from childgait.review.locks import lock_for_writing
from childgait.user_files import parse_line, read_text

COLUMNS = {
    "regions": ("video", "region", "frame", "x0", "y0", "x1", "y1", "action", "reviewer", "time", "reason"),
    "cleared": ("video", "sha256", "reviewer", "time", "reason"),
    "selections": ("video", "frame", "x0", "y0", "x1", "y1", "reviewer", "time", "reason"),
    "corrections": ("video", "frame", "last", "joint", "action", "x", "y", "reviewer", "time", "reason"),
}
log = logging.getLogger(__name__)
NAME = re.compile(r"[^\W_][\w .-]{0,39}")  # of a reviewer: pseudonym or initials
LONGEST_REASON = 500  # characters

Row = Mapping[str, object]
Check = Callable[[Path], object]


class Changed(StepError):
    """The error for rows that another window, person or editor changed after the page was opened."""


@dataclass(frozen=True)
class Decision:
    """Rows that one person wrote at one moment."""

    table: str
    video: str
    reviewer: str
    time: str
    reason: str
    rows: int


def now() -> str:
    """Return the time as it stands in the tables: UTC, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def check_reviewer(name: str) -> str:
    """Return the name without blanks around it; fail on what is no pseudonym or initials."""
    name = name.strip()
    if not NAME.fullmatch(name):
        raise StepError(
            f"{name[:40]!r} cannot be a reviewer",
            hint="use 1 to 40 letters, digits, blanks, dots or hyphens, such as initials; write no full name",
        )
    return name


def check_reason(reason: str) -> str:
    """Return the reason as one line; fail on an empty one and on what a spreadsheet would compute."""
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON:
        raise StepError("the decision has no reason", hint=f"state it in up to {LONGEST_REASON} characters")
    if reason[0] in "=+-@":
        raise StepError(f"the reason begins with {reason[0]!r}, which a spreadsheet would compute", hint="reword it")
    return reason


class Decisions:
    """The manual tables of one folder."""

    def __init__(self, folder: Path, log: Path | None = None) -> None:
        self.folder = folder
        self.log = log

    def path(self, table: str) -> Path:
        return self.folder / f"{table}.csv"

    def rows(self, table: str, video: str | None = None) -> list[dict[str, str]]:
        """Return the rows of a table, of one video or of all."""
        path = self.path(table)
        if not path.exists():
            return []
        rows = [row for _, row in rows_of(path, ("video",))]
        return [row for row in rows if video in (None, row["video"])]

    def version(self, table: str, video: str) -> str:
        """Return a hash of the rows of one video."""
        return sha256_of_text(json.dumps(self.rows(table, video)))[:16]

    def add(
        self, table: str, video: str, rows: Sequence[Row], reviewer: str, reason: str, version: str, check: Check
    ) -> Decision:
        """Add rows of one decision; `check` reads the new file as the steps do and fails on a row they refuse."""
        assert rows, "a decision has rows"
        reviewer, reason = check_reviewer(reviewer), check_reason(reason)
        with lock_for_writing(self.folder, self.folder):
            self._check_version(table, video, version)
            time = self._next_time(table)
            stamped = [{**row, "video": video, "reviewer": reviewer, "time": time, "reason": reason} for row in rows]
            self._replace(table, add_rows(self._text(table), self.path(table), COLUMNS[table], stamped), check)
        decision = Decision(table, video, reviewer, time, reason, len(rows))
        self._note("add", decision)
        return decision

    def undo(self, table: str, video: str, reviewer: str, time: str, version: str, check: Check) -> Decision:
        """Remove the rows of one decision."""
        with lock_for_writing(self.folder, self.folder):
            self._check_version(table, video, version)
            wanted = {"video": video, "reviewer": reviewer, "time": time}
            text, removed = remove_rows(self._text(table), self.path(table), wanted)
            if not removed or not time:
                raise Changed(
                    f"{self.path(table)} has no decision of {reviewer} about {video} at {time or 'no time'}",
                    hint="somebody has taken it back already; the page shows the file as it is now",
                )
            self._replace(table, text, check)
        decision = Decision(table, video, reviewer, time, "", removed)
        self._note("undo", decision)
        return decision

    def decisions(self, video: str | None = None) -> list[Decision]:
        """List the decisions that carry a time, the newest first."""
        found: dict[tuple[str, str, str, str], Decision] = {}
        for table in COLUMNS:
            for row in self.rows(table, video):
                if not row.get("time"):
                    continue
                key = (table, row["video"], row.get("reviewer", ""), row["time"])
                count = found[key].rows + 1 if key in found else 1
                found[key] = Decision(*key, row.get("reason", ""), count)
        return sorted(found.values(), key=lambda decision: decision.time, reverse=True)

    def _check_version(self, table: str, video: str, version: str) -> None:
        if self.version(table, video) == version:
            return
        last = next((one for one in self.decisions(video) if one.table == table), None)
        by = f"; the last decision there is by {last.reviewer}: {last.reason}" if last else ""
        raise Changed(
            f"{self.path(table)} was changed for {video} after this page was opened{by}",
            hint="nothing was written; reload the page, look at the rows as they are now, and decide again",
        )

    def _next_time(self, table: str) -> str:
        """Return a time that no decision of the table has: it names the decision."""
        taken = {row.get("time") for row in self.rows(table)}
        while (time := now()) in taken:
            pass
        return time

    def _text(self, table: str) -> str | None:
        path = self.path(table)
        return read_text(path) if path.exists() else None

    def _replace(self, table: str, text: str, check: Check) -> None:
        """Write the text beside the table, check it there, and rename."""
        path = self.path(table)
        mark = "\ufeff" if path.exists() and path.read_bytes()[:3] == b"\xef\xbb\xbf" else ""
        with atomic_outputs([path]) as partial:
            partial[path].write_bytes((mark + text).encode())
            try:
                rows_of(partial[path], ("video",))
                check(partial[path])
            except StepError as error:
                message = error.message.replace(str(partial[path]), str(path))
                raise StepError(f"nothing was written: {message}", hint=error.hint) from None
            if path.exists():
                partial[path].chmod(path.stat().st_mode & 0o777)

    def _note(self, action: str, decision: Decision) -> None:
        """Append to the log of decisions, which also keeps what was taken back; the decision itself is written."""
        if self.log is None:
            return
        line = json.dumps({"action": action, "at": now(), **vars(decision)}, sort_keys=True) + "\n"
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("a", encoding="utf-8") as stream:
                stream.write(line)
        except OSError as error:
            log.warning("%s lacks the line %s: %s", self.log, line.strip(), error.strerror or error)


# --- the text of a table, line by line: a row is one line (user_files.py)


def _split(text: str) -> tuple[list[str], str]:
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = re.split(r"\r\n|\r|\n", text)
    return (lines[:-1] if lines and not lines[-1] else lines), newline


def _is_row(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _format(values: Sequence[object]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(values)
    return stream.getvalue()


def add_rows(text: str | None, path: Path, columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Return the table with rows at its end; columns that it lacks are added after its own."""
    lines, newline = _split(",".join(columns) + "\n" if text is None else text)
    head = next((n for n, line in enumerate(lines) if _is_row(line)), None)
    if head is None:
        raise StepError(f"{path} has no first line", hint=f"write {','.join(columns)}")
    names = parse_line(path, head + 1, lines[head])
    missing = [name for name in columns if name not in names]
    if missing:
        lines[head] += "".join(f",{name}" for name in missing)
        for n in range(head + 1, len(lines)):
            lines[n] += "," * len(missing) if _is_row(lines[n]) else ""
    lines += [_format([row.get(name, "") for name in [*names, *missing]]) for row in rows]
    return newline.join(lines) + newline


def remove_rows(text: str | None, path: Path, wanted: Mapping[str, str]) -> tuple[str, int]:
    """Return the table without the rows that have these values, and how many they were."""
    lines, newline = _split(text or "")
    head = next((n for n, line in enumerate(lines) if _is_row(line)), len(lines))
    names = parse_line(path, head + 1, lines[head]) if head < len(lines) else []
    kept, removed = lines[: head + 1], 0
    for n, line in enumerate(lines[head + 1 :], head + 2):
        row = dict(zip(names, parse_line(path, n, line), strict=False)) if _is_row(line) else {}
        if row and all(row.get(key) == value for key, value in wanted.items()):
            removed += 1
        else:
            kept.append(line)
    return newline.join(kept) + newline, removed
