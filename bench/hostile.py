"""Reads malformed files, each in a process of its own; writes reports/bench/hostile.md.

    .venv/bin/python bench/hostile.py                    # the table of findings, and mutations up to 1,000 tries in all
    .venv/bin/python bench/hostile.py --count 10000      # as many

Outcomes: ok is one sentence with a hint (a StepError); accepted is a file that was read, which only a mutation may be;
poor is a planned file that was read, or a sentence without a hint, of several lines or over 1,500 characters; broken is
a traceback, more than 10 s, or more than 1 GB. `s` is processor time of reading the file, `MB` the peak of the whole
process, libraries included.
"""

from __future__ import annotations

import argparse
import importlib
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
from support.hostile_deliveries import deliveries  # noqa: E402
from support.hostile_files import Try, tries  # noqa: E402
from support.mutated_files import mutated_tries  # noqa: E402

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
                word, sentence = "poor" if one.message else "accepted", ""
            except StepError as error:
                sentence = str(error).replace(folder, "…")
                poor = ". Hint: " not in sentence or "\n" in sentence or len(sentence) > 1500
                word = "poor" if poor else "ok"
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
    """Format the counts, the worst cases, every planned try and every mutation that was not refused as Markdown."""
    words = [outcome.word for _, outcome in outcomes]
    longest = max(outcomes, key=lambda row: row[1].seconds)
    largest = max(outcomes, key=lambda row: row[1].megabytes)
    counts = ", ".join(f"{words.count(word)} {word}" for word in ("ok", "accepted", "poor", "broken"))
    planned = [row for row in outcomes if row[0].message]
    read = [row for row in outcomes if not row[0].message and row[1].word != "ok"]
    return "\n".join(
        [
            "# Malformed files",
            "",
            f"{len(outcomes)} tries: {counts}. `python bench/hostile.py` writes this page; `tests/test_hostile.py` "
            "checks the sentences of the planned ones.",
            "",
            f"Longest: {longest[0].group}, {longest[0].title}: {longest[1].seconds:.2f} s of processor time.",
            f"Largest: {largest[0].group}, {largest[0].title}: {largest[1].megabytes:.0f} MB.",
            "",
            f"## {len(planned)} planned",
            "",
            *rows(planned),
            "",
            f"## Mutations that were not refused: {len(read)} of {len(outcomes) - len(planned)}",
            "",
            *rows(read),
            "",
        ]
    )


def rows(outcomes: list[tuple[Try, Outcome]]) -> list[str]:
    """Format one row per try."""
    lines = ["| group | try | outcome | s | MB | sentence |", "|---|---|---|---|---|---|"]
    for one, outcome in outcomes:
        sentence = outcome.sentence.replace("|", "\\|")
        title = one.title.replace("|", "\\|")
        figures = f"{outcome.seconds:.2f} | {outcome.megabytes:.0f}"
        lines.append(f"| {one.group} | {title} | {outcome.word} | {figures} | {sentence} |")
    return lines


def import_readers() -> None:
    """Import the libraries that readers import late: once, not in every fork."""
    for name in ("polars", "childgait.models.checkpoints", "torch", "safetensors.torch", "onnx", "onnxruntime"):
        importlib.import_module(name)


def main() -> None:
    """Run all tries and write the page; exit with 1 if one is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("reports/bench/hostile.md"))
    parser.add_argument("--count", type=int, default=1000, help="tries in all; mutations fill up the planned ones")
    parser.add_argument("--seed", type=int, default=21)
    arguments = parser.parse_args()
    import_readers()
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))  # the machine survives what is broken
    planned = [*tries(), *deliveries()]
    planned += mutated_tries(arguments.count - len(planned), arguments.seed)
    outcomes = [(one, attempt(one)) for one in planned[: arguments.count]]
    arguments.out.write_text(table(outcomes), encoding="utf-8")
    broken = [f"{one.group}: {one.title}" for one, outcome in outcomes if outcome.word == "broken"]
    poor = sum(outcome.word == "poor" for _, outcome in outcomes)
    print(f"{len(outcomes)} tries, {poor} poor, {len(broken)} broken {broken or ''}; see {arguments.out}")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
