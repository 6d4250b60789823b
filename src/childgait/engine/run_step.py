"""Turns a step's signature into its command line, so that an interface is stated once.

    def segment(video: Input, poses: Input | None, masks: Output, boxes: Output, params: Segment) -> None: ...

becomes `childgait segment --video … --poses … --masks … --boxes … --params params.yaml --record …`. An Input must
exist; an Output is handed to the step under a temporary name and renamed when the step has returned, so that a killed
or failed job leaves the old file or none. `--record` writes the sidecar (engine/record.py). A StepError is printed as one
sentence, without a traceback, and exits with 1.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from childgait.engine.flags import Flag, flags_of, parser_of
from childgait.errors import StepError
from childgait.files.atomic import atomic_outputs

log = logging.getLogger("childgait")


def _paths(value: Any) -> list[Path]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _check_inputs(flags: list[Flag], values: dict[str, Any]) -> None:
    for flag in flags:
        if flag.kind == "input":
            for path in _paths(values[flag.name]):
                if not path.exists():
                    raise StepError(
                        f"--{flag.name.replace('_', '-')} names {path}, which does not exist",
                        hint="check the path, or run the step that makes it (`make plan` shows which)",
                    )


def run_step(
    function: Callable[..., Any], values: dict[str, Any], params_file: Path | None, record: Path | None
) -> None:
    """Run a step on real paths: check what goes in, write atomically, leave the sidecar and a line in the log."""
    from childgait.engine.record import Watch

    flags = flags_of(function)
    _check_inputs(flags, values)
    for flag in flags:
        if flag.kind == "params":
            from childgait.params import load_section

            assert params_file is not None
            values[flag.name] = load_section(params_file, flag.type)
    if os.environ.get("RANK", "0") != "0":  # torchrun's other processes help to compute; the first one writes
        function(**values)
        return
    targets = [path for flag in flags if flag.kind == "output" for path in _paths(values[flag.name])]
    sources = [path for flag in flags if flag.kind == "input" for path in _paths(values[flag.name])]
    watch = Watch(function, sources) if record is not None else None
    try:
        with _at_work(), atomic_outputs(targets) as partial:
            handed = dict(values)
            for flag in flags:
                if flag.kind == "output" and values[flag.name] is not None:
                    value = values[flag.name]
                    handed[flag.name] = [partial[p] for p in value] if isinstance(value, list) else partial[value]
            function(**handed)
            for target, temporary in partial.items():
                assert temporary.exists(), f"{function.__name__} returned without writing {target}"
        if record is not None and watch is not None:
            watch.write_record(record, flags, values)
    except OSError as error:
        raise os_step_error(error) from error
    except MemoryError as error:
        raise StepError(
            f"{function.__name__} ran out of memory",
            hint="give the job more (resources: mem_mb in its rule), or fewer jobs at once; nothing half-written was kept",
        ) from error


@contextlib.contextmanager
def _at_work() -> Iterator[None]:
    """Tell a coming run that a job of an earlier one still writes: workflow/stage waits until nobody holds this lock."""
    folder = Path(".snakemake")
    if not folder.is_dir():  # by hand, outside a workflow
        yield
        return
    with (folder / "jobs.lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        yield


def os_step_error(error: OSError) -> StepError:
    """The sentence for what a disk says no to."""
    where = f" at {error.filename}" if error.filename else ""
    what = error.strerror or str(error)
    hint = {
        2: "check the path; nothing half-written was kept",
        28: "free some space (`childgait doctor` says how much a study needs) and run again; nothing half-written was kept",
        30: "the file system is mounted read-only; choose another folder",
        13: "give yourself the right to read and write there",
    }.get(error.errno or 0, "look at that path; nothing half-written was kept")
    return StepError(f"the system refused a file operation{where}: {what}", hint=hint)


def call(function: Callable[..., Any], argv: list[str], *, recorded: bool) -> Any:
    """Parse a command line for a step (recorded) or a person's command, and run it."""
    arguments = vars(parser_of(function.__name__, function, recorded=recorded).parse_args(argv))
    record = arguments.pop("record", None)
    params_file = arguments.get("params")
    values = {flag.name: arguments.get(flag.name) for flag in flags_of(function)}
    if recorded:
        return run_step(function, values, params_file, record)
    flags = flags_of(function)
    _check_inputs(flags, values)
    for flag in flags:
        if flag.kind == "params":
            from childgait.params import load_section

            values[flag.name] = load_section(typing.cast(Path, params_file), flag.type)
    try:
        return function(**values)
    except BrokenPipeError:  # no file's fault: whoever read what was printed has gone
        raise
    except OSError as error:
        raise os_step_error(error) from error


def fail(error: StepError) -> typing.NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)
