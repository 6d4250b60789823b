"""Build the command line of a step for the shell: every value is quoted, so that no name of a file is a command."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from childgait.files.atomic import write_text

LONGEST_ARGUMENT = 60_000  # bytes; Linux allows 131,072 per argument string, here the whole command


def format_argument(step: str, name: str, value: object, folder: Path) -> str:
    """Format `--name value` for the shell; a list too long for a command line is written to a file (`--name @file`)."""
    values = [str(value)] if isinstance(value, str | Path) or not isinstance(value, Iterable) else [*map(str, value)]
    text = shlex.join(values)
    if len(text) > LONGEST_ARGUMENT:
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        listing = folder / f"{step}-{name}-{digest}.txt"
        if not listing.exists():  # the Snakemake process of another job may be reading it
            listing.parent.mkdir(parents=True, exist_ok=True)
            write_text(listing, "\n".join(values) + "\n")
        text = shlex.quote(f"@{listing}")
    return f"--{name.replace('_', '-')} {text}"


def format_call(step: str, files: Iterable[tuple[str, object]], values: Mapping[str, str], folder: Path) -> str:
    """Format all arguments of a step: named files, then plain values; `folder` takes lists that are too long."""
    parts = [format_argument(step, name, value, folder) for name, value in files if name != "code" and value]
    return " ".join(parts + [format_argument(step, name, value, folder) for name, value in values.items()])
