"""Writes EVGS scores into labels.json, one entry per child and rater, in the form that `build_labels` reads.

An entry is `{"patient_id", "rater", "session", "changed", "left": {"1": 0, …}, "right": {…}}`. An item that the video
does not show is null; an item without an answer has no key. `Total` is written once a limb is complete and not before.
A second reading of a rater A is the entry of the rater "A (2)", so that `build_labels` computes intra-rater agreement.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from childgait.domain.evgs import BY_NUMBER, CODES, LIMBS, TARGETS, Limb
from childgait.errors import StepError
from childgait.files.atomic import atomic_outputs
from childgait.files.labels import read_sheets, subject_name
from childgait.review.decisions import Changed, check_reviewer, now
from childgait.review.locks import lock_for_writing, lock_labels
from childgait.user_files import read_json

NOT_SEEN = "not seen"
UNANSWERED = ""
SECOND_READING = re.compile(r" \(\d+\)$")  # at the end of a rater's name
Score = int | str  # 0, 1, 2, NOT_SEEN or UNANSWERED
Entry = dict[str, Any]  # one entry of the file, whose foreign keys are kept


class Ratings:
    """The labels file of a cohort; `folder` holds the lock, `highest` is the largest score of the scale."""

    items = len(LIMBS) * len(BY_NUMBER)

    def __init__(self, path: Path, folder: Path, highest: int) -> None:
        self.path = path
        self.folder = folder
        self.highest = highest

    def entries(self) -> list[Entry]:
        """Read all entries; an existing file that `build_labels` would refuse is an error."""
        if not self.path.exists() or self.path.stat().st_size == 0:  # empty: another process is making it
            return []
        read_sheets(self.path, highest=self.highest)
        entries: list[Entry] = read_json(self.path)
        return entries

    def scores(self, child: str, rater: str) -> dict[str, dict[str, Score]]:
        """Return one rater's answers of one child, by limb and number of the item."""
        entry = entry_of(self.entries(), child, rater) or {}
        return {limb: {str(n): answer_of(entry, limb, n) for n in BY_NUMBER} for limb in LIMBS}

    def session(self, child: str, rater: str) -> str:
        """Return the session whose videos this rater watched; empty before the first score."""
        return str((entry_of(self.entries(), child, rater) or {}).get("session", ""))

    def answered(self, rater: str) -> dict[str, int]:
        """Count one rater's answers per child, items that were not seen included."""
        counts = {}
        for entry in self.entries():
            if str(entry.get("rater") or "") == rater:
                answers = [answer_of(entry, limb, n) for limb in LIMBS for n in BY_NUMBER]
                counts[subject_name(entry["patient_id"])] = sum(one != UNANSWERED for one in answers)
        return counts

    def rate(
        self,
        child: str,
        rater: str,
        session: str,
        limb: Limb,
        number: int,
        score: Score,
        before: Score,
        second: bool = False,
    ) -> None:
        """Write one answer; `before` is the answer that the page shows, and must still stand in the file.

        `second` writes it to the rater's second reading.
        """
        rater = check_reviewer(rater)
        rater = second_name(rater) if second else rater
        if number not in BY_NUMBER or limb not in LIMBS:
            raise StepError(f"there is no item {number} of the {limb} limb", hint="items are 1 to 17")
        if score not in (*range(self.highest + 1), NOT_SEEN, UNANSWERED) or isinstance(score, bool):
            raise StepError(f"the score is {score!r}", hint=f"0 to {self.highest}, or {NOT_SEEN}")
        with self._lock():
            entries = self.entries()
            entry = entry_of(entries, child, rater)
            if entry is None:
                entry = {"patient_id": child, "rater": rater, "session": session, "left": {}, "right": {}}
                entries.append(entry)
            if answer_of(entry, limb, number) != before:
                raise Changed(
                    f"{self.path}: item {number} of the {limb} limb was changed after this page was opened",
                    hint="nothing was written; another window may be open: reload this page and score again",
                )
            self._set(entry, limb, number, score)
            entry |= {"session": session, "changed": now()}
            self._replace(entries)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the locks of the annotations and of the labels file, which another study may share."""
        with lock_for_writing(self.folder, self.path.parent), lock_labels(self.path):
            yield

    def _set(self, entry: Entry, limb: Limb, number: int, score: Score) -> None:
        """Set one answer in an entry and the limb's total."""
        answers = {str(int(key)) if key != "Total" else key: value for key, value in (entry.get(limb) or {}).items()}
        answers.pop("Total", None)
        answers.pop(str(number), None)
        if score != UNANSWERED:
            answers[str(number)] = None if score == NOT_SEEN else score
        ordered: dict[str, Any] = {str(n): answers[str(n)] for n in BY_NUMBER if str(n) in answers}
        if len(ordered) == len(BY_NUMBER) and None not in ordered.values():
            ordered["Total"] = sum(ordered.values())
        entry[limb] = ordered

    def disputes(self, arbiter: str | None) -> dict[str, list[str]]:
        """Map each child to the targets (`L.IC`) in which two raters differ and the arbiter has no answer yet."""
        entries = self.entries()
        found = {}
        for child in sorted({subject_name(entry["patient_id"]) for entry in entries}):
            targets = [
                target.name
                for target in TARGETS
                if len(set(self.other_scores(entries, child, target.limb, target.code, arbiter))) > 1
                and answer_of(entry_of(entries, child, arbiter or "") or {}, target.limb, item_number(target.code))
                == UNANSWERED
            ]
            if targets:
                found[child] = targets
        return found

    def other_scores(self, entries: list[Entry], child: str, limb: Limb, code: str, but: str | None) -> list[int]:
        """Return the scores of one item by all raters but one, smallest first: the order identifies nobody.

        A rater's second reading does not count as another rater.
        """
        scores = []
        for entry in entries:
            rater = str(entry.get("rater") or "")
            value = answer_of(entry, limb, item_number(code))
            other = rater != but and not SECOND_READING.search(rater)
            if subject_name(entry["patient_id"]) == child and other and isinstance(value, int):
                scores.append(value)
        return sorted(scores)

    def adopt_agreement(self, child: str, arbiter: str, session: str) -> int:
        """Copy to the arbiter's entry what at least two raters agree on and the arbiter has not scored; count it."""
        copied = 0
        with self._lock():
            entries = self.entries()
            entry = entry_of(entries, child, check_reviewer(arbiter))
            if entry is None:
                entry = {"patient_id": child, "rater": arbiter, "session": session, "left": {}, "right": {}}
                entries.append(entry)
            for target in TARGETS:
                number = item_number(target.code)
                given = self.other_scores(entries, child, target.limb, target.code, arbiter)
                if answer_of(entry, target.limb, number) == UNANSWERED and len(given) > 1 and len(set(given)) == 1:
                    self._set(entry, target.limb, number, given[0])
                    copied += 1
            if copied:
                entry["changed"] = now()
                self._replace(entries)
        return copied

    def _replace(self, entries: list[Entry]) -> None:
        """Write the entries beside the file, read them as `build_labels` does, and rename."""
        with atomic_outputs([self.path]) as partial:
            text = json.dumps(entries, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
            partial[self.path].write_text(text, encoding="utf-8")
            read_sheets(partial[self.path], highest=self.highest)
            if self.path.exists():
                partial[self.path].chmod(self.path.stat().st_mode & 0o777)


def item_number(code: str) -> int:
    """Return the number of an item from its code, 1 for IC."""
    return CODES.index(code) + 1


def second_name(rater: str) -> str:
    """Return the name under which a rater's second reading stands; no person can work by it."""
    return f"{rater} (2)"


def entry_of(entries: list[Entry], child: str, rater: str) -> Entry | None:
    """Return the entry of one child by one rater."""
    return next(
        (
            entry
            for entry in entries
            if subject_name(entry["patient_id"]) == child and str(entry.get("rater") or "") == rater
        ),
        None,
    )


def answer_of(entry: Entry, limb: Limb, number: int) -> Score:
    """Return the answer in an entry, however its key is written (`1` or `01`)."""
    for key, value in (entry.get(limb) or {}).items():
        if key != "Total" and int(key) == number:
            return NOT_SEEN if value in (None, "") else int(value)
    return UNANSWERED
