"""`childgait NAME --flags`: run a step of the study or a command, by name."""

from __future__ import annotations

import difflib
import logging
import os
import sys

from childgait.engine import flags, run_step
from childgait.errors import StepError

# Names of the same steps in other programs, for the hint.
SYNONYMS = {"predict": "score", "infer": "score", "train": "finetune", "fit": "finetune", "test": "evaluate"}


def usage() -> str:
    """List all steps and commands, a line each."""
    lines = ["usage: childgait NAME [--help] …", "", "steps of the study:"]
    lines += [f"  {name.replace('_', '-'):<18} {line}" for name, line in flags.summaries("steps").items()]
    lines += ["", "commands:"]
    lines += [f"  {name.replace('_', '-'):<18} {line}" for name, line in flags.summaries("commands").items()]
    return "\n".join(lines)


def main() -> None:
    """Run the step or command that the command line names; a StepError exits with 1 and without a traceback."""
    argv = sys.argv[1:]
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return
    os.umask(os.umask(0o027) | 0o007)  # files of a study are for its user and group alone
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("childgait").setLevel(logging.INFO)  # the package logs; libraries only warn
    entry = flags.find_function(argv[0])
    if entry is None:
        names = [name.replace("_", "-") for name in (*flags.summaries("steps"), *flags.summaries("commands"))]
        synonym = SYNONYMS.get(argv[0])
        near = [synonym] if synonym else difflib.get_close_matches(argv[0], names, n=1)
        run_step.print_and_exit(
            StepError(
                f"childgait has no step or command {argv[0]!r}",
                hint=f"did you mean {near[0]!r}?" if near else "`childgait --help` lists them",
            )
        )
    function, recorded = entry
    try:
        code = run_step.run_command_line(function, argv[1:], recorded=recorded)
    except StepError as error:
        run_step.print_and_exit(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of the output (`| head`) has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
