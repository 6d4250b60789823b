"""Reads every malformed file of the table of findings, each in a process of its own; writes reports/bench/hostile.md.

    .venv/bin/python bench/hostile.py

Outcomes: ok is one sentence with a hint (a StepError); accepted is a file that was read; broken is a traceback, more
than 10 s, or more than 1 GB. `s` is processor time of reading the file, `MB` the peak of the whole process, libraries
included.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "src"), str(Path(__file__).parents[1] / "tests")]

from childgait.errors import StepError  # noqa: E402
from support.hostile_files import Try, tries  # noqa: E402

LONGEST = 60  # seconds; then the process is killed


@dataclass(frozen=True)
class Outcome:
    """What became of one malformed file."""

    word: str
    seconds: float
    megabytes: float
    sentence: str


def attempt(one: Try) -> Outcome:
    """Read one file in a forked process."""
    with tempfile.TemporaryDirectory() as folder:
        read = one.make(Path(folder))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(LONGEST)
            os.close(reading)
            began = time.process_time()
            try:
                read()
                word, sentence = "accepted", ""
            except StepError as error:
                word, sentence = "ok", str(error).replace(folder, "…")
            except BaseException as error:
                word, sentence = "broken", f"{type(error).__name__}: {error}"
            line = f"{word}\0{time.process_time() - began}\0{' '.join(sentence.split())[:300]}"
            os.write(writing, line.encode(errors="replace"))
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as stream:
            content = stream.read().decode(errors="replace")
        _, status, usage = os.wait4(child, 0)
    megabytes = usage.ru_maxrss / 1024
    if status or not content:
        return Outcome("broken", float(LONGEST), megabytes, f"ended with status {status}")
    word, seconds, sentence = content.split("\0", 2)
    slow = float(seconds) > 10 or megabytes > 1024
    return Outcome("broken" if slow else word, float(seconds), megabytes, sentence)


def table(outcomes: list[tuple[Try, Outcome]]) -> str:
    """Format the counts, the worst cases and every try as Markdown."""
    words = [outcome.word for _, outcome in outcomes]
    longest = max(outcomes, key=lambda row: row[1].seconds)
    largest = max(outcomes, key=lambda row: row[1].megabytes)
    lines = [
        "# Malformed files",
        "",
        f"{len(outcomes)} tries: {words.count('ok')} ok, {words.count('accepted')} accepted, {words.count('broken')} "
        "broken. `python bench/hostile.py` writes this page; `tests/test_hostile.py` checks the sentences.",
        "",
        f"Longest: {longest[0].group}, {longest[0].title}: {longest[1].seconds:.2f} s of processor time.",
        f"Largest: {largest[0].group}, {largest[0].title}: {largest[1].megabytes:.0f} MB.",
        "",
        "| group | try | outcome | s | MB | sentence |",
        "|---|---|---|---|---|---|",
    ]
    for one, outcome in outcomes:
        sentence = outcome.sentence.replace("|", "\\|")
        title = one.title.replace("|", "\\|")
        figures = f"{outcome.seconds:.2f} | {outcome.megabytes:.0f}"
        lines.append(f"| {one.group} | {title} | {outcome.word} | {figures} | {sentence} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run all tries and write the page; exit with 1 if one is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("reports/bench/hostile.md"))
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))  # the machine survives what is broken
    outcomes = [(one, attempt(one)) for one in tries()]
    arguments.out.write_text(table(outcomes), encoding="utf-8")
    broken = [f"{one.group}: {one.title}" for one, outcome in outcomes if outcome.word == "broken"]
    print(f"{len(outcomes)} tries, {len(broken)} broken {broken or ''}; see {arguments.out}")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
