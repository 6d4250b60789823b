"""Reads predictions that were made elsewhere: a table from any source, and the kept ones in annotations/external.csv.

    child,target,probability,split_hash      or     visit,target,answer,split_hash
    0013,L.IC,0.82,3f1c…                            0013-0001,L.IC,refused,3f1c…

`answer` is 0, 1 or refused; an empty probability is a refusal, too. A visit (0013-0001, or a recording's name) belongs
to its child, whose probability is the mean over its visits. Every row that cannot be read stops the reading.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from childgait.domain.evgs import TARGET_NAMES
from childgait.domain.names import SUBJECT
from childgait.errors import StepError
from childgait.user_files import parse_number, read_rows, shorten

COLUMNS = ("source", "split_hash", "subject", "target", "probability")  # of annotations/external.csv
REFUSED = "refused"
_CHILD_COLUMNS, _VALUE_COLUMNS = ("child", "visit"), ("probability", "answer")
_KNOWN = {*_CHILD_COLUMNS, *_VALUE_COLUMNS, "target", "split_hash"}
_HASH = re.compile(r"[0-9a-f]{64}")
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}")
_VISIT = re.compile(r"([0-9]{4,12})-[0-9]{4,12}(_[a-z]+_[0-9]{1,9}-[0-9]{1,9})?")


@dataclass(frozen=True)
class ExternalAnswers:
    """What one source predicts: the probability of atypical by split hash, child and target; None where refused."""

    source: str
    probability: dict[tuple[str, str, str], float | None]

    @property
    def split_hashes(self) -> set[str]:
        return {split for split, _, _ in self.probability}


def check_source(name: str) -> str:
    """Return the name of a source; fail if it could not stand in a table or a file name."""
    if not _SOURCE.fullmatch(name):
        raise StepError(
            f"the source is called {shorten(name)}",
            hint="use small letters, digits, dots, hyphens and underscores, such as qwen3-vl-4b",
        )
    return name


def read_external_table(path: Path, source: str, split_hash: str | None = None) -> ExternalAnswers:
    """Read a table of predictions from any source; `split_hash` is that of all rows where no column has it."""
    rows = read_rows(path, ("target",))
    if not rows:
        raise StepError(f"{path} has no row", hint="give one row per child (or visit) and target")
    columns = set(rows[0][1])
    who, what = (_one_of(path, columns, names) for names in (_CHILD_COLUMNS, _VALUE_COLUMNS))
    if unknown := sorted(columns - _KNOWN):
        raise StepError(f"{path} has the column {shorten(unknown[0])}", hint=f"columns are {', '.join(sorted(_KNOWN))}")
    if ("split_hash" in columns) == (split_hash is not None):
        raise StepError(
            f"{path}: the hash of the split is given {'twice' if split_hash else 'nowhere'}",
            hint="give it as the column split_hash or as --split-hash; `childgait judge` prints those of the study",
        )
    visits: dict[tuple[str, str, str], dict[str, float | None]] = {}
    for line, row in rows:
        where = f"{path}, line {line}"
        key = (_split(where, row.get("split_hash", split_hash) or ""), _child(where, row[who]), _target(where, row))
        by_visit = visits.setdefault(key, {})
        if row[who] in by_visit:
            raise StepError(f"{where}: {shorten(row[who])} {key[2]} is in the table twice", hint="keep one of the rows")
        by_visit[row[who]] = _answer(where, row[what]) if what == "answer" else _probability(where, row[what])
    means = {key: _mean(list(values.values())) for key, values in visits.items()}
    return ExternalAnswers(check_source(source), means)


def _one_of(path: Path, columns: set[str], names: tuple[str, str]) -> str:
    present = [name for name in names if name in columns]
    if len(present) != 1:
        raise StepError(
            f"{path} has {'both columns' if present else 'neither of the columns'} {names[0]} and {names[1]}",
            hint=f"give exactly one of {names[0]} and {names[1]}",
        )
    return present[0]


def _split(where: str, text: str) -> str:
    if not _HASH.fullmatch(text):
        raise StepError(
            f"{where}: the hash of the split is {shorten(text)}", hint="it has 64 digits and letters a to f"
        )
    return text


def _child(where: str, text: str) -> str:
    if SUBJECT.fullmatch(text):
        return text
    visit = _VISIT.fullmatch(text)
    if visit is None:
        raise StepError(
            f"{where}: the child is {shorten(text)}",
            hint="give the child's number, such as 0013, or a visit or recording, such as 0013-0001",
        )
    return visit[1]


def _target(where: str, row: dict[str, str]) -> str:
    if row["target"] not in TARGET_NAMES:
        raise StepError(
            f"{where}: the target is {shorten(row['target'])}",
            hint=f"targets are {TARGET_NAMES[0]} to {TARGET_NAMES[-1]}, as in reports/tables/items.csv",
        )
    return row["target"]


def _answer(where: str, text: str) -> float | None:
    if text not in ("0", "1", REFUSED):
        raise StepError(f"{where}: the answer is {shorten(text)}", hint=f"give 0 (typical), 1 (atypical) or {REFUSED}")
    return None if text == REFUSED else float(text)


def _probability(where: str, text: str) -> float | None:
    if text == "":
        return None
    value = parse_number(text)
    if not 0 <= value <= 1:
        raise StepError(f"{where}: the probability is {shorten(text)}", hint="give a number from 0 to 1, or nothing")
    return value


def _mean(values: list[float | None]) -> float | None:
    """Average the probabilities of a child's visits that have one."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


# --- annotations/external.csv


def read_kept_answers(path: Path) -> list[ExternalAnswers]:
    """Read annotations/external.csv: the answers of every source, by name."""
    by_source: dict[str, dict[tuple[str, str, str], float | None]] = {}
    for line, row in read_rows(path, COLUMNS):
        where = f"{path}, line {line}"
        answers = by_source.setdefault(check_source(row["source"]), {})
        key = (_split(where, row["split_hash"]), _child(where, row["subject"]), _target(where, row))
        if key in answers:
            raise StepError(f"{where}: child {key[1]} {key[2]} is in the table twice", hint="keep one of the rows")
        answers[key] = _probability(where, row["probability"])
    return [ExternalAnswers(source, answers) for source, answers in sorted(by_source.items())]


def keep_answers(path: Path, answers: ExternalAnswers) -> None:
    """Write a source's answers into annotations/external.csv, in place of earlier ones of that source."""
    from childgait.files.atomic import write_text

    others = [kept for kept in read_kept_answers(path) if kept.source != answers.source] if path.exists() else []
    lines = [",".join(COLUMNS)]
    for kept in sorted([*others, answers], key=lambda each: each.source):
        for (split, child, target), value in sorted(kept.probability.items()):
            lines.append(f"{kept.source},{split},{child},{target},{'' if value is None else f'{value:.6g}'}")
    write_text(path, "\n".join(lines) + "\n")
