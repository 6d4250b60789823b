"""A guardian withdraws consent: take a child out of the study, here, in the caches and (--remote) in the remotes.

Shows everything that holds the child, asks, removes it, leaves a tombstone (erased.jsonl), searches for what is left,
and says what this machine cannot reach. From then on `register` refuses that child.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

from childgait.errors import StepError


def erase(
    subject: str, yes: bool = False, remote: bool = False, rerun: bool = False, all_pictures: bool = False
) -> int:
    """Erase one child, such as 0007.

    --yes does not ask, --remote empties DVC's remotes, too, --rerun makes the results anew. The search afterwards looks
    for the child in every picture that is not another child's own; --all-pictures looks there, too (minutes a hundred
    videos).
    """
    from childgait.files.tombstones import add_tombstone
    from childgait.lineage.erasure import carry_out, disclose, make_plan, remember_pictures, versioned, what_is_left
    from childgait.lineage.graph import check_number

    root = Path()
    check_number(subject)
    with _alone(root):
        plan = make_plan(subject, root, remote=remote)
        if not plan.holds_anything():
            raise StepError(
                f"nothing here holds a child {subject}",
                hint="see `childgait lineage --subject`; perhaps the number has a typo",
            )
        _show(plan)
        if not yes:
            _ask(subject)
        remember_pictures(plan)
        add_tombstone(subject, date.today().isoformat(), plan.counts(), root)  # first: refused, whatever happens here
        carry_out(plan, root)
        left = what_is_left(plan, root, all_pictures=all_pictures)
    for path, why in sorted(left.items()):
        print(f"STILL THERE: {path}: {why}")
    print("\n".join(disclose(plan, root)))
    _next(plan.stages, [*versioned(plan, root), *plan.added], remote, rerun)
    return 1 if left else 0


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """The same locks as a run's, a stage's and a job's: nothing may be written while files go."""
    folder = root / ".snakemake"
    folder.mkdir(exist_ok=True)
    with ExitStack() as held:
        for name in ("run", "stage", "jobs"):
            stream = held.enter_context((folder / f"{name}.lock").open("a"))
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StepError("a run is at work in this clone", hint="wait until it has ended, then erase") from None
        yield


def _show(plan: object) -> None:
    from childgait.lineage.erasure import Plan

    assert isinstance(plan, Plan)
    print(f"child {plan.subject} is in:")
    for place, count in plan.counts().items():
        print(f"  {count:>6}  {place}")
    for title, paths in (
        ("its own", plan.own),
        ("its rows leave", plan.tables),
        ("pooled, to be made again", plan.pooled),
    ):
        for path in paths:
            print(f"  {title}: {path}")


def _ask(subject: str) -> None:
    try:
        answer = input(f"This cannot be undone. Type {subject} to erase: ")
    except EOFError:
        answer = ""
    if answer.strip() != subject:
        raise StepError("nothing was erased", hint="type the number when asked, or give --yes")


def _next(stages: list[str], changed: list[Path], remote: bool, rerun: bool) -> None:
    if rerun:
        script = Path("workflow/run")
        done = subprocess.run([str(script)] if script.exists() else [sys.executable, "-m", "dvc", "repro"])
        if done.returncode != 0:
            raise StepError(
                "the rerun failed; the erasure itself is complete", hint="mend what it says, then `make run`"
            )
    elif stages:
        print(f"To be made again without the child: {', '.join(stages)} (`make run`, or give --rerun).")
    names = " ".join(["erased.jsonl", *(str(path) for path in changed), "dvc.lock" if stages else ""]).strip()
    print(f"Then commit: git add {names}; and keep erased.key apart, with the raw data.")
    if not remote:
        print("DVC's remotes were not touched: give --remote to empty them, too.")
