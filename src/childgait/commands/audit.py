"""Compare every byte under data/ and reports/ with the records and dvc.lock.

Names each changed, missing or extra file with the step that made it and what depends on it, and exits with 1 if there
is any. Also lists results that were made with other params or source files than the ones here now.
"""

from __future__ import annotations

from pathlib import Path

from childgait.errors import StepError


def audit(quiet: bool = False) -> int:
    """Hash everything again and compare. --quiet prints findings only."""
    from childgait.lineage.check import audit_tree

    findings, counts = audit_tree(Path())
    if not (findings or counts.records or counts.versions):
        raise StepError(
            "there is no record and no dvc.lock here to compare files with", hint="run the study first: `make run`"
        )
    for finding in findings:
        print(finding)
    if not quiet or findings:
        print(
            f"{'FAILED' if findings else 'whole'}: {len(findings)} finding(s); {counts.files} files, "
            f"{counts.bytes / 1e6:,.1f} MB hashed and compared with {counts.records} records "
            f"and {counts.versions} versions of dvc.lock"
        )
        if counts.other_environment:
            print(
                f"note: {counts.other_environment} of the records were made with another envs/requirements.lock"
                " than is here now"
            )
    return 1 if findings else 0
