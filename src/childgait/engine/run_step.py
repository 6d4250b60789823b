"""Run a step or command from its command line (engine/flags.py).

An Input must exist. An Output is passed to the step under a temporary name and renamed when the step has returned, so
that a killed or failed job leaves the old file or none. `--record` writes the record (engine/record.py). A StepError is
printed as one sentence, without a traceback, and exits with 1.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from childgait.engine.flags import Flag, flags_of, parser_of, paths_of
from childgait.errors import StepError
from childgait.files.atomic import atomic_outputs
from childgait.user_files import check_regular

log = logging.getLogger("childgait")


def _check_inputs(flags: list[Flag], values: Mapping[str, object]) -> None:
    """Check that every input is a file or folder that exists: reading a FIFO or a device would never end."""
    for flag in flags:
        if flag.kind == "input":
            for path in paths_of(values[flag.name]):
                if not path.exists():
                    raise StepError(
                        f"--{flag.name.replace('_', '-')} names {path}, which does not exist",
                        hint="check the path, or run the step that writes it (`make plan` shows which)",
                    )
                if not path.is_dir():
                    check_regular(path)


def run_step(
    function: Callable[..., Any], values: dict[str, object], params_file: Path | None, record: Path | None
) -> None:
    """Run a step: check its inputs, write its outputs atomically, then its record and a line in the log."""
    from childgait.engine.record import Watch

    flags = flags_of(function)
    _check_inputs(flags, values)
    for flag in flags:
        if flag.kind == "params":
            from childgait.params import load_section

            assert params_file is not None
            values[flag.name] = load_section(params_file, flag.type)
    if os.environ.get("RANK", "0") != "0":  # under torchrun all processes compute, only the first writes
        function(**values)
        return
    targets = [path for flag in flags if flag.kind == "output" for path in paths_of(values[flag.name])]
    sources = [path for flag in flags if flag.kind == "input" for path in paths_of(values[flag.name])]
    watch = Watch(function, sources) if record is not None else None
    try:
        with _job_lock(), atomic_outputs(targets) as partial:
            arguments = dict(values)
            for flag in flags:
                if flag.kind == "output" and values[flag.name] is not None:
                    written = [partial[path] for path in paths_of(values[flag.name])]
                    arguments[flag.name] = written if isinstance(values[flag.name], list) else written[0]
            function(**arguments)
            for target, temporary in partial.items():
                assert temporary.exists(), f"{function.__name__} returned without writing {target}"
        if record is not None and watch is not None:
            watch.write_record(record, flags, values)
    except OSError as error:
        raise os_step_error(error) from error
    except MemoryError as error:
        raise StepError(
            f"{function.__name__} ran out of memory",
            hint="raise mem_mb in the resources of its rule, or run fewer jobs at once; no partial output was kept",
        ) from error


@contextlib.contextmanager
def _job_lock() -> Iterator[None]:
    """Hold a shared lock while a job writes; workflow/stage waits for it before a new run starts."""
    folder = Path(".snakemake")
    if not folder.is_dir():  # run by hand, outside a workflow
        yield
        return
    with (folder / "jobs.lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        yield


def os_step_error(error: OSError) -> StepError:
    """Convert an error of the file system into a StepError with a hint."""
    where = f" at {error.filename}" if error.filename else ""
    what = error.strerror or str(error)
    hint = {
        2: "check the path; no partial output was kept",
        28: "free disk space (`childgait doctor` prints the need of a study) and run again; no partial output was kept",
        30: "the file system is mounted read-only; choose another folder",
        13: "change the permissions so that you can read and write there",
    }.get(error.errno or 0, "check that path; no partial output was kept")
    return StepError(f"the system refused a file operation{where}: {what}", hint=hint)


def run_command_line(function: Callable[..., Any], argv: list[str], *, recorded: bool) -> Any:
    """Parse the command line of a step (`recorded`) or a command, and run it; returns a command's exit status."""
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
    except BrokenPipeError:  # not a file error: the reader of the output has closed it
        raise
    except OSError as error:
        raise os_step_error(error) from error


def print_and_exit(error: StepError) -> typing.NoReturn:
    """Print an error to stderr and exit with status 1."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)
