"""Remove a child from the study after consent is withdrawn: here, in the caches and (--remote) in the remotes.

Lists everything that holds the child, waits for confirmation, removes it, leaves a tombstone (erased.jsonl), searches
for remains, and lists what this machine cannot reach. From then on `register` refuses that child.
"""

from __future__ import annotations

import fcntl
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.errors import StepError

log = logging.getLogger(__name__)
LIST = Path("logs/erase.log")

if TYPE_CHECKING:
    from childgait.lineage.erasure import ErasurePlan


def erase(
    subject: str, yes: bool = False, remote: bool = False, rerun: bool = False, all_pictures: bool = False
) -> int:
    """Erase one child, such as 0007.

    --yes skips the confirmation, --remote also empties DVC's remotes, --rerun makes the results again. The search
    afterwards covers every picture that is not another child's own; --all-pictures covers those, too (minutes per
    hundred videos).
    """
    from childgait.files.tombstones import is_erased
    from childgait.lineage.erasure import find_remains, list_unreachable, plan_erasure, tables_in_git
    from childgait.lineage.graph import check_number

    root, began = Path(), time.monotonic()
    check_number(subject)
    with _exclusive(root):
        log.info("erasing: searching for everything that holds the child")
        plan = plan_erasure(subject, root, remote=remote)
        if plan.holds_anything():
            _show(plan, files=not yes)
            if not yes:
                _confirm(subject)
            _remove(plan, root)
        elif is_erased(subject, root):
            log.info("erasing: child %s is erased here; a killed call may not have searched for remains", subject)
        else:
            raise StepError(
                f"nothing here holds a child {subject}",
                hint="see `childgait lineage --subject`; check the number",
            )
        listing = _write_list(plan)
        log.info("erasing: searching for remains")
        remains = find_remains(plan, root, all_pictures=all_pictures)
    for path, why in sorted(remains.items()):
        print(f"STILL THERE: {path}: {why}")
    print("\n".join(list_unreachable(plan, root)))
    _next_steps(plan.stages, [*tables_in_git(plan, root), *plan.added], remote, rerun)
    print(
        f"Summary: {plan.removed_files()} file(s) removed, {len(plan.tables)} table(s) rewritten, {len(remains)} still "
        f"there; {time.monotonic() - began:.0f} s. The list, without the child's number: {listing}"
    )
    return 1 if remains else 0


def _remove(plan: ErasurePlan, root: Path) -> None:
    """Remember the child's pictures, leave the tombstone, and remove everything."""
    from childgait.files.tombstones import add_tombstone
    from childgait.lineage.erasure import carry_out, remember_pictures

    log.info("erasing: reading the pictures of %d file(s), to search for them afterwards", len(plan.own))
    remember_pictures(plan)
    add_tombstone(
        plan.subject, date.today().isoformat(), plan.counts(), root
    )  # first: the child is refused, whatever happens below
    log.info("erasing: removing %d file(s) and rewriting %d table(s)", plan.removed_files(), len(plan.tables))
    carry_out(plan, root)


@contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    """Hold the locks of a run, a stage and a job: nothing may be written while files are removed."""
    folder = root / ".snakemake"
    folder.mkdir(exist_ok=True)
    with ExitStack() as held:
        for name in ("run", "stage", "jobs"):
            stream = held.enter_context((folder / f"{name}.lock").open("a"))
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StepError(
                    "a run is in progress in this clone", hint="wait until it has ended, then erase"
                ) from None
        yield


def _lines(plan: ErasurePlan) -> Iterator[str]:
    """Describe every file, a line each."""
    for title, paths in (
        ("its own", plan.own),
        ("its rows leave", plan.tables),
        ("pooled, to be made again", plan.pooled),
    ):
        yield from (f"{title}: {path}" for path in paths)


def _write_list(plan: ErasurePlan) -> Path:
    """Append the list of files to a log. The number is left out: a log that names the child would be a trace of it."""
    LIST.parent.mkdir(exist_ok=True)
    with LIST.open("a", encoding="utf-8") as stream:
        stream.writelines(line.replace(plan.subject, "CHILD") + "\n" for line in _lines(plan))
    return LIST


def _show(plan: ErasurePlan, *, files: bool) -> None:
    """Print how many files hold the child, and which (`files`)."""
    print(f"child {plan.subject} is in:")
    for place, count in plan.counts().items():
        print(f"  {count:>6}  {place}")
    if files:
        print("\n".join(f"  {line}" for line in _lines(plan)))


def _confirm(subject: str) -> None:
    try:
        answer = input(f"This cannot be undone. Type {subject} to erase: ")
    except EOFError:
        answer = ""
    if answer.strip() != subject:
        raise StepError("nothing was erased", hint="type the number at the prompt, or give --yes")


def _next_steps(stages: list[str], changed: list[Path], remote: bool, rerun: bool) -> None:
    if rerun:
        script = Path("workflow/run")
        done = subprocess.run([str(script)] if script.exists() else [sys.executable, "-m", "dvc", "repro"])
        if done.returncode != 0:
            raise StepError(
                "the rerun failed; the erasure itself is complete", hint="correct what it reports, then `make run`"
            )
    elif stages:
        print(f"To be made again without the child: {', '.join(stages)} (`make run`, or give --rerun).")
    names = " ".join(["erased.jsonl", *(str(path) for path in changed), "dvc.lock" if stages else ""]).strip()
    print(f"Then commit: git add {names}; and keep erased.key apart, with the raw data.")
    if not remote:
        print("DVC's remotes were not touched: give --remote to empty them, too.")
