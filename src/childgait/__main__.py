"""`childgait STEP --flags`: every step of the study and every command of a person, by name."""

from __future__ import annotations

import difflib
import logging
import os
import sys

from childgait.engine import flags, run_step
from childgait.errors import StepError


def usage() -> str:
    lines = ["usage: childgait NAME [--help] …", "", "steps of the study:"]
    lines += [f"  {name.replace('_', '-'):<18} {remark}" for name, remark in flags.names("steps").items()]
    lines += ["", "commands:"]
    lines += [f"  {name.replace('_', '-'):<18} {remark}" for name, remark in flags.names("commands").items()]
    return "\n".join(lines)


def main() -> None:
    argv = sys.argv[1:]
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("childgait").setLevel(logging.INFO)  # ours speak; the libraries' chatter does not
    found = flags.find(argv[0])
    if found is None:
        known = [name.replace("_", "-") for name in (*flags.names("steps"), *flags.names("commands"))]
        near = difflib.get_close_matches(argv[0], known, n=1)
        run_step.fail(
            StepError(
                f"childgait has no step or command {argv[0]!r}",
                hint=f"did you mean {near[0]!r}?" if near else "`childgait --help` lists them",
            )
        )
    function, recorded = found
    try:
        code = run_step.call(function, argv[1:], recorded=recorded)
    except StepError as error:
        run_step.fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read the output (`| head`) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
