"""Are the files what the records say? Every byte under data/ and reports/ against the records and dvc.lock.

Names each changed, missing or extra file with the step that made it and what depends on it, and exits with 1 if there
is any. Says, too, which results were made with other params or source files than the ones here now.
"""

from __future__ import annotations

from pathlib import Path

from childgait.errors import StepError


def audit(quiet: bool = False) -> int:
    """Hash everything again and compare. --quiet prints findings only."""
    from childgait.lineage.check import audit_tree

    findings, seen = audit_tree(Path())
    if not (findings or seen.records or seen.versions):
        raise StepError(
            "there is no record and no dvc.lock here to compare files with", hint="run the study first: `make run`"
        )
    for finding in findings:
        print(finding)
    if not quiet or findings:
        print(
            f"{'FAILED' if findings else 'whole'}: {len(findings)} finding(s); {seen.files} files, "
            f"{seen.bytes / 1e6:,.1f} MB hashed and compared with {seen.records} records "
            f"and {seen.versions} versions of dvc.lock"
        )
        if seen.elsewhere:
            print(
                f"note: {seen.elsewhere} of the records were made with another envs/requirements.lock than is here now"
            )
    return 1 if findings else 0
